//! Checks the items, summary and CSV of every invoice against DigitalOcean's API specification.

mod support;

use rust_decimal::Decimal;
use simulator::{Account, Invoice, InvoiceLine};
use support::{TestClient, specification::Specification};

/// The demo account with a line with only a product, a description and an amount.
fn demo_with_an_empty_line() -> Account {
    let mut account = Account::demo();
    let bare = InvoiceLine::new("Discounts", "Contract", Decimal::new(-100, 2));
    account.add_invoice(Invoice::for_month(2014, 11, vec![bare]));
    account
}

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn the_items_and_summary_of_every_invoice_are_as_specified() {
    let specification = Specification::read();
    for account in [demo_with_an_empty_line(), Account::every_cent()] {
        check_invoices(&specification, account).await;
    }
}

async fn check_invoices(specification: &Specification, account: Account) {
    let template = "/v2/customers/my/invoices/{invoice_uuid}";
    let invoices = account.invoices().iter();
    // Missing parts are errors, which other tests check.
    let whole = invoices.filter(|i| !(i.lacks_items || i.lacks_csv || i.lacks_summary));
    let uuids = whole.map(|invoice| invoice.uuid.to_string());
    let uuids: Vec<String> = uuids.chain(["preview".to_owned()]).collect();
    let client = TestClient::of(account).await;
    let items = specification.validator("get", template, 200);
    let summary = specification.validator("get", &format!("{template}/summary"), 200);
    for uuid in uuids {
        let path = format!("/v2/customers/my/invoices/{uuid}");
        for page in ["?per_page=10", "?per_page=10&page=2"] {
            let body = client.ok(&format!("{path}{page}")).await;
            items
                .validate(&body)
                .unwrap_or_else(|error| panic!("{path}{page}: {error}"));
        }
        let body = client.ok(&format!("{path}/summary")).await;
        summary
            .validate(&body)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let csv = client.get(&format!("{path}/csv")).await;
        assert_eq!(csv.headers()["content-type"], "text/csv");
        assert!(csv.headers().contains_key("content-disposition"));
    }
}
