//! Checks the language of comments, errors, docs and names.
//!
//! `phrases.txt` lists the phrases that the project does not use. Names of functions have at most
//! 70 characters, comments at most 100 columns.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::path::{Path, PathBuf};

use regex::{Regex, RegexBuilder};

const LONGEST_NAME: usize = 70;
const COMMENT_COLUMNS: usize = 100;

/// Not written by people, or not for them.
const SKIPPED: [&str; 6] = [
    "target",
    "fixtures",
    "histories",
    "node_modules",
    "tests/language",
    "Cargo.lock",
];

/// A phrase that the project does not use.
struct Phrase {
    pattern: Regex,
    replacement: String,
}

struct Phrases {
    all: Vec<Phrase>,
    /// All phrases as one pattern: most texts have none.
    any: Regex,
    /// Uses of a phrase in another meaning.
    exceptions: Vec<Regex>,
    /// Code in prose: names of columns, options and the like.
    code: Regex,
}

/// A piece of text and its line, counted from 1.
type Text = (usize, String);

fn pattern(text: &str) -> Regex {
    let mut builder = RegexBuilder::new(text);
    builder.case_insensitive(true).build().unwrap()
}

impl Phrases {
    fn read() -> Self {
        let mut phrases = Vec::new();
        let mut exceptions = Vec::new();
        let lines = include_str!("phrases.txt").lines();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(exception) = line.strip_prefix('!') {
                exceptions.push(pattern(exception.trim()));
                continue;
            }
            let (phrase, replacement) = line.split_once(" => ").unwrap();
            phrases.push(Phrase {
                pattern: pattern(phrase),
                replacement: replacement.to_owned(),
            });
        }
        let patterns = phrases.iter().map(|phrase| phrase.pattern.as_str());
        let any = patterns.collect::<Vec<_>>().join("|");
        Self {
            any: pattern(&any),
            all: phrases,
            exceptions,
            code: pattern("`[^`]*`"),
        }
    }

    /// The phrases in a text, each with its replacement.
    fn find(&self, text: &str) -> Vec<String> {
        if !self.any.is_match(text) {
            return Vec::new();
        }
        let mut text = self.code.replace_all(text, "``").into_owned();
        for exception in &self.exceptions {
            text = exception.replace_all(&text, "").into_owned();
        }
        let found = self.all.iter().flat_map(|phrase| {
            let matches = phrase.pattern.find_iter(&text);
            let matches = matches.filter(|found| {
                let before = text[..found.start()].to_lowercase();
                !(found.as_str().eq_ignore_ascii_case("is no") && before.ends_with("there "))
            });
            matches.map(|found| format!("\"{}\": {}", found.as_str(), phrase.replacement))
        });
        found.collect()
    }
}

/// The comments of a Rust source, and its string literals.
fn comments_and_strings(source: &str) -> (Vec<Text>, Vec<Text>) {
    let token = pattern(concat!(
        r"(?s-i)(?P<comment>//[^\n]*)",
        r###"|\br(?P<hashes>#+)".*?"#+"###,
        r#"|\br"(?P<raw>[^"]*)""#,
        r#"|"(?P<string>(?:[^"\\]|\\.)*)""#,
        r"|'(?:\\[^']+|[^'\\])'",
    ));
    let (mut comments, mut strings) = (Vec::new(), Vec::new());
    let (mut line, mut counted) = (1, 0);
    for token in token.captures_iter(source) {
        let whole = token.get(0).unwrap();
        line += source[counted..whole.start()].matches('\n').count();
        counted = whole.start();
        if let Some(comment) = token.name("comment") {
            comments.push((line, comment.as_str().to_owned()));
        } else if !whole.as_str().starts_with('\'') {
            let text = whole.as_str();
            let text = text.strip_prefix('r').unwrap_or(text).trim_matches('#');
            let text = text.strip_prefix('"').unwrap_or(text);
            let text = text.strip_suffix('"').unwrap_or(text);
            let lines = text.lines().enumerate();
            strings.extend(lines.map(|(after, text)| (line + after, text.to_owned())));
        }
    }
    (comments, strings)
}

/// The names that a Rust source defines, as words.
fn names(source: &str) -> Vec<Text> {
    let defined = pattern(
        r"(?-i)\b(?:fn|struct|enum|trait|type|const|static|mod|let(?: mut)?) (\w+)|\b(\w+): ",
    );
    let words = pattern("(?-i)([a-z])([A-Z])");
    let names = defined.captures_iter(source).map(|found| {
        let name = found.get(1).or_else(|| found.get(2)).unwrap();
        let line = source[..name.start()].matches('\n').count() + 1;
        let name = words.replace_all(name.as_str(), "$1 $2");
        (line, format!("name {}", name.replace('_', " ")))
    });
    names.collect()
}

