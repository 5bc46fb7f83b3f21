//! The OpenAPI document of the API: general description, security scheme and the problems that
//! every operation can return.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::ApiState;
use crate::problem::{Document, described};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Arcadia Cloud",
        description = "A mirror of a DigitalOcean account and its invoices.\n\nAmounts are in USD, \
                       as decimal strings. Times are RFC 3339 in UTC.",
    ),
    components(schemas(Document)),
    tags(
        (name = "billing", description = "Balance, invoices, cost lines, statements per tenant and the billing history of \
            the account; requires the role `platform_admin`"),
        (name = "my", description = "Costs of the tenant of the token, which must be created with `--costs`"),
        (name = "inventory", description = "Resources with their events, past states and relations"),
        (name = "projects", description = "Projects, and the tenants that they are assigned to"),
        (name = "sync", description = "State of the mirror, and held deletions; requires the role `platform_admin`"),
        (name = "audit", description = "The acts of people; requires the role `platform_admin`"),
        (name = "health", description = "Health checks, metrics and the OpenAPI document; no token required"),
    )
)]
struct Description;

/// Returns the document without the routes.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    description
        .components
        .get_or_insert_default()
        .add_security_scheme(
            "bearer",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    description
}

/// Adds the problems that every request can return to each operation, so that no route repeats
/// them.
pub(crate) fn add_common_problems(openapi: &mut utoipa::openapi::OpenApi) {
    for item in openapi.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            add(operation, "500", "Internal error; the log has the cause");
            add(
                operation,
                "503",
                "The database is unavailable, or the request timed out",
            );
            if operation.security.is_some() {
                add(
                    operation,
                    "401",
                    "Missing, unknown, expired or revoked token",
                );
                add(
                    operation,
                    "403",
                    "The role of the token does not permit this operation",
                );
                add(
                    operation,
                    "429",
                    "Too many requests with this token, or too many unknown tokens from this \
                     address; the header `retry-after` has the time to wait in seconds",
                );
            }
            let has = |name: &str| {
                let mut parameters = operation.parameters.iter().flatten();
                parameters.any(
                    |parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == name),
                )
            };
            let is_list = has("limit");
            if has("cursor") || has("as_of") {
                let description =
                    "The list did not return this cursor, or the time is in the future";
                add(operation, "404", description);
            }
            if is_list {
                add_csv(operation);
            }
            if operation.request_body.is_some() {
                add(operation, "413", "The body exceeds 64 kB");
                add(operation, "415", "The content type of the body is not JSON");
            }
        }
    }
}

fn add(operation: &mut Operation, status: &str, description: &str) {
    operation
        .responses
        .responses
        .entry(status.to_owned())
        .or_insert_with(|| described(description));
}

/// Adds CSV as a format of the response to a list.
fn add_csv(operation: &mut Operation) {
    let response = operation.responses.responses.get_mut("200");
    if let Some(RefOr::T(response)) = response {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "All rows of the list, not only a page, with a row of the names of the fields of \
             `data`. A list or an object in a field is JSON text. The connection is aborted if a \
             row cannot be read.",
            ));
        let content = ContentBuilder::new().schema(Some(text)).build();
        response
            .content
            .insert("text/csv".to_owned(), content.into());
    }
}

/// A link from the response of an operation to a parameter of another operation, for clients that
/// follow the identifiers of a list.
struct Link {
    from: &'static str,
    to: &'static str,
    parameter: &'static str,
    /// Runtime expression of OpenAPI.
    value: &'static str,
}

const fn link(
    from: &'static str,
    to: &'static str,
    parameter: &'static str,
    value: &'static str,
) -> Link {
    Link {
        from,
        to,
        parameter,
        value,
    }
}

const FIRST_ID: &str = "$response.body#/data/0/id";
const FIRST_PERIOD: &str = "$response.body#/data/0/period";

