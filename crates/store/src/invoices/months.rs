//! The months with stored lines, and the invoices without.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::{Store, StoreError};

/// The bills of a range of months, and the months that the invoices cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Months {
    /// The first of the month of the oldest invoice; `None` if there are no invoices.
    pub first_invoiced: Option<NaiveDate>,
    /// The first of the month of the newest invoice.
    pub last_invoiced: Option<NaiveDate>,
    /// Months with an invoice or an open estimate, by the first of the month.
    pub listed: BTreeMap<NaiveDate, ListedMonth>,
    /// The time of the database's clock.
    pub at: DateTime<Utc>,
}

/// The bills of one month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListedMonth {
    pub invoices: i64,
    /// Invoices of which no lines were ever read.
    pub without_lines: i64,
    /// Invoices without lines and with a failed last ingest.
    pub failed: i64,
    /// True if the month has an open estimate. Its lines count until the invoice is ingested.
    pub is_estimated: bool,
}

impl ListedMonth {
    /// Returns true if lines of the month are stored. True also for an ingested invoice without
    /// charges.
    pub fn has_lines(&self) -> bool {
        self.is_estimated || self.invoices > self.without_lines
    }
}

impl Store {
    /// Lists the latest months with lines: with an ingested invoice or an open estimate.
    pub async fn billed_months(&self, limit: i64) -> Result<Vec<NaiveDate>, StoreError> {
        let months = sqlx::query_scalar!(
            r#"select period as "period!" from cloud_invoices where version > 0
               union select period from cloud_estimates where state = 'open'
               order by 1 desc limit $1"#,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(months)
    }

    /// Lists the months `from` to `to`, inclusive.
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
