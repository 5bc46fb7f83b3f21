//! Costs by month and by tenant, project, kind, product or resource, and the reconciliation of the
//! books. Reads the totals that the database maintains.

pub(crate) mod effect;
mod months;
mod names;
mod overrides;
mod own;
mod products;
mod resources;
mod rule_changes;
mod rules;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::costs::{AllocationRule, allocate};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

pub use effect::{Effect, Measured, MonthEffect, TenantEffect};
pub use months::MonthSummary;
pub use names::{BilledNames, ProjectName, ResourceName};
pub use overrides::Override;
pub use own::{OwnCost, OwnStatement, SharedParts};
pub use products::{ProductCost, StatementLine};
pub use rules::StoredAllocationRule;

use crate::{Store, StoreError, usd};

/// The costs of one tenant in a month; USD. Without a tenant: the unallocated costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub tenant_id: Option<String>,
    /// The costs of the tenant's resources.
    pub direct: Decimal,
    /// Its allocated part of the shared costs.
    pub shared: Decimal,
}

impl Statement {
    pub fn total(&self) -> Decimal {
        self.direct + self.shared
    }
}

/// The costs of a month, allocated to tenants; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The number of invoices of which all totals reconcile.
    pub final_invoices: i64,
    /// The verification of the month's invoices.
    pub verification: Verification,
    /// True if the month's lines are an estimate.
    pub is_estimate: bool,
    pub rule: AllocationRule,
}

impl Statements {
    /// Returns the total of all statements; USD.
    pub fn total(&self) -> Decimal {
        self.rows.iter().map(Statement::total).sum()
    }

    /// Returns the total of the invoices minus the total of the statements (USD); `None` if the
    /// lines are an estimate or the month has no invoices.
    pub fn difference(&self) -> Option<Decimal> {
        let is_invoiced = self.invoices > 0 && !self.is_estimate;
        is_invoiced.then(|| self.invoice_total - self.total())
    }

    /// Returns true if the month can be closed: it has invoices, all are final, none is withdrawn,
    /// and the difference is zero.
    pub fn is_final(&self) -> bool {
        self.difference()
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
    /// verified. An invoice is verified when its documents are read and reconcile with the stored
    /// lines.
    pub verified_at: Option<DateTime<Utc>>,
    /// The time of the first failed check of an invoice with a failed last check; null if the last
    /// check of each invoice succeeded. A failed check does not unset `is_final`.
    pub not_verified_since: Option<DateTime<Utc>>,
    /// The last error of the invoice that has been unverified for the longest time.
    pub last_check_error: Option<String>,
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

/// Two totals that do not reconcile; USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Discrepancy {
    /// The first of the month.
    pub period: NaiveDate,
    /// `invoice_uuid` of the invoice, or the id of the estimate or of the line.
    pub bill: Uuid,
    /// The two totals that should be equal.
    pub what: String,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub expected: Decimal,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub found: Decimal,
    /// `expected` minus `found`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub off_by: Decimal,
}

type DirectCosts = BTreeMap<Option<String>, Decimal>;

/// The totals of a month before the allocation of shared costs.
#[derive(Debug, Default)]
struct Month {
    direct: DirectCosts,
    shared: Decimal,
    is_estimate: bool,
}

impl Store {
    /// Returns the statements of a month.
    pub async fn statements(&self, period: NaiveDate) -> Result<Statements, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let month = months(&mut connection, period, period)
            .await?
            .remove(&period)
            .unwrap_or_default();
        drop(connection);
        let rule = self.allocation_rule(period).await?;
        let invoices = sqlx::query!(
            r#"select coalesce(sum(amount), 0) as "amount!", count(*) as "invoices!", count(*) filter (where is_final) as "final!",
                   case when count(*) = count(verified_at) then min(verified_at) end as verified_at,
                   min(check_failed_since) as not_verified_since,
                   (array_agg(last_check_error order by check_failed_since, invoice_uuid)
                       filter (where check_failed_since is not null))[1] as last_check_error,
                   count(missing_since) as "withdrawn!", min(missing_since) as withdrawn_since
               from cloud_invoices where period = $1"#,
            period
        )
        .fetch_one(&self.pool)
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
                withdrawn_invoices: invoices.withdrawn,
                withdrawn_since: invoices.withdrawn_since,
            },
            is_estimate: month.is_estimate,
            rule,
        })
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
                let mut connection = self.pool.acquire().await?;
                costs_by_tenant(&mut connection, from, to).await
            }
            GroupBy::Resource => self.costs_by_resource(from, to).await,
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

    /// Lists the totals that do not reconcile, at most 100.
    pub async fn cost_discrepancies(&self) -> Result<Vec<Discrepancy>, StoreError> {
        let discrepancies = sqlx::query_as!(
            Discrepancy,
            r#"select period as "period!", bill as "bill!", what as "what!", expected as "expected!", found as "found!",
                   expected - found as "off_by!"
               from cloud_cost_discrepancies order by period desc, bill limit 100"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(discrepancies)
    }
}

async fn months(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<BTreeMap<NaiveDate, Month>, StoreError> {
    let totals = sqlx::query!(
        r#"select period, is_shared, tenant_id, sum(amount) as "amount!", bool_or(is_estimate) as "is_estimate!"
           from cloud_cost_totals where period between $1 and $2 group by period, is_shared, tenant_id"#,
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    let mut months: BTreeMap<NaiveDate, Month> = BTreeMap::new();
    for total in totals {
        let month = months.entry(total.period).or_default();
        month.is_estimate |= total.is_estimate;
        if total.is_shared {
            month.shared += total.amount;
        } else {
            *month.direct.entry(total.tenant_id).or_default() += total.amount;
        }
    }
    Ok(months)
}

/// Returns the totals of tenants by month, with shared costs allocated by the month's rule.
async fn costs_by_tenant(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<Cost>, StoreError> {
    let months = months(&mut *connection, from, to).await?;
    let rules = rules::read(connection).await?;
    let mut costs = Vec::new();
    for (period, month) in months {
        let rule = rules::rule_for(&rules, period);
        costs.extend(allocate_month(&month, &rule).into_iter().map(|row| Cost {
            period,
            group: row.tenant_id,
            direct: row.direct,
            shared: row.shared,
            is_estimate: month.is_estimate,
            billed: None,
        }));
    }
    Ok(costs)
}

fn allocate_month(month: &Month, rule: &AllocationRule) -> Vec<Statement> {
    let mut rows: BTreeMap<Option<String>, Statement> = BTreeMap::new();
    let mut row_of = |tenant: &Option<String>, direct: Decimal, shared: Decimal| {
        let row = rows.entry(tenant.clone()).or_insert_with(|| Statement {
            tenant_id: tenant.clone(),
            direct: Decimal::ZERO,
            shared: Decimal::ZERO,
        });
        row.direct += direct;
        row.shared += shared;
    };
    for (tenant, direct) in &month.direct {
        row_of(tenant, *direct, Decimal::ZERO);
    }
    for (tenant, shared) in allocate(month.shared, &month.direct, rule) {
        row_of(&tenant, Decimal::ZERO, shared);
    }
    rows.into_values().collect()
}
