//! The frozen statements of a closed month, with their proofs.

use chrono::NaiveDate;
use domain::proof::{Hash, Proof, SCHEME, SignatureOfRoot, Tree};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Adjustment, CloseOfStatement, InForce, in_force, rows_of};
use crate::StoreError;
use crate::costs::rules::rule_of;
use crate::costs::{Statements, Verification};

/// The reader of a frozen statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Administrators: with the match, the weights and the whole lines.
    Account,
    /// The tenant: without data of others.
    Own,
}

impl Audience {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Own => "own",
        }
    }
}

/// A frozen statement as JSON, which never changes while the close is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvenStatement {
    /// The statement without its proof, a JSON object.
    document: String,
    proof: Proof,
}

impl ProvenStatement {
    /// Returns the JSON object of the statement, with `proof` as its last member.
    pub fn to_json(&self) -> Result<String, StoreError> {
        let proof = serde_json::to_string(&self.proof).map_err(encoding)?;
        let open = self.document.strip_suffix('}').unwrap_or(&self.document);
        Ok(format!("{open},\"proof\":{proof}}}"))
    }

    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Decodes the statement: a [`StatementDocument`](crate::costs::StatementDocument) for
    /// administrators, an [`OwnStatementDocument`](crate::own_statements::OwnStatementDocument) for
    /// the tenant.
    pub(crate) fn decode<D: DeserializeOwned>(&self) -> Result<D, StoreError> {
        serde_json::from_str(&self.document).map_err(decoding)
    }
}

/// The statement of a tenant with its lines.
#[derive(Debug, Clone, PartialEq)]
pub enum StatementState<D> {
    /// The statement of an open month, by the figures of today.
    Open(Box<D>),
    /// The statement of a closed month.
    Closed(ProvenStatement),
}

impl<D: DeserializeOwned> StatementState<D> {
    /// Returns the statement without its proof.
    pub fn document(self) -> Result<D, StoreError> {
        match self {
            Self::Open(document) => Ok(*document),
            Self::Closed(proven) => proven.decode(),
        }
    }
}

pub(crate) fn encoding(error: serde_json::Error) -> StoreError {
    StoreError::Database(sqlx::Error::Encode(error.into()))
}

fn decoding(error: serde_json::Error) -> StoreError {
    StoreError::Database(sqlx::Error::Decode(error.into()))
}

/// Returns the frozen statement of a tenant (`None` for the unallocated costs); `None` if the month
/// is not closed, or the tenant had no costs and no adjustment in it.
pub(crate) async fn frozen_document(
    connection: &mut PgConnection,
    period: NaiveDate,
    tenant: Option<&str>,
    audience: Audience,
) -> Result<Option<ProvenStatement>, StoreError> {
    let Some(row) = sqlx::query!(
        r#"select statement.close_id, document, salt, leaf_index, root, public_key, signature,
               encode(public_key, 'hex') as public_key_hex, encode(signature, 'hex') as signature_hex
           from cloud_closed_statements statement join cloud_month_closes close on close.id = statement.close_id
           where close.period = $1 and close.closed_at is not null and close.reopened_at is null
             and statement.audience = $3 and statement.tenant_id is not distinct from $2"#,
        period,
        tenant,
        audience.name(),
    )
    .fetch_optional(&mut *connection)
    .await?
    else {
        return Ok(None);
    };
    let tree = tree_of(connection, row.close_id).await?;
    let index = usize::try_from(row.leaf_index).unwrap_or_default();
    let signature = row.public_key_hex.zip(row.signature_hex);
    let proof = Proof {
        scheme: SCHEME.to_owned(),
        root: hash(&row.root)?,
        salt: hash(&row.salt)?,
        index,
        leaves: tree.leaf_count(),
        path: tree.path(index).unwrap_or_default(),
        signature: signature.map(|(public_key, signature)| SignatureOfRoot {
            public_key,
            signature,
        }),
    };
    Ok(Some(ProvenStatement {
        document: row.document,
        proof,
    }))
}

/// Returns the tree of a close: its head, then the statements.
async fn tree_of(connection: &mut PgConnection, close: Uuid) -> Result<Tree, StoreError> {
    let head = sqlx::query_scalar!(
        "select head_leaf from cloud_month_closes where id = $1",
        close
    )
    .fetch_one(&mut *connection)
    .await?;
    let leaves = sqlx::query_scalar!(
        "select leaf from cloud_closed_statements where close_id = $1 order by leaf_index",
        close
    )
    .fetch_all(connection)
    .await?;
    let mut tree = Tree::new(hash(&head)?);
    for leaf in leaves {
        tree.push(hash(&leaf)?);
    }
    Ok(tree)
}

fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    let bytes = <[u8; 32]>::try_from(bytes);
    let bytes = bytes.map_err(|error| StoreError::Database(sqlx::Error::Decode(error.into())))?;
    Ok(Hash::from(bytes))
}

/// Returns the frozen statements of a month; `None` if it is open.
pub(crate) async fn frozen_statements(
    connection: &mut PgConnection,
    period: NaiveDate,
) -> Result<Option<Statements>, StoreError> {
    let Some(close) = in_force(connection, Some(period)).await?.pop() else {
        return Ok(None);
    };
    let rows = rows_of(&mut *connection, close.id).await?;
    let adjustments = contained(connection, close.id).await?;
    let correction = !close.is_accepted();
    let InForce {
        number,
        frozen_at,
        line_total,
        invoice_total,
        verified_at,
        rule,
        weights,
        invoices,
        ..
    } = close;
    Ok(Some(Statements {
        period,
        rows,
        line_total,
        invoice_total,
        invoices,
        final_invoices: invoices,
        verification: Verification {
            verified_at,
            ..Verification::default()
        },
        is_over: true,
        is_estimate: false,
        estimated: Decimal::ZERO,
        is_reallocating: false,
        rule: rule_of(&rule, weights)?,
        close: Some(CloseOfStatement {
            number: u32::try_from(number).unwrap_or_default(),
            frozen_at,
        }),
        has_correction: correction,
        adjustments,
    }))
}

/// Returns the adjustments that a close contains.
async fn contained(
    connection: &mut PgConnection,
    close: Uuid,
) -> Result<Vec<Adjustment>, StoreError> {
    let adjustments = sqlx::query_as!(
        Adjustment,
        r#"select period, tenant_id, direct, shared, direct + shared as "amount!" from cloud_closed_adjustments
           where close_id = $1 order by period, tenant_id nulls first"#,
        close,
    )
    .fetch_all(connection)
    .await?;
    Ok(adjustments)
}
