//! Routes of the audit: the acts of people, and the verification of their chain.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Store;
use store::audit::{Action, AuditChain, AuditEntry, AuditFilter, ObjectType};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::choices;
use crate::csv::{self, FileName};
use crate::envelope::{List, One, json_of};
use crate::extract::{NoParameters, Text, TimeOrDate, optional};
use crate::notes;
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(verify))
}

/// The action of an entry.
#[derive(Debug, Clone, Copy)]
struct ActionName(Action);

impl PartialSchema for ActionName {
    fn schema() -> RefOr<Schema> {
        choices::schema(Action::ALL.iter().map(|action| action.name()))
    }
}

impl ToSchema for ActionName {}

impl FromStr for ActionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let actions = Action::ALL.iter().map(|action| (action.name(), *action));
        choices::one_of("action", text, &actions.collect::<Vec<_>>()).map(Self)
    }
}

/// A type of objects, or one object: `TYPE` or `TYPE:ID`.
#[derive(Debug, Clone)]
struct ObjectName {
    object_type: ObjectType,
    id: Option<String>,
}

impl PartialSchema for ObjectName {
    fn schema() -> RefOr<Schema> {
        let types: Vec<&str> = ObjectType::ALL.iter().map(|one| one.name()).collect();
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^({})(:[^\\x00]+)?$", types.join("|"))))
            .examples([
                "project",
                "resource:22737513-0ea7-4206-8ceb-98a575af7681",
                "allocation_rule:2026-04",
            ])
            .into()
    }
}

impl ToSchema for ObjectName {}

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text: Text = text.parse().map_err(str::to_owned)?;
        let (name, id) = match text.as_str().split_once(':') {
            Some((_, "")) => return Err("empty id: expected TYPE or TYPE:ID".to_owned()),
            Some((name, id)) => (name, Some(id.to_owned())),
            None => (text.as_str(), None),
        };
        let types = ObjectType::ALL.iter().map(|one| (one.name(), *one));
        let types: Vec<_> = types.collect();
        Ok(Self {
            object_type: choices::one_of("type of object", name, &types)?,
            id,
        })
    }
}

/// The filter of the audit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only acts of this actor: its name, or the `id` of its token.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    actor: Option<Text>,
    /// Only acts with this action.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = ActionName)]
    action: Option<ActionName>,
    /// Only acts on objects of this type, `TYPE`, or on one object, `TYPE:ID`.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = ObjectName)]
    object: Option<ObjectName>,
    /// Only acts at this time or later.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = TimeOrDate)]
    from: Option<TimeOrDate>,
    /// Only acts before this time.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = TimeOrDate)]
    to: Option<TimeOrDate>,
}

impl From<AuditQuery> for AuditFilter {
    fn from(query: AuditQuery) -> Self {
        let actor = query.actor.map(String::from);
        let token_id = actor
            .as_deref()
            .and_then(|actor| Uuid::try_parse(actor).ok());
        let object = query.object;
        Self {
            actor: actor.filter(|_| token_id.is_none()),
            token_id,
            action: query.action.map(|ActionName(action)| action),
            object_type: object.as_ref().map(|object| object.object_type),
            object_id: object.and_then(|object| object.id),
            from: query.from.map(|TimeOrDate(time)| time),
            to: query.to.map(|TimeOrDate(time)| time),
        }
    }
}

