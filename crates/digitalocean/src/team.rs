//! The team of a token, and the gate that decides whether its responses may be used.

use std::fmt;

use futures::future::BoxFuture;

/// A team of `DigitalOcean`, which owns the resources and the bills that a token reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Opaque: 40 hexadecimal digits without dashes in the spec's example.
    pub uuid: String,
    /// The display name, which may change and may be empty.
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

/// The reason that tokens of a team are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Another team is expected.
    Other { expected: Team },
    /// The expected team could not be determined, with the reason as an error text.
    Unknown(String),
}

/// Decides for which team responses may be used.
pub trait TeamGate: Send + Sync {
    /// Returns an error if the responses of this team may not be used.
    fn admit<'a>(&'a self, team: &'a Team) -> BoxFuture<'a, Result<(), NotAdmitted>>;
}
