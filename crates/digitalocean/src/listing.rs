//! What a list of DigitalOcean's showed, and how much of it that is.

use domain::Completeness;

use crate::Error;

/// The items of a list and whether they are all of them. A list that broke off half-way still hands over what it saw.
#[derive(Debug)]
pub struct Listing<T> {
    /// Each item once, in DigitalOcean's order; of two versions the one read later.
    pub items: Vec<T>,
    /// DigitalOcean's own count of the items, where it gives one.
    pub total: Option<u64>,
    /// Requests made, those that failed included.
    pub requests: u32,
    /// Whether this is everything, and if not, why.
    pub completeness: Completeness,
    /// Why a page could not be read. None for a complete list, and for one that is incomplete because its pages contradict each
    /// other or an item could not be read.
    pub failure: Option<Error>,
}
