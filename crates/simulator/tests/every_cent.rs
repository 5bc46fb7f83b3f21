//! Checks the account with traps: its invoices have the documented traps, and the expected
//! attribution of its lines matches the responses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;
use serde_json::Value;
use simulator::{Account, EveryCent, Invoice, LineTruth, ResourceName, Truth};
use support::TestClient;
use uuid::Uuid;

const INVOICES: &str = "/v2/customers/my/invoices";

fn all_invoices(account: &Account) -> impl Iterator<Item = &Invoice> {
    account.invoices().iter().chain(account.preview())
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

fn named(truth: &Truth) -> Option<&ResourceName> {
    match truth {
        Truth::Resource(name) | Truth::Deleted(name) => Some(name),
        _ => None,
    }
}

#[test]
fn every_month_has_an_invoice_and_one_has_a_supplementary_one() {
    let traps = EveryCent::new().traps;
    let account = Account::named("every-cent").unwrap();
    let periods: Vec<String> = account
        .invoices()
        .iter()
        .map(Invoice::period_text)
        .collect();
    assert_eq!(periods.len(), 17);
    assert_eq!(periods.first().unwrap(), "2026-04");
    assert_eq!(periods.last().unwrap(), "2025-01");
    let of = |uuid| account.invoice(uuid).unwrap().period_text();
    assert_eq!(of(traps.supplementary), "2025-11");
    assert_eq!(
        periods.iter().filter(|period| *period == "2025-11").count(),
        2
    );
    assert_eq!(account.preview().unwrap().period_text(), "2026-05");
    assert!(account.projects().len() >= 4);
}

#[test]
fn every_header_totals_its_lines_except_for_one_cent_of_one_trap() {
    let EveryCent { account, traps, .. } = EveryCent::new();
    for invoice in all_invoices(&account) {
        let cents = i64::from(invoice.uuid == traps.off_by_a_cent);
        let difference = invoice.amount - invoice.total();
        assert_eq!(
            difference,
            Decimal::new(cents, 2),
            "{}",
            invoice.period_text()
        );
    }
}

#[test]
fn every_line_has_one_expected_attribution_that_never_changes() {
    let EveryCent { account, truth, .. } = EveryCent::new();
    let attributed: BTreeSet<(Uuid, usize)> =
        truth.iter().map(|t| (t.invoice, t.line_no)).collect();
    assert_eq!(attributed.len(), truth.len());
    let lines = |invoice: &Invoice| {
        let uuid = invoice.uuid;
        (1..=invoice.lines.len()).map(move |line_no| (uuid, line_no))
    };
    let expected: BTreeSet<(Uuid, usize)> = all_invoices(&account).flat_map(lines).collect();
    assert_eq!(attributed, expected);
    assert_eq!(EveryCent::new().truth, truth);
}

#[test]
fn expected_resources_exist_unless_expected_to_be_deleted() {
    let EveryCent { account, truth, .. } = EveryCent::new();
    let exists = |name: &ResourceName| account.resource_ids(name.kind).contains(&name.provider_id);
    for LineTruth { truth, group, .. } in &truth {
        match truth {
            Truth::Resource(name) => assert!(exists(name), "{name:?}"),
            Truth::Deleted(name) => assert!(!exists(name), "{name:?}"),
            Truth::Ambiguous(names) => assert!(names.len() > 1 && names.iter().all(exists)),
            Truth::Account | Truth::Unknown => {}
        }
        assert!(group.as_ref().is_none_or(exists), "{group:?}");
    }
    let kinds: BTreeSet<&str> = truth
        .iter()
        .filter_map(|t| Some(named(&t.truth)?.kind))
        .collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    assert!(
        truth
            .iter()
            .any(|line| matches!(line.truth, Truth::Ambiguous(_)))
    );
    assert!(truth.iter().any(|line| line.truth == Truth::Unknown));
}

/// Returns the columns of the CSV that an item has.
fn as_row(item: &Value) -> Vec<String> {
    let fields = [
        "product",
        "group_description",
        "description",
        "duration",
        "start_time",
        "end_time",
        "amount",
    ];
    let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    fields.iter().map(|field| text(field)).collect()
}

#[tokio::test]
async fn the_items_name_exactly_the_expected_resources() {
    let EveryCent { account, truth, .. } = EveryCent::new();
    let client = TestClient::of(account.clone()).await;
    for invoice in all_invoices(&account).filter(|invoice| !invoice.lacks_items) {
        // The ids of identical items, in their order.
        let mut ids: HashMap<Vec<String>, Vec<Option<String>>> = HashMap::new();
        let items = client
            .all(&format!("{INVOICES}/{}", invoice.uuid), "invoice_items")
            .await;
        for item in items.iter().rev() {
            let id = item["resource_uuid"]
                .as_str()
                .or(item["resource_id"].as_str());
            ids.entry(as_row(item))
                .or_default()
                .push(id.map(str::to_owned));
        }
        // The rows as items, from an account without changes of the JSON.
        let mut plain = Account::empty();
        let lines = invoice.lines.clone();
        let uuid = plain.add_invoice(Invoice::for_month(2025, 1, lines));
        let plain = TestClient::of(plain).await;
        let rows = plain
            .all(&format!("{INVOICES}/{uuid}"), "invoice_items")
            .await;
        for (place, row) in rows.iter().enumerate() {
            let id = ids.get_mut(&as_row(row)).and_then(Vec::pop).flatten();
            let mut expected = truth.iter();
            let expected = expected.find(|t| t.invoice == invoice.uuid && t.line_no == place + 1);
            let expected = expected.unwrap();
            if expected.named_by_json {
                assert_eq!(
                    id.as_ref(),
                    named(&expected.truth).map(|name| &name.provider_id),
                    "{row}"
                );
            } else if expected.truth != Truth::Unknown {
                assert_eq!(id, None, "{row}");
            }
        }
    }
    let unnamed = truth
        .iter()
        .filter(|t| !t.named_by_json && named(&t.truth).is_some());
    assert!(unnamed.count() > 20);
}

#[tokio::test]
async fn an_invoice_lacks_only_the_part_of_its_trap() {
    let EveryCent { account, traps, .. } = EveryCent::new();
    let client = TestClient::of(account.clone()).await;
    for invoice in account.invoices() {
        let uuid = invoice.uuid;
        for part in ["", "/csv", "/summary"] {
            let response = client.get(&format!("{INVOICES}/{uuid}{part}")).await;
            let lacks = match part {
                "" => uuid == traps.without_items || uuid == traps.recreated_without_items,
                "/csv" => uuid == traps.without_csv,
                _ => uuid == traps.without_summary,
            };
            let expected = if lacks { 404 } else { 200 };
            assert_eq!(
                response.status(),
                expected,
                "{}{part}",
                invoice.period_text()
            );
        }
    }
}

#[test]
fn the_csvs_have_five_forms() {
    let EveryCent { account, traps, .. } = EveryCent::new();
    let header = |uuid| {
        let text = account.invoice(uuid).unwrap().csv_text();
        text.split_inclusive('\n').next().unwrap().to_owned()
    };
    let usual = "product,group_description,description,hours,start,end,USD,project_name,category\n";
    assert_eq!(header(traps.unpaid), usual);
    assert_eq!(header(traps.legacy), usual.replace(",category", ""));
    assert!(header(traps.reordered).starts_with("USD,Project_Name,"));
    let windows = format!("\u{feff}{}", usual.replace('\n', "\r\n"));
    assert_eq!(header(traps.windows), windows);
    let few = usual
        .replace("group_description,", "")
        .replace("hours,", "");
    assert_eq!(header(traps.few_columns), few);
    let text = account.invoice(traps.unpaid).unwrap().csv_text();
    assert!(text.contains("\"-$1,779.55\"") && text.contains("\"$4,529.30\""));
}

#[tokio::test]
async fn the_other_traps_are_in_their_invoices() {
    let EveryCent {
        account,
        traps,
        truth,
    } = EveryCent::new();
    let of = |uuid| account.invoice(uuid).unwrap();
    assert!(of(traps.many_items).lines.len() > 200);
    let client = TestClient::of(account.clone()).await;
    let summary = client
        .ok(&format!(
            "{INVOICES}/{}/summary",
            traps.summary_off_by_a_cent
        ))
        .await;
    let cent = Decimal::new(1, 2);
    assert_eq!(
        decimal(&summary["amount"]),
        of(traps.summary_off_by_a_cent).amount + cent
    );

    let shuffled = of(traps.shuffled);
    assert_ne!(shuffled.json_items(), shuffled.lines);
    let sorted = |lines: &[simulator::InvoiceLine]| -> BTreeSet<String> {
        lines.iter().map(|line| format!("{line:?}")).collect()
    };
    assert_eq!(sorted(shuffled.json_items()), sorted(&shuffled.lines));
    let differ = of(traps.items_differ);
    let (items, lines) = (sorted(differ.json_items()), sorted(&differ.lines));
    assert_eq!(items.difference(&lines).count(), 1);
    assert_eq!(lines.difference(&items).count(), 1);

    let csv = of(traps.alike).csv_text();
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for row in csv.lines() {
        *rows.entry(row).or_default() += 1;
    }
    // Two droplets called worker-01, one called flap-01 that was re-created, and two taxes.
    assert_eq!(rows.values().filter(|&&count| count == 2).count(), 3);

    let ids = |kind: &str| -> BTreeSet<String> {
        let names = truth.iter().filter_map(|line| named(&line.truth));
        let names = names.filter(|name| name.kind == kind);
        names.map(|name| name.provider_id.clone()).collect()
    };
    assert_eq!(ids("droplet").intersection(&ids("snapshot")).count(), 1);
}

#[tokio::test]
async fn the_balance_is_the_sum_of_a_history_of_every_type() {
    let client = TestClient::of(Account::every_cent()).await;
    let history = client
        .all("/v2/customers/my/billing_history", "billing_history")
        .await;
    let types: BTreeSet<&str> = history
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types.len(),
        11,
        "ten of the specification and one more: {types:?}"
    );
    let moving = history
        .iter()
        .filter(|entry| entry["type"] != "AttemptFailed");
    let sum: Decimal = moving.map(|entry| decimal(&entry["amount"])).sum();
    let balance = client.ok("/v2/customers/my/balance").await;
    assert_eq!(decimal(&balance["account_balance"]), sum);
    assert!(sum > Decimal::ZERO, "April is not paid");
    let texts: Vec<String> = history.iter().map(Value::to_string).collect();
    let distinct: BTreeSet<&String> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len() - 1, "two entries are identical");
}
