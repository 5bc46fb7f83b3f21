//! Costs of one tenant, for that tenant: its parts only, without names of other tenants, their
//! projects and resources.
//!
//! The allocation of shared costs depends on the costs of all tenants. It is computed here, so that
//! callers receive the parts of one tenant only.

use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use domain::costs::{allocate, allocate_each};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::by_tenant::costs_by_tenant;
use super::{BilledNames, CloseOfStatement, GroupBy, ProductCost, SharedCosts, Statements};
use crate::{Store, StoreError};

/// The costs of a tenant in a month; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnStatement {
    pub direct: Decimal,
    /// Its allocated part of the shared costs.
    pub shared: Decimal,
    /// Its adjustments for closed months.
    pub adjusted: Decimal,
    /// The close of the month; `None` if it is open.
    pub close: Option<CloseOfStatement>,
    /// `proportional`, `even` or `fixed`, without weights: they name other tenants.
    pub rule: &'static str,
    pub is_estimate: bool,
    /// True if the month can be closed.
    pub is_final: bool,
    /// The earliest last verification of the month's invoices; `None` if one of them was never
    /// verified, and for an estimate.
    pub verified_at: Option<DateTime<Utc>>,
    /// When the preview of the month was last read; `None` for billed costs.
    pub estimated_at: Option<DateTime<Utc>>,
}

/// The costs of one group of a tenant's costs in one month; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCost {
    pub period: NaiveDate,
    /// `None` for costs without a group, or with a group that the tenant may not know.
    pub group: Option<String>,
    pub direct: Decimal,
    /// The tenant's part of the shared costs: in the row of the tenant, else in the row without a
    /// group.
    pub shared: Decimal,
    pub is_estimate: bool,
    /// The name and the kind of a resource; only when grouped by resource.
    pub name: Option<String>,
    pub kind: Option<String>,
}

/// The tenant's parts of the shared lines of a month; USD. Parts of zero are omitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedParts {
    pub(crate) lines: Vec<Uuid>,
    pub(crate) parts: Vec<Decimal>,
}

impl Store {
    /// Returns the tenant's costs of a month; `None` if the month has no lines.
    pub async fn own_statement(
        &self,
        tenant: &TenantId,
        period: NaiveDate,
    ) -> Result<Option<OwnStatement>, StoreError> {
        let mut tx = self.snapshot().await?;
        let statements = super::read_statements(&mut tx, period).await?;
        read_own_statement(&mut tx, &statements, tenant).await
    }

