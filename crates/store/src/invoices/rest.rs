//! The part of an estimate that no invoice charges yet.
//!
//! DigitalOcean can charge at a threshold during the month. Its documentation does not state if the
//! preview then covers the whole month or the rest, so the lines decide. A line of the preview
//! repeats an invoiced line if product, group, description and ids are equal and the invoiced
//! charge begins within the charge period of the preview. If the charge of any resource is
//! repeated, the preview covers the whole month: each of its lines counts without the invoiced
//! lines that it repeats. Otherwise it covers the rest and counts in full. Lines of the account,
//! such as taxes, have the dates of the month in both cases, so they decide only if no resource is
//! invoiced.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::line_attribution;
use crate::StoreError;

/// Reduces the open estimate of a month to the part that its invoices do not charge, and returns
/// the invoiced part of the preview (USD): zero without an estimate. The caller holds the locks
/// [`crate::locks::Lock::CostLines`], at least in shared mode, and
/// [`crate::locks::Lock::Estimate`].
pub(super) async fn reduce_estimate(
    tx: &mut PgConnection,
    period: NaiveDate,
) -> Result<Decimal, StoreError> {
    let open = sqlx::query_scalar!(
        "select id from cloud_estimates where provider = 'digitalocean' and period = $1 and state = 'open'",
        period
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(estimate) = open else {
        return Ok(Decimal::ZERO);
    };
    let changed = sqlx::query_scalar!(
        r#"
        with line as (
            select id, line_no, estimate_id is not null as is_preview, product, group_description, description, item_resource_id,
                item_resource_uuid, is_for_account, coalesce(preview_amount, amount) as amount,
                coalesce(start_at, bill_period::timestamp at time zone 'UTC') as starts, coalesce(end_at, month_end(bill_period)) as ends,
                -- Distinguishes lines that are equal in all of these.
                row_number() over (partition by coalesce(invoice_id, estimate_id), product, group_description, description,
                    item_resource_id, item_resource_uuid, start_at order by line_no) as ordinal
            from cloud_cost_lines where estimate_id = $1 or (bill_period = $2 and invoice_id is not null)
        ), repeated as (
            select distinct on (invoiced.id) invoiced.id, invoiced.amount, invoiced.is_for_account, preview.id as preview_id
            from line invoiced join line preview using (product, group_description, description)
            where not invoiced.is_preview and preview.is_preview
              and coalesce(invoiced.item_resource_id = preview.item_resource_id, true)
              and coalesce(invoiced.item_resource_uuid = preview.item_resource_uuid, true)
              and invoiced.starts >= preview.starts and (invoiced.starts < preview.ends or invoiced.starts = preview.starts)
            order by invoiced.id, preview.starts desc, invoiced.ordinal <> preview.ordinal, preview.line_no
        ), coverage as (
            select exists (select from repeated where not is_for_account)
                or not exists (select from line where not is_preview and not is_for_account) as is_whole_month
        ), rest as (
            select preview.id, preview.amount as stated, sum(repeated.amount) as invoiced
            from line preview cross join coverage
            left join repeated on repeated.preview_id = preview.id and coverage.is_whole_month
            where preview.is_preview
            group by preview.id, preview.amount
        )
        update cloud_cost_lines line set
            amount = rest.stated - coalesce(rest.invoiced, 0),
            preview_amount = case when rest.invoiced is not null then rest.stated end
        from rest
        where line.id = rest.id and (line.amount, line.preview_amount) is distinct from
            (rest.stated - coalesce(rest.invoiced, 0), case when rest.invoiced is not null then rest.stated end)
        returning line.id
        "#,
        estimate,
        period,
    )
    .fetch_all(&mut *tx)
    .await?;
    // The shares of split lines follow their amount.
    line_attribution::reallocate_lines(tx, &changed).await?;
    let invoiced = sqlx::query_scalar!(
        r#"update cloud_estimates set invoiced = (
               select coalesce(sum(preview_amount - amount), 0) from cloud_cost_lines where estimate_id = $1)
           where id = $1 returning invoiced"#,
        estimate
    )
    .fetch_one(tx)
    .await?;
    Ok(invoiced)
}

/// Returns true if the bill of the month has ended, by the clock of the database.
pub(super) async fn has_ended(
    tx: &mut PgConnection,
    period: NaiveDate,
) -> Result<bool, StoreError> {
    let has_ended = sqlx::query_scalar!(
        r#"select month_has_ended($1, now()) as "has_ended!""#,
        period
    )
    .fetch_one(tx)
    .await?;
    Ok(has_ended)
}
