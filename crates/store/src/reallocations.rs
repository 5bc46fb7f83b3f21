//! Reallocations: changes of the attribution of many cost lines, which the workflow `Reallocate`
//! applies to the lines in portions.

mod portions;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

pub use self::portions::Portion;
pub(crate) use self::portions::resources_of_projects;

use crate::{Store, StoreError};

/// The number of lines, and of resources, that the transaction of a change updates at once. With
/// more, it leaves them to the workflow `Reallocate`. A thousand lines take a tenth of a second.
pub const AT_ONCE: i64 = 1_000;

/// The cost lines that a change of facts affects.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Affected<'a> {
    /// Lines of resources that were ever in these projects, and lines that name these projects.
    pub(crate) projects: &'a [Uuid],
    /// Lines of these resources.
    pub(crate) resources: &'a [Uuid],
    /// If set, only lines with a charge period that ends at this time or later.
    pub(crate) since: Option<DateTime<Utc>>,
}

impl<'a> Affected<'a> {
    pub(crate) fn of_projects(projects: &'a [Uuid]) -> Self {
        Self {
            projects,
            ..Self::default()
        }
    }

    pub(crate) fn of_resources(resources: &'a [Uuid]) -> Self {
        Self {
            resources,
            ..Self::default()
        }
    }

    /// Restricts the lines to those that facts from a time on affect: the tenants at each moment
    /// of a charge depend only on facts that are valid at that moment.
    pub(crate) fn since(self, since: Option<DateTime<Utc>>) -> Self {
        Self { since, ..self }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.projects.is_empty() && self.resources.is_empty()
    }
}

/// Resources of the projects of a reallocation, which get their tenant before the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resources {
    /// The transaction of the change attributed them.
    Attributed,
    /// The workflow attributes them.
    Left,
}

/// Leaves lines to the workflow `Reallocate`, for the cause that is set in the transaction
/// (`matching::set_cause`). Returns the id of the reallocation.
pub(crate) async fn leave(
    tx: &mut PgConnection,
    affected: Affected<'_>,
    resources: Resources,
) -> Result<Uuid, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into cloud_reallocations (cause, changed_by, workflow_id, run_id, project_ids, resource_ids, affects_from, resources_done)
         values (coalesce(nullif(current_setting('arcadia.cause', true), ''), 'inventory'),
             nullif(current_setting('arcadia.changed_by', true), ''), nullif(current_setting('arcadia.workflow_id', true), ''),
             nullif(current_setting('arcadia.run_id', true), ''), $1, $2, $3, $4)
         returning id",
        affected.projects,
        affected.resources,
        affected.since,
        resources == Resources::Attributed,
    )
    .fetch_one(tx)
    .await?;
    Ok(id)
}

/// Records the entry of the audit of the change that left a reallocation.
pub(crate) async fn set_audit_entry(
    tx: &mut PgConnection,
    reallocation: Uuid,
    entry: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update cloud_reallocations set audit_entry = $2 where id = $1",
        reallocation,
        entry
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The progress of a reallocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReallocationState {
    /// It waits for a worker.
    Pending,
    /// A worker reallocates its lines in portions.
    Running,
    /// Every line has the tenants of the present facts.
    Done,
}

impl ReallocationState {
    /// Returns the name of the state in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
        }
    }
}

/// A change with cost lines that are updated in portions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reallocation {
    pub id: Uuid,
    /// `pending` until a worker starts it, then `running`, finally `done`.
    pub state: ReallocationState,
    pub requested_at: DateTime<Utc>,
    /// `operator` for a change by a person, `inventory` for one that a sync observed.
    pub cause: String,
    /// The name of the access token of the change; null for a change by a sync.
    pub changed_by: Option<String>,
    /// The `number` of the entry of the change in the audit; null for a change by a sync.
    pub audit_entry: Option<i64>,
    /// The projects of which the tenant or the name changed.
    pub project_ids: Vec<Uuid>,
    /// The number of resources that moved; zero for a change of a project.
    pub resources: i64,
    /// Only charges that end at this time or later are affected; null for all.
    pub affects_from: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    /// The months with lines that wait, the latest first; null until the lines are counted.
    pub months: Option<Vec<NaiveDate>>,
    /// The number of affected lines; null until they are counted.
    pub lines: Option<i64>,
    pub lines_done: i64,
    /// The number of lines of which the tenants changed so far.
    pub lines_changed: i64,
    pub finished_at: Option<DateTime<Utc>>,
}

