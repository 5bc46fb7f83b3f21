//! Routes of the FOCUS export: the datasets of a month as files, and their metadata.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::focus::{
    BILLING_PERIOD, COST_AND_USAGE, Column, Dataset, INVOICE_DETAIL, Rows, Version,
};
use export::{ExportError, Metadata, Recency};
use serde::Deserialize;
use store::focus::FocusMonth;
use store::{Store, StoreError};
use utoipa::IntoParams;
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::choices;
use crate::csv::{FileName, MEDIA_TYPE as CSV};
use crate::download;
use crate::envelope::One;
use crate::extract::{Period, Query, optional};
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(file))
        .routes(routes!(metadata))
}

/// The media type of Parquet.
pub(crate) const PARQUET: &str = "application/vnd.apache.parquet";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Parquet,
}

impl Format {
    const ALL: [(&str, Self); 2] = [("csv", Self::Csv), ("parquet", Self::Parquet)];
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        choices::one_of("format", text, &Self::ALL)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FocusQuery {
    /// Month of the bill.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Dataset; `cost-and-usage` by default.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = datasets)]
    dataset: Option<Dataset>,
    /// Version of FOCUS; `1.4` by default. `1.2` has `cost-and-usage` only.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = versions)]
    version: Option<Version>,
    /// Rows of `cost-and-usage`: `lines`, by default; or `shares`, one for each tenant's share of a
    /// line. Both total the invoices.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = rows)]
    rows: Option<Rows>,
    /// Format of the file; `csv` by default.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = formats)]
    format: Option<Format>,
    /// True for the estimated lines of an open month, in `cost-and-usage`. Without it, the file has
    /// the lines of invoices only.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = bool, default = false)]
    estimates: Option<bool>,
}

fn datasets() -> RefOr<Schema> {
    choices::schema(Dataset::ALL.map(Dataset::as_str))
}

fn versions() -> RefOr<Schema> {
    choices::schema(Version::ALL.map(Version::as_str))
}

fn rows() -> RefOr<Schema> {
    choices::schema(Rows::ALL.map(Rows::as_str))
}

fn formats() -> RefOr<Schema> {
    choices::schema(Format::ALL.map(|(name, _)| name))
}

impl FocusQuery {
    /// Refuses parameters that would have no effect.
    fn check(&self) -> Result<(), Problem> {
        let (dataset, version) = (self.dataset.unwrap_or_default(), self.version());
        if !dataset.is_in(version) {
            return Err(Problem::InvalidParameter(format!(
                "dataset: FOCUS {} has no {}: use version={}",
                version.as_str(),
                dataset.as_str(),
                Version::default().as_str()
            )));
        }
        let is_set = [
            ("rows", self.rows.is_some()),
            ("estimates", self.estimates.is_some()),
        ];
        let unused = is_set.into_iter().find(|(_, is_set)| *is_set);
        match unused.filter(|_| dataset != Dataset::CostAndUsage) {
            Some((name, _)) => Err(Problem::InvalidParameter(format!(
                "{name}: only for dataset=cost-and-usage: omit it"
            ))),
            None => Ok(()),
        }
    }

    fn version(&self) -> Version {
        self.version.unwrap_or_default()
    }

    fn file_name(&self) -> FileName {
        let Period(period) = self.period;
        let dataset = self.dataset.unwrap_or_default();
        let name = format!("focus-{}-{}", self.version().as_str(), dataset.as_str());
        let rows = self.rows.filter(|rows| *rows != Rows::default());
        let estimate = self.estimates.filter(|estimates| *estimates);
        let name = FileName::new(&name)
            .month(period)
            .with(rows.map(Rows::as_str))
            .with(estimate.map(|_| "estimate"));
        match self.format {
            Some(Format::Parquet) => name.extension("parquet"),
            _ => name,
        }
    }
}

/// Returns a dataset of a month in the format of FOCUS, as a file
///
/// The rows of `cost-and-usage` total the invoices of the month. A file is of one state of the
/// database. The connection is aborted if it cannot be written to completion. CSV is compressed if
/// the header `accept-encoding` permits gzip.
#[utoipa::path(
    get,
    path = "/api/v1/billing/focus",
    operation_id = "export_focus",
    tag = "billing",
    security(("bearer" = [])),
    params(FocusQuery),
    responses(
        (
            status = OK,
            description = "The file",
            content((String = "text/csv"), (String = "application/vnd.apache.parquet"))
        ),
        BadRequest,
    )
)]
async fn file(
    admin: Admin,
    State(state): State<ApiState>,
    Query(query): Query<FocusQuery>,
) -> Result<Response, Problem> {
    export_month(&state.store, admin, query).await
}

