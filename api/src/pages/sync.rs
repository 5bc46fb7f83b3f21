//! `/sync`: the status of the mirror, its kinds, schedules, request budgets and held deletions.

mod holds;
pub(super) mod reasons;
mod runs;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};

use self::reasons::ShownReason;
use super::format::Moment;
use super::page::{Frame, PageProblem, render};
use super::parameters::{Parameters, unknown_table};
use super::session::{AdminViewer, Viewer};
use crate::csv::{self, FileName};
use crate::routes::sync::{self, KindSync, LinkedRun, RequestBudget, RequestLimit, Schedule, Sync};
use crate::status::Status;
use crate::{ApiState, WorkflowRun};

/// The page's entry in the navigation.
const PATH: &str = "/sync";

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route(PATH, get(show))
        .route("/sync/run", post(runs::start))
        .route("/sync/runs/{workflow_id}/{run_id}", get(runs::show))
        .route(
            "/sync/held-deletions/{id}",
            get(holds::show).post(holds::decide),
        )
        .route("/invoices/{uuid}/ingest", post(runs::ingest))
}

/// A button that starts a run: the field of its form, and the value.
struct Button {
    field: &'static str,
    value: String,
}

impl Button {
    fn schedule(id: &str) -> Self {
        Self {
            field: "schedule",
            value: id.to_owned(),
        }
    }

    fn kind(kind: &str) -> Self {
        Self {
            field: "kind",
            value: kind.to_owned(),
        }
    }
}

struct KindRow {
    kind: String,
    state: String,
    /// Class of the text of the state.
    class: &'static str,
    reason: Option<String>,
    items: i32,
    unmatched: i64,
    complete: Option<Moment>,
    attempt: Option<Moment>,
    run: Option<String>,
    button: Option<Button>,
}

struct RunCell {
    status: String,
    class: &'static str,
    started: Option<Moment>,
    link: Option<String>,
}

struct ScheduleRow {
    id: String,
    when: String,
    note: Option<String>,
    state: &'static str,
    class: &'static str,
    is_current: bool,
    runs: Vec<RunCell>,
    next: Option<Moment>,
    button: Option<Button>,
}

struct BudgetRow {
    purpose: String,
    available: String,
    minute: String,
    hour: String,
    reported: String,
    paused_seconds: u64,
}

struct HoldRow {
    link: String,
    kind: String,
    would_delete: i32,
    live: i32,
    held: Moment,
}

#[derive(Template)]
#[template(path = "sync.html")]
struct SyncPage {
    frame: Frame,
    at: Moment,
    status: String,
    /// Class of the notice with the status.
    class: &'static str,
    meaning: &'static str,
    team: Option<String>,
    reasons: Vec<ShownReason>,
    /// Whether runs can be started.
    has_buttons: bool,
    holds: Vec<HoldRow>,
    /// Reason for missing schedules.
    schedules_problem: Option<String>,
    schedules: Vec<ScheduleRow>,
    budgets: Option<Vec<BudgetRow>>,
    kinds: Vec<KindRow>,
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let table = parameters.take_table()?;
    parameters.refuse_others()?;
    let sync = sync::read(&state).await?;
    if let Some(table) = table {
        return csv_of(viewer, &table, sync);
    }
    let has_buttons = state.workflows.is_some() && sync.schedules.is_some();
    let single_kinds = match &state.workflows {
        Some(workflows) if has_buttons => workflows.kinds(),
        _ => Vec::new(),
    };
    let (class, meaning) = match sync.status {
        Status::Ok => ("good", "all listings, polls and ingests are on schedule"),
        Status::Degraded => (
            "warn",
            "some data is missing, stale or waits for an operator; the rest is reliable",
        ),
        Status::Failing => ("bad", "no new data arrives, or amounts are wrong"),
    };
    let link = |run: &LinkedRun| run_link(&state, run);
    let kinds = sync.kinds.iter().map(|kind| {
        let name = &*kind.freshness.kind;
        let button = match name {
            _ if !has_buttons => None,
            "project" | "project_member" => Some(Button::schedule("sync-projects")),
            _ => single_kinds
                .iter()
                .any(|single| single == name)
                .then(|| Button::kind(name)),
        };
        kind_row(kind, link(&kind.run), button)
    });
    let schedules = sync.schedules.iter().flatten().map(|schedule| {
        let button = has_buttons && schedule.state != "missing";
        let button = button.then(|| Button::schedule(&schedule.id));
        schedule_row(schedule, &link, button)
    });
    let holds: Vec<HoldRow> = sync
        .held_deletions
        .iter()
        .map(|hold| HoldRow {
            link: format!("/sync/held-deletions/{}", hold.id),
            kind: hold.kind.clone(),
            would_delete: hold.would_delete,
            live: hold.live,
            held: Moment(hold.held_at),
        })
        .collect();
    let reasons = sync.reasons.iter();
    let budgets = sync.request_budgets.as_deref();
    let mut kinds: Vec<KindRow> = kinds.collect();
    // Kinds that need attention first; the names of the rest stay in order.
    kinds.sort_by_key(|kind| kind.class == "good-text" && kind.unmatched == 0);
    render(&SyncPage {
        frame: viewer.frame("Sync", PATH),
        at: Moment(Utc::now()),
        status: sync.status.to_string(),
        class,
        meaning,
        team: sync.team.as_ref().map(|team| team.name.clone()),
        reasons: reasons
            .map(|reason| ShownReason::new(reason, &sync.held_deletions))
            .collect(),
        has_buttons,
        holds,
        schedules: schedules.collect(),
        budgets: budgets.map(|budgets| budgets.iter().map(budget_row).collect()),
        kinds,
        schedules_problem: sync.schedules_problem.clone(),
    })
}

