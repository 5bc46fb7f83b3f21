//! Members of projects that are no resource of the mirror.

use crate::{Store, StoreError};

/// Members of one kind that match no resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedMembers {
    pub kind: String,
    pub count: i64,
}

impl Store {
    /// Counts, by kind, the members of projects that should be live resources of the mirror and are not: the last complete listing of
    /// their kind began after they were assigned and first seen, and lacks them. Kinds without such members are left out.
    ///
    /// A resource that matches no member has no project, so that its costs have no tenant: the two may be one resource whose id
    /// DigitalOcean spells in two ways. Not counted are members that DigitalOcean itself reports as gone (`not_found`) and those that
    /// the latest pass over the projects lacks. A kind that the mirror does not list has no unmatched members, since its members
    /// themselves are its resources.
    pub async fn unmatched_members(&self) -> Result<Vec<UnmatchedMembers>, StoreError> {
        let unmatched = sqlx::query_as!(
            UnmatchedMembers,
            r#"
            select m.kind, count(*) as "count!"
            from cloud_project_members m
            join cloud_kind_freshness f on f.provider = m.provider and f.kind = m.kind
            where m.provider = 'digitalocean' and m.status <> 'not_found' and m.stale_strike_count = 0
              and f.last_complete_at > greatest(m.first_seen_at, m.assigned_at)
              and not exists (
                  select from cloud_resources r
                  where r.provider = m.provider and r.kind = m.kind and r.provider_id = m.provider_id and r.deleted_at is null)
            group by m.kind
            order by m.kind
            "#,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(unmatched)
    }
}
