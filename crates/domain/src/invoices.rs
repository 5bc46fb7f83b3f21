//! Types of invoices and their lines, and the exact total of an invoice's lines.

mod csv_file;
mod encoding;
mod fit;
mod join;
mod line;
mod product;
#[cfg(test)]
mod samples;
mod unreadable;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use compact_str::CompactString;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use csv_file::{CsvColumns, InvoiceCsv, read_invoice_csv};
pub use fit::fits;
pub use join::{Joined, join_items};
pub use line::lines_of_items;
pub use product::{Charge, charged_for, part_by_summary};
pub use unreadable::UnreadableInvoice;

use crate::ids::InvoiceUuid;
use crate::kind::ResourceKind;

/// The month of an invoice (spec: `invoice_period`, `YYYY-MM`); the same text in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct InvoicePeriod(NaiveDate);

impl InvoicePeriod {
    /// The month of a day.
    pub fn of(day: NaiveDate) -> Self {
        Self(day.with_day(1).unwrap_or(day))
    }

    /// The first day of the month.
    pub fn first_day(self) -> NaiveDate {
        self.0
    }
}

/// A text that is not a month.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid invoice period {0:?}: expected YYYY-MM")]
pub struct InvalidPeriod(String);

impl FromStr for InvoicePeriod {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPeriod(text.to_owned());
        let (year, month) = text.split_once('-').ok_or_else(invalid)?;
        if year.len() != 4 || month.len() != 2 {
            return Err(invalid());
        }
        let year = year.parse().map_err(|_| invalid())?;
        let month = month.parse().map_err(|_| invalid())?;
        NaiveDate::from_ymd_opt(year, month, 1)
            .map(Self)
            .ok_or_else(invalid)
    }
}

impl TryFrom<String> for InvoicePeriod {
    type Error = InvalidPeriod;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<InvoicePeriod> for String {
    fn from(period: InvoicePeriod) -> Self {
        period.to_string()
    }
}

impl fmt::Display for InvoicePeriod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.format("%Y-%m"))
    }
}

/// An invoice as returned by the list of invoices; the amount is in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceHeader {
    pub invoice_uuid: InvoiceUuid,
    /// The number printed on the invoice; absent from old responses.
    pub invoice_id: Option<String>,
    pub period: InvoicePeriod,
    pub amount: Decimal,
}

/// The preview of the current month's invoice, which the list of invoices returns in addition to
/// the issued ones; the amount is in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoicePreview {
    pub period: InvoicePeriod,
    pub amount: Decimal,
    /// When DigitalOcean calculated it: daily (spec).
    pub updated_at: Option<DateTime<Utc>>,
}

/// One line of an invoice's CSV. Two lines can be equal in everything except their position
/// (observed: a droplet destroyed and re-created under one name, several tax rows), so the position
/// identifies a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceLine {
    /// 1 for the first line below the header.
    pub line_no: i32,
    pub product: CompactString,
    pub group_description: CompactString,
    pub description: CompactString,
    pub hours: Option<Decimal>,
    pub start_at: Option<DateTime<Utc>>,
    /// Exclusive for droplets, inclusive for volumes and taxes (observed); stored unchanged.
    pub end_at: Option<DateTime<Utc>>,
    /// USD; negative for credits and discounts.
    pub amount: Decimal,
    /// The project's name at billing time; empty for taxes and often for snapshots.
    pub project_name: CompactString,
    /// `iaas` or `paas`; absent from old files.
    pub category: Option<CompactString>,
    /// The kind of the charged resource; none for taxes, credits, subscriptions and unknown
    /// products.
    pub kind: Option<ResourceKind>,
    /// The kind of the resource that the line's name and its item's ids identify. It can differ
    /// from the charged kind: a backup names its droplet (observed). None for unknown products: ids
    /// of different kinds can be the same number.
    pub identified_kind: Option<ResourceKind>,
    /// The resource's name, read from the description or from the group.
    pub resource_name: Option<CompactString>,
    /// Whether the name is the group's: a cluster or a database with several charges.
    pub is_named_by_group: bool,
    /// The region in the description, for products with lines of the form `NAME (REGION) 100GB`.
    pub region: Option<CompactString>,
    /// The size in the description, for products with lines of the form `NAME (SIZE)`.
    pub size: Option<CompactString>,
    /// Whether the line charges the account as a whole, and so never a resource.
    pub for_account: bool,
    pub part: ChargePart,
    /// DigitalOcean's ids of the resource: in the JSON items only, not in the CSV.
    pub item: ItemIds,
}

