//! The route of the known tenants, with counts of their projects and resources.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use store::{Store, Tenant};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{List, json_of};
use crate::extract::Text;
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
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!("tenants"))?;
    let store = state.store.clone();
    let read = move |page| read_tenants(store.clone(), page);
    if page.is_csv() {
        return csv::stream(&state.store, admin, FileName::new("tenants"), page, read).await;
    }
    Ok(json_of(read(page).await?))
}

async fn read_tenants(store: Store, page: Page<Text>) -> Result<List<Tenant>, Problem> {
    let after = page.after.as_ref().map(Text::as_str);
    let tenants = store.tenants(after, page.rows_to_fetch()).await?;
    Ok(page.show(tenants, |last| last.tenant_id.clone()))
}
