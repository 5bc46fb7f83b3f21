//! The running month: its invoices, the rest of its preview, and the end of its bill.

mod ended;
mod moved;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta, Utc};
use domain::invoices::read_invoice_csv;
use rust_decimal::Decimal;
use store::costs::Statements;
use store::inventory::{Commit, OverrideChange};
use store::invoices::{CostLine, EstimateOutcome};

use super::bills::{
    HEADER, assert_balanced, correct, estimate, header, ingest, ingest_with, lines_of, uuid,
};
use super::support::{Fixture, by, droplet, fixture};

/// The running month, by the clock of the database.
struct Running {
    fixture: Fixture,
    month: NaiveDate,
}

/// A line of a droplet from one day to another.
fn droplet_line(month: NaiveDate, name: &str, from: u32, to: u32, cents: i64) -> String {
    let month = month.format("%Y-%m");
    let amount = Decimal::new(cents, 2);
    format!(
        "Droplets,,{name} (s-1vcpu-1gb),1,{month}-{from:02} 00:00:00 +0000,{month}-{to:02} 00:00:00 +0000,${amount},web,iaas\n"
    )
}

/// A tax line, which has the dates of the month.
fn tax_line(month: NaiveDate, cents: i64) -> String {
    let last = (month + Months::new(1)).pred_opt().unwrap();
    let amount = Decimal::new(cents, 2);
    format!("Taxes,,VAT,,{month} 00:00:00 +0000,{last} 23:59:59 +0000,${amount},,iaas\n")
}

impl Running {
    /// Returns the start of the month.
    fn starts_at(&self) -> DateTime<Utc> {
        self.month.and_hms_opt(0, 0, 0).unwrap().and_utc()
    }

    async fn start() -> Self {
        let fixture = fixture().await;
        let today = fixture.now().await.unwrap().date_naive();
        Self {
            fixture,
            month: today.with_day(1).unwrap(),
        }
    }

    fn text(&self) -> String {
        self.month.format("%Y-%m").to_string()
    }

    fn droplet(&self, name: &str, from: u32, to: u32, cents: i64) -> String {
        droplet_line(self.month, name, from, to, cents)
    }

    fn tax(&self, cents: i64) -> String {
        tax_line(self.month, cents)
    }

    async fn invoice(&self, number: u128, lines: &str) {
        let file = read_invoice_csv(format!("{HEADER}\n{lines}").as_bytes()).unwrap();
        let mut header = header(number, &self.text(), 0);
        header.amount = domain::invoices::line_total(&file.lines).unwrap();
        self.fixture.discover_invoices(&[header]).await.unwrap();
        let outcome = ingest(&self.fixture, number, lines).await;
        assert_eq!(
            (outcome.verification.as_str(), outcome.is_final),
            ("verified", false)
        );
    }

    async fn preview(&self, lines: &str) {
        let file = read_invoice_csv(format!("{HEADER}\n{lines}").as_bytes()).unwrap();
        let total = domain::invoices::line_total(&file.lines).unwrap();
        let cents = i64::try_from((total * Decimal::from(100)).trunc()).unwrap();
        let outcome = estimate(&self.fixture, &self.text(), cents, lines).await;
        assert!(
            matches!(outcome, EstimateOutcome::Estimated { off_by, .. } if off_by.is_zero()),
            "{outcome:?}"
        );
    }

    /// Returns the amount (cents) and the amount in the preview of each line, invoices first.
    async fn lines(&self) -> Vec<(String, i64, Option<i64>)> {
        let mut lines = lines_of(&self.fixture, &self.month.to_string()).await;
        lines.sort_by_key(|line| (line.is_estimate, line.line_no));
        let cents = |amount: Decimal| i64::try_from((amount * Decimal::from(100)).trunc()).unwrap();
        let lines = lines.into_iter().map(|line: CostLine| {
            let kind = if line.is_estimate { "rest" } else { "billed" };
            let text = format!("{kind} {}", line.resource_name.unwrap_or(line.product));
            (text, cents(line.amount), line.preview_amount.map(cents))
        });
        lines.collect()
    }

