//! The rows of Cost and Usage, page by page.

use std::time::Duration;

use chrono::{DateTime, Months, NaiveTime, Utc};
use domain::costs::{AllocationRule, LineAllocation};
use domain::focus::{AllocationMethod, CostRow, Mapper, Rows, TenantShare};
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::lines::{self, StoredLine};
use super::month::{FocusMonth, StoredBill};
use super::projects::ProjectNames;
use crate::StoreError;
use crate::costs::SharedCosts;

/// The lines of a page.
const LINES: i64 = 2_000;

/// The longest time for which a page waits for the reader of the rows. Until then the snapshot
/// prevents that PostgreSQL removes old rows.
const READER_TIMEOUT: Duration = Duration::from_mins(1);

type Page = Result<Option<Vec<CostRow>>, StoreError>;

/// The rows of Cost and Usage that a task reads, one page ahead.
pub struct CostPages {
    pages: mpsc::Receiver<Page>,
    month: oneshot::Receiver<FocusMonth>,
    has_ended: bool,
}

impl CostPages {
    /// Returns the next page; `None` after the last one.
    pub async fn next(&mut self) -> Page {
        if self.has_ended {
            return Ok(None);
        }
        let page = self.pages.recv().await;
        self.received(page)
    }

    /// Like [`CostPages::next`], for a thread that may block.
    pub fn blocking_next(&mut self) -> Page {
        if self.has_ended {
            return Ok(None);
        }
        let page = self.pages.blocking_recv();
        self.received(page)
    }

    fn received(&mut self, page: Option<Page>) -> Page {
        let page = page.unwrap_or_else(|| Err(interrupted()));
        self.has_ended = !matches!(page, Ok(Some(_)));
        page
    }

    /// Returns the month after its last page, for its other datasets.
    pub async fn into_month(self) -> Result<FocusMonth, StoreError> {
        self.month.await.map_err(|_| interrupted())
    }
}

/// The task ended early: the database stalled, or the reader of the rows did.
fn interrupted() -> StoreError {
    StoreError::Stalled {
        limit: READER_TIMEOUT,
    }
}

impl FocusMonth {
    /// Reads the rows of the month's invoices, or those of its estimate, in a separate task, which
    /// ends when the result is dropped or not read for a minute.
    pub fn cost_rows(mut self, rows: Rows, estimates: bool) -> CostPages {
        let (sender, pages) = mpsc::channel(1);
        let (returned, month) = oneshot::channel();
        let store = self.store.clone();
        let work = async move {
            let end = match self.send_rows(rows, estimates, &sender).await {
                Ok(true) => Ok(None),
                Ok(false) => return,
                Err(error) => Err(error),
            };
            let is_complete = end.is_ok();
            let is_sent = timeout(READER_TIMEOUT, sender.send(end)).await;
            if is_complete && matches!(is_sent, Ok(Ok(()))) {
                // The reader may not need it.
                drop(returned.send(self));
            }
        };
        tokio::spawn(async move {
            // The receiver reports an early end.
            drop(store.run_to_completion(work).await);
        });
        CostPages {
            pages,
            month,
            has_ended: false,
        }
    }

    /// Sends the pages; returns false if they are no longer received.
    async fn send_rows(
        &mut self,
        rows: Rows,
        estimates: bool,
        sender: &mpsc::Sender<Page>,
    ) -> Result<bool, StoreError> {
        let month_end = month_end(self);
        let projects = ProjectNames::read(&mut self.snapshot).await?;
        let shared = SharedCosts::read(&mut self.snapshot, self.period).await?;
        let count = shared_lines(&mut self.snapshot, self.period).await?;
        let mut allocation = LineAllocation::new(&shared.direct, &shared.rule, shared.total, count);
        for StoredBill { id, bill } in self.bills.clone() {
            let is_wanted = bill.invoice.is_none() == estimates;
            // Shares of shared costs depend on the shared lines of all bills before.
            if !is_wanted && rows == Rows::Lines {
                continue;
            }
            let mut mapper = Mapper::new(bill);
            let mut after = 0;
            loop {
                let read = lines::read(&mut self.snapshot, id, after, LINES, month_end, &projects);
                let page = read.await?;
                let Some(last) = page.last() else { break };
                after = last.line.line_no;
                let mut written = Vec::with_capacity(page.len());
                for line in page {
                    match rows {
                        Rows::Lines => written.push(mapper.row(line.line)),
                        Rows::Shares => add_shares(
                            &mut mapper,
                            line,
                            &mut allocation,
                            &shared.rule,
                            &mut written,
                        ),
                    }
                }
                if !is_wanted {
                    continue;
                }
                match timeout(READER_TIMEOUT, sender.send(Ok(Some(written)))).await {
                    Ok(Ok(())) => {}
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}

/// Adds the rows of the shares of a line.
fn add_shares(
    mapper: &mut Mapper,
    stored: StoredLine,
    allocation: &mut LineAllocation<'_>,
    rule: &AllocationRule,
    rows: &mut Vec<CostRow>,
) {
    let StoredLine {
        line,
        is_shared,
        shares,
    } = stored;
    if is_shared {
        let parts = allocation.next(line.amount).into_iter();
        let mut shares: Vec<TenantShare> = parts
            .map(|(tenant_id, amount)| TenantShare { tenant_id, amount })
            .collect();
        if shares.is_empty() {
            shares.push(TenantShare {
                tenant_id: None,
                amount: line.amount,
            });
        }
        let method = match rule {
            AllocationRule::Proportional => AllocationMethod::Proportional,
            AllocationRule::Even => AllocationMethod::Even,
            AllocationRule::Fixed(_) => AllocationMethod::Fixed,
        };
        rows.extend(mapper.shares(line, shares, method));
    } else if let Some(shares) = shares {
        rows.extend(mapper.shares(line, shares, AllocationMethod::Time));
    } else {
        rows.push(mapper.row(line));
    }
}

fn month_end(month: &FocusMonth) -> DateTime<Utc> {
    let next = month.period + Months::new(1);
    next.and_time(NaiveTime::MIN).and_utc()
}

async fn shared_lines(
    connection: &mut PgConnection,
    period: chrono::NaiveDate,
) -> Result<usize, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select coalesce(sum(line_and_share_count), 0)::bigint as "count!" from cloud_cost_totals where period = $1 and is_shared"#,
        period,
    )
    .fetch_one(connection)
    .await?;
    Ok(usize::try_from(count).unwrap_or_default())
}
