//! The comparison of names independent of case.

/// Returns the form of a name for comparisons independent of case: A to Z become lower case.
///
/// All other letters stay as they are: their lower case depends on the locale of the database and
/// on their position in a word (a final sigma), so that Rust and SQL would disagree. The SQL
/// function `fold_case` is the same.
pub fn fold_case(name: &str) -> String {
    name.to_ascii_lowercase()
}
