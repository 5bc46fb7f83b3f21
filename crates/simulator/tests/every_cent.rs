//! The account with every trap holds what it promises, and the truth about its lines is one that its answers bear out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;
use serde_json::Value;
use simulator::{Account, EveryCent, Invoice, LineTruth, ResourceName, Truth};
use support::Asker;
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
        Truth::Resource(name) | Truth::Gone(name) => Some(name),
        _ => None,
    }
}

#[test]
fn there_is_an_invoice_for_every_month_a_supplementary_one_and_a_preview() {
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
fn every_header_is_the_sum_of_its_lines_but_one_that_is_a_cent_more() {
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
fn the_truth_is_told_about_every_line_once_and_is_the_same_every_time() {
    let EveryCent { account, truth, .. } = EveryCent::new();
    let told: BTreeSet<(Uuid, usize)> = truth.iter().map(|t| (t.invoice, t.line_no)).collect();
    assert_eq!(told.len(), truth.len());
    let lines = |invoice: &Invoice| {
        let uuid = invoice.uuid;
        (1..=invoice.lines.len()).map(move |line_no| (uuid, line_no))
    };
    let expected: BTreeSet<(Uuid, usize)> = all_invoices(&account).flat_map(lines).collect();
    assert_eq!(told, expected);
    assert_eq!(EveryCent::new().truth, truth);
}

#[test]
fn what_a_line_paid_for_is_there_or_gone_as_the_truth_says() {
    let EveryCent { account, truth, .. } = EveryCent::new();
    let is_there =
        |name: &ResourceName| account.resource_ids(name.kind).contains(&name.provider_id);
    for LineTruth { truth, group, .. } in &truth {
        match truth {
            Truth::Resource(name) => assert!(is_there(name), "{name:?}"),
            Truth::Gone(name) => assert!(!is_there(name), "{name:?}"),
            Truth::CannotBeTold(names) => assert!(names.len() > 1 && names.iter().all(is_there)),
            Truth::Account | Truth::Unknown => {}
        }
        assert!(group.as_ref().is_none_or(is_there), "{group:?}");
    }
    let kinds: BTreeSet<&str> = truth
        .iter()
        .filter_map(|t| Some(named(&t.truth)?.kind))
        .collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    assert!(
        truth
            .iter()
            .any(|line| matches!(line.truth, Truth::CannotBeTold(_)))
    );
    assert!(truth.iter().any(|line| line.truth == Truth::Unknown));
}

/// What the CSV tells of an item.
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
async fn the_items_name_exactly_the_resources_that_the_truth_says_they_name() {
    let EveryCent { account, truth, .. } = EveryCent::new();
    let asker = Asker::of(account.clone()).await;
    for invoice in all_invoices(&account).filter(|invoice| !invoice.lacks_items) {
        // The ids of the items that look alike, in their order.
        let mut ids: HashMap<Vec<String>, Vec<Option<String>>> = HashMap::new();
        let items = asker
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
        // The same rows as items again, from an account in which nothing of the JSON was changed.
        let mut plain = Account::empty();
        let lines = invoice.lines.clone();
        let uuid = plain.add_invoice(Invoice::for_month(2025, 1, lines));
        let plain = Asker::of(plain).await;
        let rows = plain
            .all(&format!("{INVOICES}/{uuid}"), "invoice_items")
            .await;
        for (place, row) in rows.iter().enumerate() {
            let id = ids.get_mut(&as_row(row)).and_then(Vec::pop).flatten();
            let told = truth.iter();
            let mut told = told.filter(|t| t.invoice == invoice.uuid && t.line_no == place + 1);
            let told = told.next().unwrap();
            if told.named_by_json {
                assert_eq!(
                    id.as_ref(),
                    named(&told.truth).map(|name| &name.provider_id),
                    "{row}"
                );
            } else if told.truth != Truth::Unknown {
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
async fn an_invoice_lacks_what_its_trap_says_and_nothing_else() {
    let EveryCent { account, traps, .. } = EveryCent::new();
    let asker = Asker::of(account.clone()).await;
    for invoice in account.invoices() {
        let uuid = invoice.uuid;
        for part in ["", "/csv", "/summary"] {
            let response = asker.get(&format!("{INVOICES}/{uuid}{part}")).await;
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
fn the_csvs_are_written_in_five_forms() {
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
    let asker = Asker::of(account.clone()).await;
    let summary = asker
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
    let asker = Asker::of(Account::every_cent()).await;
    let history = asker
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
    let balance = asker.ok("/v2/customers/my/balance").await;
    assert_eq!(decimal(&balance["account_balance"]), sum);
    assert!(sum > Decimal::ZERO, "April is not paid");
    let texts: Vec<String> = history.iter().map(Value::to_string).collect();
    let distinct: BTreeSet<&String> = texts.iter().collect();
    assert_eq!(
        distinct.len(),
        texts.len() - 1,
        "two entries are alike in everything"
    );
}
