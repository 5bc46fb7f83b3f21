//! The facts from which the rows of a cost line are derived.

use chrono::{
    DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, TimeDelta, Timelike as _, Utc,
};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::invoices::ChargePart;

/// The DigitalOcean team that receives the bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub team_uuid: String,
    /// The last reported name.
    pub name: Option<String>,
}

impl Account {
    /// `BillingAccountId`
    pub(super) fn id(&self) -> String {
        format!("do:team:{}", self.team_uuid)
    }
}

/// The identity of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledInvoice {
    pub uuid: Uuid,
    /// The number on the printed invoice.
    pub number: Option<String>,
    /// Increases with each correction.
    pub version: i32,
}

/// An invoice, or the estimate of an open month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub account: Account,
    /// The first of the month.
    pub period: NaiveDate,
    /// None for an estimate.
    pub invoice: Option<BilledInvoice>,
}

/// The resource of a line, with its properties at the end of the month as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resource {
    pub kind: String,
    pub provider_id: String,
    pub name: String,
    pub region: Option<String>,
    pub tags: Vec<String>,
    /// The size of a droplet, and its price in USD for a month, by the latest body.
    pub size: Option<String>,
    pub monthly_price: Option<Decimal>,
}

/// The project of a line, at the end of the charge period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// DigitalOcean's id.
    pub id: String,
    pub name: String,
}

/// A stored cost line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The position in the file; the first line is 1.
    pub line_no: i32,
    pub product: String,
    pub group_description: String,
    pub description: String,
    pub hours: Option<Decimal>,
    pub start_at: Option<DateTime<Utc>>,
    /// As DigitalOcean states it: exclusive, or the last second.
    pub end_at: Option<DateTime<Utc>>,
    /// USD.
    pub amount: Decimal,
    /// The name of the project on the bill; empty for none.
    pub project_name: String,
    pub category: Option<String>,
    pub part: ChargePart,
    /// The name in the description or in the group.
    pub resource_name: Option<String>,
    /// Region and size in the description.
    pub region: Option<String>,
    pub size: Option<String>,
    /// The kind that the ids of the item identify.
    pub identified_kind: Option<String>,
    /// The uuid or the number of the resource in DigitalOcean's item.
    pub item_id: Option<String>,
    pub match_rule: String,
    pub attributed_by: String,
    /// None for an unallocated, shared or split line.
    pub tenant_id: Option<String>,
    pub resource: Option<Resource>,
    pub project: Option<Project>,
}

/// A half-open interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
}

impl Period {
    /// Returns a month, by its first day.
    pub(super) fn month(first: NaiveDate) -> Self {
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let next = first
            .checked_add_months(Months::new(1))
            .or_else(|| first.checked_add_days(Days::new(u64::from(first.day()))));
        Self {
            start: midnight(first),
            end: midnight(next.unwrap_or(first)),
        }
    }

    /// Returns the charge period of a line; the month for a time that the line lacks. The last
    /// second of an hour becomes the start of the next hour: DigitalOcean states inclusive ends of
    /// volumes, addresses and taxes (observed).
    pub(super) fn charged(line: &Line, month: Self) -> Self {
        let start = line.start_at.unwrap_or(month.start);
        let end = line.end_at.map_or(month.end, exclusive);
        Self {
            start,
            end: end.max(start),
        }
    }
}

fn exclusive(end: DateTime<Utc>) -> DateTime<Utc> {
    if (end.minute(), end.second()) == (59, 59) {
        end + TimeDelta::seconds(1)
    } else {
        end
    }
}
