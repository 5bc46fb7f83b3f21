//! The proof that a statement is part of a closed month: a Merkle tree over the statements of the
//! month, by RFC 6962. `docs/closing.md` describes it for other programs.

mod merkle;
mod statement;

pub use merkle::{Hash, InvalidHash, Tree, root_by_path};
pub use statement::{
    Proof, SCHEME, SignatureOfRoot, Unproven, Verified, month_leaf, month_root, signed_message,
    statement_hash, statement_leaf, verify,
};

#[cfg(test)]
mod tests;
