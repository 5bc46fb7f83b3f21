//! Costs by month and by tenant, project, kind, product or resource. Reads the totals that the
//! database maintains, and the statements of closed months.

mod by_tenant;
mod checks;
pub(crate) mod closes;
pub(crate) mod document;
pub(crate) mod effect;
pub(crate) mod largest;
mod months;
mod names;
mod orphans;
mod overrides;
pub(crate) mod own;
pub(crate) mod products;
mod resources;
mod rule_changes;
mod rules;
mod shared;

use chrono::{DateTime, NaiveDate, Utc};
use domain::costs::AllocationRule;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;

pub use checks::Discrepancy;
pub use closes::{
    Adjustment, AdjustmentCause, Audience, CloseFile, CloseOfStatement, Correction, MonthClose,
    ProvenStatement, StatementState,
};
pub use document::{
    DirectLine, SharedLine, StatementCheck, StatementDocument, StatementInvoice, Weight,
};
pub use effect::{Effect, Measured, MonthEffect, TenantEffect};
pub use largest::{CostChange, LargestCosts, MonthComparison, MonthTotal};
pub use months::{AdjacentMonths, CloseOfMonth, MonthState, MonthSummary};
pub use names::{BilledNames, ProjectName, ResourceName};
pub use orphans::{AfterOrphan, OrphanedOverride};
pub use overrides::Override;
pub use own::{OwnCost, OwnStatement, SharedParts};
pub use products::{ProductCost, StatementDetail};
pub use resources::AfterGroup;
pub use rules::StoredAllocationRule;
pub(crate) use shared::SharedCosts;

use self::by_tenant::{allocate_month, costs_by_tenant, months};
use crate::{Store, StoreError};

/// The costs of one tenant in a month; USD. Without a tenant: the unallocated costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub tenant_id: Option<String>,
    /// The costs of the tenant's resources.
    pub direct: Decimal,
    /// Its allocated part of the shared costs.
    pub shared: Decimal,
    /// Its adjustments for closed months, which are no costs of this month.
    pub adjusted: Decimal,
}

impl Statement {
    /// Returns the costs of the month; USD.
    pub fn costs(&self) -> Decimal {
        self.direct + self.shared
    }

    /// Returns the costs and the adjustments; USD.
    pub fn total(&self) -> Decimal {
        self.costs() + self.adjusted
    }
}

/// The costs of a month, allocated to tenants; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate fact of the month"
)]
pub struct Statements {
    /// The first of the month.
    pub period: NaiveDate,
    /// One statement per tenant, ordered by name, unallocated costs first.
    pub rows: Vec<Statement>,
    /// The total of the month's lines, which the rows add up to.
    pub line_total: Decimal,
    /// The total of the month's invoices, as their headers state it.
    pub invoice_total: Decimal,
    pub invoices: i64,
    /// The number of final invoices.
    pub final_invoices: i64,
    /// The verification of the month's invoices.
    pub verification: Verification,
    /// True if the month is over, by the clock of the database (UTC).
    pub is_over: bool,
    /// True if some of the month's lines are an estimate.
    pub is_estimate: bool,
    /// The estimated part of `line_total`; the rest is invoiced.
    pub estimated: Decimal,
    /// True if lines of the month wait for a reallocation: the statements total the lines, but mix
    /// tenants of before and after a change.
    pub is_reallocating: bool,
    pub rule: AllocationRule,
    /// The close of the month; `None` if it is open. The figures of a closed month are those at its
    /// close.
    pub close: Option<CloseOfStatement>,
    /// True if a correction of the invoices of the closed month waits for a decision.
    pub has_correction: bool,
    /// The adjustments for closed months, by closed month and tenant.
    pub adjustments: Vec<Adjustment>,
}

impl Statements {
    /// Returns the total of all statements; USD.
    pub fn total(&self) -> Decimal {
        self.rows.iter().map(Statement::total).sum()
    }

    /// Returns the total of all statements without adjustments; USD.
    pub fn costs(&self) -> Decimal {
        self.rows.iter().map(Statement::costs).sum()
    }

    /// Returns the total of the adjustments for closed months; USD. It is zero, unless a correction
    /// of a closed month was accepted.
    pub fn adjusted(&self) -> Decimal {
        self.rows.iter().map(|row| row.adjusted).sum()
    }

    /// Returns the part of the month's lines that is invoiced; USD.
    pub fn invoiced(&self) -> Decimal {
        self.line_total - self.estimated
    }