struct Row {
    id: Uuid,
    requested_at: DateTime<Utc>,
    cause: String,
    changed_by: Option<String>,
    audit_entry: Option<i64>,
    project_ids: Vec<Uuid>,
    resources: i64,
    affects_from: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    months: Option<Vec<NaiveDate>>,
    lines: Option<i64>,
    lines_done: i64,
    lines_changed: i64,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Row> for Reallocation {
    fn from(row: Row) -> Self {
        Self {
            state: match (row.started_at, row.finished_at) {
                (_, Some(_)) => ReallocationState::Done,
                (Some(_), None) => ReallocationState::Running,
                (None, None) => ReallocationState::Pending,
            },
            id: row.id,
            requested_at: row.requested_at,
            cause: row.cause,
            changed_by: row.changed_by,
            audit_entry: row.audit_entry,
            project_ids: row.project_ids,
            resources: row.resources,
            affects_from: row.affects_from,
            started_at: row.started_at,
            months: row.months,
            lines: row.lines,
            lines_done: row.lines_done,
            lines_changed: row.lines_changed,
            finished_at: row.finished_at,
        }
    }
}

/// The reallocations that are not done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenReallocations {
    pub count: i64,
    /// When the first of them was requested.
    pub since: Option<DateTime<Utc>>,
}

impl Store {
    /// Lists the reallocations of the last 90 days, the latest first.
    pub async fn reallocations(&self) -> Result<Vec<Reallocation>, StoreError> {
        self.read_reallocations(None).await
    }

    /// Returns one reallocation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none, or if it ended more than 90 days ago.
    pub async fn reallocation(&self, id: Uuid) -> Result<Reallocation, StoreError> {
        let mut found = self.read_reallocations(Some(id)).await?;
        found.pop().ok_or(StoreError::NotFound {
            entity: "reallocation",
            id,
        })
    }

    async fn read_reallocations(&self, id: Option<Uuid>) -> Result<Vec<Reallocation>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"select id, requested_at, cause, changed_by, audit_entry, project_ids, cardinality(resource_ids)::bigint as "resources!",
                   affects_from, started_at, months, lines, lines_done, lines_changed, finished_at
               from cloud_reallocations where $1::uuid is null or id = $1 order by requested_at desc, id"#,
            id,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Reallocation::from).collect())
    }

    /// Counts the reallocations that are not done.
    pub async fn open_reallocations(&self) -> Result<OpenReallocations, StoreError> {
        open_reallocations(&self.pool).await
    }

    /// Lists the months from `from` to `to`, inclusive, of which lines wait for a reallocation.
    pub async fn reallocating_months(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Vec<NaiveDate>, StoreError> {
        let months = sqlx::query_scalar!(
            r#"select period as "period!" from (select distinct period from cloud_cost_totals where period between $1 and $2) month
               where is_reallocating(period) order by 1"#,
            from,
            to,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(months)
    }
}

/// Reads the result of [`Store::open_reallocations`].
pub(crate) async fn open_reallocations(
    executor: impl PgExecutor<'_>,
) -> Result<OpenReallocations, StoreError> {
    let open = sqlx::query_as!(
        OpenReallocations,
        r#"select count(*) as "count!", min(requested_at) as since from cloud_reallocations where finished_at is null"#
    )
    .fetch_one(executor)
    .await?;
    Ok(open)
}
