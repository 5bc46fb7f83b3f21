//! Retention: the rules of the daily maintenance.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One part of the maintenance, independent of the others. The bounds are stated with the tables
/// in `migrations/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Adds the partitions of the next months to the histories.
    Partitions,
    /// Removes listings that nothing refers to after 90 days.
    Listings,
    /// Removes the staged rows of abandoned listings after two hours.
    Staging,
    /// Removes ended sessions, and login links that expired.
    Sessions,
    /// Removes tokens 90 days after their end if no act refers to them.
    Tokens,
    /// Removes documents of invoices that no version refers to, after 90 days.
    Documents,
}

impl Rule {
    /// All rules, in the order of execution: partitions first, because inserts need them, and
    /// sessions before the tokens that they refer to.
    pub const ALL: [Self; 6] = [
        Self::Partitions,
        Self::Listings,
        Self::Staging,
        Self::Sessions,
        Self::Tokens,
        Self::Documents,
    ];

    /// Returns the effect of the rule, for people.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Partitions => "adds partitions for the next months",
            Self::Listings => "removes listings older than 90 days",
            Self::Staging => "removes staged rows of abandoned listings",
            Self::Sessions => "removes ended sessions and login links",
            Self::Tokens => "removes tokens that ended 90 days ago",
            Self::Documents => "removes documents that no invoice refers to",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Partitions => "partitions",
            Self::Listings => "listings",
            Self::Staging => "staging",
            Self::Sessions => "sessions",
            Self::Tokens => "tokens",
            Self::Documents => "documents",
        })
    }
}
