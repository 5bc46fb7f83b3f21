//! The draft of a close.

use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use domain::focus::Rows;
use domain::proof::{self, Hash, SCHEME, Tree};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Approval;
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::costs::closes::{encoding, rule_columns};
use crate::costs::document::read_document;
use crate::costs::{
    Audience, CloseFile, CloseOfStatement, MonthClose, Statement, Statements, live_statements,
};
use crate::focus::{CostPages, FocusMonth};
use crate::locks::{self, Lock};
use crate::own_statements::read_own_document;
use crate::{Actor, Run, Store, StoreError, Usd};

/// The most bytes of a piece of a file.
const PIECE: usize = 1024 * 1024;

/// The Ed25519 signature of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootSignature {
    pub public_key: [u8; 32],
    pub signature: [u8; 64],
}

/// A draft with the month that it is read from, and its transaction.
pub struct Closing {
    month: FocusMonth,
    draft: CloseDraft,
}

/// The draft of a close, while the month is read elsewhere.
pub struct CloseDraft {
    id: Uuid,
    number: i32,
    frozen_at: DateTime<Utc>,
    statements: Statements,
    entries: Vec<Entry>,
    files: Vec<CloseFile>,
}

/// A frozen statement in the manifest; USD.
#[derive(Debug, Serialize)]
struct Entry {
    tenant_id: Option<String>,
    audience: &'static str,
    direct: Usd,
    shared: Usd,
    adjusted: Usd,
    total: Usd,
    lines: usize,
    leaf: Hash,
}

impl CloseDraft {
    /// Continues the draft with the month that its rows were read from.
    pub fn with(self, month: FocusMonth) -> Closing {
        Closing { month, draft: self }
    }
}

