//! Retention: removes the rows beyond the bounds of their tables, a portion in each transaction.
//!
//! The triggers of these tables refuse every other removal. Portions are idempotent, and skip the
//! rows that a concurrent run removes.

use chrono::{DateTime, Utc};
use domain::maintenance::Rule;
use serde_json::{Value, json};
use sqlx::{PgExecutor, Postgres, Transaction};

use crate::access::remove_ended_sessions;
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::locks::{self, Lock};
use crate::{Actor, Store, StoreError};

/// The maximum number of rows that a transaction removes: some tens of milliseconds.
const PORTION: i64 = 5_000;

/// The result of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// The number of removed rows, or of added partitions.
    pub count: u64,
    /// False if more rows may be removable.
    pub is_last: bool,
}

impl Portion {
    fn removed(count: u64) -> Self {
        Self {
            count,
            is_last: count < PORTION.unsigned_abs(),
        }
    }
}

impl Store {
    /// Applies a portion of a rule.
    pub async fn maintain(&self, rule: Rule) -> Result<Portion, StoreError> {
        self.maintain_by(rule, PORTION).await
    }

    async fn maintain_by(&self, rule: Rule, portion: i64) -> Result<Portion, StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!("select set_config('arcadia.change', 'retention', true)")
            .fetch_one(&mut *tx)
            .await?;
        let count = match rule {
            Rule::Partitions => add_partitions(&mut tx).await?,
            Rule::Listings => remove_listings(&mut tx, portion).await?,
            Rule::Staging => remove_staged(&mut tx, portion).await?,
            Rule::Sessions => remove_ended_sessions(&mut tx).await?,
            Rule::Tokens => remove_tokens(&mut tx, portion).await?,
            Rule::Documents => remove_documents(&mut tx, portion).await?,
        };
        tx.commit().await?;
        let mut applied = Portion::removed(count);
        // These two are complete after one transaction.
        applied.is_last |= matches!(rule, Rule::Partitions | Rule::Sessions);
        Ok(applied)
    }

    /// Records that all rules were applied now, with their counts.
    pub async fn record_maintenance(&self, counts: &[(Rule, u64)]) -> Result<(), StoreError> {
        let counts: serde_json::Map<String, Value> = counts
            .iter()
            .map(|(rule, count)| (rule.to_string(), Value::from(*count)))
            .collect();
        sqlx::query!(
            "insert into maintenance_results (completed_at, counts) values (clock_timestamp(), $1)
             on conflict (only_row) do update set completed_at = excluded.completed_at, counts = excluded.counts",
            Value::Object(counts),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Replaces a secret in all stored resources and their events, and records the act without the
    /// secret. Returns the number of changed rows; an act that changes none is recorded too. Syncs
    /// wait meanwhile, since all events are read: about a minute for ten million.
    ///
    /// # Errors
    ///
    /// A secret of fewer than eight characters is refused.
    pub async fn purge_secret(&self, secret: &str, actor: &Actor) -> Result<i64, StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!("select set_config('statement_timeout', '0', true)")
            .fetch_one(&mut *tx)
            .await?;
        locks::acquire(&mut tx, Lock::Inventory).await?;
        let rows = sqlx::query_scalar!(r#"select purge_secret($1) as "rows!""#, secret)
            .fetch_one(&mut *tx)
            .await?;
        let object = Object::new(ObjectType::Inventory, &"all");
        let act = Act::new(Action::SecretPurged, object).after(json!({ "rows": rows }));
        audit::commit(tx, actor, act).await?;
        Ok(rows)
    }
}

/// Returns when all rules were last applied; before the first time, when the database was
/// installed.
pub(crate) async fn maintained_at(
    executor: impl PgExecutor<'_>,
) -> Result<DateTime<Utc>, StoreError> {
    let at = sqlx::query_scalar!(
        r#"select coalesce((select completed_at from maintenance_results), created_at) as "at!" from installation"#
    )
    .fetch_one(executor)
    .await?;
    Ok(at)
}

type Tx = Transaction<'static, Postgres>;

/// Adds the partitions of this month and the next ones. Gives up after two seconds if a reader
/// blocks it, because others would wait behind it.
async fn add_partitions(tx: &mut Tx) -> Result<u64, StoreError> {
    sqlx::query!("select set_config('lock_timeout', '2s', true)")
        .fetch_one(&mut **tx)
        .await?;
    let added = sqlx::query_scalar!(r#"select add_history_partitions() as "added!""#)
        .fetch_one(&mut **tx)
        .await?;
    Ok(u64::try_from(added).unwrap_or_default())
}

/// Removes listings, except the latest complete one of each kind and the first one after it, which
/// the freshness of the kind refers to, and those that a strike, a hold or a sighting refers to.
async fn remove_listings(tx: &mut Tx, portion: i64) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        "with expired as (
             select l.id
             from cloud_kind_freshness fresh
             join cloud_listings l on l.provider = fresh.provider and l.kind = fresh.kind
             where l.started_at < now() - interval '90 days'
               and (l.started_at < fresh.last_complete_at or exists (
                   select from cloud_listings earlier
                   where earlier.kind = l.kind and earlier.started_at < l.started_at
                     and earlier.started_at > coalesce(fresh.last_complete_at, '-infinity')))
               and not exists (select from cloud_held_deletions h where h.listing_id = l.id)
               and not exists (select from cloud_sightings s where s.kind = l.kind and s.seen_at = l.finished_at)
               and not exists (
                   select from cloud_resource_rows r where r.kind = l.kind and r.last_struck_at = l.finished_at)
               and not exists (
                   select from cloud_projects p where l.kind = 'project' and p.last_struck_at = l.finished_at)
               and not exists (
                   select from cloud_project_members m
                   where l.kind = 'project_member' and m.last_struck_at = l.finished_at)
             limit $1 for update of l skip locked
         )
         delete from cloud_listings where id in (select id from expired)",
        portion,
    )
    .execute(&mut **tx)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes the rows of abandoned listings. Each new listing does so too, but an account may have
