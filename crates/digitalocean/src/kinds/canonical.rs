//! Canonical form of JSON bodies: lists are sorted, and empty lists are removed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::allowed::paths_below;

/// Rewrites a value independently of the order in which DigitalOcean returns the elements of lists.
/// None for null and for an empty list, which DigitalOcean sends as null, as `[]` or not at all
/// (observed).
///
/// No order of a list is documented, and the order of rules, tags and others differs between
/// responses (observed). So each list is treated as a set, except those at the paths `ordered`,
/// written like the paths of [`super::allowed`]. Equal objects are all kept; equal scalars are
/// deduplicated.
pub(super) fn canonical(
    json: &RawValue,
    ordered: &[&str],
) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    // Most values need no rewriting.
    if !json.get().contains('[') && !json.get().contains("null") {
        return Ok(Some(json.to_owned()));
    }
    let value = rewritten(json, ordered)?;
    Ok((!is_null_or_empty_list(&value)).then_some(value))
}

fn is_null_or_empty_list(json: &RawValue) -> bool {
    matches!(json.get(), "null" | "[]")
}

fn rewritten(json: &RawValue, ordered: &[&str]) -> Result<Box<RawValue>, serde_json::Error> {
    match json.get().as_bytes().first() {
        Some(b'{') => {
            let object: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
            let mut members = BTreeMap::new();
            for (key, value) in object {
                let ordered = paths_below(&key, ordered.iter().copied());
                let value = rewritten(value, &ordered)?;
                if !is_null_or_empty_list(&value) {
                    members.insert(key, value);
                }
            }
            to_raw_value(&members)
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(json.get())?;
            let elements = elements.iter().map(|element| rewritten(element, ordered));
            let mut elements = elements.collect::<Result<Vec<_>, _>>()?;
            if !ordered.contains(&"") {
                elements.sort_unstable_by(|one, other| one.get().cmp(other.get()));
                elements.dedup_by(|one, other| is_scalar(one) && one.get() == other.get());
            }
            to_raw_value(&elements)
        }
        // A text has several escaped forms.
        Some(b'"') if json.get().contains('\\') => {
            let text: Cow<'_, str> = serde_json::from_str(json.get())?;
            to_raw_value(&text)
        }
        _ => Ok(json.to_owned()),
    }
}

fn is_scalar(json: &RawValue) -> bool {
    !json.get().starts_with(['{', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_form(json: &str, ordered: &[&str]) -> Option<String> {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        let form = canonical(json, ordered).unwrap();
        form.map(|form| form.get().to_owned())
    }

    #[test]
    fn the_order_of_lists_and_keys_has_no_effect_at_any_depth() {
        let one = r#"[{"ports":"80","sources":{"tags":["b","a"],"ids":[2,1]}},{"ports":"22"}]"#;
        let other = r#"[ {"ports": "22"}, {"sources":{"ids":[1,2,1],"tags":["a","\u0062"]},"ports":"80"} ]"#;
        assert_eq!(canonical_form(one, &[]), canonical_form(other, &[]));
        assert_eq!(
            canonical_form(one, &[]).unwrap(),
            r#"[{"ports":"22"},{"ports":"80","sources":{"ids":[1,2],"tags":["a","b"]}}]"#
        );
    }

    #[test]
    fn an_ordered_list_keeps_its_order_inside_unordered_lists() {
        let json = r#"{"pools":[{"steps":["b","a"],"tags":["b","a"]},{"steps":["a"]}]}"#;
        assert_eq!(
            canonical_form(json, &["pools.steps"]).unwrap(),
            r#"{"pools":[{"steps":["a"]},{"steps":["b","a"],"tags":["a","b"]}]}"#
        );
        assert_eq!(
            canonical_form(r#"["b","a"]"#, &[""]).unwrap(),
            r#"["b","a"]"#
        );
    }

    #[test]
    fn an_empty_list_and_null_equal_an_absent_key() {
        assert_eq!(canonical_form("null", &[]), None);
        assert_eq!(canonical_form("[]", &[]), None);
        assert_eq!(
            canonical_form(r#"{"sources":{"tags":null,"ids":[]},"ports":"80"}"#, &[]),
            canonical_form(r#"{"ports":"80","sources":{},"tags":[]}"#, &[])
        );
    }

    #[test]
    fn equal_objects_are_all_kept() {
        let json = r#"[{"scale":1},{"scale":1}]"#;
        assert_eq!(canonical_form(json, &[]).unwrap(), json);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = r#"{"prices":[0.0074399998,0.00743999984115362,1.50,1e3]}"#;
        assert_eq!(canonical_form(json, &[]).unwrap(), json);
    }
}
