//! Reads the contents of the database in a form that can be compared between runs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::site::Site;

/// The rows of each table, with the number of occurrences of each row.
pub(crate) type Snapshot = BTreeMap<String, BTreeMap<String, u64>>;

/// Tables that record the course of a run rather than its result: the time of the last check of all
/// sums; `cloud_listings` has a row per workflow run, and faults determine the number of runs (the
/// result of the last listing of each kind is compared, in `cloud_kind_freshness`); incomplete
/// listings divide sightings (their times are compared in the rows that refer to them); past values
/// follow from events, which are compared without attributions; versions count statements; staged
/// rows and pages of failed attempts are removed hours later; request budgets depend on timing.
const NOT_COMPARED: [&str; 10] = [
    "cloud_cost_checks",
    "cloud_listings",
    "cloud_sightings",
    "cloud_resource_past_values",
    "cloud_resource_versions",
    "cloud_staged_resources",
    "cloud_resumable_listings",
    "cloud_listing_pages",
    "cloud_request_budgets",
    "cloud_request_purposes",
];

/// Columns with `DigitalOcean`'s times, which are equal in every run. All other times depend on the
/// run and are compared by phase.
const PROVIDERS_TIMES: [&str; 5] = ["generated_at", "start_at", "end_at", "date", "assigned_at"];

/// Columns that depend on the workflow run; the number of rematches; the time of the last strike,
/// which the tests move (`let_an_hour_pass`); and the time of the last incomplete list of bills, of
/// which there are none without faults.
const OF_THE_RUN: [&str; 10] = [
    "rematches",
    "workflow_id",
    "run_id",
    "last_workflow_id",
    "last_run_id",
    "last_requests",
    "last_reason",
    "listing_id",
    "last_struck_at",
    "listed_at",
];

/// Fields of events with a resource's attribution. A snapshot that is listed before its droplet, or
/// a node before its cluster, gets its project with a separate event. The order is random even
/// without faults, so the resource's project at the end of each phase is compared instead.
const ATTRIBUTION: [&str; 3] = ["cloud_project_id", "tenant_id", "attribution"];

/// The end of each phase, by the database's clock.
pub(crate) type Ends = Vec<DateTime<Utc>>;

pub(crate) async fn read(site: &Site, ends: &Ends) -> Snapshot {
    let mut database = site.database().await;
    let names = names(&mut database).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name like 'cloud\\_%' order by 1",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let mut snapshot = Snapshot::new();
    for table in tables
        .iter()
        .filter(|table| !NOT_COMPARED.contains(&table.as_str()))
    {
        let times: Vec<String> = sqlx::query_scalar(
            "select column_name::text from information_schema.columns
             where table_name = $1 and data_type = 'timestamp with time zone'",
        )
        .bind(table)
        .fetch_all(&mut database)
        .await
        .unwrap();
        let times = [times, vec!["last_seen_at".to_owned()]].concat();
        let mut rows = rows(&mut database, table).await;
        for row in &mut rows {
            replace_times(row, &times, ends);
        }
        match table.as_str() {
            "cloud_resource_events" => rows = events(rows),
            "cloud_project_events" => rows.iter_mut().for_each(without_times),
            "cloud_cost_line_changes" => rows = net_changes(rows),
            // Faults determine how many sweeps move many lines. None may stay open.
            "cloud_reallocations" => rows.retain(|row| row["finished_at"].is_null()),
            _ => {}
        }
        let counts = snapshot.entry(table.clone()).or_default();
        for row in rows {
            let text = canonical(row, &names);
            *counts.entry(text).or_default() += 1;
        }
    }
    snapshot
}

