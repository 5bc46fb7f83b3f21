//! How a failure is told to the person at the terminal.

/// The whole chain of causes in one line, without those that an error before them already tells.
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
    fn a_chain_of_causes_is_one_line_and_says_nothing_twice() {
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
