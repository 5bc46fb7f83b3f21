//! The open items of a month before its close.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;

use crate::costs::{MonthClose, Statements, read_statements};
use crate::{Store, StoreError, usd};

/// The state of a month before its close.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MonthReadiness {
    /// The first of the month.
    pub period: NaiveDate,
    /// True if the month can be closed.
    pub is_final: bool,
    /// Why it cannot be closed.
    pub reasons: Vec<String>,
    /// Items that do not prevent the close, and that the administrator accepts with it.
    pub open: Vec<OpenItem>,
    /// The close in force; null if the month is open.
    pub close: Option<MonthClose>,
}

/// An open item of a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenItem {
    /// `unmatched_lines`, `ambiguous_lines`, `orphaned_overrides`, `unallocated_costs` or
    /// `undecided_corrections`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub item: String,
    pub count: i64,
    /// USD; null for items without an amount.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub amount: Option<Decimal>,
}

impl Store {
    /// Returns the open items of a month before its close.
    pub async fn month_readiness(&self, period: NaiveDate) -> Result<MonthReadiness, StoreError> {
        let close = self.close_in_force(period).await?;
        let mut tx = self.snapshot().await?;
        let statements = read_statements(&mut tx, period).await?;
        let open = open_items(&mut tx, &statements).await?;
        Ok(MonthReadiness {
            period,
            is_final: statements.is_final(),
            reasons: statements.open_reasons(),
            open,
            close,
        })
    }
}

/// Lists the open items of a month, without those that are not there.
pub(super) async fn open_items(
    connection: &mut PgConnection,
    statements: &Statements,
) -> Result<Vec<OpenItem>, StoreError> {
    let counts = sqlx::query!(
        r#"select count(*) filter (where match_rule = 'unmatched') as "unmatched!",
               sum(amount) filter (where match_rule = 'unmatched') as unmatched_amount,
               count(*) filter (where match_rule = 'ambiguous') as "ambiguous!",
               sum(amount) filter (where match_rule = 'ambiguous') as ambiguous_amount,
               (select count(*) from cloud_cost_line_overrides override
                join cloud_invoices invoice on invoice.id = override.invoice_id
                where invoice.period = $1 and override.orphaned_at is not null) as "orphans!",
               (select count(*) from cloud_month_closes close
                where closed_at is not null and reopened_at is null and may_differ and accepted_invoices <> (
                    select coalesce(jsonb_object_agg(invoice_uuid, version), '{}') from cloud_invoices invoice
                    where invoice.period = close.period)) as "corrections!"
           from cloud_cost_lines where bill_period = $1 and match_rule in ('unmatched', 'ambiguous')"#,
        statements.period,
    )
    .fetch_one(connection)
    .await?;
    let unallocated = statements.rows.iter().find(|row| row.tenant_id.is_none());
    let item = |item: &str, count: i64, amount: Option<Decimal>| OpenItem {
        item: item.to_owned(),
        count,
        amount,
    };
    let mut items = vec![
        item("unmatched_lines", counts.unmatched, counts.unmatched_amount),
        item("ambiguous_lines", counts.ambiguous, counts.ambiguous_amount),
        item("orphaned_overrides", counts.orphans, None),
        item("undecided_corrections", counts.corrections, None),
    ];
    if let Some(row) = unallocated {
        items.push(item("unallocated_costs", 1, Some(row.total())));
    }
    items.retain(|item| item.count > 0);
    Ok(items)
}
