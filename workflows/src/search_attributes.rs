//! Search attributes: what runs can be found by, in the Temporal UI and with `temporal workflow list --query`.
//!
//! They are set where a run is started, since that is no action of Temporal's, while a run that sets its own spends one: with a
//! sync every minute, 1,440 a day. So the schedules carry them, and a run hands them on to the children that it starts. A run that
//! is started by hand has those that it is given (`--search-attribute`), or none.
//!
//! Temporal refuses a start with an attribute that its namespace does not have. So a run sets attributes of its children only where
//! it was started with some itself, which proves that the namespace has them: new workers beside schedules that were not brought
//! up to date yet start children without attributes, and nothing fails.

use domain::ResourceKind;
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::search_attributes::{SearchAttributeKey, SearchAttributes};
use temporalio_workflow::WorkflowContext;

use crate::invoices::Pending;

// The prefix keeps them apart from others' in a namespace that is shared. SQL stores have room for ten keywords and three lists of
// them in a namespace: here are four and one.

/// Whose account is mirrored: always [`DIGITALOCEAN`].
pub const PROVIDER: SearchAttributeKey<String> = SearchAttributeKey::keyword("ArcadiaProvider");
/// What the run is for: the name of its task queue, and so of the token that it uses.
pub const PURPOSE: SearchAttributeKey<String> = SearchAttributeKey::keyword("ArcadiaPurpose");
/// The kinds of resources that the run mirrors, or waits for a word on.
pub const KIND: SearchAttributeKey<Vec<String>> = SearchAttributeKey::keyword_list("ArcadiaKind");
/// The invoice whose lines the run stores.
pub const INVOICE_UUID: SearchAttributeKey<String> =
    SearchAttributeKey::keyword("ArcadiaInvoiceUuid");
/// The month of that invoice, as `2026-04`: a month is no moment, so this is text, which sorts as months do, and
/// `STARTS_WITH "2026"` is a year.
pub const PERIOD: SearchAttributeKey<String> = SearchAttributeKey::keyword("ArcadiaPeriod");

/// The value of [`PROVIDER`].
pub const DIGITALOCEAN: &str = "digitalocean";

/// The name and type of each, as a namespace must have them.
pub fn all() -> [(&'static str, IndexedValueType); 5] {
    [
        (PROVIDER.name(), PROVIDER.indexed_value_type()),
        (PURPOSE.name(), PURPOSE.indexed_value_type()),
        (KIND.name(), KIND.indexed_value_type()),
        (INVOICE_UUID.name(), INVOICE_UUID.indexed_value_type()),
        (PERIOD.name(), PERIOD.indexed_value_type()),
    ]
}

/// Those of a run on this task queue, which mirrors these kinds, if any.
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

/// Those of the run that ingests an invoice; none where the run that starts it has none.
pub(crate) fn of_ingest<W>(
    parent: &WorkflowContext<W>,
    invoice: &Pending,
) -> Option<SearchAttributes> {
    let mut attributes = of_child(parent, parent.info().task_queue(), Vec::new())?;
    attributes.apply(INVOICE_UUID.value_set(invoice.invoice_uuid.to_string()));
    attributes.apply(PERIOD.value_set(invoice.month()));
    Some(attributes)
}

/// Those of a run that waits for a word on deletions of one kind; none where the run that starts it has none.
pub(crate) fn of_hold<W>(
    parent: &WorkflowContext<W>,
    task_queue: &str,
    kind: &ResourceKind,
) -> Option<SearchAttributes> {
    of_child(parent, task_queue, vec![kind.as_str().to_owned()])
}

fn of_child<W>(
    parent: &WorkflowContext<W>,
    task_queue: &str,
    kinds: Vec<String>,
) -> Option<SearchAttributes> {
    let is_known = parent.search_attributes().contains_key(&PROVIDER);
    is_known.then(|| of_run(task_queue, kinds))
}