async fn rows(database: &mut PgConnection, table: &str) -> Vec<Map<String, Value>> {
    let key: bool = sqlx::query_scalar(
        "select exists (select 1 from information_schema.columns
         where table_name = $1 and column_name = 'id' and data_type = 'bigint')",
    )
    .bind(table)
    .fetch_one(&mut *database)
    .await
    .unwrap();
    let order = if key { "order by id" } else { "" };
    let row = match table {
        "cloud_resource_rows" => "(select to_jsonb(r) from cloud_resources r where r.id = t.id)",
        "cloud_project_rows" => "(select to_jsonb(p) from cloud_projects p where p.id = t.id)",
        "cloud_project_members" => {
            "to_jsonb(t) - 'sighting_id' || jsonb_build_object('last_seen_at',
                 (select seen_at from cloud_sightings s where s.id = t.sighting_id))"
        }
        _ => "to_jsonb(t)",
    };
    let query = format!("select {row} from {table} t {order}");
    let rows: Vec<Value> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_all(database)
        .await
        .unwrap();
    let rows = rows.into_iter();
    rows.filter_map(|row| match row {
        Value::Object(row) => Some(row),
        _ => None,
    })
    .collect()
}

/// Returns a stable name for each of this system's random ids.
async fn names(database: &mut PgConnection) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = sqlx::query_as(
        "select id::text, 'project ' || provider_id from cloud_projects
         union all select id::text, kind || ' ' || provider_id from cloud_resources
         union all select id::text, 'invoice ' || invoice_uuid from cloud_invoices
         union all select id::text, 'estimate of ' || period from cloud_estimates
         union all select id::text, 'hold on ' || kind from cloud_held_deletions
         union all select id::text, 'entry ' || encode(entry_key, 'hex') || ' ' || ordinal from cloud_billing_entries",
    )
    .fetch_all(database)
    .await
    .unwrap();
    pairs.into_iter().collect()
}

/// Replaces each time of this system by its phase.
fn replace_times(row: &mut Map<String, Value>, times: &[String], ends: &Ends) {
    let depends_on_run = |column: &str| {
        times.iter().any(|time| time == column) && !PROVIDERS_TIMES.contains(&column)
    };
    for (column, value) in row.iter_mut().filter(|(column, _)| depends_on_run(column)) {
        let Some(text) = value.as_str() else { continue };
        let time = text.parse::<DateTime<Utc>>();
        let time = time.unwrap_or_else(|error| panic!("{column} is {text}: {error}"));
        *value = phase_of(time, ends).into();
    }
}

fn phase_of(time: DateTime<Utc>, ends: &Ends) -> String {
    format!("in phase {}", ends.partition_point(|end| *end < time))
}

fn canonical(mut row: Map<String, Value>, names: &BTreeMap<String, String>) -> String {
    row.retain(|column, _| !OF_THE_RUN.contains(&column.as_str()));
    if row.get("id").is_some_and(Value::is_number) {
        row.remove("id");
    }
    if row.get("is_internal") == Some(&true.into()) {
        // The internal project, the only one created by a sync, has times of the simulator's clock.
        for time in ["created_at", "updated_at"] {
            row["attrs"][time] = "a time".into();
        }
    }
    for value in row.values_mut() {
        name(value, names);
    }
    Value::Object(row).to_string()
}

/// Replaces ids by names, recursively.
fn name(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = names.get(text) {
                text.clone_from(name);
            } else if let Some((before, request)) = text.split_once(" (request ") {
                // DigitalOcean's request ids differ between runs.
                let after = request.split_once(')').map_or("", |(_, after)| after);
                *text = format!("{before}{after}");
            }
        }
        Value::Array(values) => {
            for value in values.iter_mut() {
                name(value, names);
            }
            // Candidates of a match are ordered by their random ids.
            values.sort_by_key(Value::to_string);
        }
        Value::Object(fields) => {
            for value in fields.values_mut() {
                name(value, names);
            }
        }
        _ => {}
    }
}

