//! A text that changes with the content of an export.

use super::month::FocusMonth;
use crate::StoreError;

impl FocusMonth {
    /// Returns a text that changes when a row of the month would change, other than by a change of
    /// this program. Reads the lines of the month once.
    ///
    /// Not for a month that is not over: its resources are exported as they are now.
    pub async fn stamp(&mut self) -> Result<String, StoreError> {
        // Sums of hashes do not depend on the order of rows.
        let stamp = sqlx::query_scalar!(
            r#"with charged as (
                   select distinct resource_id from cloud_cost_lines where bill_period = $1 and resource_id is not null
               ), part (name, version) as (
                   select 'lines', count(*) || ' ' || coalesce(sum(hashtextextended(line::text, 0)), 0)
                   from cloud_cost_lines line where bill_period = $1
                   union all
                   select 'shares', count(*) || ' ' || coalesce(sum(hashtextextended(share::text, 0)), 0)
                   from cloud_cost_lines line join cloud_cost_line_shares share on share.line_id = line.id
                   where line.bill_period = $1 and line.is_split
                   union all
                   select 'memberships', coalesce(sum(hashtextextended(member::text, 0)), 0)::text
                   from charged join cloud_project_memberships member on member.resource_id = charged.resource_id
                   union all
                   select 'resources', coalesce(sum(hashtextextended(concat_ws(' ', resource.id, resource.attrs ->> 'size_slug',
                       resource.attrs #>> '{size,price_monthly}'), 0)), 0)::text
                   from charged join cloud_resource_rows resource on resource.id = charged.resource_id
                   union all
                   select 'projects', coalesce(sum(hashtextextended(had::text, 0)), 0)::text from cloud_project_names had
                   union all
                   select 'invoice ' || invoice_uuid, concat_ws(' ', invoice_id, version, amount, is_final, missing_since)
                   from cloud_invoices where period = $1
                   union all
                   select 'rule', rule || coalesce(weights::text, '') from (
                       select rule, weights from cloud_allocation_rules where valid_from <= $1 order by valid_from desc limit 1
                   ) rule
                   union all
                   select 'team', team_uuid || ' ' || name from cloud_teams where provider = 'digitalocean'
               )
               select encode(sha256(convert_to(coalesce(string_agg(name || ' ' || version, E'\n' order by name), ''), 'UTF8')), 'hex')
                   as "stamp!"
               from part"#,
            self.period,
        )
        .fetch_one(&mut *self.snapshot)
        .await?;
        Ok(stamp)
    }
}
