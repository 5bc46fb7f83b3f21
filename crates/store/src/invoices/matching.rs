//! Matches cost lines to the resources that they charge for. The rule is the SQL function
//! `cost_line_match`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::invoices::InvoiceLine;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::Bill;
use super::line_attribution;
use crate::locks::{self, Lock};
use crate::{Run, StoreError};

/// The match of a line and the rule that found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) resource_id: Option<Uuid>,
    pub(super) rule: String,
    pub(super) note: Option<String>,
    pub(super) candidates: Option<Vec<Uuid>>,
    pub(super) is_shared: bool,
}

/// Sets the cause for the change records of lines in the rest of the transaction.
pub(crate) async fn set_cause(
    tx: &mut PgConnection,
    cause: &str,
    changed_by: Option<&str>,
    run: Option<&Run>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"select set_config('arcadia.cause', $1, true) as "a!", set_config('arcadia.changed_by', $2, true) as "b!",
               set_config('arcadia.workflow_id', $3, true) as "c!", set_config('arcadia.run_id', $4, true) as "d!""#,
        cause,
        changed_by.unwrap_or_default(),
        run.map(|run| run.workflow_id.as_str()).unwrap_or_default(),
        run.map(|run| run.run_id.as_str()).unwrap_or_default(),
    )
    .fetch_one(tx)
    .await?;
    Ok(())
}

/// Returns the match of each line, in order. `ids` are the ids of the lines.
pub(super) async fn find(
    tx: &mut PgConnection,
    bill: &Bill,
    lines: &[InvoiceLine],
    ids: &[Uuid],
) -> Result<Vec<Match>, StoreError> {
    let text = |of: fn(&InvoiceLine) -> Option<&str>| -> Vec<Option<&str>> {
        lines.iter().map(of).collect()
    };
    let flag = |of: fn(&InvoiceLine) -> bool| -> Vec<bool> { lines.iter().map(of).collect() };
    let starts: Vec<DateTime<Utc>> = lines.iter().map(|line| bill.start_of(line)).collect();
    let ends: Vec<DateTime<Utc>> = lines.iter().map(|line| bill.end_of(line)).collect();
    let matches = sqlx::query_as!(
        Match,
        r#"
        select
            case when word.line_id is null then found.resource_id else word.resource_id end as "resource_id?",
            case when word.line_id is null then found.match_rule else 'operator' end as "rule!",
            case when word.line_id is null then found.match_note else word.reason end as "note?",
            case when word.line_id is null then found.match_candidates end as "candidates?",
            case when word.line_id is null then found.match_rule = 'account' else word.resource_id is null end as "is_shared!"
        from unnest($1::uuid[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::bool[], $10::text[], $11::timestamptz[], $12::timestamptz[])
            with ordinality as line (id, identified_kind, is_named_by_group, name, region, size, item_id, item_uuid,
                is_for_account, project_name, starts, ends, place)
        left join cloud_cost_line_overrides word on word.line_id = line.id
        cross join lateral cost_line_match(line.identified_kind, line.is_named_by_group, line.name, line.region, line.size,
            line.item_id, line.item_uuid, line.is_for_account, line.project_name, line.starts, line.ends) found
        order by line.place
        "#,
        ids,
        &text(|line| line.identified_kind.as_ref().map(domain::ResourceKind::as_str)) as &[Option<&str>],
        &flag(|line| line.is_named_by_group),
        &text(|line| line.resource_name.as_deref()) as &[Option<&str>],
        &text(|line| line.region.as_deref()) as &[Option<&str>],
        &text(|line| line.size.as_deref()) as &[Option<&str>],
        &text(|line| line.item.resource_id.as_deref()) as &[Option<&str>],
        &text(|line| line.item.resource_uuid.as_deref()) as &[Option<&str>],
        &flag(|line| line.for_account),
        &text(|line| Some(line.project_name.as_str())) as &[Option<&str>],
        &starts,
        &ends,
    )
    .fetch_all(tx)
    .await?;
    Ok(matches)
}

/// The changes of resources of one kind that can change matches of lines.
#[derive(Debug, Default)]
pub(crate) struct RematchTrigger {
    /// The names, in lower case, of resources that were created, deleted or renamed.
    pub(crate) names: BTreeSet<String>,
    /// New resources; their ids may be in DigitalOcean's items.
    pub(crate) discovered: Vec<Uuid>,
}

/// Rematches only the lines that the trigger can affect.
pub(crate) async fn rematch(
    tx: &mut PgConnection,
    kind: &str,
    trigger: &RematchTrigger,
    run: Option<&Run>,
) -> Result<(), StoreError> {
    if trigger.names.is_empty() && trigger.discovered.is_empty() {
        return Ok(());
    }
    locks::acquire(tx, Lock::CostLines).await?;
    let names: Vec<&str> = trigger.names.iter().map(String::as_str).collect();
    let affected = sqlx::query_scalar!(
        r#"
        select line.id as "id!" from cloud_cost_lines line
        join unnest($2::text[]) as named (name) on fold_case(line.resource_name) = named.name
        where line.identified_kind = $1 and line.resource_name is not null
        union
        select line.id from cloud_resources r
        join cloud_cost_lines line on line.item_resource_id = r.provider_id and line.identified_kind = r.kind
        where r.id = any($3) and line.item_resource_id is not null
        union
        select line.id from cloud_resources r
        join cloud_cost_lines line on line.item_resource_uuid = r.provider_id
        where r.id = any($3) and line.item_resource_uuid is not null
        "#,
        kind,
        &names as &[&str],
        &trigger.discovered,
    )
    .fetch_all(&mut *tx)
    .await?;
    if affected.is_empty() {
        return Ok(());
    }
    set_cause(tx, "inventory", None, run).await?;
    rematch_lines(tx, &affected).await
}

/// Rematches the lines with one of these resources as a candidate, because the project of a
/// candidate can decide the match.
pub(crate) async fn rematch_candidates(
    tx: &mut PgConnection,
    moved: &[Uuid],
) -> Result<(), StoreError> {
    if moved.is_empty() {
        return Ok(());
    }
    locks::acquire(tx, Lock::CostLines).await?;
    let affected = sqlx::query_scalar!(
        "select id from cloud_cost_lines where match_candidates is not null and match_candidates && $1",
        moved,
    )
    .fetch_all(&mut *tx)
    .await?;
    rematch_lines(tx, &affected).await
}

/// Rematches the lines that have several candidates and name one of these projects, by a current or
/// a former name.
pub(crate) async fn rematch_named_projects(
    tx: &mut PgConnection,
    renamed: &[Uuid],
) -> Result<(), StoreError> {
    if renamed.is_empty() {
        return Ok(());
    }
    locks::acquire(tx, Lock::CostLines).await?;
    let affected = sqlx::query_scalar!(
        r#"select line.id as "id!" from (
               select distinct fold_case(name) as name from cloud_project_names where cloud_project_id = any($1)
           ) named
           join cloud_cost_lines line on fold_case(line.project_name) = named.name
           where line.match_candidates is not null"#,
        renamed,
    )
    .fetch_all(&mut *tx)
    .await?;
    rematch_lines(tx, &affected).await
}

