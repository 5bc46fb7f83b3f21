//! The rows of a statement as CSV.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use store::Usd;
use store::costs::{Adjustment, DirectLine, SharedLine, StatementDocument};
use utoipa::ToSchema;
use uuid::Uuid;

/// A row of a statement as CSV: a line, or an adjustment for a closed month; USD.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct StatementRow {
    period: NaiveDate,
    /// Empty for the unallocated costs.
    tenant_id: Option<String>,
    /// `direct`, `shared` or `adjustment`.
    costs: &'static str,
    /// Empty for a line of the estimate, as the version and the content hash.
    invoice_uuid: Option<Uuid>,
    invoice_version: Option<i32>,
    content_hash: Option<String>,
    line_no: Option<i32>,
    line_id: Option<Uuid>,
    product: Option<String>,
    description: String,
    resource_id: Option<Uuid>,
    resource_name: Option<String>,
    project_name: Option<String>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    match_rule: Option<String>,
    /// The closed month of an adjustment.
    adjusted_period: Option<NaiveDate>,
    /// Whole line.
    line_amount: Option<Usd>,
    /// Part of the tenant.
    amount: Usd,
}

impl From<DirectLine> for StatementRow {
    fn from(line: DirectLine) -> Self {
        Self {
            costs: "direct",
            invoice_uuid: line.invoice_uuid,
            line_no: Some(line.line_no),
            line_id: Some(line.id),
            product: Some(line.product),
            description: line.description,
            resource_id: line.resource_id,
            resource_name: line.resource_name,
            project_name: Some(line.project_name),
            start_at: line.start_at,
            end_at: line.end_at,
            match_rule: Some(line.match_rule),
            line_amount: Some(Usd(line.line_amount)),
            amount: Usd(line.amount),
            ..Self::default()
        }
    }
}

impl From<SharedLine> for StatementRow {
    fn from(line: SharedLine) -> Self {
        Self {
            costs: "shared",
            invoice_uuid: line.invoice_uuid,
            line_no: Some(line.line_no),
            line_id: Some(line.id),
            product: Some(line.product),
            description: line.description,
            line_amount: Some(Usd(line.line_amount)),
            amount: Usd(line.amount),
            ..Self::default()
        }
    }
}

impl From<Adjustment> for StatementRow {
    fn from(adjustment: Adjustment) -> Self {
        Self {
            costs: "adjustment",
            description: adjustment_text(adjustment.period),
            adjusted_period: Some(adjustment.period),
            amount: Usd(adjustment.amount),
            ..Self::default()
        }
    }
}

/// Describes the adjustment for a closed month.
pub(crate) fn adjustment_text(period: NaiveDate) -> String {
    format!("adjustment for {}", period.format("%Y-%m"))
}

/// Returns the rows of the CSV: the direct lines, the parts of the shared ones, the adjustments.
pub(super) fn rows_of(document: StatementDocument) -> Vec<StatementRow> {
    let direct = document.lines.into_iter().map(StatementRow::from);
    let shared = document.shared_lines.into_iter().map(StatementRow::from);
    let adjustments = document.adjustments.into_iter().map(StatementRow::from);
    let mut rows: Vec<StatementRow> = direct.chain(shared).chain(adjustments).collect();
    for row in &mut rows {
        row.period = document.period;
        row.tenant_id.clone_from(&document.tenant_id);
        let mut invoices = document.invoices.iter();
        let invoice = invoices.find(|invoice| Some(invoice.invoice_uuid) == row.invoice_uuid);
        if let Some(invoice) = invoice {
            row.invoice_version = Some(invoice.version);
            row.content_hash.clone_from(&invoice.content_hash);
        }
    }
    rows
}
