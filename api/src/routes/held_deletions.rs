//! Routes of held deletions: deletions that wait for the decision of an operator because complete
//! listings lacked unusually many resources, or projects, at once.

use std::cmp::Reverse;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Actor;
use store::inventory::{Decision, HeldDeletion, HeldResource};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::choices;
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, One, json_of};
use crate::extract::{Body, Id, NoParameters, Remark, Text, remark_or_null};
use crate::freshness;
use crate::paging::{Page, PageQuery};
use crate::problem::{AlreadyDecided, BadRequest, NotFound, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, decide))
}

/// More holds than the database ever has: at most one pending hold a kind exists at a time.
const ALL: i64 = 10_000;
const PENDING: &str = "pending";

/// Lists held deletions: pending ones first, then the latest
#[utoipa::path(
    get,
    path = "/api/v1/held-deletions",
    operation_id = "list_held_deletions",
    tag = "sync",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<HeldDeletion>, description = "A page of held deletions"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!("held-deletions"))?;
    let holds = state.store.held_deletions(ALL).await?;
    let place = |hold: &HeldDeletion| (hold.state != PENDING, Reverse(hold.held_at), hold.id);
    let list = page.show_of_all(holds, place);
    csv::list(admin, &query, FileName::new("held-deletions"), list)
}

/// A held deletion with a page of its resources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeldDeletionPage {
    pub(crate) data: HeldDeletionDetail,
    /// Metadata of the page of resources.
    pub(crate) meta: ListMeta,
}

/// A held deletion with its resources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeldDeletionDetail {
    #[serde(flatten)]
    pub(crate) hold: HeldDeletion,
    /// Resources that the deletion concerns, ordered by name; projects for the kind `project`.
    pub(crate) resources: Vec<HeldResource>,
}

#[derive(Deserialize)]
struct HeldResourcePlace {
    name: Text,
    id: Uuid,
}

/// Returns one held deletion with the resources or projects that it concerns
///
/// CSV has the resources.
#[utoipa::path(
    get,
    path = "/api/v1/held-deletions/{id}",
    operation_id = "show_held_deletion",
    tag = "sync",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the held deletion"), PageQuery),
    responses((status = OK, body = HeldDeletionPage, description = "The held deletion with a page of its resources"), BadRequest, NotFound)
)]
async fn one(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = read_one(&state, id, &query).await?;
    if query.is_csv() {
        let file = FileName::new("held-deletion").with(Some(&id.to_string()));
        return csv::whole(admin, file, page.data.resources);
    }
    Ok(json_of(page))
}

/// Reads a held deletion with a page of its resources.
pub(crate) async fn read_one(
    state: &ApiState,
    id: Uuid,
    query: &PageQuery,
) -> Result<HeldDeletionPage, Problem> {
    let page: Page<HeldResourcePlace> = query.page(json!({ "held-deletion": id }))?.at_once();
    let hold = state.store.held_deletion(id).await?;
    let resources = state
        .store
        .held_resources(
            id,
            page.after
                .as_ref()
                .map(|place| (place.name.as_str(), place.id)),
            page.rows_to_fetch(),
        )
        .await?;
    let freshness = freshness::of(&state.store, [&*hold.kind]).await?;
    let List { data, meta } = page
        .show(
            resources,
            |last| json!({ "name": last.name, "id": last.id }),
        )
        .fresh(freshness);
    Ok(HeldDeletionPage {
        data: HeldDeletionDetail {
            hold,
            resources: data,
        },
        meta,
    })
}

/// The decision of an operator on a held deletion.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "String", rename_all = "snake_case")]
pub(crate) enum DecisionName {
    /// Deletes the resources that no listing has returned since.
    Approve,
    /// Deletes nothing; only three more complete listings without the resources hold a deletion
    /// again.
    Reject,
}

impl FromStr for DecisionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let choices = [("approve", Self::Approve), ("reject", Self::Reject)];
        choices::one_of("decision", text, &choices)
    }
}

impl TryFrom<String> for DecisionName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The decision on a held deletion.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HeldDeletionPatch {
    /// `approve` deletes the resources that no listing has returned since; `reject` deletes
    /// nothing.
    decision: DecisionName,
    /// Reason for the decision, 1 to 500 characters; recorded in the audit.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
}

/// Decides on a held deletion
///
/// The same decision again changes nothing and has the same response; a different one is refused.
#[utoipa::path(
    patch,
    path = "/api/v1/held-deletions/{id}",
    operation_id = "decide_held_deletion",
    tag = "sync",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the held deletion")),
    request_body = HeldDeletionPatch,
    responses((status = OK, body = One<HeldDeletion>, description = "The held deletion after the decision"), BadRequest, NotFound, AlreadyDecided)
)]
async fn decide(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
    Body(patch): Body<HeldDeletionPatch>,
) -> Result<Json<One<HeldDeletion>>, Problem> {
    let actor = admin.actor.because(Remark::text(patch.reason));
    let hold = store_decision(&state, id, patch.decision, &actor).await?;
    Ok(Json(One::now(hold)))
}

/// Stores and executes the decision of an administrator.
pub(crate) async fn store_decision(
    state: &ApiState,
    id: Uuid,
    decision: DecisionName,
    actor: &Actor,
) -> Result<HeldDeletion, Problem> {
    let decision = match decision {
        DecisionName::Approve => Decision::Approve,
        DecisionName::Reject => Decision::Reject,
    };
    Ok(state
        .store
        .decide_held_deletion(id, decision, actor)
        .await?)
}