/// Rematches the unmatched lines of a kind, because their notes describe the omissions of its
/// listing.
pub(crate) async fn rematch_unmatched(
    tx: &mut PgConnection,
    kind: &str,
    run: &Run,
) -> Result<(), StoreError> {
    locks::acquire(tx, Lock::CostLines).await?;
    let affected = sqlx::query_scalar!(
        "select id from cloud_cost_lines
         where identified_kind = $1 and resource_name is not null and match_rule = 'unmatched'",
        kind,
    )
    .fetch_all(&mut *tx)
    .await?;
    set_cause(tx, "inventory", None, Some(run)).await?;
    rematch_lines(tx, &affected).await
}

/// Rematches these lines, and reallocates those that changed. The caller holds the lock
/// [`Lock::CostLines`].
pub(crate) async fn rematch_lines(tx: &mut PgConnection, lines: &[Uuid]) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    // With one condition on the ids, PostgreSQL may match all stored lines first.
    let changed = sqlx::query_scalar!(
        "update cloud_cost_lines line set
             resource_id = found.resource_id,
             match_rule = found.match_rule,
             match_note = found.match_note,
             match_candidates = found.match_candidates,
             is_shared = found.is_shared,
             -- The tenants are set below; shared costs have none.
             tenant_id = case when not found.is_shared then line.tenant_id end,
             is_split = line.is_split and not found.is_shared,
             attributed_by = case
                 when found.is_shared then 'shared' when line.is_shared then 'none' else line.attributed_by end
         from cloud_cost_line_matches found
         where found.line_id = line.id and found.line_id = any($1) and line.id = any($1)
           and (line.resource_id, line.match_rule, line.match_note, line.match_candidates, line.is_shared)
               is distinct from (found.resource_id, found.match_rule, found.match_note, found.match_candidates, found.is_shared)
         returning line.id",
        lines,
    )
    .fetch_all(&mut *tx)
    .await?;
    line_attribution::reallocate_lines(tx, &changed).await?;
    Ok(())
}
