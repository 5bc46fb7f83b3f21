//! The measurements of a soak test and their limits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Maximum number of events in a history. Temporal warns at 10,000; a run here has a few events for
/// each kind of resource.
const LONGEST_HISTORY: i64 = 400;
const LARGEST_HISTORY: i64 = 200_000;
/// Maximum memory growth from the second to the last third, in percent. Allocator and caches
/// fluctuate.
const MEMORY_MAY_GROW: u64 = 10;
/// Minimum number of samples for the memory limit, since memory grows until the caches are full.
const ENOUGH_SAMPLES: usize = 600;

/// The tables that grow with changes and runs, until the retention removes rows.
const HISTORIES: [&str; 8] = [
    "cloud_balance_snapshots",
    "cloud_cost_line_changes",
    "cloud_invoice_documents",
    "cloud_invoice_versions",
    "cloud_listings",
    "cloud_project_memberships",
    "cloud_resource_events",
    "cloud_superseded_cost_lines",
];
/// The tables of listings in progress. Their rows are removed when a listing ends, and their space
/// when autovacuum starts, once a minute: in the soak after as many listings as in an hour.
pub(super) const IN_PROGRESS: [&str; 3] = [
    "cloud_listing_pages",
    "cloud_resumable_listings",
    "cloud_staged_resources",
];
/// Maximum growth of any other table after the first third, in bytes: pages of dead rows
/// until the next vacuum.
const TABLE_MAY_GROW: i64 = 2_000_000;

pub(super) struct Sample {
    /// In bytes; none on systems without `/proc`.
    pub(super) memory: Option<u64>,
    pub(super) connections: i64,
}

#[derive(Default)]
pub(super) struct Runs {
    pub(super) count: u64,
    /// Number of events of the longest history.
    pub(super) longest: i64,
    /// Size of the largest history in bytes.
    pub(super) largest: i64,
}

#[derive(Default)]
pub(super) struct Figures {
    pub(super) samples: Vec<Sample>,
    /// By workflow type.
    pub(super) runs: BTreeMap<String, Runs>,
    /// Runs that did not complete.
    pub(super) failures: Vec<String>,
    /// Warnings and errors in the worker's log without their times, with their number.
    pub(super) log: BTreeMap<String, u64>,
    /// Number of slow statements and connections reported by the database driver: on a busy
    /// machine, or while another sync holds a lock.
    pub(super) slow: usize,
    pub(super) requests: usize,
    pub(super) database_bytes: i64,
    /// The size of each table in bytes, after the first third and at the end.
    pub(super) tables_before: BTreeMap<String, i64>,
    pub(super) tables_after: BTreeMap<String, i64>,
    /// The number of rows of [`IN_PROGRESS`] after all runs have ended.
    pub(super) rows_in_progress: i64,
}

/// The database driver's log messages for operations that take longer than one or two seconds.
const SLOW: [&str; 2] = [
    "sqlx::query: slow statement",
    "sqlx::pool::acquire: acquired connection",
];

/// Counts the log lines about slow operations.
pub(super) fn slow(log: &str) -> usize {
    log.lines().filter(|line| is_slow(line)).count()
}

fn is_slow(line: &str) -> bool {
    SLOW.iter().any(|slow| line.contains(slow))
}

/// Returns all other warnings and errors.
pub(super) fn complaints(log: &str) -> BTreeMap<String, u64> {
    let mut complaints = BTreeMap::new();
    for line in log.lines().filter(|line| !is_slow(line)) {
        for level in [" WARN ", " ERROR "] {
            if let Some((_, text)) = line.split_once(level) {
                let text: String = text.chars().take(300).collect();
                *complaints
                    .entry(format!("{}: {text}", level.trim()))
                    .or_default() += 1;
            }
        }
    }
    complaints
}

