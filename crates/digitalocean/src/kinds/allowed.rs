//! Leaving out all of a body but what is named.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

/// What is left of a value if only these parts of it may stay: keys joined by dots, which reach into the elements of arrays (of
/// `users.name`, each user's name). An object is never left as a whole, so that its parts have to be named.
pub(super) fn allowed(
    json: &RawValue,
    paths: &[&str],
) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    if paths.is_empty() {
        return Ok(None);
    }
    if json.get().starts_with('{') {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
        let mut left = BTreeMap::new();
        for (key, value) in object {
            let paths = below(&key, paths.iter().copied());
            if let Some(value) = allowed(value, &paths)? {
                left.insert(key, value);
            }
        }
        return if left.is_empty() {
            Ok(None)
        } else {
            to_raw_value(&left).map(Some)
        };
    }
    if json.get().starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(json.get())?;
        let mut left = Vec::new();
        for element in elements {
            left.extend(allowed(element, paths)?);
        }
        return to_raw_value(&left).map(Some);
    }
    Ok(paths.contains(&"").then(|| json.to_owned()))
}

/// The paths that go on below a key; an empty one for what ends there.
pub(super) fn below<'a>(key: &str, paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let below = paths.filter_map(|path| match path.strip_prefix(key)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    });
    below.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_of(json: &str, paths: &[&str]) -> Option<String> {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        let left = allowed(json, paths).unwrap();
        left.map(|left| left.get().to_owned())
    }

    #[test]
    fn only_what_is_named_is_left() {
        let json = r#"{"size":"small","users":[{"name":"a","password":"x"},{"password":"y"},"z"],"price":0.0074399998,"sizes":1}"#;
        assert_eq!(
            left_of(json, &["size", "users.name", "price"]).unwrap(),
            r#"{"price":0.0074399998,"size":"small","users":[{"name":"a"}]}"#
        );
    }

    #[test]
    fn an_object_is_left_by_its_parts_only() {
        let json = r#"{"bgp":{"asn":1,"key":"x"},"lists":[[1,{"key":"x"}]]}"#;
        assert_eq!(left_of(json, &["bgp"]), None);
        assert_eq!(left_of(json, &["bgp.asn"]).unwrap(), r#"{"bgp":{"asn":1}}"#);
        assert_eq!(left_of(json, &["lists"]).unwrap(), r#"{"lists":[[1]]}"#);
    }

    #[test]
    fn what_is_of_another_form_than_the_path_says_is_left_out() {
        assert_eq!(left_of(r#"{"bgp":"x"}"#, &["bgp.asn"]), None);
        assert_eq!(
            left_of(r#"{"bgp":[]}"#, &["bgp.asn"]).unwrap(),
            r#"{"bgp":[]}"#
        );
    }
}
