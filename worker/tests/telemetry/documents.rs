//! Checks that alerts, dashboards and the runbook name only existing metrics and failures.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::scenario::TELEMETRY;

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

/// Returns every name in a text that could be a metric of this system or of the SDK.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| {
            ["arcadia_", "temporal_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
        .collect()
}

/// Returns the names of all metrics that the recorded pages contain.
fn exported() -> BTreeSet<&'static str> {
    [
        &TELEMETRY.api_synced,
        &TELEMETRY.api_failed,
        &TELEMETRY.worker_synced,
        &TELEMETRY.worker_failed,
    ]
    .into_iter()
    .flat_map(|page| page.lines())
    .filter(|line| !line.starts_with('#'))
    .filter_map(|line| line.split(['{', ' ']).next())
    .collect()
}

/// Metrics that exist only during a problem, or after a worker was idle for a minute.
const CONDITIONAL: [&str; 3] = [
    "arcadia_held_deletion_age_seconds",
    "temporal_activity_poll_no_task_total",
    "temporal_workflow_task_execution_failed_total",
];

/// A reason code of the mirror's status that looks like a metric of Temporal.
const REASON: &str = "temporal_unreachable";

#[track_caller]
fn assert_exported(document: &str, text: &str) {
    let exported = exported();
    let unknown: Vec<_> = names(text)
        .into_iter()
        .filter(|name| !exported.contains(name) && !CONDITIONAL.contains(name) && *name != REASON)
        .collect();
    assert!(
        unknown.is_empty(),
        "{document} names unknown metrics {unknown:?}; exported: {exported:?}"
    );
}

#[test]
fn the_alerts_use_only_exported_metrics() {
    let text = read(ALERTS);
    assert!(names(&text).len() > 15, "{:?}", names(&text));
    assert_exported(ALERTS, &text);
}

#[test]
fn the_dashboard_is_importable_and_uses_only_exported_metrics() {
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
    assert_exported("the dashboard", &text);
}

#[test]
fn the_runbook_names_only_exported_metrics() {
    assert_exported(RUNBOOK, &read(RUNBOOK));
}

#[tokio::test]
async fn the_database_accepts_every_query_of_the_runbook() {
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
        let result = sqlx::raw_sql(AssertSqlSafe(query))
            .execute(&mut connection)
            .await;
        assert!(result.is_ok(), "{query}: {result:?}");
    }
}

/// Returns the texts of all files in a directory.
fn sources(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let texts = entries.map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return sources(&path).concat();
        }
        fs::read_to_string(&path).unwrap()
    });
    texts.collect()
}

/// Returns the type names of all failures, read from the sources that define them.
fn failures() -> BTreeSet<String> {
    let source = read("activities/src/failure.rs");
    let naming = source.split("fn type_name").nth(1).unwrap();
    let naming = naming.split("\n    }\n").next().unwrap();
    let mut names: BTreeSet<String> = naming
        .split("=> \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    for source in sources(&path("workflows/src")) {
        let literals = source.split(".type_name(\"").skip(1);
        names.extend(literals.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    // These two are set through a variable, so the search does not find them.
    names.extend(["InvoicesNotListed", "BillingIncomplete"].map(str::to_owned));
    names
}

#[test]
fn the_runbook_describes_exactly_the_failures_in_the_sources() {
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

/// Returns the fields of each alert. The file has one `name: value` per line.
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
fn every_alert_has_a_severity_and_a_runbook_section() {
    let runbook = read(RUNBOOK);
    let headings: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| Some(line.strip_prefix("### ")?.to_lowercase()))
        .collect();
    let alerts = alerts();
    assert!(alerts.len() >= 13, "{alerts:?}");
    for alert in &alerts {
        let value = |field: &str| {
            let found = alert.iter().find(|(name, _)| name == field);
            found.map_or_else(|| panic!("no {field}: {alert:?}"), |(_, value)| value)
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
    // Conversely, every section belongs to an existing alert.
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
    let errors = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{errors}");
    for configuration in ["prometheus.yml", "kubernetes.yml"] {
        let checked = Command::new("promtool")
            .args(["check", "config"])
            .arg(path("deploy/prometheus").join(configuration))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{configuration}: {errors}");
    }
    let tests = path("deploy/prometheus/alerts_test.yml");
    let tested = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&tests)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&tested.stdout);
    assert!(
        tested.status.success(),
        "{output}{}",
        String::from_utf8_lossy(&tested.stderr)
    );
}
