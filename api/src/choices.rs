//! Parameters with a fixed set of choices: lookup of a choice, and errors that list the choices and
//! suggest the nearest one.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// Returns the schema of a parameter with these choices.
pub(crate) fn schema<'a>(choices: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(choices))
        .into()
}

/// Returns the value of a choice, or an error that lists the choices and suggests the nearest.
///
/// `noun` is the name of the set, such as "match rule".
pub(crate) fn one_of<T: Copy>(noun: &str, text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(choice, _)| *choice == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        unknown(noun, text, &names)
    })
}

/// Returns the error for a value that is not among the choices.
pub(crate) fn unknown(noun: &str, text: &str, choices: &[&str]) -> String {
    format!(
        "unknown {noun} {text:?}: expected {}{}",
        alternatives(choices),
        suggestion(text, choices)
    )
}

/// Formats the choices as `a`, or `a, b or c`.
pub(crate) fn alternatives(choices: &[&str]) -> String {
    match choices {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// Returns `; did you mean CHOICE?`, or an empty text if no choice is near.
pub(crate) fn suggestion(text: &str, choices: &[&str]) -> String {
    nearest(text, choices).map_or_else(String::new, |choice| format!("; did you mean {choice}?"))
}

/// Returns the choice that a text most likely means: it differs from the text in case, in
/// separators, in at most one of three letters, or one of the two is a prefix or suffix of the
/// other.
pub(crate) fn nearest<'a>(text: &str, choices: &[&'a str]) -> Option<&'a str> {
    let text = normalized(text);
    let distance = |choice: &str| {
        let choice = normalized(choice);
        let edits = strsim::osa_distance(&text, &choice);
        let shorter = text.len().min(choice.len());
        let is_part = shorter >= 3
            && [(&text, &choice), (&choice, &text)]
                .iter()
                .any(|(part, whole)| {
                    whole.starts_with(part.as_str()) || whole.ends_with(part.as_str())
                });
        let longer = text.chars().count().max(choice.chars().count());
        // Typing errors rank before prefixes and suffixes.
        match (edits * 3 <= longer, is_part) {
            (true, _) => Some(edits),
            (false, true) => Some(longer + edits),
            (false, false) => None,
        }
    };
    choices
        .iter()
        .filter_map(|choice| Some((distance(choice)?, *choice)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}

/// Returns the letters and digits of a text in lower case.
fn normalized(text: &str) -> String {
    let letters = text.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [&str; 6] = [
        "database_cluster",
        "dns_zone",
        "droplet",
        "droplet_backup",
        "kubernetes_cluster",
        "load_balancer",
    ];

    #[test]
    fn the_nearest_choice_is_suggested() {
        for (text, expected) in [
            ("droplets", Some("droplet")),
            ("Droplet", Some("droplet")),
            ("dorplet", Some("droplet")),
            ("droplet-backups", Some("droplet_backup")),
            ("LoadBalancer", Some("load_balancer")),
            ("kubernetes", Some("kubernetes_cluster")),
            ("databse_cluster", Some("database_cluster")),
            ("zone", Some("dns_zone")),
            ("bucket", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, &KINDS), expected, "{text}");
        }
    }

    #[test]
    fn the_error_for_an_unknown_value_has_the_choices_and_a_suggestion() {
        let choices = [("live", 1), ("deleted", 2), ("all", 3)];
        assert_eq!(one_of("state", "all", &choices), Ok(3));
        assert_eq!(
            one_of("state", "delete", &choices).unwrap_err(),
            "unknown state \"delete\": expected live, deleted or all; did you mean deleted?"
        );
        assert_eq!(
            one_of("state", "lost", &choices).unwrap_err(),
            "unknown state \"lost\": expected live, deleted or all"
        );
    }
}
