//! What operators say single lines are for.

use chrono::{DateTime, Utc};
use domain::invoices::fits;
use uuid::Uuid;

use crate::invoices::matching;
use crate::{Store, StoreError};

/// An operator's word on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// None: it is for no resource, and all tenants bear it.
    pub resource_id: Option<Uuid>,
    pub reason: Option<String>,
    pub set_by: String,
    pub set_at: DateTime<Utc>,
}

impl Store {
    /// Says what a line is for; the word outlives every ingest. Whose it is follows in the same transaction.
    ///
    /// Refuses a resource of a kind that the line cannot be for ([`domain::invoices::fits`]), unless it is forced.
    pub async fn override_match(
        &self,
        line: Uuid,
        resource: Option<Uuid>,
        reason: Option<&str>,
        set_by: &str,
        is_forced: bool,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        matching::take_lock(&mut tx).await?;
        matching::note_cause(&mut tx, "operator", Some(set_by), None).await?;
        must_be_invoiced(&mut tx, line).await?;
        if let Some(resource) = resource {
            must_fit(&mut tx, line, resource, is_forced).await?;
        }
        sqlx::query!(
            "insert into cloud_cost_line_overrides (line_id, resource_id, reason, set_by, set_at) values ($1, $2, $3, $4, now())
             on conflict (line_id) do update set
                 resource_id = excluded.resource_id, reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at",
            line,
            resource,
            reason,
            set_by,
        )
        .execute(&mut *tx)
        .await?;
        matching::match_lines(&mut tx, &[line]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes an operator's word on a line back: the rules say again what it is for.
    pub async fn withdraw_override(&self, line: Uuid, set_by: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        matching::take_lock(&mut tx).await?;
        matching::note_cause(&mut tx, "operator", Some(set_by), None).await?;
        must_be_invoiced(&mut tx, line).await?;
        sqlx::query!(
            "delete from cloud_cost_line_overrides where line_id = $1",
            line
        )
        .execute(&mut *tx)
        .await?;
        matching::match_lines(&mut tx, &[line]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What an operator said of a line, if one did.
    pub async fn override_of(&self, line: Uuid) -> Result<Option<Override>, StoreError> {
        let word = sqlx::query_as!(
            Override,
            "select resource_id, reason, set_by, set_at from cloud_cost_line_overrides where line_id = $1",
            line
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(word)
    }
}

async fn must_fit(
    tx: &mut sqlx::PgConnection,
    line: Uuid,
    resource: Uuid,
    is_forced: bool,
) -> Result<(), StoreError> {
    let resource_kind =
        sqlx::query_scalar!("select kind from cloud_resources where id = $1", resource)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or(StoreError::NotFound {
                what: "resource",
                id: resource,
            })?;
    let of_line = sqlx::query!(
        "select kind, identified_kind from cloud_cost_lines where id = $1",
        line
    )
    .fetch_one(tx)
    .await?;
    if is_forced
        || fits(
            of_line.kind.as_deref(),
            of_line.identified_kind.as_deref(),
            &resource_kind,
        )
    {
        return Ok(());
    }
    Err(StoreError::KindMismatch {
        id: line,
        line_kind: of_line.kind.or(of_line.identified_kind).unwrap_or_default(),
        resource_kind,
    })
}

async fn must_be_invoiced(tx: &mut sqlx::PgConnection, line: Uuid) -> Result<(), StoreError> {
    let is_estimate = sqlx::query_scalar!(
        r#"select estimate_id is not null as "is_estimate!" from cloud_cost_lines where id = $1"#,
        line
    )
    .fetch_optional(tx)
    .await?;
    match is_estimate {
        Some(false) => Ok(()),
        // Its id would not be that of the invoice's line, and the word would be lost.
        Some(true) => Err(StoreError::Estimated { id: line }),
        None => Err(StoreError::NotFound {
            what: "cost line",
            id: line,
        }),
    }
}
