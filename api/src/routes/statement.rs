//! The route of one tenant's statement with its lines, as JSON, CSV or a workbook.

mod rows;

use std::str::FromStr;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use chrono::NaiveDate;
use domain::proof::Proof;
use rust_xlsxwriter::XlsxError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::Store;
use store::costs::{StatementDocument, StatementState};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{One, json_of};
use crate::extract::{InPath, Period, Query, optional};
use crate::problem::{BadRequest, NotFound, Problem};
use crate::{choices, notes, workbook};

pub(crate) use self::rows::adjustment_text;
use self::rows::rows_of;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(statement))
}

/// The tenant of the unallocated costs in a path. A tenant that begins with `~` has a second `~` in
/// front, so that no tenant has the segment of the unallocated costs.
pub(crate) const UNALLOCATED: &str = "~unallocated";

/// Returns the tenant of a decoded segment; `None` for the unallocated costs.
pub(crate) fn tenant_of(segment: &str) -> Option<&str> {
    if segment == UNALLOCATED {
        return None;
    }
    let escaped = segment.strip_prefix('~');
    Some(
        escaped
            .filter(|tenant| tenant.starts_with('~'))
            .unwrap_or(segment),
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    #[default]
    Json,
    Csv,
    Xlsx,
}

impl Format {
    const ALL: [(&str, Self); 3] = [
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("xlsx", Self::Xlsx),
    ];
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        choices::one_of("format", text, &Self::ALL)
    }
}

pub(crate) fn formats() -> RefOr<Schema> {
    choices::schema(Format::ALL.map(|(name, _)| name))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// Month of the statement.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Format; `json` by default. `csv` has the lines, direct and shared ones, and the
    /// adjustments; `xlsx` has the sheets statement, lines, shared costs, adjustments and checks.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = formats)]
    format: Option<Format>,
}

/// A statement, with its proof if the month is closed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Proven<D> {
    #[serde(flatten)]
    statement: D,
    /// The proof that the statement is part of the closed month; null for an open month.
    #[schema(schema_with = proof_schema)]
    proof: Option<Proof>,
}

/// Returns the schema of a proof; `docs/closing.md` describes how to verify it.
fn proof_schema() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let number = || ObjectBuilder::new().schema_type(Type::Integer);
    let object =
        || ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Null]));
    let signature = object()
        .property("public_key", text())
        .property("signature", text())
        .required("public_key")
        .required("signature");
    let proof = object()
        .description(Some(
            "The proof that the statement is part of the closed month; null for an open month.",
        ))
        .property("scheme", text())
        .property("root", text())
        .property("salt", text())
        .property("index", number())
        .property("leaves", number())
        .property("path", ArrayBuilder::new().items(text()))
        .property("signature", signature);
    ["scheme", "root", "salt", "index", "leaves", "path"]
        .into_iter()
        .fold(proof, ObjectBuilder::required)
        .into()
}

/// Returns the statement of a tenant in a month with all its lines
///
/// The path has the tenant, or `~unallocated` for the unallocated costs. As JSON, `data` of a
/// closed month has the same bytes each time, and a proof that other programs can verify.
#[utoipa::path(
    get,
    path = "/api/v1/billing/statements/{tenant}",
    operation_id = "get_statement",
    tag = "billing",
    security(("bearer" = [])),
    params(("tenant" = String, Path, description = "Tenant, or `~unallocated`"), StatementQuery),
    responses(
        (status = OK, body = One<Proven<StatementDocument>>, description = "The statement; amounts in USD"),
        BadRequest,
        NotFound,
    )
)]
async fn statement(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(segment): InPath<String>,
    Query(query): Query<StatementQuery>,
) -> Result<Response, Problem> {
    let tenant = tenant_of(&segment);
    let format = query.format.unwrap_or_default();
    respond(&state.store, admin, query.period.0, tenant, format).await
}

/// Returns the statement of a tenant in a format. `caller` is kept until the end of the body.
pub(crate) async fn respond(
    store: &Store,
    caller: impl Send + 'static,
    period: NaiveDate,
    tenant: Option<&str>,
    format: Format,
) -> Result<Response, Problem> {
    let statement = store.statement_document(period, tenant).await?;
    if let (StatementState::Open(_), Some(tenant)) = (&statement, tenant)
        && let Some(note) = notes::on_tenant(store, tenant).await?
    {
        return Err(Problem::NotFound(note.detail));
    }
    let file = FileName::new("statement").month(period);
    let file = file.with(Some(tenant.unwrap_or("unallocated")));
    match format {
        Format::Json => json_of_statement(statement, file),
        Format::Csv => csv::whole(caller, file, rows_of(statement.document()?)),
        Format::Xlsx => xlsx(file, statement.document()?, workbook::of_statement).await,
    }
}

/// Returns a statement as JSON. That of a closed month is the text that is stored, with its proof.
pub(crate) fn json_of_statement<D: Serialize>(
    statement: StatementState<D>,
    file: FileName,
) -> Result<Response, Problem> {
    let mut response = match statement {
        StatementState::Open(statement) => json_of(One::now(Proven {
            statement,
            proof: None,
        })),
        StatementState::Closed(proven) => {
            let data = RawValue::from_string(proven.to_json()?)
                .map_err(|error| Problem::Internal(error.into()))?;
            json_of(One::now(data))
        }
    };
    let disposition = file.extension("json").disposition();
    response
        .headers_mut()
        .insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// Returns a statement as a workbook.
pub(crate) async fn xlsx<D: Send + 'static>(
    file: FileName,
    document: D,
    encode: fn(&D) -> Result<Vec<u8>, XlsxError>,
) -> Result<Response, Problem> {
    let encoding = tokio::task::spawn_blocking(move || encode(&document));
    let bytes = encoding
        .await
        .map_err(|error| Problem::Internal(error.into()))?
        .map_err(|error| Problem::Internal(error.into()))?;
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(workbook::MEDIA_TYPE));
    headers.insert(CONTENT_DISPOSITION, file.extension("xlsx").disposition());
    Ok(response)
}