    /// Lists the tenant's costs of the months `from` to `to`, inclusive, ordered by month and
    /// group.
    pub async fn own_costs(
        &self,
        tenant: &TenantId,
        by: GroupBy,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Vec<OwnCost>, StoreError> {
        let mut tx = self.snapshot().await?;
        let mut totals = costs_by_tenant(&mut tx, from, to).await?;
        totals.retain(|cost| cost.group.as_deref() == Some(tenant.as_str()));
        let mut costs = match by {
            GroupBy::Tenant => Vec::new(),
            GroupBy::Resource => direct_by_resource(&mut tx, tenant, from, to).await?,
            GroupBy::Project => direct_by_project(&mut tx, tenant, from, to).await?,
            GroupBy::Kind | GroupBy::Product => {
                direct_by_kind_or_product(&mut tx, tenant, by, from, to).await?
            }
        };
        for total in totals {
            let is_by_tenant = by == GroupBy::Tenant;
            if total.shared.is_zero() && !is_by_tenant {
                continue;
            }
            let without_group = costs
                .iter_mut()
                .find(|cost| cost.period == total.period && cost.group.is_none());
            match without_group {
                Some(cost) if !is_by_tenant => cost.shared = total.shared,
                _ => costs.push(OwnCost {
                    period: total.period,
                    group: total.group.filter(|_| is_by_tenant),
                    direct: if is_by_tenant {
                        total.direct
                    } else {
                        Decimal::ZERO
                    },
                    shared: total.shared,
                    is_estimate: total.is_estimate,
                    name: None,
                    kind: None,
                }),
            }
        }
        costs.sort_by(|one, other| (one.period, &one.group).cmp(&(other.period, &other.group)));
        Ok(costs)
    }

    /// Returns the tenant's part of each shared line of a month. They total its part of the shared
    /// costs, and the parts of all tenants total the line.
    pub async fn own_shared_parts(
        &self,
        tenant: &TenantId,
        period: NaiveDate,
    ) -> Result<SharedParts, StoreError> {
        let mut tx = self.snapshot().await?;
        read_shared_parts(&mut tx, tenant, period).await
    }

    /// Lists the tenant's costs of one resource, ordered by month; none if the resource is not the
    /// tenant's now. The figures are those of [`Store::own_costs`] by resource.
    pub async fn own_costs_of_resource(
        &self,
        tenant: &TenantId,
        resource: Uuid,
    ) -> Result<Vec<OwnCost>, StoreError> {
        let costs = sqlx::query_as!(
            OwnCost,
            r#"select line.bill_period as "period!", line.resource_id::text as "group",
                   sum(coalesce(share.amount, line.amount)) as "direct!", 0::numeric as "shared!",
                   bool_or(line.estimate_id is not null) as "is_estimate!", max(resource.name) as name, max(resource.kind) as kind
               from cloud_cost_lines line
               join cloud_resources resource on resource.id = line.resource_id and resource.tenant_id = $1
               left join cloud_cost_line_shares share on share.line_id = line.id and share.tenant_id = $1
               where line.resource_id = $2 and (line.tenant_id = $1 or (line.is_split and share.line_id is not null))
               group by 1, 2 order by 1"#,
            tenant.as_str(),
            resource,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(costs)
    }

    /// Returns the names by which the tenant's direct costs of a month are filtered.
    pub async fn own_names(
        &self,
        tenant: &TenantId,
        period: NaiveDate,
    ) -> Result<BilledNames, StoreError> {
        let names = sqlx::query_as!(
            BilledNames,
            r#"select coalesce(array_agg(distinct total.product), '{}') as "products!",
                   coalesce(array_agg(distinct had.name) filter (where had.name is not null), '{}') as "projects!",
                   coalesce(array_agg(distinct total.kind) filter (where total.kind is not null), '{}') as "kinds!"
               from cloud_cost_totals total
               left join cloud_tenant_project_names had on had.tenant_id = $1 and had.name = total.project_name
               where total.tenant_id = $1 and not total.is_shared and total.period = $2"#,
            tenant.as_str(),
            period,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(names)
    }
}

/// Reads the statement that [`Store::own_statement`] returns.
pub(crate) async fn read_own_statement(
    connection: &mut PgConnection,
    statements: &Statements,
    tenant: &TenantId,
) -> Result<Option<OwnStatement>, StoreError> {
    if statements.rows.is_empty() {
        return Ok(None);
    }
    let own = statements
        .rows
        .iter()
        .find(|row| row.tenant_id.as_deref() == Some(tenant.as_str()));
    let is_estimate = statements.is_estimate;
    let estimated_at = if is_estimate {
        open_estimate_read_at(connection, statements.period).await?
    } else {
        None
    };
    Ok(Some(OwnStatement {
        direct: own.map_or(Decimal::ZERO, |own| own.direct),
        shared: own.map_or(Decimal::ZERO, |own| own.shared),
        adjusted: own.map_or(Decimal::ZERO, |own| own.adjusted),
        close: statements.close,
        rule: statements.rule.name(),
        is_estimate,
        is_final: statements.is_final(),
        verified_at: statements.verification.verified_at.filter(|_| !is_estimate),
        estimated_at,
    }))
}

/// Reads the tenant's costs of an open month by product: its direct costs, and its parts of the
/// shared costs. Largest first; direct costs first.
pub(crate) async fn read_own_products(
    connection: &mut PgConnection,
    tenant: &TenantId,
    period: NaiveDate,
    shared: &SharedParts,
) -> Result<Vec<ProductCost>, StoreError> {
    let products = sqlx::query_as!(
        ProductCost,
        r#"select product as "product!", is_shared as "is_shared!", sum(amount) as "amount!", null::numeric as line_amount,
               sum(line_and_share_count)::bigint as "lines!"
           from (
               select product, false as is_shared, amount, line_and_share_count from cloud_cost_totals
               where tenant_id = $1 and not is_shared and period = $2
               union all
               select line.product, true, shared.part, 1 from unnest($3::uuid[], $4::numeric[]) shared (line_id, part)
               join cloud_cost_lines line on line.id = shared.line_id
           ) own
           group by is_shared, product
           order by is_shared, sum(amount) desc, product"#,
        tenant.as_str(),
        period,
        &shared.lines,
        &shared.parts,
    )
    .fetch_all(connection)
    .await?;
    Ok(products)
}

/// Reads the parts that [`Store::own_shared_parts`] returns.
pub(crate) async fn read_shared_parts(
    connection: &mut PgConnection,
    tenant: &TenantId,
    period: NaiveDate,
) -> Result<SharedParts, StoreError> {
    let SharedCosts {
        total,
        direct,
        rule,
    } = SharedCosts::read(&mut *connection, period).await?;
    let own = Some(tenant.to_string());
    if !allocate(Decimal::ONE, &direct, &rule).contains_key(&own) {
        return Ok(SharedParts::default());
    }
    let lines = sqlx::query!(
        "select line.id, line.amount from cloud_cost_lines line
         left join cloud_invoices invoice on invoice.id = line.invoice_id
         where line.bill_period = $1 and line.is_shared
         order by coalesce(invoice.invoice_uuid, line.estimate_id), line.line_no",
        period,
    )
    .fetch_all(connection)
    .await?;
    let amounts: Vec<Decimal> = lines.iter().map(|line| line.amount).collect();
    let parts = allocate_each(&amounts, total, &direct, &rule, &own);
    let (lines, parts) = lines
        .into_iter()
        .zip(parts)
        .filter(|(_, part)| !part.is_zero())
        .map(|(line, part)| (line.id, part))
        .unzip();
    Ok(SharedParts { lines, parts })
}

async fn direct_by_kind_or_product(
    connection: &mut PgConnection,
    tenant: &TenantId,
    by: GroupBy,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<OwnCost>, StoreError> {
    let costs = sqlx::query_as!(
        OwnCost,
        r#"select period, case when $4 then kind else product end as "group", sum(amount) as "direct!",
               0::numeric as "shared!", bool_or(is_estimate) as "is_estimate!", null::text as name, null::text as kind
           from cloud_cost_totals
           where tenant_id = $1 and not is_shared and period between $2 and $3
           group by 1, 2 order by 1, 2 nulls first"#,
        tenant.as_str(),
        from,
        to,
        by == GroupBy::Kind,
    )
    .fetch_all(connection)
    .await?;
    Ok(costs)
}

/// Names the projects that were the tenant's when they had the name. An override can attribute a
/// resource in the project of another tenant.
async fn direct_by_project(
    connection: &mut PgConnection,
    tenant: &TenantId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<OwnCost>, StoreError> {
    let costs = sqlx::query_as!(
        OwnCost,
        r#"select period, own.name as "group?", sum(amount) as "direct!", 0::numeric as "shared!",
               bool_or(is_estimate) as "is_estimate!", null::text as name, null::text as kind
           from cloud_cost_totals total
           left join cloud_tenant_project_names own on own.tenant_id = $1 and own.name = total.project_name
           where total.tenant_id = $1 and not is_shared and period between $2 and $3
           group by 1, 2 order by 1, 2 nulls first"#,
        tenant.as_str(),
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    Ok(costs)
}

/// Groups by the resources that are the tenant's now. A resource that no longer is has
/// DigitalOcean's id and the name on the invoice, unless the line is split with another tenant,
/// which can have renamed it.
async fn direct_by_resource(
    connection: &mut PgConnection,
    tenant: &TenantId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<OwnCost>, StoreError> {
    let costs = sqlx::query_as!(
        OwnCost,
        r#"select period as "period!", "group", sum(amount) as "direct!", 0::numeric as "shared!",
               bool_or(is_estimate) as "is_estimate!", case when "group" is not null then max(name) end as name,
               case when "group" is not null then max(kind) end as kind
           from (
               select line.bill_period as period, coalesce(share.amount, line.amount) as amount,
                   line.estimate_id is not null as is_estimate,
                   case when resource.id is not null then resource.id::text
                       when not line.is_split then coalesce(line.identified_kind, 'resource') || ':'
                           || coalesce(line.item_resource_uuid, line.item_resource_id) end as "group",
                   case when resource.id is not null then resource.name
                       when not line.is_split then line.resource_name end as name,
                   case when resource.id is not null then resource.kind
                       when not line.is_split then line.identified_kind end as kind
               from cloud_cost_lines line
               left join cloud_cost_line_shares share on share.line_id = line.id and share.tenant_id = $1
               left join cloud_resources resource on resource.id = line.resource_id and resource.tenant_id = $1
               where line.bill_period between $2 and $3
                 and (line.tenant_id = $1 or (line.is_split and share.line_id is not null))
           ) part
           group by 1, 2 order by 1, 2 nulls first"#,
        tenant.as_str(),
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    Ok(costs)
}

/// Returns when the preview of an open month was last read.
async fn open_estimate_read_at(
    connection: &mut PgConnection,
    period: NaiveDate,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let read_at = sqlx::query_scalar!(
        "select estimated_at from cloud_estimates where provider = 'digitalocean' and period = $1 and state = 'open'",
        period
    )
    .fetch_optional(connection)
    .await?;
    Ok(read_at)
}
