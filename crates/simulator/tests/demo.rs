//! Checks the demo account: its documented resources and invoices, and that every invoice
//! reconciles.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use simulator::{Account, Invoice, InvoiceLine};
use support::TestClient;

fn cents(text: &str) -> i64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, cents) = digits.split_once('.').unwrap();
    assert_eq!(cents.len(), 2, "{text}");
    sign * (whole.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap())
}

fn total(invoice: &Invoice) -> String {
    let sum: rust_decimal::Decimal = invoice.lines.iter().map(|line| line.amount).sum();
    sum.to_string()
}

/// Returns the name in a description: `web` of `web (s-1vcpu-1gb)`.
fn named(line: &InvoiceLine) -> &str {
    line.description.split(" (").next().unwrap()
}

#[test]
fn the_demo_has_five_droplets_and_seven_domains_in_four_projects() {
    let account = Account::demo();
    assert_eq!(account.droplets().len(), 5);
    assert_eq!(account.domains().len(), 7);
    assert!(account.gpu_droplets().is_empty());
    assert!(account.volumes().is_empty() && account.reserved_ips().is_empty());
    let projects = account.projects();
    assert_eq!(projects.len(), 4);
    assert!(
        projects
            .iter()
            .all(|project| project.name != "skyai-internal")
    );
    assert_eq!(
        projects.iter().filter(|project| project.is_default).count(),
        1
    );
    assert!(projects.iter().all(|project| !project.members.is_empty()));
    let members: BTreeSet<&str> = projects
        .iter()
        .flat_map(|project| &project.members)
        .map(|member| member.urn.as_str())
        .collect();
    let droplets = account.droplets().iter().map(simulator::Droplet::urn);
    let things: BTreeSet<String> = droplets
        .chain(account.domains().iter().map(simulator::Domain::urn))
        .collect();
    assert_eq!(members, things.iter().map(String::as_str).collect());
}

#[test]
fn every_month_from_december_2014_to_april_2026_has_an_invoice() {
    let account = Account::demo();
    let periods: Vec<String> = account
        .invoices()
        .iter()
        .map(Invoice::period_text)
        .collect();
    let mut expected = Vec::new();
    for month in (2014 * 12 + 11..2026 * 12 + 4).rev() {
        expected.push(format!("{}-{:02}", month / 12, month % 12 + 1));
    }
    assert_eq!(periods.len(), 137);
    assert_eq!(periods, expected);
    let uuids: BTreeSet<_> = account
        .invoices()
        .iter()
        .map(|invoice| invoice.uuid)
        .collect();
    let ids: BTreeSet<_> = account
        .invoices()
        .iter()
        .map(|invoice| &invoice.id)
        .collect();
    assert_eq!((uuids.len(), ids.len()), (137, 137));
}

#[test]
fn every_header_is_the_sum_of_its_lines_and_positive() {
    let account = Account::demo();
    for invoice in account.invoices().iter().chain(account.preview()) {
        assert_eq!(
            invoice.amount.to_string(),
            total(invoice),
            "{}",
            invoice.period_text()
        );
        assert!(
            invoice.amount.is_sign_positive(),
            "{}",
            invoice.period_text()
        );
    }
}

#[test]
fn the_number_of_lines_grows_and_old_csvs_have_no_category() {
    let account = Account::demo();
    let oldest = account.invoices().last().unwrap();
    assert!((1..=3).contains(&oldest.lines.len()));
    let lines_in = |year: &str| -> usize {
        let of_year = account
            .invoices()
            .iter()
            .filter(|i| i.period_text().starts_with(year));
        of_year.map(|invoice| invoice.lines.len()).sum()
    };
    let years: Vec<usize> = ["2015", "2018", "2021", "2025"].map(lines_in).to_vec();
    assert!(
        years.is_sorted_by(|earlier, later| earlier < later),
        "{years:?}"
    );
    let header = |invoice: &Invoice| invoice.csv_text().lines().next().unwrap().to_owned();
    assert!(header(oldest).ends_with(",project_name"));
    assert!(header(&account.invoices()[0]).ends_with(",project_name,category"));
}