fn is_test(path: &str) -> bool {
    let places = ["tests/", "/tests/", "/examples/"];
    places[1..].iter().any(|place| path.contains(place))
        || path.starts_with(places[0])
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// The lines that are only a comment and too wide.
fn wide_comments(source: &str, marker: &str) -> Vec<Text> {
    let too_wide = source.lines().enumerate().filter(|(_, line)| {
        line.trim_start().starts_with(marker) && line.chars().count() > COMMENT_COLUMNS
    });
    too_wide
        .map(|(index, _)| (index + 1, format!("comment over {COMMENT_COLUMNS} columns")))
        .collect()
}

/// The texts of a file that people read, and problems of their form.
fn texts(path: &str, source: &str) -> (Vec<Text>, Vec<Text>) {
    let extension = Path::new(path).extension().unwrap_or_default();
    let mut problems = match extension.to_str() {
        Some("rs") => wide_comments(source, "//"),
        Some("sql") => wide_comments(source, "--"),
        _ => Vec::new(),
    };
    if extension == "rs" {
        let (mut texts, strings) = comments_and_strings(source);
        let names = names(source);
        let too_long = names
            .iter()
            .filter(|(_, name)| name.len() > "name ".len() + LONGEST_NAME);
        problems.extend(
            too_long.map(|(line, _)| (*line, format!("name over {LONGEST_NAME} characters"))),
        );
        texts.extend(names);
        // Strings of tests are values.
        if !is_test(path) {
            let module = source.find("#[cfg(test)]\nmod tests {");
            let end = module.map_or(usize::MAX, |at| source[..at].matches('\n').count() + 1);
            texts.extend(strings.into_iter().filter(|(line, _)| *line < end));
        }
        return (texts, problems);
    }
    let mut is_code = false;
    let lines = source.lines().enumerate().filter(|(_, line)| {
        is_code ^= extension == "md" && line.starts_with("```");
        !is_code
    });
    (
        lines
            .map(|(index, line)| (index + 1, line.to_owned()))
            .collect(),
        problems,
    )
}

fn files(root: &Path, directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root).unwrap().to_str().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_hidden = name.starts_with('.') && !matches!(name, ".ci" | ".env.example");
        if is_hidden || SKIPPED.contains(&name) || SKIPPED.contains(&relative) {
            continue;
        }
        if path.is_dir() {
            files(root, &path, found);
            continue;
        }
        let is_text = ["rs", "md", "sql", "yaml", "yml", "toml", "sh"]
            .iter()
            .any(|kind| path.extension().is_some_and(|extension| extension == *kind));
        if is_text || matches!(name, ".env.example" | "Dockerfile" | "run") {
            found.push(path);
        }
    }
}

#[test]
fn texts_use_plain_terms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths = Vec::new();
    files(root, root, &mut paths);
    paths.sort();
    assert!(paths.len() > 400, "{} files found", paths.len());
    let phrases = Phrases::read();
    let mut problems = Vec::new();
    for path in paths {
        let source = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_str().unwrap();
        let (texts, form) = texts(path, &source);
        let form = form
            .into_iter()
            .map(|(line, problem)| (line, vec![problem]));
        let found = texts
            .into_iter()
            .map(|(line, text)| (line, phrases.find(&text)));
        for (line, found) in form.chain(found) {
            problems.extend(found.iter().map(|found| format!("{path}:{line}: {found}")));
        }
    }
    assert!(
        problems.is_empty(),
        "{} texts to rewrite (see CONTRIBUTING.md):\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn a_phrase_is_found_in_comments_errors_names_and_docs() {
    let phrases = Phrases::read();
    let found = |path: &str, source: &str| {
        let (texts, form) = texts(path, source);
        let found = texts.iter().flat_map(|(_, text)| phrases.find(text));
        found.count() + form.len()
    };
    assert_eq!(found("a/src/a.rs", "/// The row, anew.\nlet told = 1;"), 2);
    assert_eq!(found("a/src/a.rs", "let x = \"it is told\"; // `told`"), 1);
    assert_eq!(found("a/tests/a.rs", "let x = \"it is told\";"), 0);
    assert_eq!(found("a.md", "```\ntold\n```\nIt is told."), 1);
    let name = format!("fn {}() {{}}", "a".repeat(LONGEST_NAME + 1));
    assert_eq!(found("a/src/a.rs", &name), 1);
    let wide = format!("// {}", "a".repeat(COMMENT_COLUMNS));
    assert_eq!(found("a/src/a.rs", &wide), 1);
    let wide = format!("    -- {}", "a".repeat(COMMENT_COLUMNS));
    assert_eq!(found("migrations/a.sql", &wide), 1);
}
