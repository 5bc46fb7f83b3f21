//! Prints the figures as a table.

use std::io::{Stdout, Write as _, stdout};

/// Prints each figure as soon as it is measured. Less is better for all of them.
pub(crate) struct Report {
    out: Stdout,
}

#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    /// The ratio of two times.
    Times,
    Bytes,
    Megabytes,
    Percent,
    /// A count of the named items.
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
            Self::Count(items) => format!("{value:.0} {items}"),
        }
    }
}

impl Report {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut out = stdout();
        writeln!(
            out,
            "{:<62} {:>16} {:>16} {:>7}",
            "measurement", "figure", "limit", "ratio"
        )?;
        Ok(Self { out })
    }

    pub(crate) fn heading(&mut self, name: &str) -> anyhow::Result<()> {
        writeln!(self.out, "\n{name}")?;
        Ok(())
    }

    /// Prints a figure with a limit, its ratio to the limit (none if the limit is 0), and `OVER` if
    /// it exceeds the limit.
    pub(crate) fn limited(
        &mut self,
        name: &str,
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
            "  {name:<60} {:>16} {:>16} {ratio:>7} {verdict}",
            unit.write(value),
            unit.write(limit)
        )?;
        Ok(())
    }

    /// Prints a figure without a limit.
    pub(crate) fn known(&mut self, name: &str, value: f64, unit: Unit) -> anyhow::Result<()> {
        writeln!(self.out, "  {name:<60} {:>16}", unit.write(value))?;
        Ok(())
    }

    pub(crate) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "  ({text})")?;
        Ok(())
    }
}

/// Returns the median of several measurements. Panics without any.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