impl Closing {
    /// Stores the draft and its statements.
    pub(super) async fn begin(
        mut month: FocusMonth,
        statements: Statements,
        approval: &Approval,
        run: &Run,
    ) -> Result<Self, StoreError> {
        let (rule, weights) = rule_columns(&statements.rule);
        let frozen_at = month.read_at;
        // Root and first leaf follow when all leaves are known.
        let draft = sqlx::query!(
            r#"insert into cloud_month_closes (period, number, frozen_at, closed_by, close_reason, workflow_id, run_id, line_total,
                   invoice_total, verified_at, rule, weights, invoices, accepted_invoices, accepted_total, head_leaf, root, leaf_count)
               select $1, 1 + coalesce((select max(number) from cloud_month_closes where period = $1), 0), $2, $3, $4, $5, $6, $7,
                   $8, $9, $10, $11, invoices, invoices, $7, sha256(''), sha256(''), 1
               from (
                   select coalesce(jsonb_object_agg(invoice_uuid, version), '{}') as invoices from cloud_invoices where period = $1
               ) month
               returning id, number"#,
            month.period,
            frozen_at,
            approval.by,
            approval.reason,
            run.workflow_id,
            run.run_id,
            statements.line_total,
            statements.invoice_total,
            statements.verification.verified_at,
            rule,
            weights,
        )
        .fetch_one(&mut *month.snapshot)
        .await?;
        let mut closing = Self {
            month,
            draft: CloseDraft {
                id: draft.id,
                number: draft.number,
                frozen_at,
                statements,
                entries: Vec::new(),
                files: Vec::new(),
            },
        };
        closing.freeze_statements().await?;
        Ok(closing)
    }

    async fn freeze_statements(&mut self) -> Result<(), StoreError> {
        let (statements, frozen_at) = (self.draft.statements.clone(), self.draft.frozen_at);
        let close = Some(CloseOfStatement {
            number: u32::try_from(self.draft.number).unwrap_or_default(),
            frozen_at,
        });
        for row in &statements.rows {
            let tenant = row.tenant_id.as_deref();
            let snapshot = &mut self.month.snapshot;
            let document = read_document(snapshot, &statements, tenant, close).await?;
            let lines = document.lines.len() + document.shared_lines.len();
            self.freeze(row, Audience::Account, &document, lines)
                .await?;
            let Some(tenant) = tenant.and_then(|tenant| tenant.parse::<TenantId>().ok()) else {
                continue;
            };
            let snapshot = &mut self.month.snapshot;
            let document = read_own_document(snapshot, &statements, &tenant, close).await?;
            let lines = document.lines.len() + document.shared_lines.len();
            self.freeze(row, Audience::Own, &document, lines).await?;
        }
        for adjustment in &statements.adjustments {
            sqlx::query!(
                "insert into cloud_closed_adjustments (close_id, period, tenant_id, direct, shared) values ($1, $2, $3, $4, $5)",
                self.draft.id,
                adjustment.period,
                adjustment.tenant_id,
                adjustment.direct,
                adjustment.shared,
            )
            .execute(&mut *self.month.snapshot)
            .await?;
        }
        Ok(())
    }

    async fn freeze(
        &mut self,
        row: &Statement,
        audience: Audience,
        document: &impl Serialize,
        lines: usize,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(document).map_err(encoding)?;
        let value: Map<String, Value> = serde_json::from_str(&text).map_err(encoding)?;
        let salt = new_salt();
        let leaf = proof::statement_leaf(salt, proof::statement_hash(&value));
        let index = i32::try_from(self.draft.entries.len() + 1).unwrap_or(i32::MAX);
        sqlx::query!(
            "insert into cloud_closed_statements
                 (close_id, tenant_id, audience, leaf_index, leaf, salt, direct, shared, adjusted, document)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            self.draft.id,
            row.tenant_id,
            audience.name(),
            index,
            &leaf.as_bytes()[..],
            &salt.as_bytes()[..],
            row.direct,
            row.shared,
            row.adjusted,
            text,
        )
        .execute(&mut *self.month.snapshot)
        .await?;
        self.draft.entries.push(Entry {
            tenant_id: row.tenant_id.clone(),
            audience: audience.name(),
            direct: Usd(row.direct),
            shared: Usd(row.shared),
            adjusted: Usd(row.adjusted),
            total: Usd(row.total()),
            lines,
            leaf,
        });
        Ok(())
    }

    /// Returns the month, for the datasets of its bill.
    pub fn month(&mut self) -> &mut FocusMonth {
        &mut self.month
    }

    /// Reads the rows of the month's invoices. Continue with [`CostPages::into_month`] and
    /// [`CloseDraft::with`].
    pub fn cost_rows(self, rows: Rows) -> (CostPages, CloseDraft) {
        (self.month.cost_rows(rows, false), self.draft)
    }

    /// Returns the open items of the month, which an administrator approved, as JSON.
    pub async fn checks(&mut self) -> Result<Value, StoreError> {
        let statements = &self.draft.statements;
        let open = super::readiness::open_items(&mut self.month.snapshot, statements).await?;
        Ok(json!({
            "period": statements.period,
            "line_total": Usd(statements.line_total),
            "invoice_total": Usd(statements.invoice_total),
            "statements_total": Usd(statements.costs()),
            "adjustments_total": Usd(statements.adjusted()),
            "open": open,
        }))
    }

    /// Adds a file.
    pub async fn add_file(
        &mut self,
        name: &str,
        media_type: &str,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let file = CloseFile {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            size: i64::try_from(content.len()).unwrap_or(i64::MAX),
            sha256: Hash::of_bytes(content).to_string(),
        };
        store_file(&mut self.month.snapshot, self.draft.id, &file, content).await?;
        self.draft.files.push(file);
        Ok(())
    }

    /// Computes the root, has it signed, adds the manifest, and closes the month. `sign` receives
    /// the text that is signed; `None` without a signing key.
    ///
    /// # Errors
    ///
    /// [`StoreError::MonthState`] if another run closed the month meanwhile; the draft is then
    /// without effect.
    pub async fn store(
        mut self,
        actor: &Actor,
        sign: impl FnOnce(&str) -> Option<RootSignature>,
    ) -> Result<MonthClose, StoreError> {
        let CloseDraft { id, number, .. } = self.draft;
        let period = self.month.period;
        let invoices = sqlx::query_scalar!(
            r#"select coalesce(jsonb_agg(jsonb_build_object('invoice_uuid', invoice_uuid, 'invoice_id', invoice_id,
                   'version', version, 'amount', amount::text, 'content_hash', encode(lines_sha256, 'hex')) order by invoice_uuid), '[]')
                   as "invoices!"
               from cloud_invoices where period = $1"#,
            period,
        )
        .fetch_one(&mut *self.month.snapshot)
        .await?;
        let statements = &self.draft.statements;
        let head = json!({
            "scheme": SCHEME,
            "period": period.format("%Y-%m").to_string(),
            "close": number,
            "frozen_at": self.draft.frozen_at,
            "line_total": Usd(statements.line_total),
            "invoice_total": Usd(statements.invoice_total),
            "invoices": invoices,
            "files": self.draft.files,
        });
        let head_leaf = proof::month_leaf(&head);
        let mut tree = Tree::new(head_leaf);
        for entry in &self.draft.entries {
            tree.push(entry.leaf);
        }
        let root = proof::month_root(tree.root(), tree.leaf_count());
        let close = u32::try_from(number).unwrap_or_default();
        let signature = sign(&proof::signed_message(period, close, root));
        sqlx::query!(
            "update cloud_month_closes set head_leaf = $2, root = $3, leaf_count = $4, public_key = $5, signature = $6 where id = $1",
            id,
            &head_leaf.as_bytes()[..],
            &root.as_bytes()[..],
            i32::try_from(tree.leaf_count()).unwrap_or(i32::MAX),
            signature.as_ref().map(|signature| &signature.public_key[..]),
            signature.as_ref().map(|signature| &signature.signature[..]),
        )
        .execute(&mut *self.month.snapshot)
        .await?;
        let manifest = json!({
            "month": head,
            "statements": self.draft.entries,
            "root": root,
            "is_signed": signature.is_some(),
        });
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(encoding)?;
        self.add_file("manifest.json", "application/json", &manifest)
            .await?;
        let store = self.month.commit().await?;
        close_with(&store, &self.draft, period, actor).await
    }
}

