//! Rewrites errors of serde to the format of this API: field or parameter, problem, fix.

use crate::choices;

/// The part of the request that a value is read from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Query,
    Body,
}

impl Place {
    fn noun(self) -> &'static str {
        match self {
            Self::Query => "parameter",
            Self::Body => "field",
        }
    }
}

/// Rewrites an error of serde. `path` is the field of the error, empty for the whole body or query.
pub(super) fn explain(place: Place, path: &str, message: &str) -> String {
    // Some deserializers put the path before the message.
    let message = message
        .strip_prefix(path)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(message);
    let noun = place.noun();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (text, path) = match quoted.as_slice() {
        [name, known @ ..] if message.starts_with("unknown field `") => {
            let expected = if known.is_empty() {
                format!("no {noun} is allowed")
            } else {
                format!("expected {}", choices::alternatives(known))
            };
            let suggestion = choices::suggestion(name, known);
            // The path ends with the name of the unknown field.
            (
                format!("unknown {noun} {name:?}: {expected}{suggestion}"),
                parent(path),
            )
        }
        [name] if message.starts_with("missing field `") => {
            (format!("missing {noun} {name:?}: add it"), path)
        }
        [name] if message.starts_with("duplicate field `") => (
            format!("duplicate {noun} {name:?}: remove one"),
            parent(path),
        ),
        [value, known @ ..] if message.starts_with("unknown variant `") => {
            (choices::unknown("value", value, known), path)
        }
        _ if message.starts_with("invalid ") => (message.replace('`', ""), path),
        _ => (message.to_owned(), path),
    };
    if path.is_empty() {
        text
    } else {
        format!("{path}: {text}")
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_serde_error_has_the_field_and_the_fix() {
        for (path, message, expected) in [
            (
                "tenant",
                "unknown field `tenant`, expected one of `tenant_id`, `since`, `purpose`",
                r#"unknown field "tenant": expected tenant_id, since or purpose; did you mean tenant_id?"#,
            ),
            (
                "x",
                "unknown field `x`, there are no fields",
                r#"unknown field "x": no field is allowed"#,
            ),
            (
                "",
                "missing field `rule`",
                r#"missing field "rule": add it"#,
            ),
            (
                "tenant_id",
                "invalid type: integer `5`, expected a string",
                "tenant_id: invalid type: integer 5, expected a string",
            ),
            (
                "decision",
                "unknown variant `Approve`, expected `approve` or `reject`",
                r#"decision: unknown value "Approve": expected approve or reject; did you mean approve?"#,
            ),
            (
                "purpose",
                "purpose: expected 1 to 500 characters",
                "purpose: expected 1 to 500 characters",
            ),
        ] {
            assert_eq!(explain(Place::Body, path, message), expected);
        }
    }
}
