//! Reduces a JSON value to the parts that an allow-list names.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

/// Returns the allowed parts of a value. A path is keys joined by dots, and applies to each element
/// of an array (`users.name`: the name of each user). An object is never kept as a whole, so its
/// parts must be named.
pub(super) fn allowed(
    json: &RawValue,
    paths: &[&str],
) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    if paths.is_empty() {
        return Ok(None);
    }
    if json.get().starts_with('{') {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
        let mut kept = BTreeMap::new();
        for (key, value) in object {
            let paths = paths_below(&key, paths.iter().copied());
            if let Some(value) = allowed(value, &paths)? {
                kept.insert(key, value);
            }
        }
        return if kept.is_empty() {
            Ok(None)
        } else {
            to_raw_value(&kept).map(Some)
        };
    }
    if json.get().starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(json.get())?;
        let mut kept = Vec::new();
        for element in elements {
            kept.extend(allowed(element, paths)?);
        }
        return to_raw_value(&kept).map(Some);
    }
    Ok(paths.contains(&"").then(|| json.to_owned()))
}

/// Returns the rest of each path that starts with the key; an empty rest for a path that ends
/// there.
pub(super) fn paths_below<'a>(key: &str, paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let rests = paths.filter_map(|path| match path.strip_prefix(key)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    });
    rests.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed_part(json: &str, paths: &[&str]) -> Option<String> {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        let kept = allowed(json, paths).unwrap();
        kept.map(|kept| kept.get().to_owned())
    }

    #[test]
    fn only_named_parts_are_kept() {
        let json = r#"{"size":"small","users":[{"name":"a","password":"x"},{"password":"y"},"z"],"price":0.0074399998,"sizes":1}"#;
        assert_eq!(
            allowed_part(json, &["size", "users.name", "price"]).unwrap(),
            r#"{"price":0.0074399998,"size":"small","users":[{"name":"a"}]}"#
        );
    }

    #[test]
    fn an_object_is_kept_by_its_parts_only() {
        let json = r#"{"bgp":{"asn":1,"key":"x"},"lists":[[1,{"key":"x"}]]}"#;
        assert_eq!(allowed_part(json, &["bgp"]), None);
        assert_eq!(
            allowed_part(json, &["bgp.asn"]).unwrap(),
            r#"{"bgp":{"asn":1}}"#
        );
        assert_eq!(
            allowed_part(json, &["lists"]).unwrap(),
            r#"{"lists":[[1]]}"#
        );
    }

    #[test]
    fn a_value_of_another_type_than_its_path_is_omitted() {
        assert_eq!(allowed_part(r#"{"bgp":"x"}"#, &["bgp.asn"]), None);
        assert_eq!(
            allowed_part(r#"{"bgp":[]}"#, &["bgp.asn"]).unwrap(),
            r#"{"bgp":[]}"#
        );
    }
}