/// Closes the month with its stored draft.
async fn close_with(
    store: &Store,
    draft: &CloseDraft,
    period: NaiveDate,
    actor: &Actor,
) -> Result<MonthClose, StoreError> {
    let mut tx = store.pool.begin().await?;
    // Every transaction that changed lines since the draft was read is visible from here on, and
    // each later one sees the close.
    locks::acquire(&mut tx, Lock::CostLines).await?;
    locks::acquire(&mut tx, Lock::AllocationRules).await?;
    // An attempt that was replaced may continue after the month was closed and reopened.
    let is_closed = sqlx::query_scalar!(
        r#"select exists (
               select from cloud_month_closes close join cloud_month_closes draft on draft.id = $2
               where close.period = $1 and close.closed_at is not null
                 and (close.reopened_at is null
                   or (close.workflow_id, close.run_id) = (draft.workflow_id, draft.run_id))) as "is!""#,
        period,
        draft.id,
    )
    .fetch_one(&mut *tx)
    .await?;
    if is_closed {
        return Err(StoreError::MonthState {
            period,
            problem: "is closed already, or this run closed it before: to close it again, reopen it and start another close"
                .to_owned(),
        });
    }
    let now = live_statements(&mut tx, period).await?;
    let costs = |rows: &[Statement]| -> Vec<_> {
        let rows = rows.iter().filter(|row| !row.costs().is_zero());
        rows.map(|row| (row.tenant_id.clone(), row.direct, row.shared))
            .collect()
    };
    let differs =
        costs(&now.rows) != costs(&draft.statements.rows) || now.rule != draft.statements.rule;
    // After a reopening, later closes may contain adjustments for the earlier close of this month.
    let updated = sqlx::query!(
        "update cloud_month_closes set closed_at = clock_timestamp(), may_differ = $2 or exists (
             select from cloud_closed_adjustments adjustment join cloud_month_closes later on later.id = adjustment.close_id
             where adjustment.period = $3 and later.closed_at is not null and later.reopened_at is null)
         where id = $1 and closed_at is null",
        draft.id,
        differs,
        period,
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if updated == 0 {
        return Err(StoreError::TakenOver);
    }
    // An adjusted month may have been reopened and closed since the draft was read.
    sqlx::query!(
        "update cloud_month_closes set may_differ = true
         where not may_differ and closed_at is not null and reopened_at is null
           and period in (select adjustment.period from cloud_closed_adjustments adjustment where close_id = $1)",
        draft.id,
    )
    .execute(&mut *tx)
    .await?;
    let object = Object::new(ObjectType::Month, &period.format("%Y-%m"));
    let act = Act::new(Action::MonthClosed, object).after(json!({
        "close": draft.number,
        "line_total": Usd(draft.statements.line_total),
        "statements": draft.statements.rows.len(),
    }));
    audit::commit(tx, actor, act).await?;
    store
        .close_in_force(period)
        .await?
        .ok_or_else(|| StoreError::MonthState {
            period,
            problem: "was reopened at once: start its close again".to_owned(),
        })
}

async fn store_file(
    connection: &mut PgConnection,
    close: Uuid,
    file: &CloseFile,
    content: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cloud_close_files (close_id, name, media_type, size, sha256) values ($1, $2, $3, $4, decode($5, 'hex'))",
        close,
        file.name,
        file.media_type,
        file.size,
        file.sha256,
    )
    .execute(&mut *connection)
    .await?;
    for (number, piece) in (1..).zip(content.chunks(PIECE)) {
        sqlx::query!(
            "insert into cloud_close_file_pieces (close_id, name, number, content) values ($1, $2, $3, $4)",
            close,
            file.name,
            number,
            piece,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Returns 32 random bytes.
fn new_salt() -> Hash {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    Hash::from(bytes)
}
