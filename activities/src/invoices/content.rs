//! Reading an invoice from all that DigitalOcean shows of it: its CSV, its items, its summary.

use std::convert::Infallible;
use std::mem;

use digitalocean::{Client, Error, InvoiceItemRead, InvoiceItemsListed, InvoiceKey, PageSink};
use domain::invoices::{
    InvoiceItem, InvoiceLine, InvoiceSummary, Joined, join_items, lines_of_items, part_by_summary,
    read_invoice_csv,
};
use store::invoices::{Document, DocumentWriter, InvoiceContent, Sources};

use crate::failure::{Failure, is_pause};

/// An invoice as it was read.
pub(super) struct Content {
    lines: Vec<InvoiceLine>,
    sources: Sources,
    note: Option<String>,
    joined: Option<Joined>,
    csv: Option<Document>,
    items: Option<Document>,
    pub(super) summary: Option<InvoiceSummary>,
}

impl Content {
    pub(super) fn to_store(&self) -> InvoiceContent<'_> {
        InvoiceContent {
            lines: &self.lines,
            sources: self.sources,
            source_note: self.note.as_deref(),
            joined: self.joined,
            csv: self.csv.as_ref(),
            items: self.items.as_ref(),
            summary: self.summary.as_ref(),
        }
    }
}

/// From this attempt on, items and summary that cannot be had are done without: the CSV alone gives every cent.
const PATIENCE: u32 = 5;

/// Reads an invoice. None where DigitalOcean knows neither a CSV nor items of it.
///
/// What is not there (404, or refused) is done without, and noted. What fails otherwise fails the attempt, since it may be there at
/// the next; of items and summary that holds for the first attempts only. The CSV is waited for however long it takes: it alone has
/// every row (observed: buckets beyond a hundred are in no item).
pub(super) async fn read(
    client: &Client,
    invoice: InvoiceKey,
    attempt: u32,
) -> Result<Option<Content>, Failure> {
    let mut notes = Vec::new();
    // All at once, so that what keeps failing is noticed in one attempt.
    let (csv, items, summary) = tokio::join!(
        client.fetch_invoice_csv(invoice),
        // Large: it holds the pages under way.
        Box::pin(list_items(client, invoice)),
        client.get_invoice_summary(invoice),
    );
    let csv = match csv {
        Ok(csv) => Some(csv),
        Err(error) if is_absent(&error) => {
            notes.push(format!("without the CSV: {error}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    let items = take_items(items, attempt, &mut notes)?;
    let summary = take_summary(summary, attempt, &mut notes)?;
    let (items, items_document) = items.unzip();
    let csv_document = csv.as_deref().map(Document::csv);
    let (mut lines, sources, joined) = match (csv, items) {
        (Some(csv), items) => {
            let mut file = read_invoice_csv(&csv)?;
            drop(csv);
            let joined = items.map(|items| join_items(&mut file, &items));
            let sources = if joined.is_some() {
                Sources::CsvAndItems
            } else {
                Sources::Csv
            };
            (file.lines, sources, joined)
        }
        (None, Some(items)) => (lines_of_items(&items), Sources::Items, None),
        (None, None) => return Ok(None),
    };
    if let Some(summary) = &summary {
        part_by_summary(&mut lines, summary);
    }
    Ok(Some(Content {
        lines,
        sources,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        joined,
        csv: csv_document,
        items: items_document,
        summary,
    }))
}

/// Read, and as they came: compressed page by page, since as text they would be the largest thing that a worker holds.
type Items = (Vec<InvoiceItem>, Document);

async fn list_items(client: &Client, invoice: InvoiceKey) -> (InvoiceItemsListed, Items) {
    let mut reading = ItemsReading::default();
    let Ok(listed) = client.get_invoice(invoice, &mut reading).await;
    (listed, reading.longest().into_document())
}

/// Items as they come.
struct ItemsReading {
    items: Vec<InvoiceItem>,
    document: DocumentWriter,
    /// Of the readings before: items without ids cannot be told apart, so that the longest reading stands for all.
    longest_before: Option<Box<Self>>,
}

impl Default for ItemsReading {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            document: DocumentWriter::items(),
            longest_before: None,
        }
    }
}

impl ItemsReading {
    fn longest(mut self) -> Self {
        match self.longest_before.take() {
            Some(before) if before.items.len() > self.items.len() => *before,
            _ => self,
        }
    }

    fn into_document(self) -> Items {
        (self.items, self.document.finish())
    }
}

impl PageSink<InvoiceItemRead> for ItemsReading {
    type Error = Infallible;

    async fn take(&mut self, items: Vec<InvoiceItemRead>) -> Result<(), Infallible> {
        for InvoiceItemRead { item, json } in items {
            self.items.push(item);
            self.document.line(&json);
        }
        Ok(())
    }

    async fn begin_again(&mut self, _path: &str) -> Result<(), Infallible> {
        let longest = mem::take(self).longest();
        self.longest_before = Some(Box::new(longest));
        Ok(())
    }
}

fn take_items(
    (listed, items): (InvoiceItemsListed, Items),
    attempt: u32,
    notes: &mut Vec<String>,
) -> Result<Option<Items>, Failure> {
    match listed.failure {
        None => {}
        Some(error) if may_do_without(&error, attempt) => {
            notes.push(format!("without the items: {error}"));
            return Ok(None);
        }
        Some(error) => return Err(error.into()),
    }
    if let Some(reason) = listed.completeness.reason() {
        if attempt < PATIENCE {
            return Err(Failure::InconsistentItems(reason.to_owned()));
        }
        notes.push(format!("the items may not be all: {reason}"));
    }
    Ok(Some(items))
}

fn take_summary(
    summary: Result<InvoiceSummary, Error>,
    attempt: u32,
    notes: &mut Vec<String>,
) -> Result<Option<InvoiceSummary>, Failure> {
    match summary {
        Ok(summary) => Ok(Some(summary)),
        Err(error) if may_do_without(&error, attempt) => {
            notes.push(format!("without the summary: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn may_do_without(error: &Error, attempt: u32) -> bool {
    // Requests come again by themselves; a part that was only waited for is not lacking.
    let is_tried_in_vain = error.is_retryable() && !is_pause(error);
    is_absent(error) || (attempt >= PATIENCE && is_tried_in_vain)
}

/// Whether the answer says that there is no such thing, rather than that it cannot be had now or by this token.
fn is_absent(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. } | Error::Refused { .. })
}

#[cfg(test)]
mod tests {
    use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Simulator};

    use super::*;

    /// How a request fails where the server does so.
    async fn failing(fault: FaultKind) -> Error {
        let simulator = Simulator::start(Account::demo()).await.unwrap();
        simulator.fail(Fault::new(fault, "*"));
        let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        client
            .get_invoice_summary(InvoiceKey::Preview)
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn a_part_that_a_429_kept_back_is_not_lacking_however_often() {
        let refused = failing(FaultKind::RateLimited { retry_after: 1 }).await;
        assert!(!may_do_without(&refused, PATIENCE));
        let broken = failing(FaultKind::ServerError { status: 500 }).await;
        assert!(!may_do_without(&broken, PATIENCE - 1) && may_do_without(&broken, PATIENCE));
        assert!(may_do_without(&failing(FaultKind::NotFound).await, 1));
    }
}