#[test]
fn april_2026_has_33_lines_of_which_six_name_existing_droplets() {
    let account = Account::demo();
    let april = &account.invoices()[0];
    assert_eq!(april.period_text(), "2026-04");
    assert_eq!(april.lines.len(), 33);
    assert_eq!(april.amount.to_string(), "86.92");
    let existing: BTreeSet<&str> = account.droplets().iter().map(|d| d.name.as_str()).collect();
    let matching: Vec<&InvoiceLine> = april
        .lines
        .iter()
        .filter(|line| existing.contains(named(line)))
        .collect();
    assert_eq!(matching.len(), 6);
    assert!(matching.iter().all(|line| line.product == "Droplets"));
    let names: BTreeSet<&str> = matching.iter().map(|line| named(line)).collect();
    assert_eq!(names, existing);
    let domains = account.domains();
    for line in april
        .lines
        .iter()
        .filter(|line| !existing.contains(named(line)))
    {
        let is_deleted = line.product == "Droplets" && line.description.starts_with("preview-");
        let spaces = ["Spaces", "Spaces Subscription"].contains(&line.product.as_str());
        assert!(is_deleted || spaces || line.product == "Taxes", "{line:?}");
        assert!(
            domains
                .iter()
                .all(|domain| !line.description.contains(&domain.name))
        );
    }
}

#[test]
fn no_invoice_names_a_droplet_before_its_creation() {
    let account = Account::demo();
    for droplet in account.droplets() {
        let starts = account
            .invoices()
            .iter()
            .flat_map(|invoice| &invoice.lines)
            .filter(|line| named(line) == droplet.name)
            .filter_map(|line| line.start);
        assert_eq!(starts.min(), Some(droplet.created_at), "{}", droplet.name);
    }
}

#[tokio::test]
async fn items_summary_csv_and_header_of_every_invoice_reconcile() {
    let client = TestClient::of(Account::demo()).await;
    let mut invoices = client.all("/v2/customers/my/invoices", "invoices").await;
    let page = client.ok("/v2/customers/my/invoices").await;
    invoices.push(page["invoice_preview"].clone());
    for header in invoices {
        let path = format!(
            "/v2/customers/my/invoices/{}",
            header["invoice_uuid"].as_str().unwrap()
        );
        let items = client.all(&path, "invoice_items").await;
        let sum: i64 = items
            .iter()
            .map(|item| cents(item["amount"].as_str().unwrap()))
            .sum();
        assert_eq!(sum, cents(header["amount"].as_str().unwrap()));

        let summary = client.ok(&format!("{path}/summary")).await;
        let part = |name: &str| cents(summary[name]["amount"].as_str().unwrap());
        let parts = [
            "product_charges",
            "overages",
            "taxes",
            "credits_and_adjustments",
        ]
        .map(part);
        assert_eq!(parts.iter().sum::<i64>(), sum);
        assert_eq!(summary["amount"], header["amount"]);
        let products = summary["product_charges"]["items"].as_array().unwrap();
        let products: i64 = products
            .iter()
            .map(|p| cents(p["amount"].as_str().unwrap()))
            .sum();
        assert_eq!(products, parts[0]);

        let csv = client
            .get(&format!("{path}/csv"))
            .await
            .text()
            .await
            .unwrap();
        assert_eq!(
            rows(&csv),
            items.iter().map(expected_row).collect::<Vec<_>>()
        );
    }
}

/// Parses description, hours and cents of every line. Only amounts of thousands are quoted cells.
fn rows(csv: &str) -> Vec<(String, String, i64)> {
    let mut lines = csv.lines();
    let columns: BTreeMap<&str, usize> = lines.next().unwrap().split(',').zip(0..).collect();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), columns.len(), "{line}");
        let amount = cents(&cells[columns["USD"]].replace('$', ""));
        (
            cells[columns["description"]].to_owned(),
            cells[columns["hours"]].to_owned(),
            amount,
        )
    };
    lines.map(row).collect()
}

fn expected_row(item: &Value) -> (String, String, i64) {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    (
        text("description"),
        text("duration"),
        cents(&text("amount")),
    )
}

