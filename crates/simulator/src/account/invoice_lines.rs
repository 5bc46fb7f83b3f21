//! The lines of invoices.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// One line of an invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvoiceLine {
    /// `Droplets`, `Volumes`, `Taxes`, …: an open set.
    pub product: String,
    /// The cluster or database that the resource belongs to; usually empty.
    pub group_description: String,
    /// The name of the resource, usually as `NAME (SIZE)`.
    pub description: String,
    /// Absent for taxes.
    pub hours: Option<u32>,
    /// When the usage began.
    pub start: Option<DateTime<Utc>>,
    /// When it ended: exclusive for droplets, inclusive for volumes and taxes.
    pub end: Option<DateTime<Utc>>,
    /// US dollars; negative for discounts.
    pub amount: Decimal,
    /// The name of the project at that time; empty for taxes.
    pub project_name: String,
    /// `iaas` or `paas`.
    pub category: String,
    /// The JSON item's `resource_id`; the CSV has none.
    pub resource_id: Option<String>,
    /// The JSON item's `resource_uuid`; the CSV has none.
    pub resource_uuid: Option<Uuid>,
}

impl InvoiceLine {
    /// Creates a line with a product, a description and an amount.
    pub fn new(product: &str, description: &str, amount: Decimal) -> Self {
        Self {
            product: product.to_owned(),
            description: description.to_owned(),
            amount,
            category: "iaas".to_owned(),
            ..Self::default()
        }
    }

    /// Sets the period of the usage.
    #[must_use]
    pub fn during(mut self, hours: u32, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        self.hours = Some(hours);
        self.start = Some(start);
        self.end = Some(end);
        self
    }

    /// Sets the cluster or database that the resource belongs to.
    #[must_use]
    pub fn in_group(mut self, name: &str) -> Self {
        name.clone_into(&mut self.group_description);
        self
    }

    /// Sets the number that identifies the resource in the JSON item: a droplet's (also for its
    /// backups) or a droplet snapshot's.
    #[must_use]
    pub fn with_id(mut self, id: &impl ToString) -> Self {
        self.resource_id = Some(id.to_string());
        self
    }

    /// Sets the UUID that identifies the resource in the JSON item: a volume's, a database's, a
    /// load balancer's.
    #[must_use]
    pub fn with_uuid(mut self, uuid: Uuid) -> Self {
        self.resource_uuid = Some(uuid);
        self
    }

    /// Sets the project that is charged.
    #[must_use]
    pub fn in_project(mut self, name: &str) -> Self {
        name.clone_into(&mut self.project_name);
        self
    }
}
