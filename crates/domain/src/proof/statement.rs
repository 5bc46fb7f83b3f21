//! The hash of a statement, and its proof.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::merkle::{Hash, Tree, root_by_path};

/// The name of the scheme. A change of the hashed bytes needs another name.
pub const SCHEME: &str = "arcadia-month-1";

/// The proof of a statement: the path from its hash to the root of the closed month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// [`SCHEME`].
    pub scheme: String,
    /// The root of the month, see [`month_root`]. It is the same in all statements of a close.
    pub root: Hash,
    /// A random number, so that no reader can guess another statement and compare its hash.
    pub salt: Hash,
    /// The position of the statement among the leaves of the month.
    pub index: usize,
    pub leaves: usize,
    /// The hashes by which the root follows from the leaf of the statement.
    pub path: Vec<Hash>,
    /// Null if no signing key is configured.
    pub signature: Option<SignatureOfRoot>,
}

/// The signature of a root, by Ed25519 (RFC 8032), over [`signed_message`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureOfRoot {
    /// 64 hexadecimal digits.
    pub public_key: String,
    /// 128 hexadecimal digits.
    pub signature: String,
}

/// A statement that its proof confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub period: NaiveDate,
    /// The number of the close of the month, from 1.
    pub close: u32,
    /// `None` for the unallocated costs.
    pub tenant: Option<String>,
    /// USD.
    pub total: Decimal,
    /// The number of direct and shared lines.
    pub lines: usize,
    pub root: Hash,
    /// Not verified yet: this crate contains no cryptography of signatures.
    pub signature: Option<SignatureOfRoot>,
}

/// Why a statement is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error(
        "the statement has no proof: its month is not closed, or the file is not a statement as JSON"
    )]
    NoProof,
    #[error("the proof is invalid: {0}")]
    InvalidProof(String),
    #[error("the statement is invalid: {0}")]
    InvalidStatement(String),
    #[error("{sum}: the statement states {stated} USD, its lines total {found} USD")]
    WrongSum {
        sum: &'static str,
        stated: Decimal,
        found: Decimal,
    },
    #[error(
        "the statement was changed after the close, or is of another close: by its content the root is {found}, by the \
         proof {stated}"
    )]
    OtherRoot { stated: Hash, found: Hash },
}

/// The lists of a statement. Each of their items is a leaf.
const LISTS: [&str; 2] = ["lines", "shared_lines"];

/// Returns the hash of a statement: the root of the tree of its head and its lines. The head is all
/// but the lists and the proof.
pub fn statement_hash(statement: &Map<String, Value>) -> Hash {
    let mut head = statement.clone();
    head.remove("proof");
    for list in LISTS {
        head.remove(list);
    }
    let mut tree = Tree::new(named_leaf("head", &Value::Object(head)));
    for list in LISTS {
        let items = statement.get(list).and_then(Value::as_array);
        for item in items.into_iter().flatten() {
            tree.push(named_leaf(list, item));
        }
    }
    tree.root()
}

/// Returns the first leaf in the tree of a month: the hash of its invoices and files.
pub fn month_leaf(head: &Value) -> Hash {
    named_leaf("month", head)
}

/// Returns the root of a month: the hash of the root of its tree and of the number of leaves.
pub fn month_root(tree_root: Hash, leaves: usize) -> Hash {
    named_leaf("root", &json!({ "leaves": leaves, "tree": tree_root }))
}

/// Returns a leaf with JSON that has a place by its name, so that it proves nothing in another.
fn named_leaf(name: &str, content: &Value) -> Hash {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    write_canonical(content, &mut bytes);
    Hash::of_leaf(&bytes)
}

/// Returns the leaf of a statement in the tree of its month.
pub fn statement_leaf(salt: Hash, statement: Hash) -> Hash {
    let mut content = salt.as_bytes().to_vec();
    content.extend_from_slice(statement.as_bytes());
    Hash::of_leaf(&content)
}

/// Returns the text that is signed for the root of a close.
pub fn signed_message(period: NaiveDate, close: u32, root: Hash) -> String {
    format!("{SCHEME}\n{}\n{close}\n{root}\n", period.format("%Y-%m"))
}

/// Writes JSON in one form: without spaces, with the keys of each object in the order of their
/// bytes. Equals RFC 8785 for values without fractions and with ASCII keys.
fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort_unstable();
            out.push(b'{');
            for (place, key) in keys.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
                out.push(b':');
                write_canonical(&object[key], out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        scalar => out.extend_from_slice(scalar.to_string().as_bytes()),
    }
}

/// Verifies a statement as JSON, or a response with one as `data`, against its proof. Does not
/// verify the signature.
pub fn verify(document: &Value) -> Result<Verified, Unproven> {
    let document = document.get("data").unwrap_or(document);
    let statement = document.as_object().ok_or(Unproven::NoProof)?;
    let proof = match statement.get("proof") {
        None | Some(Value::Null) => return Err(Unproven::NoProof),
        Some(proof) => {
            Proof::deserialize(proof).map_err(|error| Unproven::InvalidProof(error.to_string()))?
        }
    };
    if proof.scheme != SCHEME {
        return Err(Unproven::InvalidProof(format!(
            "unknown scheme {:?}; this program knows {SCHEME}",
            proof.scheme
        )));
    }
    let head = Head::deserialize(document)
        .map_err(|error| Unproven::InvalidStatement(error.to_string()))?;
    head.check_sums()?;
    let leaf = statement_leaf(proof.salt, statement_hash(statement));
    let found = root_by_path(leaf, proof.index, proof.leaves, &proof.path).ok_or_else(|| {
        Unproven::InvalidProof(format!(
            "a path of {} hashes does not fit leaf {} of {}",
            proof.path.len(),
            proof.index,
            proof.leaves
        ))
    })?;
    let found = month_root(found, proof.leaves);
    if found != proof.root {
        return Err(Unproven::OtherRoot {
            stated: proof.root,
            found,
        });
    }
    Ok(Verified {
        period: head.period,
        close: head.close.number,
        tenant: head.tenant_id,
        total: head.total,
        lines: head.lines.len() + head.shared_lines.len(),
        root: found,
        signature: proof.signature,
    })
}

/// The parts of a statement that a proof depends on; amounts in USD.
#[derive(Deserialize)]
struct Head {
    period: NaiveDate,
    tenant_id: Option<String>,
    close: CloseOf,
    direct: Decimal,
    shared: Decimal,
    adjusted: Decimal,
    total: Decimal,
    lines: Vec<Part>,
    shared_lines: Vec<Part>,
    adjustments: Vec<Part>,
}

#[derive(Deserialize)]
struct CloseOf {
    number: u32,
}

#[derive(Deserialize)]
struct Part {
    amount: Decimal,
}

impl Head {
    fn check_sums(&self) -> Result<(), Unproven> {
        let sum = |parts: &[Part]| parts.iter().map(|part| part.amount).sum::<Decimal>();
        let sums = [
            ("direct costs", self.direct, sum(&self.lines)),
            ("shared costs", self.shared, sum(&self.shared_lines)),
            ("adjustments", self.adjusted, sum(&self.adjustments)),
            (
                "total",
                self.total,
                self.direct + self.shared + self.adjusted,
            ),
        ];
        match sums.into_iter().find(|(_, stated, found)| stated != found) {
            Some((sum, stated, found)) => Err(Unproven::WrongSum { sum, stated, found }),
            None => Ok(()),
        }
    }
}
