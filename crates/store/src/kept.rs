//! Results that are kept in memory as long as the rows from which they were computed do not change.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// The most results of a kind. A page has one for each filter or range of months.
const MOST: usize = 64;

/// Results with the version of the rows that they were computed from.
///
/// The version is a text of the database that changes with every commit that changes the rows. It
/// must be read in the same snapshot as the rows.
#[derive(Debug)]
pub(crate) struct Kept<K, V>(Mutex<HashMap<K, (String, V)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Kept<K, V> {
    /// Returns the result of this version, if it is kept.
    pub(crate) fn get(&self, key: &K, version: &str) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, value) = kept.get(key)?;
        (of == version).then(|| value.clone())
    }

    /// Keeps a result instead of that of another version.
    pub(crate) fn put(&self, key: K, version: String, value: V) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST && !kept.contains_key(&key) {
            kept.clear();
        }
        kept.insert(key, (version, value));
    }
}
