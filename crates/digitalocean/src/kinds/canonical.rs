//! One form for bodies that say the same: the order of a list is no difference, and an empty list is no list.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::allowed::below;

/// Writes a value in a form that does not depend on the order in which DigitalOcean gives the elements of its lists. None where it
/// says nothing: null, or an empty list, which DigitalOcean writes as null, as `[]` or not at all (observed).
///
/// No order of a list is documented, and that of rules, tags and others changes from answer to answer (observed). So each list is a
/// set, but for those at the paths `ordered`, written like those of [`super::allowed`]. Elements that are objects and equal stay
/// as many as they are.
pub(super) fn canonical(
    json: &RawValue,
    ordered: &[&str],
) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    // Most values of a body: their form is their own.
    if !json.get().contains('[') && !json.get().contains("null") {
        return Ok(Some(json.to_owned()));
    }
    let value = rewritten(json, ordered)?;
    Ok((!is_nothing(&value)).then_some(value))
}

fn is_nothing(json: &RawValue) -> bool {
    matches!(json.get(), "null" | "[]")
}

fn rewritten(json: &RawValue, ordered: &[&str]) -> Result<Box<RawValue>, serde_json::Error> {
    match json.get().as_bytes().first() {
        Some(b'{') => {
            let object: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
            let mut members = BTreeMap::new();
            for (key, value) in object {
                let ordered = below(&key, ordered.iter().copied());
                let value = rewritten(value, &ordered)?;
                if !is_nothing(&value) {
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
        // A text may be written in several ways.
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

    fn form_of(json: &str, ordered: &[&str]) -> Option<String> {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        let form = canonical(json, ordered).unwrap();
        form.map(|form| form.get().to_owned())
    }

    #[test]
    fn the_order_of_lists_and_of_keys_is_no_difference_at_any_depth() {
        let one = r#"[{"ports":"80","sources":{"tags":["b","a"],"ids":[2,1]}},{"ports":"22"}]"#;
        let other = r#"[ {"ports": "22"}, {"sources":{"ids":[1,2,1],"tags":["a","\u0062"]},"ports":"80"} ]"#;
        assert_eq!(form_of(one, &[]), form_of(other, &[]));
        assert_eq!(
            form_of(one, &[]).unwrap(),
            r#"[{"ports":"22"},{"ports":"80","sources":{"ids":[1,2],"tags":["a","b"]}}]"#
        );
    }

    #[test]
    fn an_ordered_list_keeps_its_order_and_the_lists_around_it_do_not() {
        let json = r#"{"pools":[{"steps":["b","a"],"tags":["b","a"]},{"steps":["a"]}]}"#;
        assert_eq!(
            form_of(json, &["pools.steps"]).unwrap(),
            r#"{"pools":[{"steps":["a"]},{"steps":["b","a"],"tags":["a","b"]}]}"#
        );
        assert_eq!(form_of(r#"["b","a"]"#, &[""]).unwrap(), r#"["b","a"]"#);
    }

    #[test]
    fn an_empty_list_and_null_say_as_much_as_an_absent_key() {
        assert_eq!(form_of("null", &[]), None);
        assert_eq!(form_of("[]", &[]), None);
        assert_eq!(
            form_of(r#"{"sources":{"tags":null,"ids":[]},"ports":"80"}"#, &[]),
            form_of(r#"{"ports":"80","sources":{},"tags":[]}"#, &[])
        );
    }

    #[test]
    fn equal_objects_stay_as_many_as_they_are() {
        let json = r#"[{"scale":1},{"scale":1}]"#;
        assert_eq!(form_of(json, &[]).unwrap(), json);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = r#"{"prices":[0.0074399998,0.00743999984115362,1.50,1e3]}"#;
        assert_eq!(form_of(json, &[]).unwrap(), json);
    }
}
