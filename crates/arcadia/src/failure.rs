//! Formats errors for the terminal.

/// Joins an error's chain of causes into one line, without causes that an outer error already
/// contains.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.replace('\n', " ");
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_chain_of_causes_is_one_line_without_repetitions() {
        let error = Err::<(), _>(anyhow::anyhow!("connection refused\n(os error 111)"))
            .context("no database: connection refused (os error 111)")
            .context("cannot start")
            .unwrap_err();
        assert_eq!(
            one_line(&error),
            "cannot start: no database: connection refused (os error 111)"
        );
    }
}