/// The names of tables in the addresses of their CSV.
const TABLES: [&str; 4] = ["kinds", "schedules", "budgets", "held-deletions"];

/// Returns a table as CSV, with all fields of the JSON API.
fn csv_of(viewer: Viewer, table: &str, sync: Sync) -> Result<Response, PageProblem> {
    let response = match table {
        "kinds" => csv::whole(viewer, FileName::new("sync-kinds"), sync.kinds),
        "schedules" => {
            let schedules = sync.schedules.unwrap_or_default();
            csv::whole(viewer, FileName::new("schedules"), schedules)
        }
        "budgets" => {
            let budgets = sync.request_budgets.unwrap_or_default();
            csv::whole(viewer, FileName::new("request-budgets"), budgets)
        }
        "held-deletions" => {
            let holds = sync.held_deletions;
            csv::whole(viewer, FileName::new("held-deletions"), holds)
        }
        _ => return Err(unknown_table(table, &TABLES)),
    };
    Ok(response?)
}

/// Returns the address of a run: in the Temporal UI if it is configured, else its page here; none
/// without Temporal.
fn run_link(state: &ApiState, run: &LinkedRun) -> Option<String> {
    let page = || {
        let run = WorkflowRun {
            workflow_id: run.workflow_id.clone(),
            run_id: run.run_id.clone(),
        };
        state.workflows.is_some().then(|| run.page())
    };
    run.workflow_url.clone().or_else(page)
}

fn kind_row(kind: &KindSync, run: Option<String>, button: Option<Button>) -> KindRow {
    let freshness = &kind.freshness;
    let class = match &*freshness.state {
        "complete" => "good-text",
        "held" | "incomplete" | "not_readable" => "warn-text",
        "failed" | "unauthorized" => "bad-text",
        _ => "faint",
    };
    let moment = |time: Option<DateTime<Utc>>| time.map(Moment);
    KindRow {
        kind: freshness.kind.clone(),
        state: in_words(&freshness.state),
        class,
        reason: kind.reason.clone().or(freshness.partial_reason.clone()),
        items: kind.items,
        unmatched: kind.unmatched_members,
        complete: moment(freshness.last_complete_at),
        attempt: moment(freshness.last_attempt_at),
        run,
        button,
    }
}

fn schedule_row(
    schedule: &Schedule,
    link: &impl Fn(&LinkedRun) -> Option<String>,
    button: Option<Button>,
) -> ScheduleRow {
    let runs = schedule.last_runs.iter().map(|scheduled| {
        let status = scheduled.status.as_deref().unwrap_or("unknown");
        RunCell {
            status: in_words(status),
            class: status_class(status),
            started: scheduled.started_at.map(Moment),
            link: link(&scheduled.run),
        }
    });
    ScheduleRow {
        id: schedule.id.clone(),
        when: schedule.when.clone(),
        note: schedule.note.clone(),
        state: schedule.state,
        class: match schedule.state {
            "active" => "good-text",
            "paused" => "warn-text",
            _ => "bad-text",
        },
        is_current: schedule.is_current || schedule.state == "missing",
        runs: runs.collect(),
        next: schedule.next_run_at.map(Moment),
        button,
    }
}

fn budget_row(budget: &RequestBudget) -> BudgetRow {
    let limit = |limit: Option<RequestLimit>, without: &str| {
        limit.map_or_else(
            || without.to_owned(),
            |limit| format!("{} of {}", grouped(limit.left), grouped(limit.size)),
        )
    };
    BudgetRow {
        purpose: budget.purpose.clone(),
        available: budget
            .available
            .map_or_else(|| "no limit".to_owned(), grouped),
        minute: limit(budget.minute, "no limit"),
        hour: limit(budget.hour, "no limit"),
        reported: limit(budget.reported, "not reported"),
        paused_seconds: budget.paused_seconds,
    }
}

/// Writes a number with thousands separators.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The class of the text of a run's status.
fn status_class(status: &str) -> &'static str {
    match status {
        "completed" | "continued_as_new" => "good-text",
        "running" | "unknown" => "faint",
        _ => "bad-text",
    }
}

/// Returns a code such as `not_readable` as words.
fn in_words(code: &str) -> String {
    code.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn a_number_has_thousands_separators() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (4500, "4,500"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
    }
}
