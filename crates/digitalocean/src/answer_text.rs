//! What an answer that is not the expected JSON says, on one bounded line and without the token.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// Characters of another's text that an error may hold.
const LONGEST: usize = 200;

/// The shapes of an error body (spec; the second one is the tags API's).
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

/// DigitalOcean's own words about a failure, or what came in their place: 5xx may be a Cloudflare page (observed).
pub(crate) fn describe_failure(body: &[u8], token: &SecretString) -> Option<String> {
    if body.trim_ascii().is_empty() {
        return None;
    }
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody::Usual { id, message }) => format!("{id}: {message}"),
        Ok(ErrorBody::Messages { error, messages }) => format!("{error}: {}", messages.join("; ")),
        Err(_) => return Some(describe_foreign_body(body, token)),
    };
    Some(one_line(&text, token))
}

/// A note on a body that is no JSON of ours.
pub(crate) fn describe_foreign_body(body: &[u8], token: &SecretString) -> String {
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

/// Whether it looks like a page for people, whatever its content type says.
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

/// Another's text for an error: a server that repeats the token must not carry it into a log.
pub(crate) fn one_line(text: &str, token: &SecretString) -> String {
    let text = match token.expose_secret().trim() {
        // It is between any two characters.
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
        .take(LONGEST)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
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
    fn digitaloceans_own_words_are_kept() {
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
    fn a_page_is_reduced_to_its_title() {
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
    fn other_bodies_are_named_and_not_repeated() {
        assert_eq!(describe(" \n"), None);
        let text = describe("upstream said no").unwrap();
        assert!(!text.contains("upstream"), "{text}");
    }

    #[test]
    fn a_text_is_left_as_it_is_where_there_is_no_token() {
        for nothing in ["", " \n"] {
            assert_eq!(one_line("sealed", &SecretString::from(nothing)), "sealed");
        }
    }

    #[test]
    fn a_long_message_is_cut_and_an_echoed_token_is_not_passed_on() {
        let message = format!("bad token dop_v1_hidden {}", "x".repeat(5000));
        let text = describe(&format!(r#"{{"id":"a","message":"{message}"}}"#)).unwrap();
        assert!(
            text.contains("[token]") && !text.contains("hidden"),
            "{text}"
        );
        assert!(text.chars().count() <= LONGEST + 1, "{text}");
    }
}
