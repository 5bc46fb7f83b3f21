//! The mapping of the bill to FOCUS, the FinOps Open Cost and Usage Specification: the columns of
//! its datasets, and their values for a cost line, for a tenant's share of it, for an invoice and
//! for a month.
//!
//! FOCUS 1.4 is the model. Rows of 1.2 have the same values in the columns of that version.

mod charge;
mod columns;
mod invoices;
mod line;
mod pricing;
mod products;
mod row;
mod types;

use std::str::FromStr;

pub use charge::{Category, Kind, classify};
pub use columns::{BILLING_PERIOD, COST_AND_USAGE, Column, ColumnType, INVOICE_DETAIL, Value};
pub use invoices::{BillingPeriod, DetailKey, InvoiceDetail, InvoiceFacts, PeriodStatus};
pub use line::{Account, Bill, BilledInvoice, Line, Project, Resource};
pub use row::{AllocationMethod, CostRow, Mapper, TenantShare};

/// The issuer of the invoices, the provider of the services and the host of the resources: a
/// different issuer would make the bill that of a marketplace.
pub const PROVIDER: &str = "DigitalOcean";

/// The prefix of the keys of tags that this system adds.
pub const TAG_PREFIX: &str = "arcadia/";

/// The number of digits of a decimal column, and the number of these after the point.
pub const PRECISION: u8 = 38;
pub const SCALE: u8 = 14;

/// A version of FOCUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    V1_2,
    #[default]
    V1_4,
}

impl Version {
    pub const ALL: [Self; 2] = [Self::V1_4, Self::V1_2];

    /// Returns the number of the version.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_4 => "1.4",
        }
    }
}

/// A dataset of FOCUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dataset {
    #[default]
    CostAndUsage,
    InvoiceDetail,
    BillingPeriod,
}

impl Dataset {
    pub const ALL: [Self; 3] = [Self::CostAndUsage, Self::InvoiceDetail, Self::BillingPeriod];

    /// Returns the name in addresses and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CostAndUsage => "cost-and-usage",
            Self::InvoiceDetail => "invoice-detail",
            Self::BillingPeriod => "billing-period",
        }
    }

    /// Returns the name in FOCUS.
    pub fn title(self) -> &'static str {
        match self {
            Self::CostAndUsage => "Cost and Usage",
            Self::InvoiceDetail => "Invoice Detail",
            Self::BillingPeriod => "Billing Period",
        }
    }

    /// Returns true if a version of FOCUS has the dataset.
    pub fn is_in(self, version: Version) -> bool {
        self == Self::CostAndUsage || version >= Version::V1_4
    }
}

/// The rows of Cost and Usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rows {
    /// One row for each cost line.
    #[default]
    Lines,
    /// One row for each tenant's share of a cost line.
    Shares,
}

impl Rows {
    pub const ALL: [Self; 2] = [Self::Lines, Self::Shares];

    /// Returns the name in addresses and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Shares => "shares",
        }
    }
}

/// A text that names no choice.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {noun} {text:?}: expected {expected}")]
pub struct UnknownChoice {
    noun: &'static str,
    text: String,
    expected: String,
}

macro_rules! read_choice {
    ($choice:ident, $noun:literal) => {
        impl FromStr for $choice {
            type Err = UnknownChoice;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().find(|choice| choice.as_str() == text);
                found.copied().ok_or_else(|| UnknownChoice {
                    noun: $noun,
                    text: text.to_owned(),
                    expected: Self::ALL.map(Self::as_str).join(" or "),
                })
            }
        }
    };
}

read_choice!(Version, "version of FOCUS");
read_choice!(Dataset, "dataset");
read_choice!(Rows, "rows");

#[cfg(test)]
#[path = "focus/tests.rs"]
mod tests;
