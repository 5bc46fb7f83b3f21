//! Reads an invoice from its three sources: CSV, items and summary.

mod items;

use digitalocean::{Client, Error, InvoiceKey};
use domain::invoices::{
    InvoiceItem, InvoiceLine, InvoiceSummary, Joined, join_items, lines_of_items, part_by_summary,
    read_invoice_csv,
};
use store::invoices::{Document, InvoiceContent, Sources};

use self::items::{DuplicateItems, list_items, take_items};
use crate::blocking;
use crate::failure::{Failure, is_pause};

/// An invoice as it was read.
pub(super) struct Content {
    lines: Vec<InvoiceLine>,
    sources: Sources,
    note: Option<String>,
    unread: Option<String>,
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
            unread: self.unread.as_deref(),
            joined: self.joined,
            csv: self.csv.as_ref(),
            items: self.items.as_ref(),
            summary: self.summary.as_ref(),
        }
    }
}

/// The sources that a reading lacks, with the reasons.
#[derive(Default)]
struct Notes {
    all: Vec<String>,
    /// The notes on sources that a later reading may have.
    temporary: Vec<String>,
}

impl Notes {
    fn missing(&mut self, source: &str, error: &Error) {
        let note = format!("without the {source}: {error}");
        if is_absent(error) {
            self.all.push(note);
        } else {
            self.temporary(note);
        }
    }

    fn temporary(&mut self, note: String) {
        self.temporary.push(note.clone());
        self.all.push(note);
    }
}

fn text_of(notes: &[String]) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// From this attempt on, items and summary are optional if they keep failing: the CSV alone has
/// every cent.
const OPTIONAL_FROM_ATTEMPT: u32 = 5;

/// Reads an invoice. None if DigitalOcean has neither a CSV nor items for it.
///
/// A source that does not exist (404, or refused) is left out, with a note. Any other failure fails
/// the attempt, since the next one may succeed; for items and summary, this holds for the first
/// attempts only. The CSV is always required: it alone has every row (observed: buckets beyond a
/// hundred are in no item).
pub(super) async fn read(
    client: &Client,
    invoice: InvoiceKey,
    attempt: u32,
) -> Result<Option<Content>, Failure> {
    let mut notes = Notes::default();
    // Concurrently, so that one attempt detects every source that keeps failing.
    let (csv, items, summary) = tokio::join!(
        client.fetch_invoice_csv(invoice),
        // Boxed because it is large: it holds the pages that are being read.
        Box::pin(list_items(client, invoice)),
        client.get_invoice_summary(invoice),
    );
    let csv = match csv {
        Ok(csv) => Some(csv),
        Err(error) if is_absent(&error) => {
            notes.missing("CSV", &error);
            None
        }
        Err(error) => return Err(error.into()),
    };
    let items = take_items(items, attempt, &mut notes)?;
    let summary = take_summary(summary, attempt, &mut notes)?;
    let (items, items_document, duplicates) = match items {
        Some(items) => (Some(items.all), Some(items.document), items.duplicates),
        None => (None, None, DuplicateItems::default()),
    };
    // An item is about as large as a row of the CSV.
    let bytes = match (&csv, &items) {
        (Some(csv), _) => csv.len(),
        (None, items) => items
            .as_ref()
            .map_or(0, |items| items.len() * BYTES_OF_ITEM),
    };
    let (summary, parsed) = blocking::run(bytes, move || {
        let parsed = parse(csv, items, summary.as_ref());
        (summary, parsed)
    })
    .await;
    let Some(Parsed {
        lines,
        sources,
        joined,
        csv_document,
    }) = parsed?
    else {
        return Ok(None);
    };
    if let Some(reason) = duplicates.contradiction(joined) {
        if attempt < OPTIONAL_FROM_ATTEMPT {
            return Err(Failure::InconsistentItems(reason));
        }
        notes.temporary(format!("the items may be incomplete: {reason}"));
    }
    Ok(Some(Content {
        lines,
        sources,
        note: text_of(&notes.all),
        unread: text_of(&notes.temporary),
        joined,
        csv: csv_document,
        items: items_document,
        summary,
    }))
}

const BYTES_OF_ITEM: usize = 200;

/// The lines of an invoice, before they are stored.
struct Parsed {
    lines: Vec<InvoiceLine>,
    sources: Sources,
    joined: Option<Joined>,
    csv_document: Option<Document>,
}

/// Parses the CSV and joins it with the items; compresses it. None without both. Takes a second for
/// tens of thousands of lines.
fn parse(
    csv: Option<Vec<u8>>,
    items: Option<Vec<InvoiceItem>>,
    summary: Option<&InvoiceSummary>,
) -> Result<Option<Parsed>, Failure> {
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
    if let Some(summary) = summary {
        part_by_summary(&mut lines, summary);
    }
    Ok(Some(Parsed {
        lines,
        sources,
        joined,
        csv_document,
    }))
}

