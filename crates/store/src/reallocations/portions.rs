//! The portions in which the workflow `Reallocate` updates resources and cost lines, each in one
//! short transaction.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Affected;
use crate::inventory::attribution::{self, Lines, Scope};
use crate::invoices::{line_attribution, matching};
use crate::listings::now;
use crate::locks::{self, Lock};
use crate::{Run, Store, StoreError};

/// Lines in one portion: about a fifth of a second under the lock of cost lines.
const LINES: usize = 2_000;
/// Resources in one portion. More would be attributed by joins over all resources
/// (`planner::join_by_hashing`).
const RESOURCES: usize = 200;

/// The result of a portion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Portion {
    /// The reallocation of which this is a portion; `None` if none was open.
    pub reallocation: Option<Uuid>,
    pub resources: usize,
    pub lines: usize,
    /// True if it was the last portion of its reallocation.
    pub is_last: bool,
    /// True unless all reallocations are done.
    pub is_more: bool,
}

/// An open reallocation.
struct Open {
    id: Uuid,
    cause: String,
    changed_by: Option<String>,
    workflow_id: Option<String>,
    run_id: Option<String>,
    project_ids: Vec<Uuid>,
    resource_ids: Vec<Uuid>,
    affects_from: Option<DateTime<Utc>>,
    resources_done: bool,
    last_resource_id: Option<Uuid>,
    started_at: Option<DateTime<Utc>>,
    months: Option<Vec<NaiveDate>>,
    last_line_id: Option<Uuid>,
}

impl Open {
    fn affected(&self) -> Affected<'_> {
        Affected {
            projects: &self.project_ids,
            resources: &self.resource_ids,
            since: self.affects_from,
        }
    }

    /// Sets the cause of the change for the recorded changes of lines.
    async fn set_cause(&self, tx: &mut PgConnection) -> Result<(), StoreError> {
        let run = self.workflow_id.clone().zip(self.run_id.clone());
        let run = run.map(|(workflow_id, run_id)| Run {
            workflow_id,
            run_id,
        });
        matching::set_cause(tx, &self.cause, self.changed_by.as_deref(), run.as_ref()).await
    }
}

impl Store {
    /// Executes the next portion of the oldest open reallocation, in one transaction. Concurrent
    /// callers execute different portions, one after the other; a portion that is repeated changes
    /// nothing.
    ///
    /// A portion holds its row, and then the lock of the inventory or of cost lines for its own
    /// resources or lines only.
    pub async fn reallocate_portion(&self) -> Result<Portion, StoreError> {
        let mut tx = self.pool.begin().await?;
        let open = sqlx::query_as!(
            Open,
            "select id, cause, changed_by, workflow_id, run_id, project_ids, resource_ids, affects_from, resources_done,
                 last_resource_id, started_at, months, last_line_id
             from cloud_reallocations where finished_at is null order by requested_at, id limit 1 for update",
        )
        .fetch_optional(&mut *tx)
        .await?;
        let mut portion = Portion::default();
        if let Some(open) = open {
            portion.reallocation = Some(open.id);
            if open.started_at.is_none() {
                start(&mut tx, &open).await?;
            } else if !open.resources_done {
                portion.resources = attribute_resources(&mut tx, &open).await?;
            } else if let Some(months) = &open.months {
                (portion.lines, portion.is_last) =
                    reallocate_lines(&mut tx, &open, months.clone()).await?;
            } else {
                portion.is_last = count_lines(&mut tx, &open).await?;
            }
        }
        tx.commit().await?;
        // The row of another caller's portion is not returned if that portion was the last one.
        portion.is_more = self.open_reallocations().await?.count > 0;
        Ok(portion)
    }
}

