//! The filled parameters of a page: read from the query, repeated in its forms and links.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::page::PageProblem;
use crate::choices;
use crate::extract::{Query, optional_field, read_parameters};
use crate::problem::Problem;

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
    /// Removes the parameters of a download, and returns the table that is requested as CSV; none
    /// if the page itself is requested.
    pub(super) fn take_table(&mut self) -> Result<Option<String>, PageProblem> {
        let (download, others) = self
            .0
            .drain(..)
            .partition::<Vec<_>, _>(|(name, _)| matches!(name.as_str(), "format" | "table"));
        self.0 = others;
        let Download { format, table } = read_parameters(download, &[])?;
        match (format.as_deref(), table) {
            (None, None) => Ok(None),
            (Some("csv"), Some(table)) => Ok(Some(table)),
            (Some("csv") | None, _) => Err(invalid(
                "table: not alone: use format=csv and table together, as in the links of the page",
            )),
            (Some(_), _) => Err(invalid(
                "format: expected csv, or no parameter for the page",
            )),
        }
    }

    /// Returns true if the only table of the page is requested as CSV.
    pub(super) fn take_whole_table(&mut self, name: &str) -> Result<bool, PageProblem> {
        match self.take_table()? {
            None => Ok(false),
            Some(table) if table == name => Ok(true),
            Some(table) => Err(unknown_table(&table, &[name])),
        }
    }

    /// Reads the parameters into a `T`, by name.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, PageProblem> {
        Ok(read_parameters(self.0, &["format", "table"])?)
    }

    /// Refuses all parameters, for pages without any: they would have no effect.
    pub(super) fn refuse_others(self) -> Result<(), PageProblem> {
        let NoOthers {} = self.read()?;
        Ok(())
    }

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

    /// Returns these parameters without one of them.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(found, _)| found != name);
        self
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

/// The parameters of a download.
#[derive(Deserialize)]
struct Download {
    #[serde(default, deserialize_with = "optional_field")]
    format: Option<String>,
    #[serde(default, deserialize_with = "optional_field")]
    table: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOthers {}

fn invalid(text: &str) -> PageProblem {
    Problem::InvalidParameter(text.to_owned()).into()
}

/// Returns the problem of a table that the page does not have.
pub(super) fn unknown_table(table: &str, known: &[&str]) -> PageProblem {
    let error = choices::unknown("table", table, known);
    Problem::InvalidParameter(format!("table: {error}")).into()
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

    #[test]
    fn a_download_names_its_table() {
        let parameters = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Parameters(pairs.collect())
        };
        let mut page = parameters(&[("q", "x")]);
        assert_eq!(page.take_table().ok().flatten(), None);
        let mut download = parameters(&[("format", "csv"), ("q", "x"), ("table", "months")]);
        assert_eq!(
            download.take_table().ok().flatten().as_deref(),
            Some("months")
        );
        assert_eq!(download, page);
        for pairs in [
            &[("format", "csv")][..],
            &[("table", "months")],
            &[("format", "json"), ("table", "months")],
        ] {
            assert!(parameters(pairs).take_table().is_err(), "{pairs:?}");
        }
        let mut other = parameters(&[("format", "csv"), ("table", "years")]);
        assert!(other.take_whole_table("months").is_err());
    }
}