/// Lists the acts of people, the latest first
///
/// Every change of data by a person is an entry, with its author, its object, the states before and
/// after it, and the reason; logins too. Entries are never changed or removed: each has the hash of
/// the one before.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "list_audit",
    tag = "audit",
    security(("bearer" = [])),
    params(AuditQuery, PageQuery),
    responses((status = OK, body = List<AuditEntry>, description = "A page of entries"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<AuditQuery>,
) -> Result<Response, Problem> {
    let filter = filter.into();
    if pages.is_csv() {
        return csv_of_audit(&state.store, admin, filter, &pages).await;
    }
    Ok(json_of(read_audit(&state.store, &filter, &pages).await?))
}

/// Returns a page of the audit.
pub(crate) async fn read_audit(
    store: &Store,
    filter: &AuditFilter,
    pages: &PageQuery,
) -> Result<List<AuditEntry>, Problem> {
    let page = pages.page(list_of_entries(filter))?;
    let list = read_page(store.clone(), filter.clone(), page).await?;
    let actor = filter.actor.as_deref().filter(|_| list.data.is_empty());
    let note = match actor {
        Some(actor) => notes::on_actor(store, actor).await?,
        None => None,
    };
    Ok(list.with_notes(note))
}

/// Returns all entries as CSV.
pub(crate) async fn csv_of_audit(
    store: &Store,
    caller: impl Send + 'static,
    filter: AuditFilter,
    pages: &PageQuery,
) -> Result<Response, Problem> {
    let page = pages.page(list_of_entries(&filter))?;
    let connected = store.clone();
    csv::stream(store, caller, FileName::new("audit"), page, move |page| {
        read_page(connected.clone(), filter.clone(), page)
    })
    .await
}

/// Identifies a list of entries in cursors.
fn list_of_entries(filter: &AuditFilter) -> Value {
    json!({ "audit": {
        "actor": filter.actor,
        "token": filter.token_id,
        "action": filter.action.map(Action::name),
        "object_type": filter.object_type.map(ObjectType::name),
        "object": filter.object_id,
        "from": filter.from,
        "to": filter.to,
    }})
}

async fn read_page(
    store: Store,
    filter: AuditFilter,
    page: Page<i64>,
) -> Result<List<AuditEntry>, Problem> {
    let entries = store
        .audit(&filter, page.after, page.rows_to_fetch())
        .await?;
    Ok(page.show(entries, |last| last.number))
}

/// The result of a verification of the audit.
#[derive(Debug, Serialize, ToSchema)]
struct AuditVerification {
    /// Number of entries.
    entries: i64,
    /// `number` of the last entry; 0 without entries.
    last_number: i64,
    /// `hash` of the last entry; null without entries. Entries that were removed from the end leave
    /// no trace in the database: compare this hash with the log of the API.
    last_hash: Option<String>,
    /// True if no entry was changed, removed or replaced.
    is_intact: bool,
    /// The first broken place; null if the chain is intact.
    broken_at: Option<BrokenEntry>,
}

/// A broken place of the audit.
#[derive(Debug, Serialize, ToSchema)]
struct BrokenEntry {
    /// `number` of the entry.
    number: i64,
    /// `removed`: the entry is missing. `changed`: its content differs from its hash. `replaced`:
    /// the next entry was appended to another entry.
    fault: &'static str,
}

impl From<AuditChain> for AuditVerification {
    fn from(chain: AuditChain) -> Self {
        Self {
            entries: chain.entries,
            last_number: chain.last_number,
            last_hash: Some(chain.last_hash).filter(|hash| !hash.is_empty()),
            is_intact: chain.broken_at.is_none(),
            broken_at: chain.broken_at.map(|broken| BrokenEntry {
                number: broken.number,
                fault: broken.fault.name(),
            }),
        }
    }
}

/// Verifies that no entry of the audit was changed, removed or replaced
///
/// Reads all entries.
#[utoipa::path(
    get,
    path = "/api/v1/audit/chain",
    operation_id = "verify_audit",
    tag = "audit",
    security(("bearer" = [])),
    responses((status = OK, body = One<AuditVerification>, description = "The result of the verification"), BadRequest)
)]
async fn verify(
    _: Admin,
    State(state): State<ApiState>,
    _: NoParameters,
) -> Result<Json<One<AuditVerification>>, Problem> {
    let chain = state.store.verify_audit().await?;
    Ok(Json(One::now(chain.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_type_or_a_type_with_an_id() {
        let read = |text: &str| {
            let object = text.parse::<ObjectName>().ok()?;
            Some((object.object_type, object.id))
        };
        assert_eq!(read("project"), Some((ObjectType::Project, None)));
        let run = "run:sync-droplets-2026-11-23T10:07:00Z/0a1b";
        let id = Some("sync-droplets-2026-11-23T10:07:00Z/0a1b".to_owned());
        assert_eq!(read(run), Some((ObjectType::Run, id)));
        for text in ["projects", "project:", ":1", "a\0b"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