    /// Returns the total of the invoices minus the costs in the statements (USD); `None` if some
    /// lines are an estimate or the month has no invoices.
    pub fn difference(&self) -> Option<Decimal> {
        let is_invoiced = self.invoices > 0 && !self.is_estimate;
        is_invoiced.then(|| self.invoice_total - self.costs())
    }

    /// Lists the reasons why the month cannot be closed, the most important first; none if it is
    /// final.
    pub fn open_reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.is_over {
            reasons.push("the month is not over".to_owned());
        }
        if self.invoices == 0 {
            reasons.push("no invoice is stored".to_owned());
        }
        let open = self.invoices - self.final_invoices;
        if open > 0 {
            reasons.push(format!(
                "{open} of {} invoices are not final",
                self.invoices
            ));
        }
        let withdrawn = self.verification.withdrawn_invoices;
        if withdrawn > 0 {
            reasons.push(format!("{withdrawn} invoices are withdrawn"));
        }
        if self.is_estimate {
            reasons.push(format!("{} USD are estimated", self.estimated));
        }
        let difference = self.difference().unwrap_or_default();
        if !difference.is_zero() {
            reasons.push(format!("the lines are off by {difference} USD"));
        }
        if self.is_reallocating {
            reasons.push("tenants are being updated after a change".to_owned());
        }
        reasons
    }

    /// Returns true if every invoice is verified and the lines total them, also without any
    /// invoice: `DigitalOcean` may move all of them to another month.
    pub(crate) fn is_verified(&self) -> bool {
        !self.is_estimate
            && !self.is_reallocating
            && self.final_invoices == self.invoices
            && self.verification.withdrawn_invoices == 0
            && self.invoice_total == self.costs()
    }

    /// Adds an adjustment to the statement of its tenant.
    fn adjust(&mut self, adjustment: &Adjustment) {
        let tenant = &adjustment.tenant_id;
        match self.rows.binary_search_by(|row| row.tenant_id.cmp(tenant)) {
            Ok(place) => self.rows[place].adjusted += adjustment.amount,
            Err(place) => self.rows.insert(
                place,
                Statement {
                    tenant_id: tenant.clone(),
                    direct: Decimal::ZERO,
                    shared: Decimal::ZERO,
                    adjusted: adjustment.amount,
                },
            ),
        }
    }

    /// Returns true if the month can be closed: it is over and has invoices, all are final, none is
    /// withdrawn, the difference is zero, and no line waits for a reallocation.
    pub fn is_final(&self) -> bool {
        self.is_over
            && !self.is_reallocating
            && self
                .difference()
                .is_some_and(|difference| difference.is_zero())
            && self.final_invoices == self.invoices
            && self.verification.withdrawn_invoices == 0
    }
}

/// The verification of a month's invoices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verification {
    /// The earliest last verification of the month's invoices; null if one of them was never
    /// verified. An invoice is verified when its lines, header, summary and parts reconcile.
    pub verified_at: Option<DateTime<Utc>>,
    /// The time of the first failed check of an invoice with a failed last check; null if the last
    /// check of each invoice succeeded. A failed check does not unset `is_final`.
    pub not_verified_since: Option<DateTime<Utc>>,
    /// The last error of the invoice of which the checks have failed for the longest time.
    pub last_check_error: Option<String>,
    /// The number of ingested invoices that could not be verified, for example because DigitalOcean
    /// has no summary of them. No sum differs, but the month is not final.
    pub unverified_invoices: i64,
    /// The number of invoices that DigitalOcean no longer lists. Their lines still count, but the
    /// month is not final.
    pub withdrawn_invoices: i64,
    /// When the first of these invoices was missing.
    pub withdrawn_since: Option<DateTime<Utc>>,
}

/// The dimension by which costs are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    Tenant,
    /// The project name on the invoice.
    Project,
    Kind,
    Product,
    Resource,
}

impl GroupBy {
    /// Returns the name of the dimension.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Project => "project",
            Self::Kind => "kind",
            Self::Product => "product",
            Self::Resource => "resource",
        }
    }
}

/// The costs of one group in one month; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    pub period: NaiveDate,
    /// `None` for costs without a group.
    pub group: Option<String>,
    pub direct: Decimal,
    /// Its allocated part of the shared costs; only when grouped by tenant.
    pub shared: Decimal,
    pub is_estimate: bool,
    /// The name and the kind on the bill of a resource that is not stored; only when grouped by
    /// resource.
    pub billed: Option<BilledResource>,
}

/// A resource that is known only from a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledResource {
    pub name: Option<String>,
    pub kind: Option<String>,
}

impl Cost {
    pub fn total(&self) -> Decimal {
        self.direct + self.shared
    }
}

