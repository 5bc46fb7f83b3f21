//! What is written about metrics holds to those that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::scenario::SEEN;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const RUNBOOK: &str = "docs/runbook.md";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every name in it that could be a metric of ours or of the SDK's.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| {
            ["arcadia_", "temporal_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
        .collect()
}

/// Every name that a page told: at the start of a line that is no comment.
fn told() -> BTreeSet<&'static str> {
    [
        &SEEN.api_synced,
        &SEEN.api_failed,
        &SEEN.worker_synced,
        &SEEN.worker_failed,
    ]
    .into_iter()
    .flat_map(|page| page.lines())
    .filter(|line| !line.starts_with('#'))
    .filter_map(|line| line.split(['{', ' ']).next())
    .collect()
}

/// What there is only while something is wrong, or when a worker had nothing to do for a minute.
const ONLY_IN_NEED: [&str; 3] = [
    "arcadia_held_deletion_age_seconds",
    "temporal_activity_poll_no_task_total",
    "temporal_workflow_task_execution_failed_total",
];

/// A reason of the verdict on the mirror, which has the form of a metric of Temporal's.
const REASON: &str = "temporal_unreachable";

#[track_caller]
fn assert_told(document: &str, text: &str) {
    let told = told();
    let unknown: Vec<_> = names(text)
        .into_iter()
        .filter(|name| !told.contains(name) && !ONLY_IN_NEED.contains(name) && *name != REASON)
        .collect();
    assert!(
        unknown.is_empty(),
        "{document} names {unknown:?}, which nothing tells: {told:?}"
    );
}

#[test]
fn the_alerts_name_only_metrics_that_are_told() {
    let text = read(ALERTS);
    assert!(names(&text).len() > 15, "{:?}", names(&text));
    assert_told(ALERTS, &text);
}

#[test]
fn the_dashboard_can_be_imported_and_names_only_metrics_that_are_told() {
    let text = read("deploy/grafana/dashboard.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["schemaVersion"].is_u64() && dashboard["id"].is_null());
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            assert!(!names(query).is_empty() || query.contains("up{"), "{panel}");
        }
    }
    assert_told("the dashboard", &text);
}

#[test]
fn the_runbook_names_only_metrics_that_are_told() {
    assert_told(RUNBOOK, &read(RUNBOOK));
}

#[tokio::test]
async fn every_query_of_the_runbook_is_one_that_the_database_takes() {
    let database = devstack::testing::database().await;
    let store = store::Store::connect(&database.url(), 1).await.unwrap();
    store.migrate().await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let runbook = read(RUNBOOK);
    let queries: Vec<&str> = runbook
        .split("psql \"$DATABASE_URL\" -c ")
        .skip(1)
        .map(|rest| {
            let quote = &rest[..1];
            rest[1..].split(quote).next().unwrap()
        })
        .collect();
    assert!(queries.len() >= 6, "{queries:?}");
    for query in queries {
        let taken = sqlx::raw_sql(AssertSqlSafe(query))
            .execute(&mut connection)
            .await;
        assert!(taken.is_ok(), "{query}: {taken:?}");
    }
}

/// The names that failures have, in the sources that give them.
fn failures() -> BTreeSet<String> {
    let source = read("activities/src/failure.rs");
    let naming = source.split("fn type_name").nth(1).unwrap();
    let naming = naming.split("\n    }\n").next().unwrap();
    let mut names: BTreeSet<String> = naming
        .split("=> \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    for file in ["input.rs", "inventory.rs", "invoices.rs"] {
        let source = read(&format!("workflows/src/{file}"));
        let literals = source.split(".type_name(\"").skip(1);
        names.extend(literals.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    // Given a name first.
    names.extend(["InvoicesNotListed", "BillingIncomplete"].map(str::to_owned));
    names
}

#[test]
fn every_failure_has_its_line_in_the_runbook_and_there_is_no_line_for_another() {
    let runbook = read(RUNBOOK);
    let table = runbook.split("## Failures by name").nth(1).unwrap();
    let lines = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let described: BTreeSet<String> = lines
        .map(|line| line.split('`').next().unwrap().to_owned())
        .collect();
    let failures = failures();
    assert!(
        failures.len() > 15 && failures.contains("NoToken"),
        "{failures:?}"
    );
    assert_eq!(described, failures);
}

/// The fields of each alert, as they are written: one a line, `name: value`.
fn alerts() -> Vec<Vec<(String, String)>> {
    let mut alerts = Vec::new();
    for line in read(ALERTS).lines() {
        let Some((name, value)) = line.trim().trim_start_matches("- ").split_once(':') else {
            continue;
        };
        if name == "alert" {
            alerts.push(Vec::new());
        }
        if let Some(alert) = alerts.last_mut() {
            let value = value.trim().trim_matches('"');
            alert.push((name.to_owned(), value.to_owned()));
        }
    }
    alerts
}

#[test]
fn every_alert_says_how_bad_it_is_and_leads_to_its_place_in_the_runbook() {
    let runbook = read(RUNBOOK);
    let headings: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| Some(line.strip_prefix("### ")?.to_lowercase()))
        .collect();
    let alerts = alerts();
    assert!(alerts.len() >= 13, "{alerts:?}");
    for alert in &alerts {
        let value = |wanted: &str| {
            let found = alert.iter().find(|(name, _)| name == wanted);
            found.map_or_else(|| panic!("no {wanted}: {alert:?}"), |(_, value)| value)
        };
        assert!(
            ["critical", "warning", "info"].contains(&value("severity").as_str()),
            "{alert:?}"
        );
        assert!(!value("summary").is_empty() && !value("description").is_empty());
        let anchor = value("alert").to_lowercase();
        let url = value("runbook_url");
        assert!(url.ends_with(&format!("{RUNBOOK}#{anchor}")), "{url}");
        assert!(
            headings.contains(&anchor),
            "{RUNBOOK} has no heading {anchor}"
        );
    }
    // Nor is there a place in the runbook for an alert that is gone.
    for heading in headings
        .iter()
        .filter(|heading| heading.starts_with("arcadia"))
    {
        let is_alert = |alert: &Vec<(String, String)>| alert[0].1.to_lowercase() == *heading;
        assert!(alerts.iter().any(is_alert), "{heading}");
    }
}

#[test]
#[cfg_attr(missing_promtool, ignore = "needs promtool")]
fn prometheus_accepts_the_alert_rules() {
    let rules = path(ALERTS);
    let checked = Command::new("promtool")
        .args(["check", "rules"])
        .arg(&rules)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    for configuration in ["prometheus.yml", "kubernetes.yml"] {
        let checked = Command::new("promtool")
            .args(["check", "config"])
            .arg(path("deploy/prometheus").join(configuration))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{configuration}: {said}");
    }
    let tests = path("deploy/prometheus/alerts_test.yml");
    let tested = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&tests)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tested.stdout);
    assert!(
        tested.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&tested.stderr)
    );
}
