//! Formats outcomes of runs, including the table in `docs/reliability.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::injector::Injected;
use super::run::{Extent, Outcome};

/// Returns a Markdown table of all runs so far, by fault.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    #[derive(Default)]
    struct Row {
        injected: u64,
        runs: u64,
        lost: usize,
        doubled: usize,
        wrong_deletes: u64,
        stale: usize,
    }
    let mut rows: BTreeMap<Injected, Row> = BTreeMap::new();
    for outcome in outcomes {
        for (fault, injected) in &outcome.tally {
            let row = rows.entry(*fault).or_default();
            row.injected += injected;
            row.runs += 1;
            row.lost += outcome.difference.lost.len();
            row.doubled += outcome.difference.doubled.len();
            row.wrong_deletes += outcome.wrong_deletes;
            row.stale += outcome.stale.len();
        }
    }
    let mut text = String::from(
        "| fault | injected | runs | rows lost | rows doubled | wrong deletes | stale |\n|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for (fault, row) in &rows {
        let Row {
            injected,
            runs,
            lost,
            doubled,
            wrong_deletes,
            stale,
        } = row;
        let _ = writeln!(
            text,
            "| {fault} | {injected} | {runs} | {lost} | {doubled} | {wrong_deletes} | {stale} |"
        );
    }
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let _ = writeln!(
        text,
        "| **all** | {} | {} | {} | {} | {} | {} |",
        sum(|outcome| outcome.tally.values().sum()),
        outcomes.len(),
        sum(|outcome| outcome.difference.lost.len() as u64),
        sum(|outcome| outcome.difference.doubled.len() as u64),
        sum(|outcome| outcome.wrong_deletes),
        sum(|outcome| outcome.stale.len() as u64),
    );
    let _ = writeln!(
        text,
        "\n{} rows compared; {} workflow runs failed because of a fault and were repeated; {} worker renewals.",
        sum(|outcome| outcome.difference.rows),
        sum(|outcome| outcome.setbacks.len() as u64),
        sum(|outcome| outcome.renewals),
    );
    text
}

/// Returns a one-line summary of a run.
pub(crate) fn line(outcome: &Outcome) -> String {
    let faults: Vec<String> = outcome
        .tally
        .iter()
        .map(|(fault, count)| format!("{count} x {fault}"))
        .collect();
    format!(
        "seed {}: {:?}, {:?}, {} s: {} rows, {} lost, {} doubled, {} wrong deletes, {} stale, {} setbacks, {} renewals; {}",
        outcome.seed,
        outcome.family,
        outcome.scenario,
        outcome.took.as_secs(),
        outcome.difference.rows,
        outcome.difference.lost.len(),
        outcome.difference.doubled.len(),
        outcome.wrong_deletes,
        outcome.stale.len(),
        outcome.setbacks.len(),
        outcome.renewals,
        faults.join(", ")
    )
}

/// Returns the details of a failed run, with the command that repeats it.
pub(crate) fn failure(outcome: &Outcome) -> String {
    const SHOWN: usize = 12;
    let show = |label: &str, rows: &[String]| {
        let mut text = format!("  {label}: {}\n", rows.len());
        for row in rows.iter().take(SHOWN) {
            let row: String = row.chars().take(1_200).collect();
            let _ = writeln!(text, "    {row}");
        }
        text
    };
    let setbacks: Vec<String> = outcome.setbacks.iter().map(ToString::to_string).collect();
    format!(
        "{}\n  repeat: {}ARCADIA_FAULT_SEED={} cargo test -p tests --test faults faults::chance::runs_with -- --nocapture\n{}{}{}{}{}",
        line(outcome),
        match outcome.extent {
            Extent::OnePhase => "",
            Extent::Thorough => "ARCADIA_FAULT_RUNS=1 ",
        },
        outcome.seed,
        show("faults", &outcome.log),
        show("lost", &outcome.difference.lost),
        show("doubled", &outcome.difference.doubled),
        show("stale", &outcome.stale),
        show("setbacks", &setbacks),
    )
}
