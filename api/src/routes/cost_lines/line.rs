//! A line of a bill, as it is shown.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use store::invoices::LineShare;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::usd::Usd;

/// A line of an invoice or of an estimate; the amount in USD.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct CostLine {
    id: Uuid,
    /// `id` of the invoice; null for a line of an estimate.
    invoice_id: Option<Uuid>,
    /// `invoice_uuid` of the invoice; null for a line of an estimate.
    invoice_uuid: Option<Uuid>,
    /// Whether it is a line of the open month's estimate, which the invoice will replace.
    is_estimate: bool,
    /// Whether a correction of the invoice took it away; it counts nowhere then.
    superseded: bool,
    /// The first of the month.
    period: NaiveDate,
    /// 1 for the first line of the file.
    line_no: i32,
    product: String,
    /// The kind of resource it paid for; null where it paid for none or the product is not known.
    kind: Option<String>,
    group_description: String,
    description: String,
    hours: Option<Decimal>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    /// Negative for credits.
    amount: Usd,
    /// The project's name when it was billed.
    project_name: String,
    category: Option<String>,
    /// `product_charges`, `overages`, `taxes` or `credits_and_adjustments`; null for a superseded line.
    part: Option<String>,
    /// Taken out of the description or the group.
    resource_name: Option<String>,
    /// As the description gives it.
    region: Option<String>,
    /// As the description gives it.
    size: Option<String>,
    /// The number by which DigitalOcean names the resource.
    provider_resource_id: Option<String>,
    /// The uuid by which DigitalOcean names the resource.
    provider_resource_uuid: Option<String>,
    /// The resource in the inventory, where one was found.
    resource_id: Option<Uuid>,
    /// How, by trust: `operator`; `uuid` and `id`, which DigitalOcean names; `group`; `name`, with kind, region or size, and
    /// lifetime; `project`, of several that these leave the only one that was in the project which the line names; `historic`, where the resource was gone before this mirror began; `account` for what no resource stands behind;
    /// `ambiguous`; `unmatched`.
    match_rule: String,
    /// Why, where the rule alone does not say it.
    match_note: Option<String>,
    /// `id` of each resource that has the name; of a line that is `ambiguous`, and of one that `project` decided.
    match_candidates: Option<Vec<Uuid>>,
    /// Whether all tenants bear it, since no resource stands behind it.
    is_shared: bool,
    /// Whose it is; null for nobody's, all tenants', and several tenants'.
    tenant_id: Option<String>,
    /// Whose how much is, of a line that is several tenants' by time: they come to the line. Null of every other line.
    shares: Option<Vec<Share>>,
    /// How that is known: `resource`, `project_name`, `first_known`, `none` or `shared`; null for a superseded line.
    attributed_by: Option<String>,
}

/// What one tenant bears of a line; USD.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct Share {
    /// Null for what is nobody's.
    tenant_id: Option<String>,
    amount: Usd,
}

impl From<store::invoices::CostLine> for CostLine {
    /// Of a split line, [`add_shares`] adds the shares.
    fn from(line: store::invoices::CostLine) -> Self {
        Self {
            id: line.id,
            invoice_id: line.invoice_id,
            invoice_uuid: line.invoice_uuid,
            is_estimate: line.is_estimate,
            superseded: false,
            period: line.period,
            line_no: line.line_no,
            product: line.product,
            kind: line.kind,
            group_description: line.group_description,
            description: line.description,
            hours: line.hours,
            start_at: line.start_at,
            end_at: line.end_at,
            amount: Usd(line.amount),
            project_name: line.project_name,
            category: line.category,
            part: line.part,
            resource_name: line.resource_name,
            region: line.region,
            size: line.size,
            provider_resource_id: line.item_resource_id,
            provider_resource_uuid: line.item_resource_uuid,
            resource_id: line.resource_id,
            match_rule: line.match_rule,
            match_note: line.match_note,
            match_candidates: line.match_candidates,
            is_shared: line.is_shared,
            tenant_id: line.tenant_id,
            shares: line.is_split.then(Vec::new),
            attributed_by: Some(line.attributed_by),
        }
    }
}

impl CostLine {
    /// Marks it as a line that counts no longer: how its owner was known is not kept.
    pub(in crate::routes) fn supersede(&mut self) {
        self.superseded = true;
        self.attributed_by = None;
    }
}

/// Which of the lines are several tenants'.
pub(in crate::routes) fn split_lines(lines: &[CostLine]) -> Vec<Uuid> {
    lines
        .iter()
        .filter(|line| line.shares.is_some())
        .map(|line| line.id)
        .collect()
}

/// Says of split lines whose how much is.
pub(in crate::routes) fn add_shares(lines: &mut [CostLine], shares: Vec<LineShare>) {
    let mut by_line: HashMap<Uuid, Vec<Share>> = HashMap::new();
    for share in shares {
        by_line.entry(share.line_id).or_default().push(Share {
            tenant_id: share.tenant_id,
            amount: Usd(share.amount),
        });
    }
    for line in lines {
        if let Some(shares) = by_line.remove(&line.id) {
            line.shares = Some(shares);
        }
    }
}
