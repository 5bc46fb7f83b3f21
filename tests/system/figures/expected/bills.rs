//! Lines, invoices, months and statements.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    Expected, JsonApi, month_name, optional_usd, parameter, row, rows, sum, tenant_name, text, usd,
};
use crate::figures::page::Page;

/// Names of the parts of an invoice, in the order of the pages.
const PARTS: [(&str, &str); 4] = [
    ("product_charges", "Product charges"),
    ("overages", "Overages"),
    ("taxes", "Taxes"),
    ("credits_and_adjustments", "Credits and adjustments"),
];
/// Number of months on a page.
const MONTHS: usize = 36;

/// The parts of a line by tenant; none for a shared cost.
fn parts(line: &Value) -> Vec<(Option<&str>, Decimal)> {
    if line["is_shared"] == true {
        return Vec::new();
    }
    match line["shares"].as_array() {
        Some(shares) => shares
            .iter()
            .map(|share| (share["tenant_id"].as_str(), usd(&share["amount"])))
            .collect(),
        None => vec![(line["tenant_id"].as_str(), usd(&line["amount"]))],
    }
}

/// `Droplets (2 lines)`.
fn with_count(product: &str, count: usize) -> String {
    let lines = if count == 1 { "line" } else { "lines" };
    format!("{product} ({count} {lines})")
}

