//! The evidence of stored data: when the fetch began that observed them. Newer evidence wins.
//!
//! Two fetches can be stored in the opposite order, since an attempt can be delayed for any time
//! between its last request and its transaction. So every writer of fetched data compares, under
//! its lock, the evidence that it has with the evidence of the stored data:
//!
//! - a listing that began before the latest complete one is superseded: it adds, changes and
//!   strikes nothing;
//! - a row that a later listing observed is neither changed nor marked as missing by an earlier
//!   one;
//! - a document, such as a preview, never replaces one with a fetch that began later.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{Store, StoreError};

/// The time of the database's clock before the first request of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    pub(crate) began_at: DateTime<Utc>,
}

impl Evidence {
    pub fn began_at(self) -> DateTime<Utc> {
        self.began_at
    }

    /// Returns true if the stored data is of a fetch that began later.
    pub(crate) fn is_superseded_by(self, stored: Option<DateTime<Utc>>) -> bool {
        stored.is_some_and(|stored| self.began_at < stored)
    }
}

impl Store {
    /// Begins a fetch. Must be called before its first request.
    pub async fn begin_fetch(&self) -> Result<Evidence, StoreError> {
        let began_at = self.now().await?;
        Ok(Evidence { began_at })
    }
}

/// A list of bills. Listings of kinds are recorded by [`crate::listings::record`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum BillList {
    Invoices,
    BillingHistory,
}

/// Begins to store a list of bills. Concurrent lists of the same type wait here until the
/// transaction ends. Returns false if the list is superseded.
pub(crate) async fn begin_list(
    tx: &mut PgConnection,
    list: BillList,
    evidence: Evidence,
    is_complete: bool,
) -> Result<bool, StoreError> {
    let list = match list {
        BillList::Invoices => "invoices",
        BillList::BillingHistory => "billing_history",
    };
    let latest_complete = sqlx::query_scalar!(
        "insert into cloud_bill_listings as latest (list, complete_at) values ($1, case when $3 then $2::timestamptz end)
         on conflict (provider, list) do update set complete_at = greatest(latest.complete_at, excluded.complete_at)
         returning complete_at",
        list,
        evidence.began_at,
        is_complete,
    )
    .fetch_one(tx)
    .await?;
    Ok(!evidence.is_superseded_by(latest_complete))
}
