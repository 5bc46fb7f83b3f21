//! The close of a month: freezes its statements and files, all of one state of the database.
//!
//! A first transaction stores a draft with everything that is frozen, a second one closes the month
//! with it. If the process dies between them, the next attempt replaces the draft.

mod draft;
mod readiness;

use chrono::NaiveDate;
use uuid::Uuid;

pub use draft::{CloseDraft, Closing, RootSignature};
pub use readiness::{MonthReadiness, OpenItem};

use crate::costs::{MonthClose, read_statements};
use crate::focus::FocusMonth;
use crate::{Run, Store, StoreError};

/// The approval of the close of a month by an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The name of the access token, or the name that the update of the workflow states.
    pub by: String,
    pub reason: Option<String>,
}

/// The begin of a close.
pub enum BegunClose {
    /// Another run closed the month, or an earlier attempt of this one, which closes it once, also
    /// if it was reopened since.
    Closed(Box<MonthClose>),
    /// The month cannot be closed, for these reasons.
    NotFinal(Vec<String>),
    /// Its statements are frozen in a draft.
    Begun(Box<Closing>),
}

impl Store {
    /// Begins the close of a month: freezes its statements in a draft. Nothing is stored before
    /// [`CloseDraft::store`].
    pub async fn begin_close(
        &self,
        period: NaiveDate,
        approval: &Approval,
        run: &Run,
    ) -> Result<BegunClose, StoreError> {
        let mut closes = self.closes(period).await?.into_iter();
        if let Some(close) = closes.find(|close| close.is_in_force() || close.is_by(run)) {
            return Ok(BegunClose::Closed(Box::new(close)));
        }
        self.delete_drafts(period).await?;
        let snapshot = self.writable_snapshot().await?;
        let mut month = FocusMonth::begin(self, snapshot, period).await?;
        let statements = read_statements(&mut month.snapshot, period).await?;
        let mut reasons = statements.open_reasons();
        if !statements.adjustments.is_empty() && is_any_reallocating(&mut month).await? {
            reasons.push("tenants of closed months are being updated after a change".to_owned());
        }
        if !reasons.is_empty() {
            return Ok(BegunClose::NotFinal(reasons));
        }
        let closing = Closing::begin(month, statements, approval, run).await?;
        Ok(BegunClose::Begun(Box::new(closing)))
    }

    async fn delete_drafts(&self, period: NaiveDate) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let drafts: Vec<Uuid> = sqlx::query_scalar!(
            "select id from cloud_month_closes where period = $1 and closed_at is null for update",
            period
        )
        .fetch_all(&mut *tx)
        .await?;
        if drafts.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "delete from cloud_close_file_pieces where close_id = any($1)",
            &drafts
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from cloud_close_files where close_id = any($1)",
            &drafts
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from cloud_closed_adjustments where close_id = any($1)",
            &drafts
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from cloud_closed_statements where close_id = any($1)",
            &drafts
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from cloud_month_closes where id = any($1)", &drafts)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn is_any_reallocating(month: &mut FocusMonth) -> Result<bool, StoreError> {
    let is_reallocating = sqlx::query_scalar!(
        r#"select exists (select from cloud_reallocations where finished_at is null) as "is!""#
    )
    .fetch_one(&mut *month.snapshot)
    .await?;
    Ok(is_reallocating)
}
