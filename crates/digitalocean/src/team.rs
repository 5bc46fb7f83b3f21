//! Which team a token is of, and whether what is read of that team may be used.

use std::fmt;

use futures::future::BoxFuture;

/// A team of `DigitalOcean`'s: whose the resources and the bills are that a token reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Opaque: 40 hexadecimal digits without dashes in the spec's example.
    pub uuid: String,
    /// What people call it; they may change that. May be empty.
    pub name: String,
}

impl fmt::Display for Team {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return formatter.write_str(&self.uuid);
        }
        write!(formatter, "{:?} ({})", self.name, self.uuid)
    }
}

/// Why a team's answers are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Another team's are expected.
    Other { expected: Team },
    /// Whose are expected could not be found out; the reason, as people are told.
    Unknown(String),
}

/// Knows whose answers may be used.
pub trait TeamGate: Send + Sync {
    /// Whether this team's may.
    fn admit<'a>(&'a self, team: &'a Team) -> BoxFuture<'a, Result<(), NotAdmitted>>;
}
