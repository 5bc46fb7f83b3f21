//! The lines of a bill with their resources at the end of the month.

use chrono::{DateTime, Utc};
use domain::focus::{Line, Resource, TenantShare};
use domain::invoices::ChargePart;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::projects::ProjectNames;
use crate::StoreError;
use crate::invoices::Share;

/// A line of a bill, and its allocation.
pub(super) struct StoredLine {
    pub(super) line: Line,
    pub(super) is_shared: bool,
    /// The shares of a line that is split by time.
    pub(super) shares: Option<Vec<TenantShare>>,
}

struct Row {
    line_no: i32,
    product: String,
    group_description: String,
    description: String,
    hours: Option<Decimal>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    amount: Decimal,
    project_name: String,
    category: Option<String>,
    part: Option<String>,
    resource_name: Option<String>,
    region: Option<String>,
    size: Option<String>,
    identified_kind: Option<String>,
    item_id: Option<String>,
    match_rule: String,
    attributed_by: String,
    is_shared: bool,
    tenant_id: Option<String>,
    shares: Option<Json<Vec<Share>>>,
    charged_until: DateTime<Utc>,
    membership: Option<Uuid>,
    resource_kind: Option<String>,
    provider_id: Option<String>,
    current_name: Option<String>,
    current_region: Option<String>,
    tags: Option<Vec<String>>,
    droplet_size: Option<String>,
    monthly_price: Option<Decimal>,
}

/// Reads the lines of a bill after a position, in the order of the file, at most `limit`. Names,
/// regions and tags of resources are those at the end of the month, by the events since then.
pub(super) async fn read(
    connection: &mut PgConnection,
    bill: Uuid,
    after: i32,
    limit: i64,
    month_end: DateTime<Utc>,
    projects: &ProjectNames,
) -> Result<Vec<StoredLine>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select line.line_no as "line_no!", line.product as "product!", line.group_description as "group_description!",
               line.description as "description!", line.hours, line.start_at, line.end_at, line.amount as "amount!",
               line.project_name as "project_name!", line.category, line.part, line.resource_name, line.described_region as region,
               line.described_size as size, line.identified_kind,
               coalesce(line.item_resource_uuid, line.item_resource_id) as item_id, line.match_rule as "match_rule!",
               line.attributed_by as "attributed_by!", line.is_shared as "is_shared!", line.tenant_id,
               case when line.is_split then (
                   select jsonb_agg(jsonb_build_object('tenant_id', share.tenant_id, 'amount', share.amount::text)
                       order by share.tenant_id nulls first)
                   from cloud_cost_line_shares share where share.line_id = line.id
               ) end as "shares: Json<Vec<Share>>",
               charge_ends(line.start_at, line.end_at, line.bill_period) as "charged_until!",
               case when line.resource_id is not null then (
                   select member.cloud_project_id from cloud_project_memberships member where member.resource_id = line.resource_id
                   order by member.valid_from < charge_ends(line.start_at, line.end_at, line.bill_period) desc,
                       case when member.valid_from < charge_ends(line.start_at, line.end_at, line.bill_period)
                           then member.valid_from end desc,
                       member.valid_from
                   limit 1
               ) end as membership,
               resource.kind as "resource_kind?", resource.provider_id as "provider_id?",
               case when name.resource_id is null then resource.name else name.value end as current_name,
               case when region.resource_id is null then resource.region else region.value end as current_region,
               case when tags.resource_id is null then resource.tags else coalesce((
                   select array(select jsonb_array_elements_text(event.changes #> '{tags,before}'))
                   from cloud_resource_events event
                   where event.resource_id = line.resource_id and event.occurred_at = tags.valid_to
                     and event.event <> 'discovered' and event.changes ? 'tags'
                   order by event.id limit 1
               ), resource.tags) end as tags,
               case when line.kind = 'droplet' then resource.attrs ->> 'size_slug' end as droplet_size,
               case when line.kind = 'droplet' and jsonb_typeof(resource.attrs #> '{size,price_monthly}') = 'number'
                   then (resource.attrs #> '{size,price_monthly}')::numeric end as monthly_price
           from (
               (select * from cloud_cost_lines where invoice_id = $1 and line_no > $2 order by line_no limit $3)
               union all
               (select * from cloud_cost_lines where estimate_id = $1 and line_no > $2 order by line_no limit $3)
           ) line
           left join cloud_resource_rows resource on resource.id = line.resource_id
           left join cloud_resource_past_values name on name.field = 'name' and name.resource_id = line.resource_id
               and name.valid_from <= $4 and name.valid_to > $4
           left join cloud_resource_past_values region on region.field = 'region' and region.resource_id = line.resource_id
               and region.valid_from <= $4 and region.valid_to > $4
           left join cloud_resource_past_values tags on tags.field = 'tags' and tags.resource_id = line.resource_id
               and tags.valid_from <= $4 and tags.valid_to > $4
           order by line.line_no limit $3"#,
        bill,
        after,
        limit,
        month_end,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| row.into_line(projects))
        .collect())
}

impl Row {
    fn into_line(self, projects: &ProjectNames) -> StoredLine {
        let resource = self.resource_kind.zip(self.provider_id);
        let shares = self.shares.map(|Json(shares)| {
            let share = |share: Share| TenantShare {
                tenant_id: share.tenant_id,
                amount: share.amount,
            };
            shares.into_iter().map(share).collect()
        });
        let parts = ChargePart::ALL.into_iter();
        let part = self.part.as_deref();
        StoredLine {
            is_shared: self.is_shared,
            shares,
            line: Line {
                line_no: self.line_no,
                product: self.product,
                group_description: self.group_description,
                description: self.description,
                hours: self.hours,
                start_at: self.start_at,
                end_at: self.end_at,
                amount: self.amount,
                category: self.category,
                part: parts
                    .into_iter()
                    .find(|known| part == Some(known.as_str()))
                    .unwrap_or(ChargePart::ProductCharges),
                resource_name: self.resource_name,
                region: self.region,
                size: self.size,
                identified_kind: self.identified_kind,
                item_id: self.item_id,
                match_rule: self.match_rule,
                attributed_by: self.attributed_by,
                tenant_id: self.tenant_id,
                // The end is excluded.
                project: projects.of(
                    &self.project_name,
                    self.membership,
                    self.charged_until - chrono::TimeDelta::microseconds(1),
                ),
                resource: resource.map(|(kind, provider_id)| Resource {
                    kind,
                    provider_id,
                    name: self.current_name.unwrap_or_default(),
                    region: self.current_region,
                    tags: self.tags.unwrap_or_default(),
                    size: self.droplet_size,
                    monthly_price: self.monthly_price,
                }),
                project_name: self.project_name,
            },
        }
    }
}
