//! Deletions that are too many to be believed, and what operators say of them.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::inventory::{Decision, HeldDeletion, HeldResource};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, ListMeta, One};
use crate::extract::{Body, Id, NoParameters, Query, Text};
use crate::freshness;
use crate::paging::{Page, PageQuery};
use crate::problem::{Absent, Decided, Invalid, Problem};
use crate::words;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, decide))
}

/// More than operators will ever have decided: one hold a kind waits at a time.
const ALL: i64 = 10_000;
const PENDING: &str = "pending";

/// Those that wait for an operator; they come first of all.
pub(super) async fn pending(state: &ApiState) -> Result<Vec<HeldDeletion>, Problem> {
    let mut holds = state.store.held_deletions(ALL).await?;
    holds.retain(|hold| hold.state == PENDING);
    Ok(holds)
}

/// Held deletions: those that wait for an operator first, then the newest
#[utoipa::path(
    get,
    path = "/api/v1/held-deletions",
    operation_id = "list_held_deletions",
    tag = "sync",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<HeldDeletion>, description = "A page of held deletions"), Invalid)
)]
async fn list(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<HeldDeletion>>, Problem> {
    let page = query.page(json!("held-deletions"))?;
    let holds = state.store.held_deletions(ALL).await?;
    let place = |hold: &HeldDeletion| (hold.state != PENDING, Reverse(hold.held_at), hold.id);
    Ok(Json(page.show_of_all(holds, place)))
}

/// A held deletion with a page of the resources that it is about.
#[derive(Debug, Serialize, ToSchema)]
struct HeldDeletionPage {
    data: HeldDeletionDetail,
    /// Of the page of resources.
    meta: ListMeta,
}

#[derive(Debug, Serialize, ToSchema)]
struct HeldDeletionDetail {
    #[serde(flatten)]
    hold: HeldDeletion,
    /// By name.
    resources: Vec<HeldResource>,
}

#[derive(Deserialize)]
struct HeldResourcePlace {
    name: Text,
    id: Uuid,
}

/// One held deletion, and the resources that it is about
#[utoipa::path(
    get,
    path = "/api/v1/held-deletions/{id}",
    operation_id = "show_held_deletion",
    tag = "sync",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the held deletion"), PageQuery),
    responses((status = OK, body = HeldDeletionPage, description = "The held deletion, with a page of its resources"), Invalid, Absent)
)]
async fn one(
    _: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Json<HeldDeletionPage>, Problem> {
    let page: Page<HeldResourcePlace> = query.page(json!({ "held-deletion": id }))?;
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
    Ok(Json(HeldDeletionPage {
        data: HeldDeletionDetail {
            hold,
            resources: data,
        },
        meta,
    }))
}

/// An operator's word on a held deletion.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "String", rename_all = "snake_case")]
enum Word {
    /// They are gone: delete what no listing has seen since.
    Approve,
    /// They are not: delete nothing; it takes three more complete listings to ask again.
    Reject,
}

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let words = [("approve", Self::Approve), ("reject", Self::Reject)];
        words::one_of("decision", &text, &words)
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HeldDeletionPatch {
    #[schema(inline)]
    decision: Word,
}

/// Says whether what a listing lacks is gone indeed
///
/// The same word again changes nothing and has the same answer; another one is refused.
#[utoipa::path(
    patch,
    path = "/api/v1/held-deletions/{id}",
    operation_id = "decide_held_deletion",
    tag = "sync",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the held deletion")),
    request_body = HeldDeletionPatch,
    responses((status = OK, body = One<HeldDeletion>, description = "The held deletion, decided"), Invalid, Absent, Decided)
)]
async fn decide(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
    Body(patch): Body<HeldDeletionPatch>,
) -> Result<Json<One<HeldDeletion>>, Problem> {
    let decision = match patch.decision {
        Word::Approve => Decision::Approve,
        Word::Reject => Decision::Reject,
    };
    let hold = state
        .store
        .decide_held_deletion(id, decision, &admin.token_name, None)
        .await?;
    tracing::info!(token = %admin.token_id, by = admin.token_name, hold = %id, kind = hold.kind, state = hold.state,
        deleted = hold.deleted, "a held deletion was decided");
    Ok(Json(One::now(hold)))
}
