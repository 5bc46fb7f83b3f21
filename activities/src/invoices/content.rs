//! Reading an invoice from all that DigitalOcean shows of it: its CSV, its items, its summary.

mod items;

use digitalocean::{Client, Error, InvoiceKey};
use domain::invoices::{
    InvoiceLine, InvoiceSummary, Joined, join_items, lines_of_items, part_by_summary,
    read_invoice_csv,
};
use store::invoices::{Document, InvoiceContent, Sources};

use self::items::{ShownTwice, list_items, take_items};
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

/// Which sources a reading lacks, and why.
#[derive(Default)]
struct Notes {
    all: Vec<String>,
    /// Those of `all` that a later reading may not have.
    temporary: Vec<String>,
}

impl Notes {
    fn lacking(&mut self, source: &str, error: &Error) {
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
    let mut notes = Notes::default();
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
            notes.lacking("CSV", &error);
            None
        }
        Err(error) => return Err(error.into()),
    };
    let items = take_items(items, attempt, &mut notes)?;
    let summary = take_summary(summary, attempt, &mut notes)?;
    let (items, items_document, shown_twice) = match items {
        Some(items) => (Some(items.all), Some(items.document), items.shown_twice),
        None => (None, None, ShownTwice::default()),
    };
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
    if let Some(reason) = shown_twice.contradiction(joined) {
        if attempt < PATIENCE {
            return Err(Failure::InconsistentItems(reason));
        }
        notes.temporary(format!("the items may not be all: {reason}"));
    }
    if let Some(summary) = &summary {
        part_by_summary(&mut lines, summary);
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

fn take_summary(
    summary: Result<InvoiceSummary, Error>,
    attempt: u32,
    notes: &mut Notes,
) -> Result<Option<InvoiceSummary>, Failure> {
    match summary {
        Ok(summary) => Ok(Some(summary)),
        Err(error) if may_do_without(&error, attempt) => {
            notes.lacking("summary", &error);
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
    use rust_decimal::Decimal;
    use simulator::{
        Account, DEMO_TOKEN, Fault, FaultKind, Invoice, InvoiceLine as Line, Simulator,
    };

    use super::*;

    /// More than a page.
    const LINES: usize = 250;

    /// An invoice with these lines, while the last item of its first page moves to the next.
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

    /// Each of a droplet of its own, all at one price.
    fn droplets() -> Vec<Line> {
        let droplet = |number| {
            let name = format!("web-{number} (s-1vcpu-1gb)");
            Line::new("Droplets", &name, Decimal::new(600, 2)).with_id(&number)
        };
        (0..LINES).map(droplet).collect()
    }

    async fn assert_inconsistent(client: &Client, key: InvoiceKey, attempt: u32) {
        match read(client, key, attempt).await {
            Err(Failure::InconsistentItems(reason)) => assert_eq!(
                reason,
                "items on two pages in a row: 1, so that as many may be on none"
            ),
            outcome => panic!("it was taken, or failed otherwise: {}", outcome.is_ok()),
        }
    }

    #[tokio::test]
    async fn an_item_that_pushes_another_off_its_page_is_noticed_though_the_total_fits() {
        for has_csv in [true, false] {
            let (client, key, _simulator) = while_an_item_moves(droplets(), has_csv, 1).await;
            assert_inconsistent(&client, key, 1).await;
            // Nothing moves any more.
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
    async fn an_item_of_no_resource_that_pushes_another_off_its_page_shows_in_the_join() {
        let mut lines = droplets();
        for line in &mut lines[190..200] {
            *line = Line::new("Taxes", "Tax", Decimal::new(1, 2));
        }
        let (client, key, _simulator) = while_an_item_moves(lines, true, 1).await;
        assert_inconsistent(&client, key, 1).await;
    }

    #[tokio::test]
    async fn what_is_listed_so_again_and_again_is_taken_and_noted() {
        let (client, key, _simulator) = while_an_item_moves(droplets(), true, 2).await;
        assert_inconsistent(&client, key, PATIENCE - 1).await;
        let content = read(&client, key, PATIENCE).await.ok().flatten().unwrap();
        assert_eq!(content.lines.len(), LINES);
        let note = "the items may not be all: items on two pages in a row: 1, so that as many may be on none";
        assert_eq!(content.note.as_deref(), Some(note));
        // The next run reads them again.
        assert_eq!(content.unread.as_deref(), Some(note));
    }

    #[tokio::test]
    async fn only_a_source_that_may_come_back_is_unread() {
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
            let content = read(&client, key, PATIENCE).await.ok().flatten().unwrap();
            assert!(content.note.is_some());
            assert_eq!(content.unread.is_some(), is_unread, "{:?}", content.note);
        }
    }

    #[tokio::test]
    async fn lines_of_no_resource_that_are_alike_on_several_pages_are_as_they_are() {
        let tax = Line::new("Taxes", "Tax", Decimal::new(1, 2));
        let (client, key, _simulator) = while_an_item_moves(vec![tax; LINES], true, 0).await;
        let content = read(&client, key, 1).await.ok().flatten().unwrap();
        assert_eq!(content.note, None);
    }

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
