//! The amounts that the JSON API has for each page.

mod bills;
mod costs;
mod effects;
mod resources;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use chrono::NaiveDate;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use super::kind_of;
use super::page::{Figures, Page};
use crate::api::Api;

/// The kinds of pages that have amounts.
pub(super) const KINDS_WITH_AMOUNTS: &[&str] = &[
    "/",
    "/costs",
    "/lines",
    "/lines/*",
    "/lines/*/match",
    "/invoices",
    "/invoices/*",
    "/months",
    "/months/*",
    "/months/*/statements/*",
    "/inventory",
    "/inventory/*",
    "/projects/*/tenant",
];

/// The amounts of a page by the JSON API, as the page rounds them.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Rows, tiles and bars that the page must have.
    pub(super) rows: Vec<Figures>,
    /// Rows that the page may have.
    pub(super) optional: Vec<Figures>,
    /// Amounts in sentences and totals.
    pub(super) others: Vec<Decimal>,
}

impl Expected {
    fn row(&mut self, name: &str, amounts: impl IntoIterator<Item = Decimal>) {
        self.rows.push(row(name, amounts));
    }

    fn others(&mut self, amounts: impl IntoIterator<Item = Decimal>) {
        self.others.extend(amounts.into_iter().map(rounded));
    }
}

fn row(name: &str, amounts: impl IntoIterator<Item = Decimal>) -> Figures {
    Figures::new(name, amounts.into_iter().map(rounded))
}

fn rounded(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// An amount of the JSON API.
fn usd(amount: &Value) -> Decimal {
    optional_usd(amount).unwrap_or_else(|| panic!("not an amount: {amount}"))
}

/// An amount that may be null.
fn optional_usd(amount: &Value) -> Option<Decimal> {
    Some(amount.as_str()?.parse().unwrap())
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

fn rows(list: &Value) -> &[Value] {
    list["data"]
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {list}"))
}

fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Decimal {
    amounts.into_iter().sum()
}

/// A month in words, `April 2026`, of its first day.
fn month_name(period: &str) -> String {
    let day: NaiveDate = period.parse().unwrap();
    day.format("%B %Y").to_string()
}

/// The first day of the month before.
fn month_before(period: &str) -> String {
    let day: NaiveDate = period.parse().unwrap();
    (day - chrono::Months::new(1)).to_string()
}

fn tenant_name(tenant: &Value) -> &str {
    tenant.as_str().unwrap_or("unallocated")
}

/// The value of a parameter of an address.
fn parameter<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = address.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The JSON API of an administrator. Each address is read once.
pub(super) struct JsonApi<'a> {
    api: &'a Api,
    token: &'a str,
    read: RefCell<HashMap<String, Rc<Value>>>,
}

impl<'a> JsonApi<'a> {
    pub(super) fn new(api: &'a Api, token: &'a str) -> Self {
        Self {
            api,
            token,
            read: RefCell::default(),
        }
    }

    /// The response at an address.
    pub(super) async fn get(&self, path: &str) -> Rc<Value> {
        let known = self.read.borrow().get(path).cloned();
        if let Some(known) = known {
            return known;
        }
        let (status, body) = self.api.get(path, self.token).await;
        assert_eq!(status, 200, "{path}: {body}");
        let body = Rc::new(body);
        self.read
            .borrow_mut()
            .insert(path.to_owned(), Rc::clone(&body));
        body
    }

    /// The rows of all pages of a list.
    async fn all(&self, path: &str) -> Vec<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{joint}limit=500");
        let (mut all, mut next) = (Vec::new(), Some(first.clone()));
        while let Some(address) = next.take() {
            let list = self.get(&address).await;
            all.extend(rows(&list).iter().cloned());
            let cursor = list["meta"]["next_cursor"].as_str();
            next = cursor.map(|cursor| format!("{first}&cursor={cursor}"));
        }
        all
    }

    /// The amounts of a page.
    pub(super) async fn expected(&self, address: &str, page: &Page) -> Expected {
        let path = address.split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        match kind_of(address).as_str() {
            "/" => self.overview().await,
            "/costs" => self.costs_page(page).await,
            "/lines" => self.lines(address, page).await,
            "/lines/*" => self.line(last).await,
            "/lines/*/match" => self.line_match(path).await,
            "/invoices" => self.invoices(address).await,
            "/invoices/*" => self.invoice(last).await,
            "/months" => self.months(address).await,
            "/months/*" => self.month(last).await,
            "/months/*/statements/*" => self.statement(path).await,
            "/inventory" => self.inventory(address).await,
            "/inventory/*" => self.resource(last).await,
            "/projects/*/tenant" => self.project_tenant(address).await,
            _ => Expected::default(),
        }
    }

    /// The statements of a month.
    async fn statements(&self, period: &str) -> Rc<Value> {
        let path = format!("/api/v1/billing/statements?period={period}&limit=500");
        self.get(&path).await
    }

    /// The total of the lines of a month with a match rule.
    async fn total_of_rule(&self, period: &str, rule: &str) -> Decimal {
        let path = format!("/api/v1/billing/cost-lines?period={period}&match_rule={rule}");
        usd(&self.get(&path).await["meta"]["total_amount"])
    }

    /// The open estimate, if there is one.
    async fn open_estimate(&self) -> Option<Value> {
        let estimates = self.all("/api/v1/billing/estimates").await;
        estimates
            .into_iter()
            .find(|estimate| estimate["state"] == "open")
    }
}
