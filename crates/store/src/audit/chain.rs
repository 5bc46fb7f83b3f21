//! Verifies the chain of the audit: that no entry was changed, removed or replaced.

use std::fmt;

use crate::{Store, StoreError};

/// The result of a verification. Entries that were removed from the end leave no trace in the
/// database: compare `last_number` and `last_hash` with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditChain {
    pub entries: i64,
    /// The number of the last entry; 0 without entries.
    pub last_number: i64,
    /// The hash of the last entry in hexadecimal digits; empty without entries.
    pub last_hash: String,
    /// The first place where the chain is broken.
    pub broken_at: Option<ChainBreak>,
}

/// A place where the chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainBreak {
    /// The number of the entry.
    pub number: i64,
    pub fault: ChainFault,
}

/// The fault of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainFault {
    /// The entry does not exist, and a later one does.
    Removed,
    /// The content of the entry differs from its hash.
    Changed,
    /// The next entry was appended to another entry with this number.
    Replaced,
}

impl ChainFault {
    /// Returns the name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Replaced => "replaced",
        }
    }
}

impl fmt::Display for ChainBreak {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "entry {} was {}", self.number, self.fault.name())
    }
}

impl Store {
    /// Verifies every entry of the audit and its link to the entry before. Reads the whole table.
    pub async fn verify_audit(&self) -> Result<AuditChain, StoreError> {
        let found = sqlx::query!(
            r#"with linked as (
                   select number, hash, previous_hash, audit_entry_hash(entry) as content_hash,
                       lag(number) over by_number as before_number, lag(hash) over by_number as before_hash
                   from audit_entries entry window by_number as (order by number)
               ), fault as (
                   select case when number <> coalesce(before_number, 0) + 1 then coalesce(before_number, 0) + 1
                           when hash is distinct from content_hash then number
                           else number - 1 end as number,
                       case when number <> coalesce(before_number, 0) + 1 then 'removed'
                           when hash is distinct from content_hash then 'changed'
                           else 'replaced' end as fault
                   from linked
                   where number <> coalesce(before_number, 0) + 1 or hash is distinct from content_hash
                       or previous_hash is distinct from before_hash
                   order by linked.number limit 1
               ), last as (
                   select number, encode(hash, 'hex') as hash from audit_entries order by number desc limit 1
               )
               select (select count(*) from linked) as "entries!", last.number as "last_number?", last.hash as "last_hash?",
                   fault.number as "fault_number?", fault.fault as "fault?"
               from (values (1)) one left join last on true left join fault on true"#
        )
        .fetch_one(&self.pool)
        .await?;
        let fault = match found.fault.as_deref() {
            Some("removed") => Some(ChainFault::Removed),
            Some("changed") => Some(ChainFault::Changed),
            Some(_) => Some(ChainFault::Replaced),
            None => None,
        };
        Ok(AuditChain {
            entries: found.entries,
            last_number: found.last_number.unwrap_or_default(),
            last_hash: found.last_hash.unwrap_or_default(),
            broken_at: found
                .fault_number
                .zip(fault)
                .map(|(number, fault)| ChainBreak { number, fault }),
        })
    }
}
