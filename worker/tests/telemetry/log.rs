//! Tests of the log lines of activities and of API requests.

use serde_json::Value;

use crate::scenario::TELEMETRY;

fn field<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    let spans = line["spans"].as_array()?;
    spans.iter().find_map(|span| span[name].as_str())
}

#[test]
fn every_log_line_of_an_activity_has_its_run_and_type() {
    let lines = TELEMETRY.log.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let of_activities: Vec<Value> = lines
        .filter(|line| {
            let target = line["target"].as_str().unwrap_or_default();
            ["activities", "store", "digitalocean"]
                .iter()
                .any(|name| target.starts_with(name))
        })
        .collect();
    for line in &of_activities {
        for name in ["workflow_id", "run_id", "workflow_type", "activity_type"] {
            assert!(
                field(line, name).is_some_and(|id| !id.is_empty()),
                "{name}: {line}"
            );
        }
    }
    let refused = of_activities
        .iter()
        .find(|line| line["fields"]["failure"] == "Unauthorized")
        .unwrap_or_else(|| panic!("no activity logged the 401:\n{}", TELEMETRY.log));
    assert_eq!(field(refused, "activity_type"), Some("inventory.sync_all"));
    assert_eq!(field(refused, "workflow_type"), Some("SyncInventory"));
}

#[test]
fn the_api_logs_every_request_except_health_checks_and_metrics() {
    let lines = TELEMETRY.log.lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let routes: Vec<String> = lines
        .filter_map(|line| field(&line, "route").map(str::to_owned))
        .collect();
    assert!(routes.iter().any(|route| route == "/api/v1/projects"));
    for probe in ["/healthz", "/metrics"] {
        assert!(!routes.iter().any(|route| route == probe), "{routes:?}");
    }
}
