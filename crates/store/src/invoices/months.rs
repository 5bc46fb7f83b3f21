//! Which months have lines, and which invoices are still without.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::{Store, StoreError};

/// The months between two, and the time that the invoices cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Months {
    /// The first of the month of the oldest invoice; none before any is listed.
    pub first_invoiced: Option<NaiveDate>,
    /// The first of the month of the newest invoice.
    pub last_invoiced: Option<NaiveDate>,
    /// By the first of the month; a month without invoices and without an open estimate is not in it.
    pub listed: BTreeMap<NaiveDate, ListedMonth>,
    /// The time by the database's clock.
    pub at: DateTime<Utc>,
}

/// The bills of one month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListedMonth {
    pub invoices: i64,
    /// Invoices that no lines were ever read of.
    pub without_lines: i64,
    /// Of those, the ones whose last ingest failed.
    pub failed: i64,
    /// Whether the month has an open estimate, whose lines count until the invoice is ingested.
    pub is_estimated: bool,
}

impl ListedMonth {
    /// Whether any lines of the month are stored. An invoice without charges counts: its lines were read, and there were none.
    pub fn has_lines(&self) -> bool {
        self.is_estimated || self.invoices > self.without_lines
    }
}

impl Store {
    /// The months from one to another, both included.
    pub async fn listed_months(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Months, StoreError> {
        let rows = sqlx::query!(
            r#"
            select period as "period!", count(*) filter (where not is_estimate) as "invoices!",
                count(*) filter (where not is_estimate and version = 0) as "without_lines!",
                count(*) filter (where not is_estimate and version = 0 and ingest_status = 'failed') as "failed!",
                bool_or(is_estimate) as "is_estimated!"
            from (
                select period, false as is_estimate, version, ingest_status from cloud_invoices
                union all
                select period, true, 0, '' from cloud_estimates where state = 'open'
            ) bill
            where period between $1 and $2
            group by period
            "#,
            from,
            to,
        )
        .fetch_all(&self.pool)
        .await?;
        let span = sqlx::query!(
            r#"select min(period) as first, max(period) as last, clock_timestamp() as "at!" from cloud_invoices"#
        )
        .fetch_one(&self.pool)
        .await?;
        let listed = rows.into_iter().map(|row| {
            let month = ListedMonth {
                invoices: row.invoices,
                without_lines: row.without_lines,
                failed: row.failed,
                is_estimated: row.is_estimated,
            };
            (row.period, month)
        });
        Ok(Months {
            first_invoiced: span.first,
            last_invoiced: span.last,
            listed: listed.collect(),
            at: span.at,
        })
    }
}