impl Figures {
    pub(super) fn table(&self, elapsed: Duration) -> String {
        let mut text = String::from("| soak | |\n|---|---:|\n");
        let mut row = |label: &str, value: String| {
            let _ = writeln!(text, "| {label} | {value} |");
        };
        row("minutes", format!("{:.1}", elapsed.as_secs_f64() / 60.0));
        for (workflow, runs) in &self.runs {
            row(
                &format!("runs of {workflow}; longest history, largest"),
                format!(
                    "{}; {} events, {} kB",
                    runs.count,
                    runs.longest,
                    runs.largest / 1000
                ),
            );
        }
        row(
            "requests to DigitalOcean (counted up to 100,000)",
            self.requests.to_string(),
        );
        row(
            "runs that did not complete",
            self.failures.len().to_string(),
        );
        row(
            "warnings and errors in the worker's log",
            self.log.values().sum::<u64>().to_string(),
        );
        row("slow statements and connections", self.slow.to_string());
        let [first, second, third] = self.memory();
        row(
            "the worker's memory, median of each third",
            format!(
                "{}, {}, {} MB",
                first / 1_000_000,
                second / 1_000_000,
                third / 1_000_000
            ),
        );
        let memory = self.samples.iter().filter_map(|sample| sample.memory);
        row(
            "the worker's memory, maximum",
            format!("{} MB", memory.max().unwrap_or_default() / 1_000_000),
        );
        row(
            "the worker's database connections, maximum",
            self.connections().to_string(),
        );
        row(
            "the database at the end",
            format!("{} MB", self.database_bytes / 1_000_000),
        );
        for (table, before, after) in self.tables().filter(|(_, _, after)| *after >= 1_000_000) {
            row(
                &format!("{table} after a third, at the end"),
                format!("{}, {} kB", before / 1_000, after / 1_000),
            );
        }
        text
    }

    /// Returns the exceeded limits.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.failures.clone();
        problems.extend(
            self.log
                .iter()
                .map(|(line, count)| format!("{count} x {line}")),
        );
        for (workflow, runs) in &self.runs {
            if runs.longest > LONGEST_HISTORY || runs.largest > LARGEST_HISTORY {
                problems.push(format!(
                    "a history of {workflow} has {} events, one {} bytes",
                    runs.longest, runs.largest
                ));
            }
        }
        if self.runs.len() < 5 {
            problems.push("not every schedule has run".to_owned());
        }
        if self.connections() > i64::from(worker::CONNECTIONS) {
            problems.push(format!(
                "{} connections to the database",
                self.connections()
            ));
        }
        for (table, before, after) in self.tables() {
            let may_grow = HISTORIES.contains(&table) || IN_PROGRESS.contains(&table);
            if !may_grow && after > before + TABLE_MAY_GROW {
                problems.push(format!("{table} grows: {before} bytes, then {after}"));
            }
        }
        if self.rows_in_progress > 0 {
            problems.push(format!("{} rows of ended listings", self.rows_in_progress));
        }
        let [_, second, third] = self.memory();
        if self.samples.len() >= ENOUGH_SAMPLES && third > second + second * MEMORY_MAY_GROW / 100 {
            problems.push(format!("memory grows: {second} bytes, then {third}"));
        }
        problems
    }

    /// The size of each table after the first third and at the end, in bytes.
    fn tables(&self) -> impl Iterator<Item = (&str, i64, i64)> {
        self.tables_before
            .iter()
            .map(|(table, before)| (table.as_str(), *before, self.tables_after[table]))
    }

    fn connections(&self) -> i64 {
        let connections = self.samples.iter().map(|sample| sample.connections);
        connections.max().unwrap_or_default()
    }

    /// The median of each third of the time, in bytes.
    fn memory(&self) -> [u64; 3] {
        let third = self.samples.len().div_ceil(3).max(1);
        let mut medians = [0; 3];
        for (median, samples) in medians.iter_mut().zip(self.samples.chunks(third)) {
            let mut memory: Vec<u64> = samples.iter().filter_map(|sample| sample.memory).collect();
            memory.sort_unstable();
            *median = memory.get(memory.len() / 2).copied().unwrap_or_default();
        }
        medians
    }
}