/// Returns each resource's events in order, plus its project at the end of each phase in which it
/// moved.
fn events(rows: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    let mut events = Vec::new();
    let mut ordinals: BTreeMap<String, u64> = BTreeMap::new();
    let mut projects: BTreeMap<(String, String), Value> = BTreeMap::new();
    for mut row in rows {
        let text = |row: &Map<String, Value>, column: &str| {
            row[column].as_str().unwrap_or_default().to_owned()
        };
        let (resource, phase) = (text(&row, "resource_id"), text(&row, "occurred_at"));
        let Some(changes) = row.get_mut("changes").and_then(Value::as_object_mut) else {
            continue;
        };
        if let Some(project) = changes.get("cloud_project_id") {
            projects.insert((resource.clone(), phase), project["after"].clone());
        }
        let is_only_attribution = changes
            .keys()
            .all(|field| ATTRIBUTION.contains(&field.as_str()));
        changes.retain(|field, _| !ATTRIBUTION.contains(&field.as_str()));
        if let Some(deleted_at) = changes.get_mut("deleted_at").and_then(Value::as_object_mut) {
            // Compared in the resource's row.
            deleted_at
                .values_mut()
                .filter(|at| !at.is_null())
                .for_each(|at| *at = "a time".into());
        }
        if is_only_attribution {
            continue;
        }
        let ordinal = ordinals.entry(resource).or_default();
        *ordinal += 1;
        row.insert("ordinal".to_owned(), (*ordinal).into());
        events.push(row);
    }
    events.extend(projects.into_iter().map(|((resource, phase), project)| {
        let row = [
            ("resource_id", resource.into()),
            ("phase", phase.into()),
            ("project", project),
        ];
        row.map(|(column, value)| (column.to_owned(), value))
            .into_iter()
            .collect()
    }));
    events
}

/// Replaces the times in the changes of a project, which are compared in its row.
fn without_times(row: &mut Map<String, Value>) {
    for field in ["deleted_at", "attrs.created_at"] {
        if let Some(change) = row["changes"].get_mut(field) {
            *change = "a time".into();
        }
    }
}

/// Returns the net change of each cost line. If a fault interrupts a sweep, a line may be rematched
/// twice before it reaches its final state.
fn net_changes(rows: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    let mut net: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for row in rows {
        let line = row["line_id"].as_str().unwrap_or_default().to_owned();
        let so_far = net.entry(line).or_default();
        for (field, change) in row["changes"].as_object().into_iter().flatten() {
            match so_far.get_mut(field) {
                Some(known) => known["after"] = change["after"].clone(),
                None => drop(so_far.insert(field.clone(), change.clone())),
            }
        }
    }
    let net = net.into_iter().filter_map(|(line, mut changes)| {
        changes.retain(|_, change| change["before"] != change["after"]);
        let mut row = Map::new();
        row.insert("line_id".to_owned(), line.into());
        row.insert("changes".to_owned(), changes.clone().into());
        (!changes.is_empty()).then_some(row)
    });
    net.collect()
}

/// The differences between a run and the run without faults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Difference {
    pub(crate) rows: u64,
    pub(crate) lost: Vec<String>,
    pub(crate) doubled: Vec<String>,
}

pub(crate) fn compare(expected: &Snapshot, found: &Snapshot) -> Difference {
    let mut difference = Difference::default();
    let tables: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let nothing = BTreeMap::new();
    for table in tables {
        let expected = expected.get(table).unwrap_or(&nothing);
        let found = found.get(table).unwrap_or(&nothing);
        difference.rows += expected.values().sum::<u64>();
        let surplus =
            |rows: &BTreeMap<String, u64>, others: &BTreeMap<String, u64>| -> Vec<String> {
                let more = rows.iter().filter_map(|(row, count)| {
                    let other = others.get(row).copied().unwrap_or_default();
                    (*count > other).then(|| format!("{table} {row} ({count} instead of {other})"))
                });
                more.collect()
            };
        difference.lost.extend(surplus(expected, found));
        difference.doubled.extend(surplus(found, expected));
    }
    difference
}
