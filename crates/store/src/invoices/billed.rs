//! Resources that are known only from bills.

use domain::ResourceKind;
use uuid::Uuid;

use crate::{Store, StoreError};

/// A resource on a bill that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledResource {
    pub name: String,
    /// The region in the description of its latest line.
    pub region: Option<String>,
    /// DigitalOcean's id of the live project that its latest line names, if exactly one project has
    /// that name.
    pub project_id: Option<Uuid>,
}

impl Store {
    /// Lists, by name, resources of a kind that lines of the two latest billed months name and that
    /// no listing contains.
    ///
    /// Resources on earlier bills only may have been deleted since. They stay unmatched, because no
    /// listing could ever mark them as deleted. A resource that was deleted before the charge began
    /// is included, since it was created again.
    pub async fn billed_resources(
        &self,
        kind: &ResourceKind,
    ) -> Result<Vec<BilledResource>, StoreError> {
        let rows = sqlx::query!(
            r#"
            select distinct on (line.resource_name) line.resource_name as "name!", line.described_region as region,
                (select case when count(*) = 1 then min(p.provider_id) end from cloud_project_rows p
                 where p.provider = 'digitalocean' and p.deleted_at is null and fold_case(p.name) = fold_case(line.project_name)) as project_id
            from cloud_cost_lines line
            where line.identified_kind = $1 and line.match_rule = 'unmatched' and line.resource_name is not null
              and not line.is_named_by_group
              and line.bill_period >= (select max(bill_period) from cloud_cost_lines) - interval '1 month'
              and not exists (
                  select from cloud_resources r
                  where r.provider = 'digitalocean' and r.kind = $1 and r.provider_id = line.resource_name
                    and (r.deleted_at is null
                         or r.deleted_at >= coalesce(line.start_at, line.bill_period::timestamp at time zone 'UTC')))
            order by line.resource_name, line.bill_period desc, line.end_at desc nulls last, line.line_no
            "#,
            kind.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| BilledResource {
                name: row.name,
                region: row.region,
                project_id: row.project_id.and_then(|id| id.parse().ok()),
            })
            .collect())
    }
}
