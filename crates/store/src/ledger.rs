//! The billing history of the account: invoices, payments, credits and all other entries.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::ledger::BillingEntry;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::evidence::{BillList, begin_list};
use crate::locks::{self, Lock};
use crate::{Evidence, Store, StoreError};

/// The changes by one read of the billing history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerOutcome {
    pub listed: usize,
    pub new: usize,
    /// Entries that this complete listing newly lacks.
    pub missing: usize,
}

/// A stored entry; amounts in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerEntry {
    pub id: Uuid,
    pub entry_type: String,
    pub amount: Decimal,
    pub description: String,
    pub date: DateTime<Utc>,
    /// DigitalOcean's number of the invoice.
    pub invoice_number: Option<String>,
    pub invoice_uuid: Option<Uuid>,
    /// The amount of the invoice, if the invoice is stored.
    pub invoice_amount: Option<Decimal>,
    pub counts_in_balance: bool,
    pub missing_since: Option<DateTime<Utc>>,
    /// The amount owed after this entry: the sum of all entries up to it that move money.
    pub running_total: Decimal,
}

/// The cursor of a page of entries.
#[derive(Debug, Clone, Copy)]
pub struct AfterEntry {
    pub date: DateTime<Utc>,
    pub id: Uuid,
}

/// The ledger compared to the balance that DigitalOcean reports; amounts in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerBalance {
    pub entries: i64,
    /// The total of all entries that move money: the amount owed for past months.
    pub total: Decimal,
    /// The total of the entries up to the time of DigitalOcean's balance.
    pub total_at_balance: Option<Decimal>,
    pub account_balance: Option<Decimal>,
    /// `account_balance` minus `total_at_balance`.
    pub difference: Option<Decimal>,
    pub balance_generated_at: Option<DateTime<Utc>>,
}

/// The type of a failed payment, which moves no money (our rule; DigitalOcean documents only the
/// name of the type).
const ATTEMPT_FAILED: &str = "AttemptFailed";

