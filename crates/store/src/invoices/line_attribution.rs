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
use crate::reallocations::{self, Affected, Resources};

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

/// Recomputes the tenants of the affected lines, and updates those that changed. If they are more
/// than [`reallocations::AT_ONCE`], leaves them to the workflow `Reallocate`, and returns the id of
/// the reallocation.
pub(crate) async fn reallocate(
    tx: &mut PgConnection,
    affected: Affected<'_>,
) -> Result<Option<Uuid>, StoreError> {
    if affected.is_empty() {
        return Ok(None);
    }
    if are_many(tx, affected).await? {
        let left = reallocations::leave(tx, affected, Resources::Attributed).await?;
        return Ok(Some(left));
    }
    locks::acquire(tx, Lock::CostLines).await?;
    let lines = affected_lines(tx, affected).await?;
    reallocate_lines(tx, &lines).await?;
    Ok(None)
}

/// Recomputes the tenants of these lines, updates those that changed, and returns their number. The
/// caller holds the lock [`Lock::CostLines`], or shares it if no other transaction writes the
/// lines.
pub(crate) async fn reallocate_lines(
    tx: &mut PgConnection,
    lines: &[Uuid],
) -> Result<usize, StoreError> {
    if lines.is_empty() {
        return Ok(0);
    }
    let mut histories = Histories::of_projects(tx).await?;
    let mut changed = 0;
    for chunk in lines.chunks(LINES_PER_CHUNK) {
        let attributed = attribute_lines(tx, chunk, &mut histories).await?;
        changed += attributed.changed.len();
        store_attributions(tx, &attributed).await?;
    }
    Ok(changed)
}

/// The change of the costs of a tenant in one month, as [`measure`] returns it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Move {
    /// USD.
    pub(crate) amount: Decimal,
    /// The change of the number of lines and shares.
    pub(crate) lines_and_shares: i64,
}

/// The changes by month and tenant; no tenant for unallocated costs.
pub(crate) type Moves = BTreeMap<(NaiveDate, Option<String>), Move>;

/// Returns the costs that a reallocation of the affected lines would move, by the facts that the
/// transaction reads. Writes nothing and acquires no lock.
pub(crate) async fn measure(
    tx: &mut PgConnection,
    affected: Affected<'_>,
) -> Result<Moves, StoreError> {
    let mut moves = Moves::new();
    if affected.is_empty() {
        return Ok(moves);
    }
    let lines = affected_lines(tx, affected).await?;
    let mut histories = Histories::of_projects(tx).await?;
    for chunk in lines.chunks(LINES_PER_CHUNK) {
        let attributed = attribute_lines(tx, chunk, &mut histories).await?;
        for change in &attributed.changed {
            let mut add = |share: &Share, sign: i64| {
                let key = (change.period, share.tenant_id.clone());
                let of_tenant = moves.entry(key).or_default();
                of_tenant.amount += share.amount * Decimal::from(sign);
                of_tenant.lines_and_shares += sign;
            };
            change.before.iter().for_each(|share| add(share, -1));
            change
                .attribution
                .shares
                .iter()
                .for_each(|share| add(share, 1));
        }
    }
    Ok(moves)
}

/// Queries with the resources and the names of projects by which a change of projects (`$1`) and
/// resources (`$2`) affects lines, as the tables `resource` and `named`.
macro_rules! query_affected {
    ($rest:literal, $($arguments:expr),* $(,)?) => {
        sqlx::query_scalar!(
            r#"
        with recursive part as (
            select resource_id as id from cloud_resource_overrides where cloud_project_id = any($1)
            union
            select r.id from part join cloud_resources r on r.parent_id = part.id
        ), resource as (
            select unnest($2::uuid[]) as id
            union
            select resource_id from cloud_project_memberships where cloud_project_id = any($1)
            union
            select id from part
        ), named as (
            select distinct fold_case(name) as name from cloud_project_names where cloud_project_id = any($1)
        )
"# + $rest,
            $($arguments),*
        )
    };
}

/// Returns true if more lines are affected than a transaction updates at once.
pub(crate) async fn are_many(
    tx: &mut PgConnection,
    affected: Affected<'_>,
) -> Result<bool, StoreError> {
    // If neither part reaches the limit, both are complete, and their union is counted exactly.
    let are_many = query_affected!(
        r#"        select count(distinct id) > $4::bigint as "are_many!" from (
            (select line.id from named join cloud_cost_lines line on fold_case(line.project_name) = named.name
             where not line.is_shared
               and ($3::timestamptz is null or charge_ends(line.start_at, line.end_at, line.bill_period) >= $3)
             limit $4::bigint + 1)
            union all
            (select line.id from resource join cloud_cost_lines line on line.resource_id = resource.id
             where $3::timestamptz is null or charge_ends(line.start_at, line.end_at, line.bill_period) >= $3
             limit $4::bigint + 1)
        ) found
        "#,
        affected.projects,
        affected.resources,
        affected.since,
        reallocations::AT_ONCE,
    )
    .fetch_one(tx)
    .await?;
    Ok(are_many)
}

