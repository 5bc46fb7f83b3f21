//! The lines of invoices.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// One line of an invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvoiceLine {
    /// `Droplets`, `Volumes`, `Taxes`, …: an open word.
    pub product: String,
    /// The cluster or database a line belongs to; mostly empty.
    pub group_description: String,
    /// Names the resource, mostly as `NAME (SIZE)`.
    pub description: String,
    /// Absent for taxes.
    pub hours: Option<u32>,
    /// When the usage began.
    pub start: Option<DateTime<Utc>>,
    /// When it ended: exclusive for droplets, inclusive for volumes and taxes.
    pub end: Option<DateTime<Utc>>,
    /// US dollars; negative for discounts.
    pub amount: Decimal,
    /// The name of the project then; empty for taxes.
    pub project_name: String,
    /// `iaas` or `paas`.
    pub category: String,
    /// The JSON item's `resource_id`; the CSV has none.
    pub resource_id: Option<String>,
    /// The JSON item's `resource_uuid`; the CSV has none.
    pub resource_uuid: Option<Uuid>,
}

impl InvoiceLine {
    /// A line with a product, a description and an amount; the rest is empty.
    pub fn new(product: &str, description: &str, amount: Decimal) -> Self {
        Self {
            product: product.to_owned(),
            description: description.to_owned(),
            amount,
            category: "iaas".to_owned(),
            ..Self::default()
        }
    }

    /// The time it covers.
    #[must_use]
    pub fn during(mut self, hours: u32, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        self.hours = Some(hours);
        self.start = Some(start);
        self.end = Some(end);
        self
    }

    /// The cluster or database that it belongs to.
    #[must_use]
    pub fn in_group(mut self, name: &str) -> Self {
        name.clone_into(&mut self.group_description);
        self
    }

    /// The number by which its JSON item names the resource: a droplet's (for its backups too) or a droplet snapshot's.
    #[must_use]
    pub fn with_id(mut self, id: &impl ToString) -> Self {
        self.resource_id = Some(id.to_string());
        self
    }

    /// The UUID by which its JSON item names the resource: a volume's, a database's, a load balancer's.
    #[must_use]
    pub fn with_uuid(mut self, uuid: Uuid) -> Self {
        self.resource_uuid = Some(uuid);
        self
    }

    /// The project it is charged to.
    #[must_use]
    pub fn in_project(mut self, name: &str) -> Self {
        name.clone_into(&mut self.project_name);
        self
    }
}
