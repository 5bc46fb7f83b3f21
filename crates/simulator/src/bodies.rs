//! Bodies as DigitalOcean writes them, by product: every field of the specification that its examples show.

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

/// What the body of a resource is made from.
#[derive(Clone, Debug)]
pub(crate) struct New<'a> {
    pub(crate) id: String,
    pub(crate) name: &'a str,
    /// The slug.
    pub(crate) region: &'a str,
    /// Given to no other resource of the account.
    pub(crate) number: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) project: Uuid,
    pub(crate) parent: Option<Parent>,
}

impl New<'_> {
    /// An address of the range for benchmarks (RFC 2544) that belongs to this resource.
    pub(crate) fn address(&self) -> String {
        let [a, b, ..] = spread(self.number).to_be_bytes();
        format!("198.19.{a}.{b}")
    }

    /// A UUID for some part of this resource.
    pub(crate) fn part(&self, what: &str) -> Uuid {
        identifier(what, self.number)
    }
}