/// none for days.
async fn remove_staged(tx: &mut Tx, portion: i64) -> Result<u64, StoreError> {
    let listings = sqlx::query!(
        "delete from cloud_resumable_listings where listing in (
             select listing from cloud_resumable_listings where taken_at < now() - interval '2 hours'
             limit $1 for update skip locked)",
        portion,
    )
    .execute(&mut **tx)
    .await?;
    let rows = sqlx::query!(
        "delete from cloud_staged_resources where (listing, id) in (
             select listing, id from cloud_staged_resources where staged_at < now() - interval '2 hours'
             limit $1 for update skip locked)",
        portion,
    )
    .execute(&mut **tx)
    .await?;
    Ok(listings.rows_affected() + rows.rows_affected())
}

/// Removes tokens that were revoked or expired, unless an act, a session or another token refers to
/// them.
async fn remove_tokens(tx: &mut Tx, portion: i64) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        "delete from api_tokens where id in (
             select token.id from api_tokens token
             where least(token.revoked_at, token.expires_at) < now() - interval '90 days'
               and not exists (select from audit_entries entry where entry.token_id = token.id)
               and not exists (select from api_tokens other where other.replaced_by = token.id)
               and not exists (select from web_sessions session where session.token_id = token.id)
               and not exists (select from login_links link where link.token_id = token.id)
             limit $1 for update skip locked)",
        portion,
    )
    .execute(&mut **tx)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes documents of readings that a complete one of the same version replaced. Ingests, which
/// may refer to a stored document, share the lock.
async fn remove_documents(tx: &mut Tx, portion: i64) -> Result<u64, StoreError> {
    locks::acquire(tx, Lock::CostLines).await?;
    let removed = sqlx::query!(
        "delete from cloud_invoice_documents where sha256 in (
             select document.sha256 from cloud_invoice_documents document
             where document.stored_at < now() - interval '90 days'
               and not exists (
                   select from cloud_invoices i where document.sha256 in (i.csv_sha256, i.items_sha256))
               and not exists (
                   select from cloud_invoice_versions v where document.sha256 in (v.csv_sha256, v.items_sha256))
             limit $1)",
        portion,
    )
    .execute(&mut **tx)
    .await?;
    Ok(removed.rows_affected())
}
