//! Attributes cost lines to tenants. The rule is `domain::costs::attribute`.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::costs::{Attribution, Charge, Share, attribute};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::{end_of_month, start_of_month};
use super::histories::Histories;
use crate::StoreError;
use crate::locks::{self, Lock};

/// The lines to reallocate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Affected<'a> {
    Lines(&'a [Uuid]),
    OfResources(&'a [Uuid]),
    /// Lines of resources that were ever in these projects, and lines that name these projects.
    OfProjects(&'a [Uuid]),
}

/// Lines are reallocated in chunks of this size, to bound memory.
const LINES_PER_CHUNK: usize = 10_000;

/// The match rule of lines with an override.
pub(super) const OPERATOR: &str = "operator";

/// The fields of a stored line that attribution reads.
struct Line {
    id: Uuid,
    resource_id: Option<Uuid>,
    project_name: String,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    period: NaiveDate,
    amount: Decimal,
    tenant_id: Option<String>,
    is_split: bool,
    attributed_by: String,
    match_rule: String,
}

/// Recomputes the tenants of lines, and updates those that changed.
pub(crate) async fn reallocate(
    tx: &mut PgConnection,
    affected: Affected<'_>,
) -> Result<(), StoreError> {
    let lines = match affected {
        Affected::Lines([]) | Affected::OfResources([]) | Affected::OfProjects([]) => return Ok(()),
        Affected::Lines(lines) => lines.to_vec(),
        Affected::OfResources(resources) => {
            locks::acquire(tx, Lock::CostLines).await?;
            sqlx::query_scalar!(
                "select id from cloud_cost_lines where resource_id = any($1)",
                resources
            )
            .fetch_all(&mut *tx)
            .await?
        }
        Affected::OfProjects(projects) => {
            locks::acquire(tx, Lock::CostLines).await?;
            lines_of_projects(tx, projects).await?
        }
    };
    if lines.is_empty() {
        return Ok(());
    }
    let mut histories = Histories::of_projects(tx).await?;
    for chunk in lines.chunks(LINES_PER_CHUNK) {
        reallocate_chunk(tx, chunk, &mut histories).await?;
    }
    Ok(())
}

async fn lines_of_projects(
    tx: &mut PgConnection,
    projects: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let lines = sqlx::query_scalar!(
        r#"
        select line.id as "id!" from (
            select distinct lower(name) as name from cloud_project_names where cloud_project_id = any($1)
        ) named
        join cloud_cost_lines line on lower(line.project_name) = named.name
        where not line.is_shared
        union
        select line.id from (
            select distinct resource_id from cloud_project_memberships where cloud_project_id = any($1)
        ) member
        join cloud_cost_lines line on line.resource_id = member.resource_id
        union
        select line.id from (
            with recursive part as (
                select resource_id as id from cloud_resource_overrides where cloud_project_id = any($1)
                union
                select r.id from part join cloud_resources r on r.parent_id = part.id
            )
            select id from part
        ) overridden
        join cloud_cost_lines line on line.resource_id = overridden.id
        "#,
        projects,
    )
    .fetch_all(tx)
    .await?;
    Ok(lines)
}

/// Returns the start of the earliest charge that the tenant of a project affects.
pub(crate) async fn first_charge_of_project(
    tx: &mut PgConnection,
    project: Uuid,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let lines = lines_of_projects(tx, &[project]).await?;
    let first = sqlx::query_scalar!(
        "select min(coalesce(start_at, bill_period::timestamp at time zone 'UTC')) from cloud_cost_lines where id = any($1)",
        &lines
    )
    .fetch_one(tx)
    .await?;
    Ok(first)
}

async fn reallocate_chunk(
    tx: &mut PgConnection,
    ids: &[Uuid],
    histories: &mut Histories,
) -> Result<(), StoreError> {
    let lines = sqlx::query_as!(
        Line,
        "select id, resource_id, project_name, start_at, end_at, bill_period as period, amount, tenant_id, is_split, attributed_by, match_rule
         from cloud_cost_lines where id = any($1) and not is_shared order by id",
        ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    let split = sqlx::query!(
        "select share.line_id, share.tenant_id, share.amount from cloud_cost_line_shares share
         where share.line_id = any($1) order by share.line_id, share.tenant_id nulls first",
        ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut shares: BTreeMap<Uuid, Vec<Share>> = BTreeMap::new();
    for row in split {
        shares.entry(row.line_id).or_default().push(Share {
            tenant_id: row.tenant_id,
            amount: row.amount,
        });
    }
    let resources = lines.iter().filter_map(|line| line.resource_id);
    histories.load_resources(tx, resources).await?;

    let mut changed: Vec<(Uuid, Attribution)> = Vec::new();
    let mut without_shares: Vec<Uuid> = Vec::new();
    for line in &lines {
        let attribution = attribute(
            &Charge {
                amount: line.amount,
                start: line.start_at.unwrap_or_else(|| start_of_month(line.period)),
                end: line.end_at.unwrap_or_else(|| end_of_month(line.period)),
                resource: line.resource_id.and_then(|id| histories.resources.get(&id)),
                project_name: &line.project_name,
                is_matched_by_operator: line.match_rule == OPERATOR,
            },
            &histories.projects,
        );
        let before = shares.remove(&line.id).unwrap_or_else(|| {
            vec![Share {
                tenant_id: line.tenant_id.clone(),
                amount: line.amount,
            }]
        });
        let is_same = line.attributed_by == attribution.basis.as_str()
            && line.is_split == (attribution.shares.len() > 1)
            && before == attribution.shares;
        if !is_same {
            if line.is_split {
                without_shares.push(line.id);
            }
            changed.push((line.id, attribution));
        }
    }
    // The remaining shares are of lines that are shared costs now.
    without_shares.extend(shares.into_keys());
    store_attributions(tx, &without_shares, &changed).await
}

async fn store_attributions(
    tx: &mut PgConnection,
    without_shares: &[Uuid],
    changed: &[(Uuid, Attribution)],
) -> Result<(), StoreError> {
    if !without_shares.is_empty() {
        sqlx::query!(
            "delete from cloud_cost_line_shares where line_id = any($1)",
            without_shares
        )
        .execute(&mut *tx)
        .await?;
    }
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changed.iter().map(|(id, _)| *id).collect();
    let tenants: Vec<Option<&str>> = changed
        .iter()
        .map(|(_, attribution)| sole_tenant(attribution))
        .collect();
    let splits: Vec<bool> = changed
        .iter()
        .map(|(_, attribution)| attribution.shares.len() > 1)
        .collect();
    let bases: Vec<&str> = changed
        .iter()
        .map(|(_, attribution)| attribution.basis.as_str())
        .collect();
    sqlx::query!(
        "update cloud_cost_lines line set tenant_id = owner.tenant_id, is_split = owner.is_split, attributed_by = owner.basis
         from unnest($1::uuid[], $2::text[], $3::bool[], $4::text[]) as owner (id, tenant_id, is_split, basis)
         where line.id = owner.id",
        &ids,
        &tenants as &[Option<&str>],
        &splits,
        &bases as &[&str],
    )
    .execute(&mut *tx)
    .await?;
    store_shares(
        tx,
        changed.iter().map(|(id, attribution)| (*id, attribution)),
    )
    .await
}

/// Returns the tenant of a line that is not split.
pub(super) fn sole_tenant(attribution: &Attribution) -> Option<&str> {
    match attribution.shares.as_slice() {
        [only] => only.tenant_id.as_deref(),
        _ => None,
    }
}

/// Stores the shares of split lines. The lines must already be stored.
pub(super) async fn store_shares(
    tx: &mut PgConnection,
    attribution: impl Iterator<Item = (Uuid, &Attribution)>,
) -> Result<(), StoreError> {
    let mut lines = Vec::new();
    let mut tenants: Vec<Option<&str>> = Vec::new();
    let mut amounts = Vec::new();
    for (id, attribution) in attribution.filter(|(_, attribution)| attribution.shares.len() > 1) {
        for share in &attribution.shares {
            lines.push(id);
            tenants.push(share.tenant_id.as_deref());
            amounts.push(share.amount);
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into cloud_cost_line_shares (line_id, tenant_id, amount)
         select * from unnest($1::uuid[], $2::text[], $3::numeric[])",
        &lines,
        &tenants as &[Option<&str>],
        &amounts,
    )
    .execute(tx)
    .await?;
    Ok(())
}
