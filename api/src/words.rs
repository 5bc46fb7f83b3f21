//! Values that this system enumerates: one of a fixed set of words, with a suggestion where a value is none of them.

/// Returns the value of a word; or an error that lists the words and suggests the nearest.
///
/// `what` names the set, like "match rule".
pub(crate) fn one_of<T: Copy>(what: &str, text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        unknown(what, text, &names)
    })
}

/// The error for a value that is none of these words.
pub(crate) fn unknown(what: &str, text: &str, words: &[&str]) -> String {
    format!(
        "unknown {what} {text:?}: expected {}{}",
        alternatives(words),
        suggestion(text, words)
    )
}

/// `a`, or `a, b or c`.
pub(crate) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// `; did you mean WORD?`, or nothing where no word is near.
pub(crate) fn suggestion(text: &str, words: &[&str]) -> String {
    nearest(text, words).map_or_else(String::new, |word| format!("; did you mean {word}?"))
}

/// The word that a text most probably means: it differs in case, in separators, in one letter of three at most, or in what one of the
/// two leaves out at an end.
pub(crate) fn nearest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let text = plain(text);
    let distance = |word: &str| {
        let word = plain(word);
        let edits = strsim::osa_distance(&text, &word);
        let shorter = text.len().min(word.len());
        let is_part = shorter >= 3
            && [(&text, &word), (&word, &text)]
                .iter()
                .any(|(part, whole)| {
                    whole.starts_with(part.as_str()) || whole.ends_with(part.as_str())
                });
        let longer = text.chars().count().max(word.chars().count());
        // Typing errors come before words that are left out.
        match (edits * 3 <= longer, is_part) {
            (true, _) => Some(edits),
            (false, true) => Some(longer + edits),
            (false, false) => None,
        }
    };
    words
        .iter()
        .filter_map(|word| Some((distance(word)?, *word)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Lower case, letters and digits only.
fn plain(text: &str) -> String {
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
    fn the_nearest_word_is_suggested() {
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
    fn an_unknown_word_is_refused_with_the_words_and_a_suggestion() {
        let words = [("live", 1), ("deleted", 2), ("all", 3)];
        assert_eq!(one_of("state", "all", &words), Ok(3));
        assert_eq!(
            one_of("state", "delete", &words).unwrap_err(),
            "unknown state \"delete\": expected live, deleted or all; did you mean deleted?"
        );
        assert_eq!(
            one_of("state", "gone", &words).unwrap_err(),
            "unknown state \"gone\": expected live, deleted or all"
        );
    }
}
