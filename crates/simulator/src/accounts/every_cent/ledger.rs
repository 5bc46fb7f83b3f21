//! Issues invoices and records the expected attribution of their lines.

use uuid::Uuid;

use super::{LineTruth, Truth, fleet::Fleet, lines::Billed};
use crate::{Account, Invoice, InvoiceLine};

pub(super) struct Ledger {
    account: Account,
    pub(super) fleet: Fleet,
    truth: Vec<LineTruth>,
}

impl Ledger {
    pub(super) fn new(account: Account, fleet: Fleet) -> Self {
        Self {
            account,
            fleet,
            truth: Vec::new(),
        }
    }

    pub(super) fn closed(self) -> (Account, Vec<LineTruth>) {
        (self.account, self.truth)
    }

    /// Issues an invoice for a month (1 to 12) and returns its UUID.
    pub(super) fn issue(
        &mut self,
        (year, month): (i32, u32),
        billed: &[Billed],
        change: impl FnOnce(&mut Invoice),
    ) -> Uuid {
        let lines = billed.iter().map(|billed| billed.line.clone()).collect();
        let mut invoice = Invoice::for_month(year, month, lines);
        change(&mut invoice);
        let uuid = self.account.add_invoice(invoice.clone());
        invoice.uuid = uuid;
        self.write_down(&invoice, billed);
        uuid
    }

    pub(super) fn preview(&mut self, (year, month): (i32, u32), billed: &[Billed]) {
        let lines = billed.iter().map(|billed| billed.line.clone()).collect();
        let invoice = Invoice::for_month(year, month, lines);
        self.account.set_preview(Some(invoice.clone()));
        self.write_down(&invoice, billed);
    }

    fn write_down(&mut self, invoice: &Invoice, billed: &[Billed]) {
        let items = if invoice.lacks_items {
            &[]
        } else {
            invoice.json_items()
        };
        for (place, row) in billed.iter().enumerate() {
            let item = item_of(place, &invoice.lines, items);
            let truth = match (item, &row.without_item) {
                (None, Some(truth)) => truth,
                (None, None) => &row.truth,
                // The items distinguish identical rows.
                (Some(item), _) => {
                    let meant = billed.iter().find(|other| other.line == *item);
                    &meant.unwrap_or(row).truth
                }
            };
            let is_one = matches!(truth, Truth::Resource(_) | Truth::Deleted(_));
            self.truth.push(LineTruth {
                invoice: invoice.uuid,
                line_no: place + 1,
                truth: truth.clone(),
                named_by_json: is_one && item.is_some_and(has_id),
                group: row.group.clone(),
            });
        }
    }
}

/// The item of the row at a position. The n-th of several identical rows has the n-th such item.
fn item_of<'a>(
    place: usize,
    rows: &[InvoiceLine],
    items: &'a [InvoiceLine],
) -> Option<&'a InvoiceLine> {
    let row = &rows[place];
    let before = rows[..place].iter().filter(|other| are_alike(other, row));
    let mut like_it = items.iter().filter(|item| are_alike(item, row));
    like_it.nth(before.count())
}

/// Returns whether two lines are identical in a CSV.
fn are_alike(one: &InvoiceLine, other: &InvoiceLine) -> bool {
    let without_ids = |line: &InvoiceLine| InvoiceLine {
        resource_id: None,
        resource_uuid: None,
        ..line.clone()
    };
    one.description == other.description && without_ids(one) == without_ids(other)
}

fn has_id(line: &InvoiceLine) -> bool {
    line.resource_id.is_some() || line.resource_uuid.is_some()
}