    async fn statements(&self) -> Statements {
        assert_balanced(&self.fixture).await;
        self.fixture.statements(self.month).await.unwrap()
    }

    /// Asserts that the month has this total and rest (cents) and is not final.
    async fn assert_runs(&self, total: i64, rest: i64) {
        let month = self.statements().await;
        assert_eq!(month.line_total, Decimal::new(total, 2));
        assert_eq!(month.estimated, Decimal::new(rest, 2));
        assert_eq!(month.invoiced(), Decimal::new(total - rest, 2));
        assert_eq!((month.is_over, month.is_final()), (false, false));
        assert_eq!((month.is_estimate, month.difference()), (true, None));
        assert_eq!(month.total(), month.line_total);
    }
}

#[tokio::test]
async fn an_invoice_of_the_running_month_leaves_the_rest_of_the_preview() {
    let running = Running::start().await;
    let preview = running.droplet("web-1", 1, 20, 400)
        + &running.droplet("web-2", 3, 20, 300)
        + &running.tax(70);
    let invoice = running.droplet("web-1", 1, 15, 300) + &running.tax(30);
    running.preview(&preview).await;
    running.invoice(1, &invoice).await;
    let expected = [
        ("billed web-1".to_owned(), 300, None),
        ("billed Taxes".to_owned(), 30, None),
        ("rest web-1".to_owned(), 100, Some(400)),
        ("rest web-2".to_owned(), 300, None),
        ("rest Taxes".to_owned(), 40, Some(70)),
    ];
    assert_eq!(running.lines().await, expected);
    running.assert_runs(770, 440).await;
    let invoice_row = running.fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(
        (invoice_row.verification.as_deref(), invoice_row.is_final),
        (Some("verified"), false)
    );
    // Neither another reading of the invoice nor of the preview counts anything twice.
    ingest(&running.fixture, 1, &invoice).await;
    running.preview(&preview).await;
    assert_eq!(running.lines().await, expected);
    // The preview grows.
    running.preview(&preview.replace("$4.00", "$4.50")).await;
    running.assert_runs(820, 490).await;
    let estimates = running.fixture.estimates(None, 10).await.unwrap();
    let [estimate] = &*estimates else {
        panic!("{estimates:?}")
    };
    assert_eq!(
        (
            estimate.state.as_str(),
            estimate.line_total,
            estimate.invoiced
        ),
        ("open", Decimal::new(820, 2), Decimal::new(330, 2))
    );
}

#[tokio::test]
async fn a_preview_that_continues_after_the_invoice_counts_in_full() {
    let running = Running::start().await;
    running
        .invoice(
            1,
            &(running.droplet("web-1", 1, 15, 300) + &running.tax(30)),
        )
        .await;
    // The tax has the dates of the month, although it is for the rest.
    running
        .preview(&(running.droplet("web-1", 15, 20, 100) + &running.tax(10)))
        .await;
    assert_eq!(
        running.lines().await,
        [
            ("billed web-1".to_owned(), 300, None),
            ("billed Taxes".to_owned(), 30, None),
            ("rest web-1".to_owned(), 100, None),
            ("rest Taxes".to_owned(), 10, None),
        ]
    );
    running.assert_runs(440, 110).await;
}

#[tokio::test]
async fn taxes_decide_only_if_no_resource_is_invoiced() {
    let running = Running::start().await;
    running.invoice(1, &running.tax(30)).await;
    running
        .preview(&(running.droplet("web-1", 15, 20, 100) + &running.tax(40)))
        .await;
    running.assert_runs(140, 110).await;
}

