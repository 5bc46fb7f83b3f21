//! Merkle trees by RFC 6962, section 2.1, with SHA-256.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 hash; as text, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hash([u8; 32]);

/// A text that is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 hash of 64 hexadecimal digits")]
pub struct InvalidHash(String);

/// The first byte of the content of a leaf, so that no leaf has the hash of an inner node.
const LEAF: u8 = 0;
/// The first byte of the content of an inner node.
const NODE: u8 = 1;

impl Hash {
    /// Returns the hash of a leaf with this content.
    pub fn of_leaf(content: &[u8]) -> Self {
        Self::of(&[&[LEAF], content])
    }

    fn of_node(left: Self, right: Self) -> Self {
        Self::of(&[&[NODE], &left.0, &right.0])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Returns the SHA-256 hash of bytes, such as those of a file.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of(&[bytes])
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        let mut text = Self::with_capacity(64);
        // Writing into a string cannot fail.
        let _ = write!(text, "{hash}");
        text
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHash(text.chars().take(80).collect());
        // Only one text is valid for each hash.
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.as_bytes().iter().all(is_hex) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The leaves of a Merkle tree, in order. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    leaves: Vec<Hash>,
}

impl Tree {
    pub fn new(first: Hash) -> Self {
        Self {
            leaves: vec![first],
        }
    }

    pub fn push(&mut self, leaf: Hash) {
        self.leaves.push(leaf);
    }

    pub fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    pub fn root(&self) -> Hash {
        root_of(&self.leaves)
    }

    /// Returns the hashes by which the root follows from a leaf, that of its sibling first; `None`
    /// if there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        let mut path = Vec::new();
        let (mut leaves, mut index) = (self.leaves.get(..)?, index);
        if index >= leaves.len() {
            return None;
        }
        while leaves.len() > 1 {
            let (left, right) = leaves.split_at(split_of(leaves.len()));
            if index < left.len() {
                path.push(root_of(right));
                leaves = left;
            } else {
                path.push(root_of(left));
                index -= left.len();
                leaves = right;
            }
        }
        path.reverse();
        Some(path)
    }
}

/// The number of leaves of the left part: the largest power of two below the number of leaves.
fn split_of(leaves: usize) -> usize {
    leaves.next_power_of_two() / 2
}

fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_bytes(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split_of(leaves.len()));
            Hash::of_node(root_of(left), root_of(right))
        }
    }
}

/// Returns the root that follows from a leaf by its path; `None` if the path does not fit the index
/// and the number of leaves.
pub fn root_by_path(leaf: Hash, index: usize, leaf_count: usize, path: &[Hash]) -> Option<Hash> {
    if index >= leaf_count {
        return None;
    }
    // From the root down: whether the leaf is in the right part.
    let mut is_right = Vec::new();
    let (mut index, mut count) = (index, leaf_count);
    while count > 1 {
        let split = split_of(count);
        is_right.push(index >= split);
        if index < split {
            count = split;
        } else {
            index -= split;
            count -= split;
        }
    }
    if is_right.len() != path.len() {
        return None;
    }
    let steps = path.iter().zip(is_right.into_iter().rev());
    Some(steps.fold(leaf, |hash, (sibling, is_right)| {
        if is_right {
            Hash::of_node(*sibling, hash)
        } else {
            Hash::of_node(hash, *sibling)
        }
    }))
}
