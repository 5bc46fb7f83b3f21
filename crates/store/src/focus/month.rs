//! The state of a month, its bills, and the snapshot from which they are read.

use chrono::{DateTime, NaiveDate, Utc};
use domain::focus::{Account, Bill, BilledInvoice, BillingPeriod, PeriodStatus};
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::costs::{Statements, live_statements};
use crate::{Store, StoreError, teams};

/// A bill of the month.
#[derive(Debug, Clone)]
pub(super) struct StoredBill {
    /// Our id of the invoice or the estimate.
    pub(super) id: Uuid,
    pub(super) bill: Bill,
}

/// A month at one moment. Holds a connection until it is dropped.
pub struct FocusMonth {
    pub(super) store: Store,
    pub(crate) snapshot: Transaction<'static, Postgres>,
    /// The first of the month.
    pub period: NaiveDate,
    /// The time of the snapshot.
    pub read_at: DateTime<Utc>,
    /// When the bills of the month were last read, or their lines, tenants or allocation rule last
    /// changed; `read_at` if there are none.
    pub updated_at: DateTime<Utc>,
    /// When all kinds of resources were last listed completely; `None` if one never was.
    pub inventory_listed_at: Option<DateTime<Utc>>,
    /// The statements by the lines of today, also of a closed month.
    pub statements: Statements,
    pub(super) account: Account,
    /// In the order in which shared costs are allocated.
    pub(super) bills: Vec<StoredBill>,
}

impl FocusMonth {
    /// Begins an export from a transaction of which all statements read the same state.
    pub(crate) async fn begin(
        store: &Store,
        mut snapshot: Transaction<'static, Postgres>,
        period: NaiveDate,
    ) -> Result<Self, StoreError> {
        let statements = live_statements(&mut snapshot, period).await?;
        let account = account(&mut snapshot).await?;
        let bills = bills(&mut snapshot, period, &account).await?;
        let times = sqlx::query!(
            r#"select now() as "read_at!",
                   coalesce(greatest(
                       bill.updated_at,
                       (select max(change.changed_at) from cloud_cost_line_changes change join cloud_cost_lines line on line.id = change.line_id
                        where line.bill_period = $1 and change.changed_at > bill.updated_at),
                       case when bill.updated_at is not null then
                           (select set_at from cloud_allocation_rules where valid_from <= $1 order by valid_from desc limit 1) end), now())
                       as "updated_at!",
                   case when bool_and(last_complete_at is not null) then min(last_complete_at) end as inventory_listed_at
               from (
                   select greatest((select max(updated_at) from cloud_invoices where period = $1),
                       (select max(estimated_at) from cloud_estimates where period = $1 and state = 'open')) as updated_at
               ) bill left join cloud_kind_freshness on provider = 'digitalocean'
               group by bill.updated_at"#,
            period,
        )
        .fetch_one(&mut *snapshot)
        .await?;
        Ok(Self {
            store: store.clone(),
            snapshot,
            period,
            read_at: times.read_at,
            updated_at: times.updated_at,
            inventory_listed_at: times.inventory_listed_at,
            statements,
            account,
            bills,
        })
    }

    /// Commits the rows that were written in the transaction of the snapshot.
    pub(crate) async fn commit(self) -> Result<Store, StoreError> {
        self.snapshot.commit().await?;
        Ok(self.store)
    }

    /// Returns true if an estimate, or an invoice, of the month has lines.
    pub fn has_rows(&self, estimates: bool) -> bool {
        let mut bills = self.bills.iter();
        bills.any(|bill| bill.bill.invoice.is_none() == estimates)
    }

    /// Returns the row of Billing Period.
    pub fn billing_period(&self) -> BillingPeriod {
        let status = if self.statements.is_final() {
            PeriodStatus::Closed
        } else {
            PeriodStatus::Open
        };
        BillingPeriod::new(self.period, self.updated_at, status)
    }
}

async fn account(connection: &mut PgConnection) -> Result<Account, StoreError> {
    let team = teams::mirrored_team(connection).await?;
    Ok(match team {
        Some(team) => Account {
            team_uuid: team.team_uuid,
            name: Some(team.name).filter(|name| !name.is_empty()),
        },
        // Bills are only read with a token of a team; a restored database may lack it.
        None => Account {
            team_uuid: "unknown".to_owned(),
            name: None,
        },
    })
}

async fn bills(
    connection: &mut PgConnection,
    period: NaiveDate,
    account: &Account,
) -> Result<Vec<StoredBill>, StoreError> {
    let rows = sqlx::query!(
        r#"select id as "id!", invoice_uuid, number, version as "version!" from (
               select id, invoice_uuid, invoice_id as number, version from cloud_invoices where period = $1 and version > 0
               union all
               select id, null, null, 0 from cloud_estimates
               where provider = 'digitalocean' and period = $1 and state = 'open'
           ) bill order by coalesce(invoice_uuid, id)"#,
        period,
    )
    .fetch_all(connection)
    .await?;
    let bills = rows.into_iter().map(|row| StoredBill {
        id: row.id,
        bill: Bill {
            account: account.clone(),
            period,
            invoice: row.invoice_uuid.map(|uuid| BilledInvoice {
                uuid,
                number: row.number,
                version: row.version,
            }),
        },
    });
    Ok(bills.collect())
}
