//! Encodes rows as one JSON parameter of a query.
//!
//! `json_populate_recordset(null::TABLE, $1::text::json)` decodes it into rows. The fields of a row
//! have the names of the columns.

use serde::Serialize;

use crate::StoreError;

/// Encodes rows as a JSON array. Replaces the character U+0000, which a PostgreSQL text cannot
/// contain, by U+FFFD.
pub(crate) fn json_rows<T: Serialize>(rows: &[T]) -> Result<String, StoreError> {
    let json = serde_json::to_string(rows)
        .map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))?;
    Ok(without_nul(json))
}

/// Replaces the escape of U+0000 in JSON. `u0000` after an escaped backslash is not an escape.
pub(crate) fn without_nul(json: String) -> String {
    const NUL: &str = "\\u0000";
    if !json.contains(NUL) {
        return json;
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        clean.push_str(before);
        let length = if escape.starts_with(NUL) {
            clean.push_str("\\ufffd");
            NUL.len()
        } else {
            let length = escape.chars().take(2).map(char::len_utf8).sum();
            clean.push_str(&escape[..length]);
            length
        };
        rest = &escape[length..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_character_nul_is_replaced() {
        for (text, stored) in [
            ("a\0b", "a\u{fffd}b"),
            ("a\\u0000", "a\\u0000"),
            ("\\\0\\", "\\\u{fffd}\\"),
            ("é\n\0", "é\n\u{fffd}"),
        ] {
            let json = without_nul(serde_json::to_string(text).unwrap());
            let read: String = serde_json::from_str(&json).unwrap();
            assert_eq!(read, stored);
        }
    }
}