/// Waits until all ingests that may have read the facts of before the change are committed, so that
/// their lines are found. Later ones read the facts of the change.
async fn start(tx: &mut PgConnection, open: &Open) -> Result<(), StoreError> {
    locks::acquire(tx, Lock::CostLines).await?;
    sqlx::query!(
        "update cloud_reallocations set started_at = clock_timestamp() where id = $1",
        open.id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets the tenant of the next resources of the projects, and returns their number.
async fn attribute_resources(tx: &mut PgConnection, open: &Open) -> Result<usize, StoreError> {
    locks::acquire(tx, Lock::Inventory).await?;
    let at = now(tx).await?;
    let resources = resources_of_projects(
        tx,
        &open.project_ids,
        open.last_resource_id,
        i64::try_from(RESOURCES).unwrap_or(i64::MAX),
    )
    .await?;
    open.set_cause(tx).await?;
    let scope = Scope::Of(&resources);
    attribution::attribute(tx, scope, Lines::OfTheCaller, None, at).await?;
    sqlx::query!(
        "update cloud_reallocations set last_resource_id = coalesce($2, last_resource_id), resources_done = $3 where id = $1",
        open.id,
        resources.last().copied(),
        resources.len() < RESOURCES,
    )
    .execute(tx)
    .await?;
    Ok(resources.len())
}

/// Returns the live resources of which the attribution depends on the tenant of these projects,
/// after a resource in the order of ids, at most `limit`: those that are in one of the projects,
/// and those that an override moved out of it, because the override can contradict the tenant.
pub(crate) async fn resources_of_projects(
    tx: &mut PgConnection,
    projects: &[Uuid],
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let resources = sqlx::query_scalar!(
        r#"select id as "id!" from (
               select id from cloud_resource_rows where cloud_project_id = any($1) and deleted_at is null
               union
               select r.id from cloud_resource_overrides override join cloud_resource_rows r on r.id = override.resource_id
               where override.valid_to is null and r.provider_project_id = any($1) and r.deleted_at is null
           ) found
           where $2::uuid is null or id > $2 order by id limit $3"#,
        projects,
        after,
        limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(resources)
}

/// Stores the number of affected lines and their months. Returns true if there are none.
async fn count_lines(tx: &mut PgConnection, open: &Open) -> Result<bool, StoreError> {
    let counts = line_attribution::count_by_month(tx, open.affected()).await?;
    let months: Vec<NaiveDate> = counts.iter().map(|(month, _)| *month).collect();
    let lines: i64 = counts.iter().map(|(_, lines)| lines).sum();
    sqlx::query!(
        "update cloud_reallocations set months = $2, lines = $3,
             finished_at = case when $3 = 0::bigint then clock_timestamp() end
         where id = $1",
        open.id,
        &months,
        lines,
    )
    .execute(tx)
    .await?;
    Ok(lines == 0)
}

/// Reallocates the next lines. Returns their number, and whether they were the last ones.
async fn reallocate_lines(
    tx: &mut PgConnection,
    open: &Open,
    mut months: Vec<NaiveDate>,
) -> Result<(usize, bool), StoreError> {
    // Found before the lock: the portion reads each line again under it.
    let mut lines: Vec<Uuid> = Vec::new();
    let mut after = open.last_line_id;
    while let Some(month) = months.first().copied() {
        let wanted = LINES - lines.len();
        let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
        let found =
            line_attribution::lines_of_month(tx, open.affected(), month, after, limit).await?;
        lines.extend(&found);
        if found.len() == wanted {
            after = found.last().copied();
            break;
        }
        months.remove(0);
        after = None;
    }
    locks::acquire(tx, Lock::CostLines).await?;
    open.set_cause(tx).await?;
    let changed = line_attribution::reallocate_lines(tx, &lines).await?;
    let is_last = months.is_empty();
    sqlx::query!(
        "update cloud_reallocations set months = $2, last_line_id = $3, lines_done = lines_done + $4,
             lines_changed = lines_changed + $5, finished_at = case when $6 then clock_timestamp() end
         where id = $1",
        open.id,
        &months,
        after,
        i64::try_from(lines.len()).unwrap_or(i64::MAX),
        i64::try_from(changed).unwrap_or(i64::MAX),
        is_last,
    )
    .execute(&mut *tx)
    .await?;
    if is_last {
        sqlx::query!(
            "delete from cloud_reallocations where finished_at < now() - interval '90 days'"
        )
        .execute(tx)
        .await?;
    }
    Ok((lines.len(), is_last))
}
