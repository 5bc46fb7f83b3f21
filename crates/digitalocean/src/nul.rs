//! The character U+0000 in responses. PostgreSQL cannot store it in a text, so that a single name
//! or tag with it would block the sync of its kind. It is replaced here, before anything is
//! decoded.

use std::borrow::Cow;

/// The escape of U+0000 in JSON, and that of its replacement U+FFFD.
const NUL: &[u8] = b"\\u0000";
const REPLACEMENT: &[u8] = b"\\ufffd";

/// Replaces U+0000 in JSON by U+FFFD. `u0000` after an escaped backslash is not an escape.
pub(crate) fn without_nul(json: Vec<u8>) -> Vec<u8> {
    match replaced(&json) {
        Cow::Borrowed(_) => json,
        Cow::Owned(clean) => clean,
    }
}

fn replaced(json: &[u8]) -> Cow<'_, [u8]> {
    // Most bodies have no escape. The search for one byte is ten times as fast.
    if !json.contains(&b'\\') || !json.windows(NUL.len()).any(|bytes| bytes == NUL) {
        return json.into();
    }
    let mut clean = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(place) = rest.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = rest.split_at(place);
        clean.extend_from_slice(before);
        let (kept, length) = if escape.starts_with(NUL) {
            (REPLACEMENT, NUL.len())
        } else {
            let length = escape.len().min(2);
            (&escape[..length], length)
        };
        clean.extend_from_slice(kept);
        rest = &escape[length..];
    }
    clean.extend_from_slice(rest);
    clean.into()
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
            ("é\\", "é\\"),
        ] {
            let json = without_nul(serde_json::to_vec(text).unwrap());
            let read: String = serde_json::from_slice(&json).unwrap();
            assert_eq!(read, stored);
        }
    }
}