const LINKS: [Link; 24] = [
    link("list_resources", "show_resource", "id", FIRST_ID),
    link("list_resources", "list_resource_events", "id", FIRST_ID),
    link("list_resources", "list_resource_states", "id", FIRST_ID),
    link("list_resources", "list_resource_relations", "id", FIRST_ID),
    link(
        "list_resources",
        "list_resource_memberships",
        "id",
        FIRST_ID,
    ),
    link("list_resources", "pin_resource", "id", FIRST_ID),
    link("list_projects", "show_project", "id", FIRST_ID),
    link("list_projects", "list_project_tenants", "id", FIRST_ID),
    link("list_projects", "list_project_events", "id", FIRST_ID),
    link("list_projects", "change_project", "id", FIRST_ID),
    link("list_held_deletions", "show_held_deletion", "id", FIRST_ID),
    link(
        "list_held_deletions",
        "decide_held_deletion",
        "id",
        FIRST_ID,
    ),
    link("list_reallocations", "show_reallocation", "id", FIRST_ID),
    link("list_cost_lines", "show_cost_line", "id", FIRST_ID),
    link(
        "list_cost_lines",
        "override_cost_line_match",
        "id",
        FIRST_ID,
    ),
    link(
        "list_cost_lines",
        "withdraw_cost_line_match",
        "id",
        FIRST_ID,
    ),
    link(
        "list_orphaned_overrides",
        "apply_orphaned_override",
        "id",
        FIRST_ID,
    ),
    link(
        "list_orphaned_overrides",
        "dismiss_orphaned_override",
        "id",
        FIRST_ID,
    ),
    link(
        "list_invoices",
        "show_invoice",
        "uuid",
        "$response.body#/data/0/invoice_uuid",
    ),
    link("list_invoices", "list_cost_lines", "period", FIRST_PERIOD),
    link("list_invoices", "list_statements", "period", FIRST_PERIOD),
    link("list_months", "show_month", "period", FIRST_PERIOD),
    link("list_months", "close_month", "period", FIRST_PERIOD),
    link(
        "list_estimates",
        "list_estimate_variances",
        "period",
        FIRST_PERIOD,
    ),
];

/// Returns the complete document: `openapi` with the links between its operations, and with
/// constraints between fields, which the schema derive cannot express.
pub(crate) fn document(openapi: &utoipa::openapi::OpenApi) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(openapi)?;
    let paths = document["paths"].as_object_mut();
    let items = paths.into_iter().flat_map(serde_json::Map::values_mut);
    let operations = items
        .filter_map(Value::as_object_mut)
        .flat_map(serde_json::Map::values_mut);
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap_or_default();
        let links: serde_json::Map<String, Value> = LINKS
            .iter()
            .filter(|link| link.from == id)
            .map(|link| {
                let parameters = json!({ link.parameter: link.value });
                let target = json!({ "operationId": link.to, "parameters": parameters });
                (link.to.to_owned(), target)
            })
            .collect();
        if !links.is_empty() {
            operation["responses"]["200"]["links"] = links.into();
        }
    }
    let schemas = &mut document["components"]["schemas"];
    schemas["NewSpreadRule"]["oneOf"] = json!([
        {
            "properties": { "rule": { "const": "fixed" }, "weights": { "type": "object" } },
            "required": ["weights"],
        },
        {
            "properties": {
                "rule": { "enum": ["proportional", "even"] },
                "weights": { "type": "null" },
            },
        },
    ]);
    schemas["ResourcePatch"]["anyOf"] = json!([
        { "required": ["tenant_id"] },
        { "required": ["cloud_project_id"] },
        { "properties": { "since": { "type": "null" } } },
    ]);
    schemas["ProjectPatch"]["anyOf"] = json!([
        { "required": ["tenant_id"] },
        { "properties": { "tenant_since": { "type": "null" } } },
    ]);
    Ok(document)
}

/// Returns this OpenAPI document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    tag = "health",
    responses((status = OK, body = Object, description = "The document, OpenAPI 3.1"))
)]
pub(crate) async fn show(State(state): State<ApiState>) -> Json<Arc<Value>> {
    Json(state.openapi)
}
