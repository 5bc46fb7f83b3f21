//! Describes an unexpected response body on one line of bounded length, without the token.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// The maximum length of a foreign text in an error, in characters.
const MAX_CHARS: usize = 200;

/// The forms of an error body (spec; the second one is of the tags API).
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorBody {
    Usual {
        id: String,
        message: String,
    },
    Messages {
        error: String,
        messages: Vec<String>,
    },
}

/// Returns DigitalOcean's error text of a failed request, or a description of another body: a 5xx
/// response may have an HTML page of Cloudflare (observed).
pub(crate) fn describe_failure(body: &[u8], token: &SecretString) -> Option<String> {
    if body.trim_ascii().is_empty() {
        return None;
    }
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody::Usual { id, message }) => format!("{id}: {message}"),
        Ok(ErrorBody::Messages { error, messages }) => format!("{error}: {}", messages.join("; ")),
        Err(_) => return Some(describe_unexpected_body(body, token)),
    };
    Some(one_line(&text, token))
}

/// Describes a body that is not the expected JSON.
pub(crate) fn describe_unexpected_body(body: &[u8], token: &SecretString) -> String {
    let body = body.trim_ascii();
    if body.is_empty() {
        return "an empty body".to_owned();
    }
    if !is_html(body) {
        return "a body that is not the expected JSON".to_owned();
    }
    match html_title(&String::from_utf8_lossy(body)) {
        Some(title) => format!("an HTML page titled {:?}", one_line(title, token)),
        None => "an HTML page".to_owned(),
    }
}

/// Returns true if the body looks like an HTML page, regardless of its content type.
pub(crate) fn is_html(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    ["<!doctype", "<html", "<?xml"].iter().any(|opening| {
        start
            .get(..opening.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(opening.as_bytes()))
    })
}

fn html_title(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    Some(title.trim()).filter(|title| !title.is_empty())
}

/// Prepares a foreign text for an error: removes control characters and limits the length. Removes
/// the token too, because a server may repeat it and errors are logged.
pub(crate) fn one_line(text: &str, token: &SecretString) -> String {
    let text = match token.expose_secret().trim() {
        // The empty string matches between any two characters.
        "" => text.to_owned(),
        token => text.replace(token, "[token]"),
    };
    let mut line: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(MAX_CHARS)
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(body: &str) -> Option<String> {
        describe_failure(body.as_bytes(), &SecretString::from("dop_v1_hidden"))
    }

    #[test]
    fn the_error_text_of_digitalocean_is_kept() {
        assert_eq!(
            describe(r#"{"id":"not_found","message":"No such\nthing.","request_id":"r"}"#).unwrap(),
            "not_found: No such thing."
        );
        assert_eq!(
            describe(r#"{"error":"bad","messages":["one","two"],"root_causes":[]}"#).unwrap(),
            "bad: one; two"
        );
    }

    #[test]
    fn an_html_page_is_reduced_to_its_title() {
        assert_eq!(
            describe(
                "\n<!DOCTYPE html><html><head><title>504 Gateway Time-out</title></head><body>secret"
            )
            .unwrap(),
            "an HTML page titled \"504 Gateway Time-out\""
        );
        assert_eq!(describe("<html></html>").unwrap(), "an HTML page");
    }

    #[test]
    fn other_bodies_are_not_repeated() {
        assert_eq!(describe(" \n"), None);
        let text = describe("upstream refused").unwrap();
        assert!(!text.contains("upstream"), "{text}");
    }

    #[test]
    fn a_blank_token_changes_no_text() {
        for blank in ["", " \n"] {
            assert_eq!(one_line("sealed", &SecretString::from(blank)), "sealed");
        }
    }

    #[test]
    fn a_long_message_is_truncated_and_its_token_removed() {
        let message = format!("bad token dop_v1_hidden {}", "x".repeat(5000));
        let text = describe(&format!(r#"{{"id":"a","message":"{message}"}}"#)).unwrap();
        assert!(
            text.contains("[token]") && !text.contains("hidden"),
            "{text}"
        );
        assert!(text.chars().count() <= MAX_CHARS + 1, "{text}");
    }
}