impl JsonApi<'_> {
    pub(super) async fn lines(&self, address: &str, page: &Page) -> Expected {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let mut path = format!("/api/v1/billing/cost-lines?{query}");
        if parameter(address, "period").is_none() {
            let period = page.field("period").unwrap();
            path = format!("{path}&period={period}").replace("?&", "?");
        }
        let list = self.get(&path).await;
        let tenant = parameter(address, "tenant");
        let is_of_tenant = tenant.is_some() || parameter(address, "without") == Some("tenant");
        let mut expected = Expected::default();
        for line in rows(&list) {
            let parts = parts(line);
            let own = parts.iter().find(|(of, _)| *of == tenant && is_of_tenant);
            let own = own.map(|(_, amount)| *amount);
            let split = parts.iter().map(|(_, amount)| *amount);
            let split = split.filter(|_| parts.len() > 1);
            let amounts = [usd(&line["amount"])].into_iter().chain(own).chain(split);
            expected.row(text(&line["description"]), amounts);
        }
        let meta = &list["meta"];
        expected.others([usd(&meta["total_amount"]), usd(&meta["attributed_amount"])]);
        let statement = ["direct", "shared", "total"].map(|field| &meta["statement"][field]);
        expected.others(statement.into_iter().filter_map(optional_usd));
        expected
    }

    pub(super) async fn line(&self, id: &str) -> Expected {
        let line = self.get(&format!("/api/v1/billing/cost-lines/{id}")).await;
        let line = &line["data"];
        let mut expected = Expected::default();
        let spans = line["intervals"].as_array().unwrap();
        if !spans.is_empty() {
            let mut shares: BTreeMap<Option<&str>, Decimal> = BTreeMap::new();
            for span in spans {
                shares.entry(span["tenant_id"].as_str()).or_default();
            }
            shares.extend(parts(line));
            for (tenant, amount) in shares {
                expected.row(tenant.unwrap_or("unallocated"), [amount]);
            }
        }
        expected.others([usd(&line["amount"])]);
        expected
    }

    pub(super) async fn invoices(&self, address: &str) -> Expected {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let list = self.get(&format!("/api/v1/billing/invoices?{query}")).await;
        let mut expected = Expected::default();
        for invoice in rows(&list) {
            let detail = self.invoice_detail(text(&invoice["invoice_uuid"])).await;
            let parts = PARTS.map(|(part, _)| usd(&part_of(&detail, part)["lines"]));
            let amounts = [usd(&invoice["amount"])].into_iter().chain(parts);
            expected.row(&month_name(text(&invoice["period"])), amounts);
        }
        expected
    }

    async fn invoice_detail(&self, uuid: &str) -> Value {
        let detail = self.get(&format!("/api/v1/billing/invoices/{uuid}")).await;
        detail["data"].clone()
    }

    pub(super) async fn invoice(&self, uuid: &str) -> Expected {
        let invoice = self.invoice_detail(uuid).await;
        let mut expected = Expected::default();
        let (amount, total) = (usd(&invoice["amount"]), usd(&invoice["line_total"]));
        expected.row(
            "Lines against the header",
            [amount, total, usd(&invoice["off_by"])],
        );
        let summary = usd(&invoice["summary_amount"]);
        expected.row(
            "Lines against the summary",
            [summary, total, summary - total],
        );
        for (part, name) in PARTS {
            let part = part_of(&invoice, part);
            let amounts = ["stated", "lines", "off_by"].map(|field| optional_usd(&part[field]));
            expected.row(name, amounts.into_iter().flatten());
        }
        let versions = invoice["versions"].as_array().unwrap();
        for (place, version) in versions.iter().enumerate() {
            let amount = usd(&version["amount"]);
            let before = versions.get(place + 1);
            let change = before.map(|before| amount - usd(&before["amount"]));
            let total = usd(&version["line_total"]);
            let amounts = [Some(amount), change, Some(total)].into_iter().flatten();
            expected.row(&version["version"].to_string(), amounts);
        }
        expected.others([amount]);
        expected
    }

    pub(super) async fn months(&self, address: &str) -> Expected {
        let invoices = self.all("/api/v1/billing/invoices").await;
        let periods = invoices
            .iter()
            .map(|invoice| text(&invoice["period"]).to_owned());
        let open = self.open_estimate().await;
        let open = open.map(|estimate| text(&estimate["period"]).to_owned());
        let periods: BTreeSet<String> = periods.chain(open).collect();
        let before = parameter(address, "before");
        let is_before = |period: &&String| before.is_none_or(|before| period.as_str() < before);
        let shown = periods.iter().rev().filter(is_before).take(MONTHS);
        let mut expected = Expected::default();
        for period in shown {
            let statements = self.statements(period).await;
            let meta = &statements["meta"];
            let unallocated = rows(&statements)
                .iter()
                .find(|row| row["tenant_id"].is_null());
            let unallocated = unallocated.map_or(Decimal::ZERO, |row| usd(&row["direct"]));
            let billed = usd(&meta["invoice_total"]);
            let amounts = [
                Some(usd(&meta["line_total"])),
                (meta["is_estimate"] == true).then(|| usd(&meta["estimated"])),
                (meta["invoices"] != 0).then_some(billed),
                optional_usd(&meta["difference"]),
                Some(unallocated),
                // Accepted by the close.
                (!unallocated.is_zero() && meta["close"].is_null()).then_some(unallocated),
            ];
            expected.row(&month_name(period), amounts.into_iter().flatten());
        }
        expected
    }

    pub(super) async fn month(&self, period: &str) -> Expected {
        let statements = self.statements(period).await;
        let detail = self.get(&format!("/api/v1/billing/months/{period}")).await;
        let (meta, detail) = (&statements["meta"], &detail["data"]);
        let mut expected = Expected::default();
        let column = |field: &str| sum(rows(&statements).iter().map(|row| usd(&row[field])));
        let has_adjusted = |row: &Value| !usd(&row["adjusted"]).is_zero();
        let fields: &[&str] = if rows(&statements).iter().any(has_adjusted) {
            &["direct", "shared", "adjusted", "total"]
        } else {
            &["direct", "shared", "total"]
        };
        for statement in rows(&statements) {
            let amounts = fields.iter().map(|field| usd(&statement[*field]));
            expected.row(tenant_name(&statement["tenant_id"]), amounts);
            if statement["tenant_id"].is_null() {
                let (direct, shared) = (usd(&statement["direct"]), usd(&statement["shared"]));
                expected.others([direct, shared, direct + shared, usd(&statement["total"])]);
            }
        }
        if !rows(&statements).is_empty() {
            let sums = fields.iter().map(|field| column(field));
            expected.row("Total of the statements", sums);
        }
        if let Some(difference) = optional_usd(&meta["difference"]) {
            expected.row("Invoices", [usd(&meta["invoice_total"])]);
            expected.row("Difference", [difference]);
        }
        add_adjustments(&mut expected, detail);
        let correction = &detail["correction"];
        let correction = ["before", "after", "difference"].map(|field| &correction[field]);
        expected.others(correction.into_iter().filter_map(optional_usd));
        // In the checks before the close, and the items that the approval accepts.
        let open = detail["open"].as_array().unwrap().iter();
        expected.others(open.filter_map(|item| optional_usd(&item["amount"])));
        let costs = column("direct") + column("shared");
        expected.others([costs, column("shared"), usd(&meta["estimated"])]);
        expected.others(optional_usd(&meta["difference"]));
        for rule in ["unmatched", "ambiguous"] {
            expected.others([self.total_of_rule(period, rule).await]);
        }
        let estimates = self.all("/api/v1/billing/estimates").await;
        let of_month = estimates
            .iter()
            .filter(|estimate| text(&estimate["period"]).starts_with(period));
        expected.others(of_month.map(|estimate| usd(&estimate["amount"])));
        expected
    }

    pub(super) async fn statement(&self, path: &str) -> Expected {
        let mut segments = path.split('/').skip(2);
        let period = segments.next().unwrap();
        let segment = segments.nth(1).unwrap();
        let tenant = Some(segment).filter(|tenant| *tenant != "~unallocated");
        let statements = self.statements(period).await;
        let own = rows(&statements)
            .iter()
            .find(|row| row["tenant_id"].as_str() == tenant);
        let mut expected = Expected::default();
        let Some(own) = own else {
            return expected;
        };
        let totals = ["direct", "shared", "adjusted", "total"].map(|field| usd(&own[field]));
        expected.others(totals);
        let direct = sum(rows(&statements).iter().map(|row| usd(&row["direct"])));
        expected.others([direct]);

        let path = format!("/api/v1/billing/statements/{segment}?period={period}");
        let statement = self.get(&path).await;
        let statement = &statement["data"];
        let mut products: BTreeMap<&str, Vec<Decimal>> = BTreeMap::new();
        for line in statement["lines"].as_array().unwrap() {
            let (part, whole) = (usd(&line["amount"]), usd(&line["line_amount"]));
            products
                .entry(text(&line["product"]))
                .or_default()
                .push(part);
            let whole = (whole != part).then_some(whole);
            expected.rows.push(row("", whole.into_iter().chain([part])));
        }
        for (product, amounts) in products {
            expected.row(&with_count(product, amounts.len()), [sum(amounts)]);
        }
        let mut shared: BTreeMap<&str, [Decimal; 2]> = BTreeMap::new();
        for line in statement["shared_lines"].as_array().unwrap() {
            let sums = shared.entry(text(&line["product"])).or_default();
            sums[0] += usd(&line["line_amount"]);
            sums[1] += usd(&line["amount"]);
        }
        expected.others([sum(shared.values().map(|sums| sums[0]))]);
        for sums in shared.into_values() {
            expected.rows.push(row("", sums));
        }
        add_adjustments(&mut expected, statement);
        expected
    }
}

/// Adds the rows of adjustments for closed months.
fn add_adjustments(expected: &mut Expected, object: &Value) {
    let adjustments = object["adjustments"].as_array().unwrap();
    for adjustment in adjustments {
        let month = month_name(text(&adjustment["period"]));
        let name = format!("{month}, {}", tenant_name(&adjustment["tenant_id"]));
        let amounts = ["direct", "shared", "amount"].map(|field| usd(&adjustment[field]));
        expected.row(&name, amounts);
    }
    let amounts = adjustments
        .iter()
        .map(|adjustment| usd(&adjustment["amount"]));
    expected.others([sum(amounts)]);
}

fn part_of<'a>(invoice: &'a Value, part: &str) -> &'a Value {
    let parts = invoice["parts"].as_array().unwrap();
    parts.iter().find(|found| found["part"] == part).unwrap()
}
