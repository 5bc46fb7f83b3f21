//! `/exports/focus`: the FOCUS files of a month, and the links to them.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::NaiveDate;
use domain::focus::{Dataset, Version};

use super::format::month;
use super::page::PageProblem;
use super::session::AdminViewer;
use crate::ApiState;
use crate::extract::Query;
use crate::problem::Problem;
use crate::routes::focus::{FocusQuery, export_month};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/exports/focus", get(focus))
}

async fn focus(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    query: Result<Query<FocusQuery>, Problem>,
) -> Result<Response, PageProblem> {
    let Query(query) = query?;
    Ok(export_month(&state.store, viewer, query).await?)
}

/// A dataset of a month with its files.
pub(super) struct ExportRow {
    pub(super) name: String,
    pub(super) links: Vec<ExportLink>,
}

pub(super) struct ExportLink {
    pub(super) label: String,
    pub(super) path: String,
}

/// Returns the files of a month.
pub(super) fn files_of(
    period: NaiveDate,
    has_invoices: bool,
    has_estimate: bool,
) -> Vec<ExportRow> {
    let lines = "one row for each line";
    let (costs, details) = (Dataset::CostAndUsage, Dataset::InvoiceDetail);
    let rows = [
        (has_invoices, costs, lines, ""),
        (
            has_invoices,
            costs,
            "one row for each tenant's share",
            "&rows=shares",
        ),
        (has_estimate, costs, "estimate", "&estimates=true"),
        (
            has_estimate,
            costs,
            "estimate, shares",
            "&estimates=true&rows=shares",
        ),
        (has_invoices, details, "totals of each invoice", ""),
        (true, Dataset::BillingPeriod, "state of the month", ""),
    ];
    let shown = rows.into_iter().filter(|(is_shown, ..)| *is_shown);
    shown
        .map(|(_, dataset, text, parameters)| ExportRow {
            name: format!("{}, {text}", dataset.title()),
            links: links(period, dataset, parameters),
        })
        .collect()
}

fn links(period: NaiveDate, dataset: Dataset, parameters: &str) -> Vec<ExportLink> {
    let versions = Version::ALL.into_iter();
    let versions = versions.filter(|version| dataset.is_in(*version));
    let formats = [("csv", "CSV"), ("parquet", "Parquet")];
    versions
        .flat_map(|version| formats.map(|format| (version.as_str(), format)))
        .map(|(version, (format, label))| ExportLink {
            label: format!("{label} {version}"),
            path: format!(
                "/exports/focus?period={}&dataset={}&version={version}&format={format}{parameters}",
                month(period),
                dataset.as_str()
            ),
        })
        .collect()
}
