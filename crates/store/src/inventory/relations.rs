//! Queries of relations between resources, from both ends.

use uuid::Uuid;

use crate::{Store, StoreError};

/// A related resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// `attached_to`, `snapshot_of`, ...
    pub relation: String,
    /// True if the relation reads: the queried resource is RELATION this one.
    pub is_subject: bool,
    /// `None` if the related resource is not stored.
    pub id: Option<Uuid>,
    pub kind: String,
    pub provider_id: String,
    pub name: Option<String>,
    pub tenant_id: Option<String>,
}

impl Store {
    /// Lists the resources that a resource is related to or that are related to it.
    pub async fn relations(&self, resource: Uuid) -> Result<Vec<Related>, StoreError> {
        let related = sqlx::query_as!(
            Related,
            r#"
            select s.relation as "relation!", (s.direction = 'to_other') as "is_subject!", other.id as "id?", s.other_kind as "kind!",
                s.other_provider_id as "provider_id!", other.name as "name?", other.tenant_id as "tenant_id?"
            from cloud_resource_relations s
            left join cloud_resources other on other.provider = 'digitalocean' and other.kind = s.other_kind
                and other.provider_id = s.other_provider_id
            where s.stated_by = $1
            union all
            select s.relation, s.direction = 'from_other', stating.id, stating.kind, stating.provider_id, stating.name,
                stating.tenant_id
            from cloud_resources r
            join cloud_resource_relations s on s.other_kind = r.kind and s.other_provider_id = r.provider_id
            join cloud_resources stating on stating.id = s.stated_by and stating.deleted_at is null
            where r.id = $1
            order by 1, 2, 4, 5
            "#,
            resource,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(related)
    }
}