/// Returns the affected lines.
async fn affected_lines(
    tx: &mut PgConnection,
    affected: Affected<'_>,
) -> Result<Vec<Uuid>, StoreError> {
    let lines = query_affected!(
        r#"        select line.id as "id!" from named join cloud_cost_lines line on fold_case(line.project_name) = named.name
        where not line.is_shared
          and ($3::timestamptz is null or charge_ends(line.start_at, line.end_at, line.bill_period) >= $3)
        union
        select line.id from resource join cloud_cost_lines line on line.resource_id = resource.id
        where $3::timestamptz is null or charge_ends(line.start_at, line.end_at, line.bill_period) >= $3
        "#,
        affected.projects,
        affected.resources,
        affected.since,
    )
    .fetch_all(tx)
    .await?;
    Ok(lines)
}

/// Returns the number of affected lines of each month, the latest first.
pub(crate) async fn count_by_month(
    tx: &mut PgConnection,
    affected: Affected<'_>,
) -> Result<Vec<(NaiveDate, i64)>, StoreError> {
    let lines = affected_lines(tx, affected).await?;
    let months = sqlx::query!(
        r#"select bill_period, count(*) as "count!" from cloud_cost_lines where id = any($1) and not is_shared
           group by bill_period order by bill_period desc"#,
        &lines,
    )
    .fetch_all(tx)
    .await?;
    Ok(months
        .into_iter()
        .map(|month| (month.bill_period, month.count))
        .collect())
}

/// Returns the affected lines of a month after a line, in the order of ids, at most `limit`.
pub(crate) async fn lines_of_month(
    tx: &mut PgConnection,
    affected: Affected<'_>,
    month: NaiveDate,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let lines = sqlx::query_scalar!(
        "with recursive part as (
             select resource_id as id from cloud_resource_overrides where cloud_project_id = any($1)
             union
             select r.id from part join cloud_resources r on r.parent_id = part.id
         )
         select id from cloud_cost_lines line
         where bill_period = $4 and not is_shared and ($5::uuid is null or id > $5)
           and ($3::timestamptz is null or charge_ends(start_at, end_at, bill_period) >= $3)
           and (resource_id = any($2)
               or resource_id in (select resource_id from cloud_project_memberships where cloud_project_id = any($1))
               or resource_id in (select id from part)
               or fold_case(project_name) in (select fold_case(name) from cloud_project_names where cloud_project_id = any($1)))
         order by id limit $6",
        affected.projects,
        affected.resources,
        affected.since,
        month,
        after,
        limit,
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
    let lines = affected_lines(tx, Affected::of_projects(&[project])).await?;
    let first = sqlx::query_scalar!(
        "select min(coalesce(start_at, bill_period::timestamp at time zone 'UTC')) from cloud_cost_lines where id = any($1)",
        &lines
    )
    .fetch_one(tx)
    .await?;
    Ok(first)
}

/// The attribution of stored lines by the present facts.
#[derive(Default)]
struct Attributed {
    changed: Vec<ChangedLine>,
    /// Lines of which the stored shares are to be deleted.
    without_shares: Vec<Uuid>,
}

struct ChangedLine {
    id: Uuid,
    period: NaiveDate,
    before: Vec<Share>,
    attribution: Attribution,
}

impl ChangedLine {
    /// Returns true if the line was and is split, by other shares.
    fn has_other_shares(&self) -> bool {
        let after = &self.attribution.shares;
        self.before.len() > 1 && after.len() > 1 && self.before != *after
    }
}

/// Computes the attribution of lines, and returns those of which it differs from the stored one.
async fn attribute_lines(
    tx: &mut PgConnection,
    ids: &[Uuid],
    histories: &mut Histories,
) -> Result<Attributed, StoreError> {
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
         where share.line_id = any($1) order by share.line_id, share.tenant_id collate \"C\" nulls first",
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

    let mut attributed = Attributed::default();
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
                attributed.without_shares.push(line.id);
            }
            attributed.changed.push(ChangedLine {
                id: line.id,
                period: line.period,
                before,
                attribution,
            });
        }
    }
    // The remaining shares are of lines that are shared costs now.
    attributed.without_shares.extend(shares.into_keys());
    Ok(attributed)
}

async fn store_attributions(
    tx: &mut PgConnection,
    attributed: &Attributed,
) -> Result<(), StoreError> {
    let Attributed {
        changed,
        without_shares,
    } = attributed;
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
    let ids: Vec<Uuid> = changed.iter().map(|line| line.id).collect();
    let attributions = || changed.iter().map(|line| &line.attribution);
    let tenants: Vec<Option<&str>> = attributions().map(sole_tenant).collect();
    let splits: Vec<bool> = attributions()
        .map(|attribution| attribution.shares.len() > 1)
        .collect();
    let bases: Vec<&str> = attributions()
        .map(|attribution| attribution.basis.as_str())
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
        &mut *tx,
        changed.iter().map(|line| (line.id, &line.attribution)),
    )
    .await?;
    let of_split = changed.iter().filter(|line| line.has_other_shares());
    let of_split: Vec<Uuid> = of_split.map(|line| line.id).collect();
    if !of_split.is_empty() {
        sqlx::query!("select record_changed_shares($1)", &of_split)
            .execute(tx)
            .await?;
    }
    Ok(())
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
