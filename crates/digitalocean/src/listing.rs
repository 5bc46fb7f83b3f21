//! The result of reading a list: its items and its completeness.

use domain::Completeness;

use crate::Error;

/// The items of a list and its completeness. A list that was interrupted has the items read so far.
#[derive(Debug)]
pub struct Listing<T> {
    /// Each item once, in DigitalOcean's order. Of two versions of an item, the one read later is
    /// kept.
    pub items: Vec<T>,
    /// DigitalOcean's count of the items, if it returns one.
    pub total: Option<u64>,
    /// Requests sent, including failed ones.
    pub requests: u32,
    /// Whether all items were read, with the reason if not.
    pub completeness: Completeness,
    /// The error of a page that could not be read. None for a complete list, and for a list that is
    /// incomplete because its pages contradict each other or an item could not be parsed.
    pub failure: Option<Error>,
}
