//! Bodies in DigitalOcean's format, by product, with all fields of the specification's examples.

pub(crate) mod compute;
pub(crate) mod data;
pub(crate) mod genai;
pub(crate) mod network;
pub(crate) mod platform;
pub(crate) mod storage;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    identifiers::{identifier, spread},
    stock::Parent,
};

/// The values that a resource's body is made from.
#[derive(Clone, Debug)]
pub(crate) struct New<'a> {
    pub(crate) id: String,
    pub(crate) name: &'a str,
    /// The region's slug.
    pub(crate) region: &'a str,
    /// Unique in the account.
    pub(crate) number: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) project: Uuid,
    pub(crate) parent: Option<Parent>,
}

impl New<'_> {
    /// The resource's address, in the range for benchmarks (RFC 2544).
    pub(crate) fn address(&self) -> String {
        let [a, b, ..] = spread(self.number).to_be_bytes();
        format!("198.19.{a}.{b}")
    }

    /// The UUID of a part of the resource.
    pub(crate) fn part(&self, name: &str) -> Uuid {
        identifier(name, self.number)
    }
}
