//! The error for an invoice CSV that cannot be read, and line numbers of positions in the file.

/// A problem in a CSV, its place, and a hint. Lines are numbered as in an editor: the header is
/// line 1.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("cannot read the invoice's CSV: line {line}{}: {problem}; {hint}", column.as_ref().map(|column| format!(", column {column}")).unwrap_or_default())]
pub struct UnreadableInvoice {
    pub line: u64,
    /// The column's title, or `field N` if the title itself cannot be read; none if the problem
    /// concerns the whole file.
    pub column: Option<String>,
    pub problem: String,
    pub hint: &'static str,
}

/// For problems that a new download may fix.
pub(super) const REFETCH: &str = "run IngestInvoice again for this invoice; if the error persists, \
    report the file to DigitalOcean's support";
/// For formats that this program does not know.
pub(super) const REPORT: &str = "run IngestInvoice again for this invoice; if the error persists, \
    report the format to the maintainers of Arcadia Cloud";

impl UnreadableInvoice {
    pub(super) fn at(line: u64, problem: impl Into<String>) -> Self {
        Self {
            line,
            column: None,
            problem: problem.into(),
            hint: REFETCH,
        }
    }

    pub(super) fn in_column(
        line: u64,
        column: &str,
        problem: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Self {
            line,
            column: Some(column.to_owned()),
            problem: problem.into(),
            hint,
        }
    }
}

/// The start of a record in the file.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    file: &'a [u8],
    byte: usize,
}

impl<'a> Place<'a> {
    /// Skips line breaks at the parser's position: it can precede the end of the previous record
    /// (the second half of a CRLF), or be between the two records.
    pub(super) fn of(file: &'a [u8], position: Option<&csv::Position>) -> Self {
        let byte = position.map_or(0, |position| {
            usize::try_from(position.byte()).unwrap_or(usize::MAX)
        });
        let byte = byte.min(file.len());
        let breaks = file[byte..]
            .iter()
            .take_while(|byte| matches!(byte, b'\n' | b'\r'))
            .count();
        Self {
            file,
            byte: byte + breaks,
        }
    }

    /// Returns the line number as in an editor: each LF, CRLF and CR begins a line. Reads the file
    /// up to this place, so it is for errors only.
    pub(super) fn line(self) -> u64 {
        let before = &self.file[..self.byte];
        let breaks = before.iter().enumerate().filter(|(index, byte)| {
            **byte == b'\n' || (**byte == b'\r' && self.file.get(index + 1) != Some(&b'\n'))
        });
        u64::try_from(breaks.count()).map_or(u64::MAX, |breaks| breaks + 1)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        &self.file[self.byte..]
    }
}
