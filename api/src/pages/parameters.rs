//! The filled parameters of a page: read from the query, repeated in its forms and links.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::page::PageProblem;
use crate::extract::Query;

/// The parameters of a page with a value: HTML forms send empty fields, which count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = PageProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageProblem> {
        let Query(mut pairs) =
            Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        for (_, value) in &mut pairs {
            value.truncate(value.trim_end().len());
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }
}

impl Parameters {
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        self.0.clone()
    }

    /// Returns the value of a parameter; empty if it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns true if there is any parameter other than these.
    pub(super) fn has_others_than(&self, names: &[&str]) -> bool {
        self.0.iter().any(|(name, _)| !names.contains(&&**name))
    }

    /// Returns the address of a page with these parameters, of which one has another value; an
    /// empty value removes it. The cursor is removed: it is valid for the old parameters only.
    pub(super) fn link(&self, path: &str, name: &str, value: &str) -> String {
        let others = self
            .0
            .iter()
            .filter(|(found, _)| found != name && found != "cursor");
        let mut pairs: Vec<(&str, &str)> = others
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if !value.is_empty() {
            pairs.push((name, value));
        }
        address(path, &pairs)
    }
}

/// Returns the address of a page with these parameters.
pub(super) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    match serde_urlencoded::to_string(pairs) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_changes_one_parameter_and_drops_the_cursor() {
        let pairs = [("kind", "droplet"), ("q", "a&b"), ("cursor", "x")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parameters = Parameters(pairs.to_vec());
        for (name, value, expected) in [
            ("kind", "vpc", "/inventory?q=a%26b&kind=vpc"),
            ("kind", "", "/inventory?q=a%26b"),
            ("cursor", "y", "/inventory?kind=droplet&q=a%26b&cursor=y"),
        ] {
            assert_eq!(parameters.link("/inventory", name, value), expected);
        }
        assert!(parameters.has_others_than(&["kind"]));
        assert_eq!(address("/inventory", &[]), "/inventory");
    }
}
