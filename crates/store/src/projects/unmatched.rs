//! Members of projects that match no resource.

use sqlx::PgExecutor;

use crate::{Store, StoreError};

/// Members of one kind that match no resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedMembers {
    pub kind: String,
    pub count: i64,
}

impl Store {
    /// Counts, by kind, the members of projects that should be live resources and are not: the last
    /// complete listing of their kind began after they were assigned and first observed, and lacks
    /// them. Kinds without such members are omitted.
    ///
    /// A resource that matches no member has no project, so its costs have no tenant. The unmatched
    /// member and that resource may be the same one, if DigitalOcean writes its id in two ways.
    /// Members that DigitalOcean reports as deleted (`not_found`) and members that are missing from
    /// the latest pass are not counted. A kind without a separate listing has no unmatched members,
    /// since its resources are created from its members.
    pub async fn unmatched_members(&self) -> Result<Vec<UnmatchedMembers>, StoreError> {
        unmatched_members(&self.pool).await
    }
}

/// Reads the result of [`Store::unmatched_members`].
pub(crate) async fn unmatched_members(
    executor: impl PgExecutor<'_>,
) -> Result<Vec<UnmatchedMembers>, StoreError> {
    let unmatched = sqlx::query_as!(
        UnmatchedMembers,
        r#"
        select m.kind, count(*) as "count!"
        from cloud_project_members m
        join cloud_kind_freshness f on f.provider = m.provider and f.kind = m.kind
        where m.is_unmatched and m.provider = 'digitalocean' and m.status <> 'not_found' and m.stale_strike_count = 0
          and f.last_complete_at > greatest(m.first_seen_at, m.assigned_at)
        group by m.kind
        order by m.kind
        "#,
    )
    .fetch_all(executor)
    .await?;
    Ok(unmatched)
}
