//! Tests of the metrics of worker and API.

use crate::scenario::TELEMETRY;

/// Returns the value of a series. The order of its labels on the page does not matter.
pub(crate) fn value(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let line = page.lines().find(|line| {
        let Some(rest) = line.strip_prefix(name) else {
            return false;
        };
        rest.starts_with(['{', ' '])
            && labels
                .iter()
                .all(|(label, value)| rest.contains(&format!("{label}=\"{value}\"")))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn is(expected: f64) -> impl Fn(f64) -> bool {
    move |value| value.total_cmp(&expected).is_eq()
}

#[track_caller]
fn shows(page: &str, name: &str, labels: &[(&str, &str)], expected: impl Fn(f64) -> bool) {
    let value = value(page, name, labels);
    assert!(
        value.is_some_and(expected),
        "{name} {labels:?} is {value:?} in\n{page}"
    );
}

const REQUESTS: &str = "arcadia_digitalocean_requests_total";
const FAILURES: &str = "arcadia_digitalocean_failures_total";

#[test]
fn requests_are_counted_by_purpose_path_template_and_status() {
    let page = &TELEMETRY.worker_synced;
    for (purpose, path) in [
        ("cloud-sync-full", "/v2/droplets"),
        ("cloud-sync-full", "/v2/projects/{id}/resources"),
        ("cloud-billing", "/v2/customers/my/balance"),
        ("cloud-billing", "/v2/customers/my/invoices/{id}/csv"),
    ] {
        let labels = [
            ("purpose", purpose),
            ("method", "GET"),
            ("path", path),
            ("status", "200"),
        ];
        shows(page, REQUESTS, &labels, |requests| requests >= 1.0);
    }
    // Neither queries nor ids are labels, since their number is unbounded.
    let paths: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with(REQUESTS))
        .filter_map(|line| line.split("path=\"").nth(1)?.split('"').next())
        .collect();
    for path in paths {
        // `reserved_ipv6` is a word; a segment with more digits is an id.
        let is_word = |segment: &str| {
            let digits = segment.chars().filter(char::is_ascii_digit);
            segment == "{id}" || (!segment.contains('.') && digits.count() < 2)
        };
        let segments = path.trim_start_matches("/v2").split('/');
        assert!(segments.into_iter().all(is_word), "{path}");
    }
}

#[test]
fn the_remaining_rate_limit_of_a_token_is_exported() {
    let purpose = [("purpose", "cloud-sync-full")];
    let page = &TELEMETRY.worker_synced;
    let limit = value(page, "arcadia_digitalocean_rate_limit", &purpose);
    let name = "arcadia_digitalocean_rate_limit_remaining";
    let before = value(page, name, &purpose);
    assert!(
        before > Some(0.0) && before < limit,
        "{before:?} of {limit:?}"
    );
    let after = value(&TELEMETRY.worker_failed, name, &purpose);
    assert!(after < before, "{after:?} after {before:?}");
    let name = "arcadia_digitalocean_rate_limit_reset_timestamp_seconds";
    shows(page, name, &purpose, |at| at > 1_700_000_000.0);
}

#[test]
fn the_remaining_request_budget_is_exported_by_window() {
    let page = &TELEMETRY.worker_failed;
    for purpose in ["cloud-sync-full", "cloud-billing"] {
        // The simulator reports the token's hourly limit like DigitalOcean.
        for window in ["minute", "hour", "reported"] {
            let labels = [("purpose", purpose), ("window", window)];
            let left = value(page, "arcadia_request_budget_left", &labels);
            let size = value(page, "arcadia_request_budget_size", &labels);
            assert!(
                left > Some(0.0) && left <= size,
                "{labels:?}: {left:?} of {size:?}"
            );
        }
    }
    let reported = [("purpose", "cloud-sync-full"), ("window", "reported")];
    let left = value(page, "arcadia_request_budget_left", &reported);
    let size = value(page, "arcadia_request_budget_size", &reported);
    assert!(left < size, "requests were made: {left:?} of {size:?}");
}

#[test]
fn failure_counters_start_at_zero() {
    for purpose in ["cloud-sync-full", "cloud-sync-fast", "cloud-billing"] {
        for reason in ["unauthorized", "rate_limited", "server", "network"] {
            let labels = [("purpose", purpose), ("reason", reason)];
            shows(&TELEMETRY.worker_at_first, FAILURES, &labels, is(0.0));
        }
    }
    let labels = [("purpose", "cloud-sync-full"), ("reason", "unauthorized")];
    shows(&TELEMETRY.worker_failed, FAILURES, &labels, |failures| {
        failures >= 1.0
    });
    let labels = [("path", "/v2/volumes"), ("status", "401")];
    shows(&TELEMETRY.worker_failed, REQUESTS, &labels, |requests| {
        requests >= 1.0
    });
}

#[test]
fn the_page_includes_the_metrics_of_the_temporal_sdk() {
    let pollers = [
        ("poller_type", "activity_task"),
        ("task_queue", "cloud-billing"),
    ];
    shows(
        &TELEMETRY.worker_synced,
        "temporal_num_pollers",
        &pollers,
        |pollers| pollers >= 1.0,
    );
    let failed = [("workflow_type", "SyncInventory")];
    shows(
        &TELEMETRY.worker_failed,
        "temporal_workflow_failed_total",
        &failed,
        is(1.0),
    );
    let activity = [("activity_type", "inventory.sync_all")];
    let name = "temporal_activity_execution_latency_seconds_count";
    shows(&TELEMETRY.worker_synced, name, &activity, |runs| {
        runs >= 1.0
    });
}

#[test]
fn the_api_exports_the_state_of_the_last_sync() {
    let complete = [("kind", "volume"), ("state", "complete")];
    let failed = [("kind", "volume"), ("state", "unauthorized")];
    let name = "arcadia_kind_attempt_state";
    shows(&TELEMETRY.api_synced, name, &complete, is(1.0));
    shows(&TELEMETRY.api_failed, name, &complete, is(0.0));
    shows(&TELEMETRY.api_failed, name, &failed, is(1.0));
    let other = [("kind", "droplet"), ("state", "complete")];
    shows(&TELEMETRY.api_failed, name, &other, is(1.0));
}

#[test]
fn no_page_contains_a_token() {
    for page in [
        &TELEMETRY.worker_failed,
        &TELEMETRY.api_failed,
        &TELEMETRY.log,
    ] {
        assert!(!page.contains(simulator::DEMO_TOKEN), "{page}");
    }
}
