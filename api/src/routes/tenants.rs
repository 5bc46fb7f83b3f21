//! The route of the known tenants, with counts of their projects and resources.

use axum::Json;
use axum::extract::State;
use serde_json::json;
use store::Tenant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::envelope::List;
use crate::extract::{Query, Text};
use crate::paging::{Page, PageQuery};
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists the known tenants by name
///
/// Requires the role `platform_admin`. A tenant is known if it has a token that is not revoked, a
/// current or former project or resource, costs, or a weight in an allocation rule.
#[utoipa::path(
    get,
    path = "/api/v1/tenants",
    operation_id = "list_tenants",
    tag = "projects",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Tenant>, description = "A page of tenants"), BadRequest)
)]
async fn list(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Tenant>>, Problem> {
    let page: Page<Text> = query.page(json!("tenants"))?;
    let after = page.after.as_ref().map(Text::as_str);
    let tenants = state.store.tenants(after, page.rows_to_fetch()).await?;
    Ok(Json(page.show(tenants, |last| last.tenant_id.clone())))
}
