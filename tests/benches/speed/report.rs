//! The table that is printed.

use std::io::{Stdout, Write as _, stdout};

/// Prints each figure as it is known: all are such that less is better.
pub(crate) struct Report {
    out: Stdout,
}

#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    /// A time over another time.
    Times,
    Bytes,
    Megabytes,
    Percent,
    /// Things, by what they are called.
    Count(&'static str),
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.3} s"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Times => format!("{value:.2} x"),
            Self::Bytes => format!("{value:.0} B"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Percent => format!("{value:.2} %"),
            Self::Count(what) => format!("{value:.0} {what}"),
        }
    }
}

impl Report {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut out = stdout();
        writeln!(
            out,
            "{:<62} {:>16} {:>16} {:>7}",
            "what", "figure", "limit", "ratio"
        )?;
        Ok(Self { out })
    }

    pub(crate) fn heading(&mut self, name: &str) -> anyhow::Result<()> {
        writeln!(self.out, "\n{name}")?;
        Ok(())
    }

    /// A figure that has a limit; its share of the limit is printed, and `OVER` beyond it. A limit of nothing has no shares.
    pub(crate) fn limited(
        &mut self,
        what: &str,
        value: f64,
        limit: f64,
        unit: Unit,
    ) -> anyhow::Result<()> {
        let ratio = if limit > 0.0 {
            format!("{:.2}", value / limit)
        } else {
            String::new()
        };
        let verdict = if value <= limit { "ok" } else { "OVER" };
        writeln!(
            self.out,
            "  {what:<60} {:>16} {:>16} {ratio:>7} {verdict}",
            unit.write(value),
            unit.write(limit)
        )?;
        Ok(())
    }

    /// A figure that has none.
    pub(crate) fn known(&mut self, what: &str, value: f64, unit: Unit) -> anyhow::Result<()> {
        writeln!(self.out, "  {what:<60} {:>16}", unit.write(value))?;
        Ok(())
    }

    pub(crate) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "  ({text})")?;
        Ok(())
    }
}

/// The middle of several measurements, of which there must be one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