#[tokio::test]
async fn the_rest_is_less_all_invoices_of_the_running_month() {
    let running = Running::start().await;
    running.preview(&running.droplet("web-1", 1, 25, 500)).await;
    running
        .invoice(1, &running.droplet("web-1", 1, 10, 200))
        .await;
    running
        .invoice(2, &running.droplet("web-1", 10, 20, 200))
        .await;
    running.assert_runs(500, 100).await;
    // A correction of an invoice changes the rest.
    correct(&running.fixture, 2, &running.droplet("web-1", 10, 20, 150)).await;
    running.assert_runs(500, 150).await;
}

#[tokio::test]
async fn equal_lines_are_reduced_by_the_invoice_of_their_resource() {
    let running = Running::start().await;
    running
        .preview(
            &(running.droplet("web-1", 1, 20, 400)
                + &running.droplet("web-1", 1, 20, 500)
                + &running.droplet("web-1", 16, 20, 90)),
        )
        .await;
    running
        .invoice(
            1,
            &(running.droplet("web-1", 1, 15, 300) + &running.droplet("web-1", 1, 15, 350)),
        )
        .await;
    assert_eq!(
        running.lines().await[2..],
        [
            ("rest web-1".to_owned(), 100, Some(400)),
            ("rest web-1".to_owned(), 150, Some(500)),
            ("rest web-1".to_owned(), 90, None),
        ]
    );

    // With ids, the line of another resource is another charge.
    let running = Running::start().await;
    let lines = running.droplet("web-1", 1, 15, 300);
    let header = header(1, &running.text(), 300);
    running.fixture.discover_invoices(&[header]).await.unwrap();
    ingest_with(&running.fixture, 1, &lines, &[Some("7")], None).await;
    running
        .preview_with_id(&running.droplet("web-1", 1, 20, 400), "8")
        .await;
    running.assert_runs(700, 400).await;
    running
        .preview_with_id(&running.droplet("web-1", 1, 20, 401), "7")
        .await;
    running.assert_runs(401, 101).await;
}

impl Running {
    async fn preview_with_id(&self, lines: &str, id: &str) {
        let mut file = read_invoice_csv(format!("{HEADER}\n{lines}").as_bytes()).unwrap();
        let items = super::bills::items(lines, &[Some(id)]);
        let joined = domain::invoices::join_items(&mut file, &items);
        let content = store::invoices::InvoiceContent {
            lines: &file.lines,
            sources: store::invoices::Sources::CsvAndItems,
            source_note: None,
            unread: None,
            joined: Some(joined),
            csv: None,
            items: None,
            summary: None,
        };
        let total = domain::invoices::line_total(&file.lines).unwrap();
        let period = self.text().parse().unwrap();
        let evidence = self.fixture.evidence().await;
        self.fixture
            .store_estimate(period, total, evidence, content)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_shares_of_a_split_line_total_the_rest() {
    let running = Running::start().await;
    running.fixture.sweep(&[droplet(1, "web-1")]).await;
    let change = OverrideChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        cloud_project_id: None,
        since: Some(running.starts_at()),
    };
    let resource = running.fixture.resource("1").await.id;
    running
        .fixture
        .change_override(resource, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    // Half of the charge is before the month: a time in the month may be in the future.
    let ten_days = TimeDelta::days(10);
    let (from, to) = (running.month - ten_days, running.month + ten_days);
    let line = |amount: &str| {
        format!(
            "Droplets,,web-1 (s-1vcpu-1gb),1,{from} 00:00:00 +0000,{to} 00:00:00 +0000,{amount},web,iaas\n"
        )
    };
    running.preview(&line("$4.00")).await;
    running.assert_runs(400, 400).await;
    running.invoice(1, &line("$1.00")).await;
    running.assert_runs(400, 300).await;
    let lines = lines_of(&running.fixture, &running.month.to_string()).await;
    let rest = lines.iter().find(|line| line.is_estimate).unwrap();
    let shares = rest.shares.as_ref().unwrap();
    let shares: Vec<_> = shares
        .iter()
        .map(|share| (share.tenant_id.as_deref(), share.amount))
        .collect();
    let half = Decimal::new(150, 2);
    assert_eq!(shares, [(None, half), (Some("acme"), half)]);
}