impl Store {
    /// Stores the billing history. Stores each entry once: DigitalOcean assigns no ids, so a hash
    /// of the entry identifies it, and an ordinal distinguishes equal entries. A complete listing
    /// marks stored entries that it lacks as missing; nothing is deleted. A superseded listing
    /// changes nothing.
    pub async fn store_ledger(
        &self,
        entries: &[BillingEntry],
        evidence: Evidence,
        is_complete: bool,
    ) -> Result<LedgerOutcome, StoreError> {
        let mut keys: Vec<Vec<u8>> = Vec::with_capacity(entries.len());
        let mut ordinals = Vec::with_capacity(entries.len());
        let mut ids = Vec::with_capacity(entries.len());
        let mut ordinals_by_key: HashMap<[u8; 32], i32> = HashMap::new();
        for entry in entries {
            let key = entry_key(entry);
            let ordinal = ordinals_by_key.entry(key).or_default();
            *ordinal += 1;
            let mut hash = Sha256::new();
            hash.update(key);
            hash.update(ordinal.to_le_bytes());
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&hash.finalize()[..16]);
            ids.push(uuid::Builder::from_custom_bytes(bytes).into_uuid());
            ordinals.push(*ordinal);
            keys.push(key.to_vec());
        }
        let types: Vec<&str> = entries
            .iter()
            .map(|entry| entry.entry_type.as_str())
            .collect();
        let amounts: Vec<Decimal> = entries.iter().map(|entry| entry.amount).collect();
        let descriptions: Vec<&str> = entries
            .iter()
            .map(|entry| entry.description.as_str())
            .collect();
        let dates: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.date).collect();
        let invoice_numbers: Vec<Option<&str>> = entries
            .iter()
            .map(|entry| entry.invoice_id.as_deref())
            .collect();
        let invoice_uuids: Vec<Option<Uuid>> = entries
            .iter()
            .map(|entry| entry.invoice_uuid.map(domain::InvoiceUuid::as_uuid))
            .collect();
        let moves: Vec<bool> = entries
            .iter()
            .map(|entry| entry.entry_type != ATTEMPT_FAILED)
            .collect();

        let mut outcome = LedgerOutcome {
            listed: entries.len(),
            ..LedgerOutcome::default()
        };
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Ledger).await?;
        let list = BillList::BillingHistory;
        if !begin_list(&mut tx, list, evidence, is_complete).await? {
            return Ok(outcome);
        }
        let new = sqlx::query_scalar!(
            r#"
            with listed as (
                select * from unnest($1::uuid[], $2::bytea[], $3::int[], $4::text[], $5::numeric[], $6::text[], $7::timestamptz[],
                        $8::text[], $9::uuid[], $10::bool[])
                    as listed (id, entry_key, ordinal, entry_type, amount, description, date, invoice_number, invoice_uuid, counts_in_balance)
            ), seen as (
                update cloud_billing_entries entry set listed_at = $11, missing_since = null
                from listed
                where entry.id = listed.id and entry.listed_at <= $11 and (entry.missing_since is not null or not $12)
            ), new as (
                insert into cloud_billing_entries (id, entry_key, ordinal, entry_type, amount, description, date, invoice_number,
                    invoice_uuid, counts_in_balance, first_seen_at, listed_at)
                select id, entry_key, ordinal, entry_type, amount, description, date, invoice_number, invoice_uuid, counts_in_balance, $11, $11
                from listed where not exists (select from cloud_billing_entries entry where entry.id = listed.id)
                returning id
            )
            select count(*) as "new!" from new
            "#,
            &ids,
            &keys,
            &ordinals,
            &types as &[&str],
            &amounts,
            &descriptions as &[&str],
            &dates,
            &invoice_numbers as &[Option<&str>],
            &invoice_uuids as &[Option<Uuid>],
            &moves,
            evidence.began_at,
            is_complete,
        )
        .fetch_one(&mut *tx)
        .await?;
        outcome.new = usize::try_from(new).unwrap_or_default();
        if is_complete {
            let missing = sqlx::query!(
                "update cloud_billing_entries set missing_since = $1
                 where provider = 'digitalocean' and missing_since is null and listed_at < $1 and id <> all($2)",
                evidence.began_at,
                &ids,
            )
            .execute(&mut *tx)
            .await?
            .rows_affected();
            outcome.missing = usize::try_from(missing).unwrap_or_default();
        }
        tx.commit().await?;
        Ok(outcome)
    }

    /// Lists the entries, latest first.
    pub async fn ledger(
        &self,
        entry_type: Option<&str>,
        after: Option<AfterEntry>,
        limit: i64,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let entries = sqlx::query_as!(
            LedgerEntry,
            r#"
            select entry.id as "id!", entry.entry_type as "entry_type!", entry.amount as "amount!", entry.description as "description!",
                entry.date as "date!", entry.invoice_number, entry.invoice_uuid, invoice.amount as "invoice_amount?",
                entry.counts_in_balance as "counts_in_balance!", entry.missing_since, entry.running_total as "running_total!"
            from (
                select *, coalesce(sum(amount) filter (where counts_in_balance and missing_since is null) over (order by date, id), 0)
                    as running_total
                from cloud_billing_entries
            ) entry
            left join cloud_invoices invoice on invoice.invoice_uuid = entry.invoice_uuid
            where ($1::text is null or entry.entry_type = $1)
              and ($2::timestamptz is null or (entry.date, entry.id) < ($2, $3))
            order by entry.date desc, entry.id desc limit $4
            "#,
            entry_type,
            after.map(|after| after.date),
            after.map(|after| after.id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(entries)
    }

    /// Lists the types of all entries, as written by DigitalOcean.
    pub async fn entry_types(&self) -> Result<Vec<String>, StoreError> {
        let types = sqlx::query_scalar!(
            "select distinct entry_type from cloud_billing_entries order by entry_type"
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(types)
    }

    /// Returns the total of the ledger and the latest balance.
    pub async fn ledger_balance(&self) -> Result<LedgerBalance, StoreError> {
        ledger_balance(&self.pool).await
    }
}

fn entry_key(entry: &BillingEntry) -> [u8; 32] {
    let mut hash = Sha256::new();
    let uuid = entry
        .invoice_uuid
        .map(|uuid| uuid.to_string())
        .unwrap_or_default();
    // Each field is preceded by its length, so that "ab", "c" and "a", "bc" have different keys.
    for field in [
        entry.date.to_rfc3339().as_str(),
        &entry.entry_type,
        &entry.amount.normalize().to_string(),
        &entry.description,
        &uuid,
    ] {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// Reads the result of [`Store::ledger_balance`].
pub(crate) async fn ledger_balance(
    executor: impl PgExecutor<'_>,
) -> Result<LedgerBalance, StoreError> {
    let balance = sqlx::query_as!(
        LedgerBalance,
        r#"
        with latest as (
            select account_balance, generated_at from cloud_latest_balance
        ), counted as (
            select amount, date from cloud_billing_entries where counts_in_balance and missing_since is null
        )
        select
            (select count(*) from cloud_billing_entries) as "entries!",
            (select coalesce(sum(amount), 0) from counted) as "total!",
            at_balance.total as total_at_balance,
            latest.account_balance as "account_balance?",
            latest.account_balance - at_balance.total as difference,
            latest.generated_at as "balance_generated_at?"
        from (select 1) one
        left join latest on true
        left join lateral (
            select coalesce(sum(amount), 0) as total from counted where date <= latest.generated_at
        ) at_balance on latest.generated_at is not null
        "#
    )
    .fetch_one(executor)
    .await?;
    Ok(balance)
}
