//! An account whose invoices hold every trap for whoever explains them, with the truth about every line.

mod fleet;
mod history;
mod ledger;
mod lines;
mod months;

use uuid::Uuid;

use crate::{Account, dates::moment};
use ledger::Ledger;

/// Seventeen invoices from January 2025 to April 2026 and the preview of May 2026, for some twenty resources in four
/// projects, with the truth about each line.
#[derive(Clone, Debug)]
pub struct EveryCent {
    /// What the simulator serves.
    pub account: Account,
    /// One for each line of each invoice and of the preview, oldest invoice first, in the order of the file.
    pub truth: Vec<LineTruth>,
    /// Which invoice holds which trap.
    pub traps: Traps,
}

/// A resource by our word for its kind, as in [`Account::add_resource`], and DigitalOcean's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    /// `droplet`, `volume`, `snapshot`, `database_cluster`, `database_replica`, `kubernetes_cluster`,
    /// `load_balancer`, `reserved_ip`, `spaces_bucket` or `app`.
    pub kind: &'static str,
    /// As text, also where it is a number.
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

/// What a line truly paid for, as far as anybody can tell from what DigitalOcean sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// A resource that the account has. A backup's line pays for its droplet.
    Resource(ResourceName),
    /// A resource that was gone before anybody looked at the account. Its id is known where the JSON names it
    /// ([`LineTruth::named_by_json`]).
    Gone(ResourceName),
    /// The account as a whole: taxes, credits, support, subscriptions.
    Account,
    /// One of these, and nothing that DigitalOcean sends tells which.
    CannotBeTold(Vec<ResourceName>),
    /// Nothing says what it paid for, or a number without a kind does.
    Unknown,
}

/// The truth about one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTruth {
    /// The invoice's UUID.
    pub invoice: Uuid,
    /// 1 for the first line of the file.
    pub line_no: usize,
    /// What it paid for. Of rows alike in everything, the first has the id of the first item that is like them.
    pub truth: Truth,
    /// Whether a JSON item is there for this line and names the resource in [`LineTruth::truth`].
    pub named_by_json: bool,
    /// The cluster that the resource belongs to. Where no item names the resource, the line says no more than this,
    /// and it is a right answer.
    pub group: Option<ResourceName>,
}

/// The invoices with a trap of their own. Every other trap is in all of them, or in several.
#[derive(Clone, Copy, Debug)]
pub struct Traps {
    /// January 2025. Its CSV is the older form of eight columns.
    pub legacy: Uuid,
    /// February 2025. Its CSV has other columns in another order and case; it holds amounts of thousands.
    pub reordered: Uuid,
    /// March 2025. Its CSV has a byte order mark and CRLF.
    pub windows: Uuid,
    /// April 2025. Its CSV lacks `group_description` and `hours`.
    pub few_columns: Uuid,
    /// May 2025. It has no items (404). A droplet was re-created under its name: only their lifetimes tell them apart.
    pub recreated_without_items: Uuid,
    /// June 2025. It has no items (404). Only regions tell two volumes apart; nothing tells two droplets apart.
    pub without_items: Uuid,
    /// July 2025. It has no CSV (404).
    pub without_csv: Uuid,
    /// August 2025. It has no summary (404).
    pub without_summary: Uuid,
    /// September 2025. Its header and summary say 0.01 more than its lines come to.
    pub off_by_a_cent: Uuid,
    /// October 2025. Its summary says 0.01 more than its header and lines, for taxes.
    pub summary_off_by_a_cent: Uuid,
    /// November 2025, beside the month's usual invoice.
    pub supplementary: Uuid,
    /// December 2025. More than 200 items: two pages.
    pub many_items: Uuid,
    /// January 2026. Its items are in another order than its CSV.
    pub shuffled: Uuid,
    /// February 2026. One row has no item, and one item has no row.
    pub items_differ: Uuid,
    /// March 2026. A droplet was destroyed and re-created within a second, and two taxes are alike: rows alike in
    /// everything. Products that nobody knows.
    pub alike: Uuid,
    /// April 2026. The largest, with a discount of thousands. It is not paid yet.
    pub unpaid: Uuid,
}

impl EveryCent {
    /// Always the same.
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