/// Returns the file of a query. `caller` is kept until its end.
pub(crate) async fn export_month(
    store: &Store,
    caller: impl Send + 'static,
    query: FocusQuery,
) -> Result<Response, Problem> {
    query.check()?;
    let Period(period) = query.period;
    let mut month = store.focus_month(period).await?;
    let version = query.version();
    match query.dataset.unwrap_or_default() {
        Dataset::CostAndUsage => {
            let (rows, estimates) = (query.rows.unwrap_or_default(), query.estimates);
            let mut pages = month.cost_rows(rows, estimates.unwrap_or_default());
            // An error of the first page is a problem document.
            let first = pages
                .next()
                .await
                .transpose()
                .map(|page| page.map_err(Problem::from));
            let first = first.transpose()?;
            let further = std::iter::from_fn(move || pages.blocking_next().transpose());
            let pages = first.map(Ok).into_iter().chain(further);
            Ok(respond(
                caller,
                &query,
                Column::of(COST_AND_USAGE, version),
                pages,
            ))
        }
        Dataset::InvoiceDetail => {
            let details = month.invoice_details().await?;
            let columns = Column::of(INVOICE_DETAIL, version);
            Ok(respond(
                caller,
                &query,
                columns,
                std::iter::once(Ok(details)),
            ))
        }
        Dataset::BillingPeriod => {
            let row = vec![month.billing_period()];
            let columns = Column::of(BILLING_PERIOD, version);
            Ok(respond(caller, &query, columns, std::iter::once(Ok(row))))
        }
    }
}

fn respond<R: Send + 'static>(
    caller: impl Send + 'static,
    query: &FocusQuery,
    columns: Vec<&'static Column<R>>,
    pages: impl Iterator<Item = Result<Vec<R>, StoreError>> + Send + 'static,
) -> Response {
    let (format, media_type) = match query.format {
        Some(Format::Parquet) => (export::Format::Parquet, PARQUET),
        _ => (export::Format::Csv, CSV),
    };
    let write = move |out: &mut download::ChunkWriter| -> Result<(), ExportError> {
        export::write(format, &columns, pages, out)?;
        Ok(())
    };
    download::respond(caller, query.file_name(), media_type, write)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MetadataQuery {
    /// Month of the bill.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Version of FOCUS; `1.4` by default.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = versions)]
    version: Option<Version>,
    /// Rows of `cost-and-usage`; `lines` by default.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = rows)]
    rows: Option<Rows>,
}

/// Returns the metadata of a month's datasets: columns, delivery, and the state of the data
#[utoipa::path(
    get,
    path = "/api/v1/billing/focus/metadata",
    operation_id = "show_focus_metadata",
    tag = "billing",
    security(("bearer" = [])),
    params(MetadataQuery),
    responses((status = OK, body = One<Metadata>, description = "The metadata"), BadRequest)
)]
async fn metadata(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<MetadataQuery>,
) -> Result<Json<One<Metadata>>, Problem> {
    let Period(period) = query.period;
    let month: FocusMonth = state.store.focus_month(period).await?;
    let rows = query.rows.unwrap_or_default();
    let version = query.version.unwrap_or_default();
    Ok(Json(One::now(metadata_of(&month, version, rows))))
}

/// Returns the metadata of the files of a month.
pub fn metadata_of(month: &FocusMonth, version: Version, rows: Rows) -> Metadata {
    let recency = Recency {
        billing_period_start: month.period,
        last_updated_at: month.updated_at,
        exported_at: month.read_at,
        is_complete: month.statements.is_final(),
        reasons: month.statements.open_reasons(),
        inventory_listed_at: month.inventory_listed_at,
    };
    Metadata::new(env!("CARGO_PKG_VERSION"), version, rows, recency)
}
