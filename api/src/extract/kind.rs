//! The parameter type of resource kinds; unknown kinds are refused with a list and a suggestion.

use std::str::FromStr;

use domain::ResourceKind;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::choices;

/// A kind that this version knows.
#[derive(Debug, Clone)]
pub(crate) struct KnownKind(ResourceKind);

impl PartialSchema for KnownKind {
    fn schema() -> RefOr<Schema> {
        choices::schema(ResourceKind::ALL.iter().map(ResourceKind::as_str))
    }
}

impl ToSchema for KnownKind {}

impl From<KnownKind> for String {
    fn from(KnownKind(kind): KnownKind) -> Self {
        kind.as_str().to_owned()
    }
}

impl FromStr for KnownKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |kind: &ResourceKind| ResourceKind::ALL.contains(kind);
        let kind = ResourceKind::named(text);
        if known(&kind) {
            return Ok(Self(kind));
        }
        let all = ResourceKind::ALL;
        let names: Vec<&str> = all.iter().map(ResourceKind::as_str).collect();
        // DigitalOcean's name of the kind, such as `domain`.
        let meant = ResourceKind::from_urn_kind(&text.to_lowercase());
        let suggestion = if known(&meant) {
            format!("; did you mean {meant}?")
        } else {
            choices::suggestion(text, &names)
        };
        Err(format!(
            "unknown kind {text:?}: expected {}{suggestion}",
            choices::alternatives(&names)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_an_unknown_kind_has_the_kinds_and_a_suggestion() {
        for (text, suggestion) in [
            ("droplets", "; did you mean droplet?"),
            ("DROPLET", "; did you mean droplet?"),
            ("domain", "; did you mean dns_zone?"),
            ("dbaas", "; did you mean database_cluster?"),
            ("floatingip", "; did you mean reserved_ip?"),
            ("quantum", "vpc or vpc_peering"),
        ] {
            let refused = text.parse::<KnownKind>().unwrap_err();
            assert!(refused.ends_with(suggestion), "{refused}");
            assert!(refused.contains("kubernetes_cluster, "), "{refused}");
        }
        assert!("vpc".parse::<KnownKind>().is_ok());
    }
}
