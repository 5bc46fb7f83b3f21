//! JSON as rows of a table: one row for each value, named by its path.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A value of a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Attribute {
    /// `size.slug`, `networks.v4[0].ip_address`.
    pub(super) path: String,
    pub(super) value: String,
}

/// Returns the values of a document in the order of its keys. A list of plain values is one row.
pub(super) fn flatten(value: &Value) -> Vec<Attribute> {
    let mut rows = Vec::new();
    add(&mut rows, String::new(), value);
    rows
}

fn add(rows: &mut Vec<Attribute>, path: String, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                add(rows, path, value);
            }
        }
        Value::Array(elements) if elements.iter().any(|one| one.is_object() || one.is_array()) => {
            for (index, value) in elements.iter().enumerate() {
                add(rows, format!("{path}[{index}]"), value);
            }
        }
        Value::Null => {}
        value => rows.push(Attribute {
            path,
            value: text(value),
        }),
    }
}

/// Returns a value as text.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(text).collect();
            elements.join(", ")
        }
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => other.to_string(),
    }
}

/// A value before and after a change; empty for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// Returns the values that differ between two documents at `path`.
pub(super) fn differences(path: &str, before: &Value, after: &Value) -> Vec<Difference> {
    let flat = |value| {
        let mut rows = Vec::new();
        add(&mut rows, path.to_owned(), value);
        rows
    };
    let (before, after) = (flat(before), flat(after));
    let value_in = |rows: &[Attribute], path: &str| {
        let found = rows.iter().find(|row| row.path == path);
        found.map_or_else(String::new, |row| row.value.clone())
    };
    let mut paths: Vec<&String> = before.iter().map(|row| &row.path).collect();
    for row in &after {
        if !paths.contains(&&row.path) {
            paths.push(&row.path);
        }
    }
    let all = paths.into_iter().map(|path| Difference {
        path: path.clone(),
        before: value_in(&before, path),
        after: value_in(&after, path),
    });
    all.filter(|row| row.before != row.after).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_has_a_row_with_its_path() {
        let attrs = json!({
            "disk": 25,
            "features": ["ipv6", "agent"],
            "locked": false,
            "networks": { "v4": [{ "ip_address": "198.18.8.1" }] },
            "empty": [],
            "none": null,
        });
        let rows = flatten(&attrs);
        let rows: Vec<_> = rows.iter().map(|row| (&*row.path, &*row.value)).collect();
        assert_eq!(
            rows,
            [
                ("disk", "25"),
                ("empty", ""),
                ("features", "ipv6, agent"),
                ("locked", "no"),
                ("networks.v4[0].ip_address", "198.18.8.1"),
            ]
        );
    }

    #[test]
    fn a_difference_has_only_the_values_that_differ() {
        let before = json!({ "slug": "s-1", "vcpus": 1, "memory": 1024 });
        let after = json!({ "slug": "s-2", "vcpus": 1, "transfer": 2 });
        let rows = differences("size", &before, &after);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (&*row.path, &*row.before, &*row.after))
            .collect();
        assert_eq!(
            rows,
            [
                ("size.memory", "1024", ""),
                ("size.slug", "s-1", "s-2"),
                ("size.transfer", "", "2"),
            ]
        );
        assert_eq!(differences("name", &json!("a"), &json!("a")), []);
    }
}
