//! `/settings/audit`: the acts of people, with a filter, and the verification of their chain.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;
use store::audit::{Action, AuditChain, AuditEntry, AuditFilter, ObjectType};
use uuid::Uuid;

use super::attributes::{Difference, differences};
use super::format::Moment;
use super::page::{Frame, PageProblem, render};
use super::parameters::{Parameters, address};
use super::session::AdminViewer;
use crate::ApiState;
use crate::paging::Paged;
use crate::problem::Problem;
use crate::routes::audit::{AuditQuery, csv_of_audit, read_audit};
use crate::temporal::WorkflowRun;

const PATH: &str = "/settings/audit";

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route(PATH, get(show))
}

/// The most changes of an entry that the page shows.
const MAX_CHANGES: usize = 20;

struct Row {
    number: i64,
    time: Moment,
    actor: String,
    /// The list of the acts of the same token, or of the same name.
    actor_link: String,
    channel: String,
    address: Option<String>,
    action: String,
    object: String,
    /// The page of the object; none if it has no page.
    object_link: Option<String>,
    /// The list of the acts on the object.
    history_link: String,
    changes: Vec<Difference>,
    /// Number of further changes.
    omitted: usize,
    reason: Option<String>,
    request_id: Option<String>,
    session_id: Option<Uuid>,
}

impl From<AuditEntry> for Row {
    fn from(entry: AuditEntry) -> Self {
        let token = entry.token_id.map(|id| id.to_string());
        let actor = token.as_deref().unwrap_or(&entry.actor);
        let history = format!("{}:{}", entry.object_type, entry.object_id);
        let none = Value::Null;
        let before = entry.before.as_ref().unwrap_or(&none);
        let mut changes = differences("", before, entry.after.as_ref().unwrap_or(&none));
        let omitted = changes.len().saturating_sub(MAX_CHANGES);
        changes.truncate(MAX_CHANGES);
        let name = entry.object_name.as_deref().unwrap_or(&entry.object_id);
        Self {
            number: entry.number,
            time: Moment(entry.occurred_at),
            actor_link: address(PATH, &[("actor", actor)]),
            action: in_words(&entry.action),
            object: format!("{} {name}", in_words(&entry.object_type)),
            object_link: page_of(&entry.object_type, &entry.object_id),
            history_link: address(PATH, &[("object", &history)]),
            changes,
            omitted,
            actor: entry.actor,
            channel: entry.channel,
            address: entry.address,
            reason: entry.reason,
            request_id: entry.request_id,
            session_id: entry.session_id,
        }
    }
}

/// Returns the page of an object; none if there is no such page.
fn page_of(object_type: &str, id: &str) -> Option<String> {
    Some(match object_type {
        "token" => "/settings/tokens".to_owned(),
        "project" => format!("/projects/{id}/tenant"),
        "resource" => format!("/inventory/{id}"),
        "cost_line" => format!("/lines/{id}"),
        "allocation_rule" => format!("/months/{id}/rule"),
        "month" => format!("/months/{id}"),
        "held_deletion" => format!("/sync/held-deletions/{id}"),
        "invoice" => format!("/invoices/{id}"),
        "kind" => format!("/sync#kind-{id}"),
        "schedule" => format!("/sync#schedule-{id}"),
        "namespace" => "/sync".to_owned(),
        "inventory" => "/inventory".to_owned(),
        "run" => {
            let (workflow_id, run_id) = id.rsplit_once('/')?;
            let run = WorkflowRun {
                workflow_id: workflow_id.to_owned(),
                run_id: run_id.to_owned(),
            };
            run.page()
        }
        _ => return None,
    })
}

/// Returns a code such as `project_changed` as words.
fn in_words(code: &str) -> String {
    code.replace('_', " ")
}

/// An option of a select.
struct Choice {
    value: &'static str,
    is_selected: bool,
}

/// The fields of the filter, as a person filled them in.
struct Filters {
    actor: String,
    actors: Vec<String>,
    actions: Vec<Choice>,
    object: String,
    object_types: Vec<&'static str>,
    from: String,
    to: String,
    /// True if a field has a value.
    is_filtered: bool,
}

/// The result of a verification of the chain.
struct Verified {
    entries: i64,
    last_number: i64,
    last_hash: String,
    /// The first broken place as a sentence; none if the chain is intact.
    fault: Option<String>,
}

impl From<AuditChain> for Verified {
    fn from(chain: AuditChain) -> Self {
        Self {
            entries: chain.entries,
            last_number: chain.last_number,
            last_hash: chain.last_hash,
            fault: chain.broken_at.map(|broken| broken.to_string()),
        }
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    filters: Filters,
    notes: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
    /// None unless the verification was requested.
    verified: Option<Verified>,
    verify: String,
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let is_verification = !parameters.get("verify").is_empty();
    let parameters = parameters.without("verify");
    let Paged { pages, filter } = Paged::<AuditQuery>::read(parameters.pairs())?;
    let filter: AuditFilter = filter.into();
    let store = &state.store;
    if pages.is_csv() {
        return Ok(csv_of_audit(store, viewer, filter, &pages).await?);
    }
    let list = read_audit(store, &filter, &pages).await?;
    let verified = if is_verification {
        Some(store.verify_audit().await?.into())
    } else {
        None
    };
    render(&AuditPage {
        frame: viewer.frame("Audit", PATH),
        filters: filters(&state, &parameters).await?,
        notes: list.meta.details(),
        next: list
            .meta
            .next_cursor
            .map(|cursor| parameters.link(PATH, "cursor", &cursor)),
        verify: parameters.link(PATH, "verify", "chain"),
        rows: list.data.into_iter().map(Row::from).collect(),
        verified,
    })
}

async fn filters(state: &ApiState, parameters: &Parameters) -> Result<Filters, Problem> {
    let action = parameters.get("action");
    let actions = Action::ALL.iter().map(|known| Choice {
        value: known.name(),
        is_selected: known.name() == action,
    });
    let field = |name| parameters.get(name).to_owned();
    Ok(Filters {
        actor: field("actor"),
        actors: state.store.audit_actors().await?,
        actions: actions.collect(),
        object: field("object"),
        object_types: ObjectType::ALL.iter().map(|one| one.name()).collect(),
        from: field("from"),
        to: field("to"),
        is_filtered: parameters.has_others_than(&["cursor", "limit", "format"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_object_but_a_session_has_a_page() {
        for object_type in ObjectType::ALL {
            let page = page_of(object_type.name(), "a/b");
            assert_eq!(page.is_none(), *object_type == ObjectType::Session);
        }
        let run = "sync-droplets-2026-11-23T10:07:00Z/0a1b";
        let page = "/sync/runs/sync-droplets-2026-11-23T10%3A07%3A00Z/0a1b";
        assert_eq!(page_of("run", run).as_deref(), Some(page));
    }
}
