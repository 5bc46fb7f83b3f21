//! Costs of one tenant, for that tenant: its parts only, without names of other tenants, their
//! projects and resources.
//!
//! The allocation of shared costs depends on the costs of all tenants. It is computed here, so that
//! callers receive the parts of one tenant only.

use chrono::NaiveDate;
use domain::TenantId;
use domain::costs::{allocate, allocate_each};
use rust_decimal::Decimal;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::{GroupBy, Month, costs_by_tenant, months, rules};
use crate::{Store, StoreError};

/// The costs of a tenant in a month; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnStatement {
    pub direct: Decimal,
    /// Its allocated part of the shared costs.
    pub shared: Decimal,
    /// `proportional`, `even` or `fixed`, without weights: they name other tenants.
    pub rule: &'static str,
    pub is_estimate: bool,
    /// True if the month can be closed.
    pub is_final: bool,
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
    /// Begins a transaction of which all statements read the same state.
    async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begin = "begin isolation level repeatable read read only";
        Ok(self.pool.begin_with(begin).await?)
    }

    /// Returns the tenant's costs of a month; `None` if the month has no lines.
    pub async fn own_statement(
        &self,
        tenant: &TenantId,
        period: NaiveDate,
    ) -> Result<Option<OwnStatement>, StoreError> {
        let statements = self.statements(period).await?;
        if statements.rows.is_empty() {
            return Ok(None);
        }
        let own = statements
            .rows
            .iter()
            .find(|row| row.tenant_id.as_deref() == Some(tenant.as_str()));
        Ok(Some(OwnStatement {
            direct: own.map_or(Decimal::ZERO, |own| own.direct),
            shared: own.map_or(Decimal::ZERO, |own| own.shared),
            rule: statements.rule.name(),
            is_estimate: statements.is_estimate,
            is_final: statements.is_final(),
        }))
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
        let Month { direct, shared, .. } = months(&mut tx, period, period)
            .await?
            .remove(&period)
            .unwrap_or_default();
        let rule = rules::rule_for(&rules::read(&mut tx).await?, period);
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
        .fetch_all(&mut *tx)
        .await?;
        let amounts: Vec<Decimal> = lines.iter().map(|line| line.amount).collect();
        let parts = allocate_each(&amounts, shared, &direct, &rule, &own);
        let (lines, parts) = lines
            .into_iter()
            .zip(parts)
            .filter(|(_, part)| !part.is_zero())
            .map(|(line, part)| (line.id, part))
            .unzip();
        Ok(SharedParts { lines, parts })
    }
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
