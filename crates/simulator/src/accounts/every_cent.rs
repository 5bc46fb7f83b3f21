//! An account with a trap in every invoice, and the expected attribution of every line.

mod fleet;
mod history;
mod ledger;
mod lines;
mod months;

use uuid::Uuid;

use crate::{Account, dates::moment};
use ledger::Ledger;

/// Seventeen invoices from January 2025 to April 2026 and the preview of May 2026, for about twenty
/// resources in four projects, with the expected attribution of each line.
#[derive(Clone, Debug)]
pub struct EveryCent {
    /// The account to serve.
    pub account: Account,
    /// The expected attribution of each line, by invoice from the oldest, in the order of the file.
    pub truth: Vec<LineTruth>,
    /// The invoice with each trap.
    pub traps: Traps,
}

/// A resource: its kind, as in [`Account::add_resource`], and DigitalOcean's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    /// `droplet`, `volume`, `snapshot`, `database_cluster`, `database_replica`,
    /// `kubernetes_cluster`, `load_balancer`, `reserved_ip`, `spaces_bucket` or `app`.
    pub kind: &'static str,
    /// The id as text.
    pub provider_id: String,
}

impl ResourceName {
    pub(crate) fn new(kind: &'static str, provider_id: &impl ToString) -> Self {
        Self {
            kind,
            provider_id: provider_id.to_string(),
        }
    }
}

/// The expected attribution of a line, as far as DigitalOcean's data determines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// A resource in the account. A backup's line belongs to its droplet.
    Resource(ResourceName),
    /// A resource that was deleted before the account was first read. Its id is known if the JSON
    /// has it ([`LineTruth::named_by_json`]).
    Deleted(ResourceName),
    /// The account as a whole: taxes, credits, support, subscriptions.
    Account,
    /// One of several resources, which DigitalOcean's data does not distinguish.
    Ambiguous(Vec<ResourceName>),
    /// Unknown: the data has no resource, or a number without a kind.
    Unknown,
}

/// The expected attribution of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTruth {
    /// The invoice's UUID.
    pub invoice: Uuid,
    /// 1 for the first line of the file.
    pub line_no: usize,
    /// The attribution. The first of several identical rows has the id of the first identical item.
    pub truth: Truth,
    /// Whether the line has a JSON item with the id of the resource in [`LineTruth::truth`].
    pub named_by_json: bool,
    /// The cluster of the resource. If no item has the resource's id, the cluster is a correct
    /// attribution of the line.
    pub group: Option<ResourceName>,
}

/// The invoices with a specific trap. Other traps are in several or all invoices.
#[derive(Clone, Copy, Debug)]
pub struct Traps {
    /// January 2025. Its CSV is the older form of eight columns.
    pub legacy: Uuid,
    /// February 2025. Its CSV has other columns in another order and case, and amounts of
    /// thousands.
    pub reordered: Uuid,
    /// March 2025. Its CSV has a byte order mark and CRLF.
    pub windows: Uuid,
    /// April 2025. Its CSV lacks `group_description` and `hours`.
    pub few_columns: Uuid,
    /// May 2025. It has no items (404). A droplet was re-created with the same name: only the
    /// lifetimes differ.
    pub recreated_without_items: Uuid,
    /// June 2025. It has no items (404). Only the regions of two volumes differ; two droplets do
    /// not.
    pub without_items: Uuid,
    /// July 2025. It has no CSV (404).
    pub without_csv: Uuid,
    /// August 2025. It has no summary (404).
    pub without_summary: Uuid,
    /// September 2025. Its header and summary exceed the total of its lines by 0.01.
    pub off_by_a_cent: Uuid,
    /// October 2025. Its summary exceeds its header and lines by 0.01, in the taxes.
    pub summary_off_by_a_cent: Uuid,
    /// November 2025, in addition to the month's regular invoice.
    pub supplementary: Uuid,
    /// December 2025. More than 200 items: two pages.
    pub many_items: Uuid,
    /// January 2026. Its items are in another order than its CSV.
    pub shuffled: Uuid,
    /// February 2026. One row has no item, and one item has no row.
    pub items_differ: Uuid,
    /// March 2026. A droplet was re-created within a second, and two taxes are equal: identical
    /// rows. Some products are unknown.
    pub alike: Uuid,
    /// April 2026. The largest, with a discount of thousands. It is not paid yet.
    pub unpaid: Uuid,
}

impl EveryCent {
    /// Creates the account, which is always the same.
    pub fn new() -> Self {
        let mut account = Account::empty();
        let fleet = fleet::create(&mut account);
        let mut ledger = Ledger::new(account, fleet);
        let traps = months::issue(&mut ledger);
        let (mut account, truth) = ledger.closed();
        history::add(&mut account);
        account.set_balance(crate::Balance::zero(moment((2026, 5, 9, 5))));
        account.settle_balance();
        Self {
            account,
            truth,
            traps,
        }
    }
}

impl Default for EveryCent {
    fn default() -> Self {
        Self::new()
    }
}

impl Account {
    /// The account of [`EveryCent`].
    pub fn every_cent() -> Self {
        EveryCent::new().account
    }
}
