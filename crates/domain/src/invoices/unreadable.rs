//! Why and where an invoice's CSV cannot be read.

/// Why a CSV could not be read, where, and what to do. Lines are counted as an editor does: the header is line 1.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("the invoice's CSV cannot be read: line {line}{}: {problem}; {remedy}", column.as_ref().map(|column| format!(", column {column}")).unwrap_or_default())]
pub struct UnreadableInvoice {
    pub line: u64,
    /// The column's title, or `field N` where the title itself cannot be read; none where the problem is the whole file's.
    pub column: Option<String>,
    pub problem: String,
    pub remedy: &'static str,
}

/// What DigitalOcean may send right the next time.
pub(super) const FETCH_AGAIN: &str = "run IngestInvoice again for this invoice, and report the file to DigitalOcean's support if the error stays";
/// What this program has to learn.
pub(super) const REPORT: &str = "run IngestInvoice again for this invoice, and report a changed format to the maintainers of this program if the error stays";

impl UnreadableInvoice {
    pub(super) fn at(line: u64, problem: impl Into<String>) -> Self {
        Self {
            line,
            column: None,
            problem: problem.into(),
            remedy: FETCH_AGAIN,
        }
    }

    pub(super) fn in_column(
        line: u64,
        column: &str,
        problem: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self {
            line,
            column: Some(column.to_owned()),
            problem: problem.into(),
            remedy,
        }
    }
}

/// Where a record starts.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    file: &'a [u8],
    byte: usize,
}

impl<'a> Place<'a> {
    /// The parser's position may come before line breaks that end the record before (the second half of a CRLF), or between the two.
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

    /// As an editor counts: each LF, CRLF and CR begins a line. Reads the whole file up to here, so for errors only.
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