/// The ids of the resource in a JSON item. Empty if the item has none, or if no item was found for
/// the line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemIds {
    /// For kinds with a uuid.
    pub resource_uuid: Option<CompactString>,
    /// For kinds with a numeric id.
    pub resource_id: Option<CompactString>,
}

/// The sum of an invoice's summary that includes a line (spec: `product_charges`, `overages`,
/// `taxes`, `credits_and_adjustments`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargePart {
    ProductCharges,
    Overages,
    Taxes,
    CreditsAndAdjustments,
}

impl ChargePart {
    pub const ALL: [Self; 4] = [
        Self::ProductCharges,
        Self::Overages,
        Self::Taxes,
        Self::CreditsAndAdjustments,
    ];

    /// The spec's name, which is also the column's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProductCharges => "product_charges",
            Self::Overages => "overages",
            Self::Taxes => "taxes",
            Self::CreditsAndAdjustments => "credits_and_adjustments",
        }
    }
}

/// One JSON item of an invoice (`GET /v2/customers/my/invoices/{uuid}`). Items have no id: two can
/// be equal in every field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceItem {
    pub product: CompactString,
    pub group_description: CompactString,
    pub description: CompactString,
    /// For kinds with a uuid.
    pub resource_uuid: Option<CompactString>,
    /// For kinds with a numeric id; a backup names its droplet (observed).
    pub resource_id: Option<CompactString>,
    /// USD; negative for credits and discounts.
    pub amount: Decimal,
    /// In `duration_unit`, which is hours in the spec's examples.
    pub duration: Option<Decimal>,
    pub duration_unit: Option<CompactString>,
    pub start_time: Option<DateTime<Utc>>,
    pub end_time: Option<DateTime<Utc>>,
    /// The project's name at billing time.
    pub project_name: CompactString,
    /// `iaas` or `paas` (observed; not in the spec).
    pub category: Option<CompactString>,
}

/// The sums of an invoice's summary (`GET /v2/customers/my/invoices/{uuid}/summary`); USD. The
/// person's name and address in the response are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceSummary {
    /// None for a preview with the word `preview` in place of a uuid.
    pub invoice_uuid: Option<InvoiceUuid>,
    pub invoice_id: Option<String>,
    pub period: InvoicePeriod,
    pub amount: Decimal,
    /// The amount of each part in the summary. The amounts add up with their signs (spec's
    /// example).
    pub parts: Vec<(ChargePart, Decimal)>,
    /// The products that the summary counts as product charges.
    pub charged_products: Vec<String>,
}

/// Returns the exact sum of the lines in USD; none if it has more than 28 digits.
pub fn line_total(lines: &[InvoiceLine]) -> Option<Decimal> {
    let mut amounts = lines.iter().map(|line| line.amount);
    amounts.try_fold(Decimal::ZERO, exact_sum)
}

/// Adds exactly, or returns none: `checked_add` rounds sums with too many digits.
fn exact_sum(one: Decimal, other: Decimal) -> Option<Decimal> {
    let sum = one.checked_add(other)?;
    let decimals = one.normalize().scale().max(other.normalize().scale());
    (sum.scale() >= decimals).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_exact_or_none() {
        let total = |amounts: &[&str]| {
            let items: Vec<_> = amounts
                .iter()
                .map(|amount| samples::item("Droplets", "web", amount.parse().unwrap()))
                .collect();
            line_total(&lines_of_items(&items)).map(|total| total.to_string())
        };
        let largest = "79228162514264337593543950335";
        assert_eq!(total(&["1.50", "-0.25", "0.000"]).as_deref(), Some("1.25"));
        assert_eq!(total(&[]).as_deref(), Some("0"));
        assert_eq!(total(&[largest]).as_deref(), Some(largest));
        assert_eq!(total(&[largest, "1"]), None);
        assert_eq!(total(&[largest, "0.01"]), None);
    }

    #[test]
    fn a_period_is_a_month() {
        let period: InvoicePeriod = "2026-04".parse().unwrap();
        assert_eq!(
            period.first_day(),
            NaiveDate::from_ymd_opt(2026, 4, 1).unwrap()
        );
        assert_eq!(period.to_string(), "2026-04");
        let day = NaiveDate::from_ymd_opt(2026, 4, 30).unwrap();
        assert_eq!(InvoicePeriod::of(day), period);
        for text in [
            "2026-13",
            "2026",
            "2026-4",
            "26-04",
            "2026-04-01",
            "",
            "abcd-ef",
        ] {
            assert!(text.parse::<InvoicePeriod>().is_err(), "{text}");
        }
    }
}
