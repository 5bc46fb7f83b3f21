//! The tenants that are known, and what each has.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::envelope::List;
use crate::extract::{Query, Text};
use crate::paging::{Page, PageQuery};
use crate::problem::{Invalid, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A tenant that a token, a project, a resource, a cost or an allocation rule names.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "it has this name in every other answer"
)]
struct Tenant {
    #[schema(example = "acme")]
    tenant_id: String,
    /// The earliest time at which a token, a project or a resource was this tenant's; null where only costs or an allocation rule
    /// name it.
    known_since: Option<DateTime<Utc>>,
    /// Live projects that are assigned to it now.
    projects: i64,
    /// Resources of it that are not deleted.
    live_resources: i64,
    /// Whether any line of an invoice or of an open estimate is its own, wholly or in part; shared costs do not count.
    has_costs: bool,
}

impl From<store::Tenant> for Tenant {
    fn from(tenant: store::Tenant) -> Self {
        Self {
            tenant_id: tenant.tenant_id,
            known_since: tenant.known_since,
            projects: tenant.projects,
            live_resources: tenant.live_resources,
            has_costs: tenant.has_costs,
        }
    }
}

/// Lists the tenants that are known, by name
///
/// For the role `platform_admin`. A tenant is known by a token that is not revoked, by a project or resource that is or was assigned to it, by its costs, or by an
/// allocation rule.
#[utoipa::path(
    get,
    path = "/api/v1/tenants",
    operation_id = "list_tenants",
    tag = "projects",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Tenant>, description = "A page of tenants"), Invalid)
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