#[tokio::test]
async fn the_balance_is_the_total_of_the_history() {
    let client = TestClient::of(Account::demo()).await;
    let balance = client.ok("/v2/customers/my/balance").await;
    let part = |name: &str| cents(balance[name].as_str().unwrap());
    assert_eq!(
        part("month_to_date_balance"),
        part("account_balance") + part("month_to_date_usage")
    );
    assert!(part("month_to_date_usage") > 0);
    let history = client
        .all("/v2/customers/my/billing_history", "billing_history")
        .await;
    assert_eq!(history.len(), 2 * 137);
    let sum: i64 = history
        .iter()
        .map(|entry| cents(entry["amount"].as_str().unwrap()))
        .sum();
    assert_eq!(sum, 0);
    let invoice = history
        .iter()
        .find(|entry| entry["type"] == "Invoice")
        .unwrap();
    assert_eq!(invoice["description"], "Invoice for April 2026");
    assert_eq!(invoice["amount"], "86.92");
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn the_demo_has_a_preview_of_the_current_month_on_any_day() {
    for (now, period, ends) in [
        ("2026-05-20T10:30:00Z", "2026-05", "2026-05-20T10:00:00Z"),
        ("2026-12-01T00:10:00Z", "2026-12", "2026-12-01T01:00:00Z"),
        ("2028-02-29T23:59:59Z", "2028-02", "2028-02-29T23:00:00Z"),
    ] {
        let account = Account::demo_at(time(now), time(now));
        let preview = account.preview().unwrap();
        assert_eq!(preview.period_text(), period);
        assert_eq!(preview.amount.to_string(), total(preview));
        assert!(preview.amount.is_sign_positive() && !preview.amount.is_zero());
        let last = preview.lines.iter().filter_map(|line| line.end).max();
        assert_eq!(last, Some(time(ends)));
        let usage = account.balance().month_to_date_usage;
        assert_eq!(usage, preview.amount);
        assert!(account.balance().generated_at <= time(now));
    }
}

#[test]
fn the_fixed_figures_of_the_demo_are_the_same_at_any_time() {
    let fixed = Account::demo();
    let later = Account::demo_at(time("2026-11-29T12:00:00Z"), time("2026-11-29T12:00:00Z"));
    assert_eq!(later.invoices(), fixed.invoices());
    assert_eq!(later.domains(), fixed.domains());
    let ids = |account: &Account| account.resource_ids("droplet");
    assert_eq!(ids(&later), ids(&fixed));
    assert_eq!(later.resource_ids("snapshot").len(), 14);
}

#[test]
fn a_month_that_ends_while_the_demo_is_served_is_invoiced() {
    let since = time("2026-11-20T12:00:00Z");
    let mut account = Account::demo_at(since, since);
    let before = account.preview().unwrap().amount;
    account.bill_demo(since, time("2026-12-01T12:00:00Z"));
    assert_eq!(account.invoices().len(), 137);
    account.bill_demo(since, time("2026-12-02T12:00:00Z"));
    assert_eq!(account.invoices().len(), 138);
    let november = &account.invoices()[0];
    assert_eq!(november.period_text(), "2026-11");
    assert!(november.amount > before);
    assert_eq!(account.owed_by_history(), Decimal::ZERO);
    let restarted = Account::demo_at(since, time("2026-12-02T12:00:00Z"));
    assert_eq!(restarted.invoices(), account.invoices());
    assert_eq!(restarted.preview(), account.preview());
}

#[test]
fn the_change_of_the_demo_spares_droplets_and_domains() {
    let now = time("2026-11-29T12:00:00Z");
    let mut account = Account::demo_at(now, now);
    let before = account.clone();
    account.change_demo(now);
    let project_of = |account: &Account, name: &str| {
        let droplet = account.droplets().iter().find(|known| known.name == name);
        let id = account.project_of(&droplet.unwrap().urn()).unwrap();
        account.project(id).unwrap().name.clone()
    };
    assert_eq!(project_of(&before, "status-page"), "Kestrel Website");
    assert_eq!(project_of(&account, "status-page"), "Internal Tooling");
    assert_eq!(account.domains(), before.domains());
    let ids = |account: &Account| account.resource_ids("droplet");
    assert_eq!(ids(&account), ids(&before));
    assert_eq!(account.resource_ids("snapshot").len(), 2);
    let again = account.clone();
    account.change_demo(now);
    let snapshots = |account: &Account| account.resource_ids("snapshot");
    assert_eq!(snapshots(&account), snapshots(&again));
}

#[test]
fn each_demo_tenant_has_a_project_and_one_project_has_no_tenant() {
    let account = Account::demo();
    let names: BTreeSet<&str> = account.projects().iter().map(|p| p.name.as_str()).collect();
    let assigned: BTreeSet<&str> = Account::DEMO_TENANTS
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert!(assigned.is_subset(&names));
    assert_eq!(names.len() - assigned.len(), 1);
}