fn take_summary(
    summary: Result<InvoiceSummary, Error>,
    attempt: u32,
    notes: &mut Notes,
) -> Result<Option<InvoiceSummary>, Failure> {
    match summary {
        Ok(summary) => Ok(Some(summary)),
        Err(error) if is_optional(&error, attempt) => {
            notes.missing("summary", &error);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_optional(error: &Error, attempt: u32) -> bool {
    // A rate limit ends by itself, so a rate limited source is not missing.
    let keeps_failing = error.is_retryable() && !is_pause(error);
    is_absent(error) || (attempt >= OPTIONAL_FROM_ATTEMPT && keeps_failing)
}

/// Whether the response proves that the source does not exist, not only that it is unavailable now
/// or to this token.
fn is_absent(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. } | Error::Refused { .. })
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;
    use simulator::{
        Account, DEMO_TOKEN, Fault, FaultKind, Invoice, InvoiceLine as Line, Simulator,
    };

    use super::*;

    /// More than a page.
    const LINES: usize = 250;

    /// An invoice with these lines. In this many reads, the last item of its first page moves to
    /// the next page.
    async fn while_an_item_moves(
        lines: Vec<Line>,
        has_csv: bool,
        times: u32,
    ) -> (Client, InvoiceKey, Simulator) {
        let mut account = Account::empty();
        let uuid = account.add_invoice(Invoice {
            lacks_csv: !has_csv,
            ..Invoice::for_month(2026, 3, lines)
        });
        let simulator = Simulator::start(account).await.unwrap();
        if times > 0 {
            simulator.fail(Fault::new(FaultKind::ItemMovesBetweenPages, "*").times(times));
        }
        let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        (client, InvoiceKey::Issued(uuid.into()), simulator)
    }

    /// Lines of different droplets, all with one price.
    fn droplets() -> Vec<Line> {
        let droplet = |number| {
            let name = format!("web-{number} (s-1vcpu-1gb)");
            Line::new("Droplets", &name, Decimal::new(600, 2)).with_id(&number)
        };
        (0..LINES).map(droplet).collect()
    }

    async fn assert_inconsistent(client: &Client, key: InvoiceKey, attempt: u32) {
        match read(client, key, attempt).await {
            Err(Failure::InconsistentItems(reason)) => {
                assert!(reason.contains(": 1"), "{reason}");
            }
            outcome => panic!("not inconsistent; read: {}", outcome.is_ok()),
        }
    }

    #[tokio::test]
    async fn a_moved_item_is_detected_although_the_total_is_correct() {
        for has_csv in [true, false] {
            let (client, key, _simulator) = while_an_item_moves(droplets(), has_csv, 1).await;
            assert_inconsistent(&client, key, 1).await;
            // No item moves in this read.
            let content = read(&client, key, 2).await.ok().flatten().unwrap();
            let mut ids: Vec<_> = content
                .lines
                .iter()
                .filter_map(|line| line.item.resource_id.clone())
                .collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!((ids.len(), content.note.is_none()), (LINES, has_csv));
        }
    }

    #[tokio::test]
    async fn a_moved_item_without_a_resource_is_detected_by_the_join() {
        let mut lines = droplets();
        for line in &mut lines[190..200] {
            *line = Line::new("Taxes", "Tax", Decimal::new(1, 2));
        }
        let (client, key, _simulator) = while_an_item_moves(lines, true, 1).await;
        assert_inconsistent(&client, key, 1).await;
    }

    #[tokio::test]
    async fn items_that_stay_inconsistent_are_stored_with_a_note() {
        let (client, key, _simulator) = while_an_item_moves(droplets(), true, 2).await;
        assert_inconsistent(&client, key, OPTIONAL_FROM_ATTEMPT - 1).await;
        let content = read(&client, key, OPTIONAL_FROM_ATTEMPT)
            .await
            .ok()
            .flatten()
            .unwrap();
        assert_eq!(content.lines.len(), LINES);
        assert!(content.note.is_some());
        // The next run refetches them.
        assert_eq!(content.unread, content.note);
    }

    #[tokio::test]
    async fn only_a_source_that_may_succeed_later_is_unread() {
        for (fault, is_unread) in [
            (FaultKind::ServerError { status: 500 }, true),
            (FaultKind::NotFound, false),
        ] {
            let mut account = Account::empty();
            let uuid = account.add_invoice(Invoice::for_month(2026, 3, droplets()));
            let simulator = Simulator::start(account).await.unwrap();
            simulator.fail(Fault::new(fault, "*/summary"));
            let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
            let key = InvoiceKey::Issued(uuid.into());
            let content = read(&client, key, OPTIONAL_FROM_ATTEMPT)
                .await
                .ok()
                .flatten()
                .unwrap();
            assert!(content.note.is_some());
            assert_eq!(content.unread.is_some(), is_unread, "{:?}", content.note);
        }
    }

    #[tokio::test]
    async fn equal_lines_without_a_resource_on_several_pages_are_valid() {
        let tax = Line::new("Taxes", "Tax", Decimal::new(1, 2));
        let (client, key, _simulator) = while_an_item_moves(vec![tax; LINES], true, 0).await;
        let content = read(&client, key, 1).await.ok().flatten().unwrap();
        assert_eq!(content.note, None);
    }

    /// The error of a request to a server with this fault.
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
    async fn a_rate_limited_source_is_never_optional() {
        let refused = failing(FaultKind::RateLimited { retry_after: 1 }).await;
        assert!(!is_optional(&refused, OPTIONAL_FROM_ATTEMPT));
        let broken = failing(FaultKind::ServerError { status: 500 }).await;
        assert!(
            !is_optional(&broken, OPTIONAL_FROM_ATTEMPT - 1)
                && is_optional(&broken, OPTIONAL_FROM_ATTEMPT)
        );
        assert!(is_optional(&failing(FaultKind::NotFound).await, 1));
    }
}