impl Store {
    /// Returns the statements of a month: those of its close, or those of today.
    pub async fn statements(&self, period: NaiveDate) -> Result<Statements, StoreError> {
        let mut tx = self.snapshot().await?;
        read_statements(&mut tx, period).await
    }

    /// Returns the statements of a month by its lines of today, also of a closed month, and without
    /// adjustments.
    pub async fn live_statements(&self, period: NaiveDate) -> Result<Statements, StoreError> {
        let mut tx = self.snapshot().await?;
        live_statements(&mut tx, period).await
    }

    /// Lists the costs of the months `from` to `to`, inclusive, ordered by month and group.
    pub async fn costs(
        &self,
        by: GroupBy,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Vec<Cost>, StoreError> {
        match by {
            GroupBy::Tenant => {
                let mut tx = self.snapshot().await?;
                costs_by_tenant(&mut tx, from, to).await
            }
            GroupBy::Resource => self.costs_by_resource(from, to, None, i64::MAX).await,
            GroupBy::Project | GroupBy::Kind | GroupBy::Product => {
                let costs = sqlx::query!(
                    r#"select period,
                           case $3 when 'project' then nullif(project_name, '') when 'kind' then kind else product end as group_name,
                           sum(amount) as "amount!", bool_or(is_estimate) as "is_estimate!"
                       from cloud_cost_totals where period between $1 and $2
                       group by 1, 2 order by 1, 2 nulls first"#,
                    from,
                    to,
                    by.name(),
                )
                .fetch_all(&self.pool)
                .await?;
                Ok(costs
                    .into_iter()
                    .map(|row| Cost {
                        period: row.period,
                        group: row.group_name,
                        direct: row.amount,
                        shared: Decimal::ZERO,
                        is_estimate: row.is_estimate,
                        billed: None,
                    })
                    .collect())
            }
        }
    }
}

/// Reads the statements of a month, which [`Store::statements`] returns: those of its close, or
/// those of today with the adjustments for closed months. All sums are of one state if the
/// connection is in a transaction of [`Store::snapshot`].
pub(crate) async fn read_statements(
    connection: &mut PgConnection,
    period: NaiveDate,
) -> Result<Statements, StoreError> {
    if let Some(frozen) = closes::frozen_statements(&mut *connection, period).await? {
        return Ok(frozen);
    }
    let mut statements = live_statements(&mut *connection, period).await?;
    statements.adjustments = closes::pending(connection, period).await?;
    for adjustment in statements.adjustments.clone() {
        statements.adjust(&adjustment);
    }
    Ok(statements)
}

/// Reads the statements by the lines of today, also of a closed month, without adjustments.
pub(crate) async fn live_statements(
    connection: &mut PgConnection,
    period: NaiveDate,
) -> Result<Statements, StoreError> {
    let month = months(&mut *connection, period, period)
        .await?
        .remove(&period)
        .unwrap_or_default();
    let rule = rules::rule_for(&rules::read(&mut *connection).await?, period);
    let invoices = sqlx::query!(
        r#"select coalesce(sum(amount), 0) as "amount!", count(*) as "invoices!", count(*) filter (where is_final) as "final!",
               case when count(*) = count(verified_at) then min(verified_at) end as verified_at,
               min(check_failed_since) as not_verified_since,
               (array_agg(last_check_error order by check_failed_since, invoice_uuid)
                   filter (where check_failed_since is not null))[1] as last_check_error,
               count(*) filter (where verification = 'unverified') as "unverified!",
               count(missing_since) as "withdrawn!", min(missing_since) as withdrawn_since,
               now() >= month_end($1) as "is_over!", is_reallocating($1) as "is_reallocating!"
           from cloud_invoices where period = $1"#,
        period
    )
    .fetch_one(connection)
    .await?;
    let line_total = month.direct.values().sum::<Decimal>() + month.shared;
    let rows = allocate_month(&month, &rule);
    Ok(Statements {
        period,
        rows,
        line_total,
        invoice_total: invoices.amount,
        invoices: invoices.invoices,
        final_invoices: invoices.r#final,
        verification: Verification {
            verified_at: invoices.verified_at,
            not_verified_since: invoices.not_verified_since,
            last_check_error: invoices.last_check_error,
            unverified_invoices: invoices.unverified,
            withdrawn_invoices: invoices.withdrawn,
            withdrawn_since: invoices.withdrawn_since,
        },
        is_over: invoices.is_over,
        is_estimate: month.is_estimate,
        estimated: month.estimated,
        is_reallocating: invoices.is_reallocating,
        rule,
        close: None,
        has_correction: false,
        adjustments: Vec::new(),
    })
}
