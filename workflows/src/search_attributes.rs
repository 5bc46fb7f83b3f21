//! Search attributes, by which runs are found in the Temporal UI and with `temporal workflow list
//! --query`.
//!
//! They are set when a run is started, since that is not a separate action of Temporal's, while a
//! run that sets its own uses one action: with a sync every minute, 1,440 a day. So the schedules
//! have them, and a run passes them to the children that it starts. A run that is started manually
//! has those of its command (`--search-attribute`), or none.
//!
//! Temporal rejects a start with an attribute that its namespace lacks. So a run sets attributes of
//! its children only if it was itself started with some, which proves that the namespace has them:
//! new workers with schedules that are not updated yet start children without attributes, and
//! nothing fails.

use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::search_attributes::{SearchAttributeKey, SearchAttributes};
use temporalio_workflow::WorkflowContext;

use crate::invoices::Pending;
use crate::task_queue;

// The prefix separates them from those of others in a shared namespace. SQL stores have room for
// ten keywords and three lists of keywords in a namespace; these are four and one.

/// The provider of the mirrored account: always [`DIGITALOCEAN`].
pub const PROVIDER: SearchAttributeKey<String> = SearchAttributeKey::keyword("ArcadiaProvider");
/// The purpose of the run: the name of its task queue, and so of its token.
pub const PURPOSE: SearchAttributeKey<String> = SearchAttributeKey::keyword("ArcadiaPurpose");
/// The kinds of resources that the run mirrors, or waits for a decision on.
pub const KIND: SearchAttributeKey<Vec<String>> = SearchAttributeKey::keyword_list("ArcadiaKind");
/// The invoice that the run ingests.
pub const INVOICE_UUID: SearchAttributeKey<String> =
    SearchAttributeKey::keyword("ArcadiaInvoiceUuid");
/// The month of that invoice, as `2026-04`. It is text, not a time, since it is a month: text sorts
/// in the order of months, and `STARTS_WITH "2026"` selects a year.
pub const PERIOD: SearchAttributeKey<String> = SearchAttributeKey::keyword("ArcadiaPeriod");

/// The value of [`PROVIDER`].
pub const DIGITALOCEAN: &str = "digitalocean";

/// Returns the name and type of each attribute that a namespace must have.
pub fn all() -> [(&'static str, IndexedValueType); 5] {
    [
        (PROVIDER.name(), PROVIDER.indexed_value_type()),
        (PURPOSE.name(), PURPOSE.indexed_value_type()),
        (KIND.name(), KIND.indexed_value_type()),
        (INVOICE_UUID.name(), INVOICE_UUID.indexed_value_type()),
        (PERIOD.name(), PERIOD.indexed_value_type()),
    ]
}

/// The attributes of a run on this task queue, which mirrors these kinds, if any.
pub fn of_run(task_queue: &str, kinds: Vec<String>) -> SearchAttributes {
    let mut attributes = SearchAttributes::new([
        PROVIDER.value_set(DIGITALOCEAN.to_owned()),
        PURPOSE.value_set(task_queue.to_owned()),
    ]);
    if !kinds.is_empty() {
        attributes.apply(KIND.value_set(kinds));
    }
    attributes
}

/// The attributes of the run that ingests an invoice; none if its parent has none.
pub(crate) fn of_ingest<W>(
    parent: &WorkflowContext<W>,
    invoice: &Pending,
) -> Option<SearchAttributes> {
    let mut attributes = of_child(parent, parent.info().task_queue(), Vec::new())?;
    attributes.apply(INVOICE_UUID.value_set(invoice.invoice_uuid.to_string()));
    attributes.apply(PERIOD.value_set(invoice.month()));
    Some(attributes)
}

/// The attributes of a run that waits for a decision on deletions of one kind; none if its parent
/// has none.
pub(crate) fn of_hold<W>(
    parent: &WorkflowContext<W>,
    task_queue: &str,
    kind: &str,
) -> Option<SearchAttributes> {
    of_child(parent, task_queue, vec![kind.to_owned()])
}

/// The attributes of the run that reallocates cost lines; none if its parent has none.
pub(crate) fn of_reallocation<W>(parent: &WorkflowContext<W>) -> Option<SearchAttributes> {
    of_child(parent, task_queue::CLOUD_BILLING, Vec::new())
}

fn of_child<W>(
    parent: &WorkflowContext<W>,
    task_queue: &str,
    kinds: Vec<String>,
) -> Option<SearchAttributes> {
    let is_known = parent.search_attributes().contains_key(&PROVIDER);
    is_known.then(|| of_run(task_queue, kinds))
}
