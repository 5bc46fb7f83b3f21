//! Checks that no validator has: totals, exclusive ends, units, and the order of columns.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, NaiveTime, Timelike as _, Utc};
use rust_decimal::Decimal;
use store::Store;
use store::costs::{Statement, Statements};
use store::invoices::Invoice;

use super::files::{Month, Months, Row, number, totals};

/// The stored invoices and statements.
pub(super) struct Books {
    invoices: Vec<Invoice>,
    statements: BTreeMap<String, Statements>,
}

impl Books {
    pub(super) async fn of(store: &Store) -> Self {
        let mut invoices = store.invoices(None, 1_000).await.unwrap();
        invoices.retain(|invoice| invoice.version > 0);
        let mut statements = BTreeMap::new();
        for month in store.month_summaries(None, 1_000).await.unwrap() {
            let name = month.period.format("%Y-%m").to_string();
            statements.insert(name, store.statements(month.period).await.unwrap());
        }
        Self {
            invoices,
            statements,
        }
    }

    /// Checks the files of lines and of shares.
    pub(super) fn check(&self, lines: &Months, shares: &Months) {
        let by_invoice = |months: &Months| -> BTreeMap<String, Decimal> {
            let totals = totals(months.rows("cost-and-usage"), &["InvoiceId"], "BilledCost");
            totals
                .into_iter()
                .map(|(mut key, total)| (key.remove(0), total))
                .collect()
        };
        self.check_totals(&by_invoice(lines));
        self.check_totals(&by_invoice(shares));
        assert!(shares.rows("cost-and-usage").len() > lines.rows("cost-and-usage").len());
        for (of_lines, of_shares) in lines.0.iter().zip(&shares.0) {
            assert_eq!(of_lines.name, of_shares.name);
            check_shares(of_lines, of_shares);
            self.check_statements(of_shares);
            for month in [of_lines, of_shares] {
                check_details(month);
                check_values(month);
                let statements = &self.statements[&month.name];
                let recency = &month.metadata["recency"];
                assert_eq!(
                    recency["is_complete"],
                    statements.is_final(),
                    "{}",
                    month.name
                );
                let reasons = recency["reasons"].as_array().unwrap();
                assert_eq!(reasons.is_empty(), statements.is_final(), "{reasons:?}");
            }
        }
    }

    /// Checks the total of each invoice: its amount, or that of its lines if they differ.
    pub(super) fn check_totals(&self, totals: &BTreeMap<String, Decimal>) {
        let expected: BTreeMap<String, Decimal> = self
            .invoices
            .iter()
            .map(|invoice| {
                let total = invoice.amount - invoice.off_by.unwrap_or_default();
                (invoice.invoice_uuid.to_string(), total)
            })
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(*totals, expected);
    }

    fn check_statements(&self, month: &Month) {
        let rows = rows_of_costs(month);
        let tenants: BTreeMap<String, Decimal> = totals(rows, &["x_TenantId"], "BilledCost")
            .into_iter()
            .map(|(mut key, total)| (key.remove(0), total))
            .filter(|(_, total)| !total.is_zero())
            .collect();
        let statements = self.statements[&month.name].rows.iter();
        let expected: BTreeMap<String, Decimal> = statements
            .map(|row| {
                (
                    row.tenant_id.clone().unwrap_or_default(),
                    Statement::total(row),
                )
            })
            .filter(|(_, total)| !total.is_zero())
            .collect();
        assert_eq!(tenants, expected, "{}", month.name);
    }
}

/// The rows of invoices and of the estimate.
fn rows_of_costs(month: &Month) -> impl Iterator<Item = &Row> {
    let files = ["cost-and-usage", "cost-and-usage-estimate"];
    let files = files.into_iter().filter_map(|file| month.files.get(file));
    files.flat_map(|(_, rows)| rows)
}

/// Checks that the shares total their line.
fn check_shares(lines: &Month, shares: &Month) {
    let key = ["InvoiceId", "x_LineNumber"];
    for column in [
        "BilledCost",
        "EffectiveCost",
        "ListCost",
        "ContractedCost",
        "PricingQuantity",
        "ConsumedQuantity",
    ] {
        assert_eq!(
            totals(rows_of_costs(shares), &key, column),
            totals(rows_of_costs(lines), &key, column),
            "{} {column}",
            lines.name
        );
    }
}

/// Checks that the rows of an invoice detail total it, and that each row has one.
fn check_details(month: &Month) {
    let Some((_, details)) = month.files.get("invoice-detail") else {
        return;
    };
    let key = ["InvoiceDetailId", "ChargeCategory"];
    let (_, costs) = &month.files["cost-and-usage"];
    assert_eq!(
        totals(costs, &key, "BilledCost"),
        totals(details, &key, "BilledCost"),
        "{}",
        month.name
    );
}

/// Checks each value of a month that the specification restricts and the validators do not.
fn check_values(month: &Month) {
    for (file, (columns, rows)) in &month.files {
        assert!(
            columns.is_sorted_by_key(|column| column.starts_with("x_")),
            "{file}"
        );
        for row in rows {
            assert!(
                row.values()
                    .all(|value| !["NULL", "null", "N/A"].contains(&value.as_str())),
                "{row:?}"
            );
            let start = time(row, "BillingPeriodStart");
            let end = time(row, "BillingPeriodEnd");
            assert_eq!(start.format("%Y-%m").to_string(), month.name);
            assert_eq!((end.day(), end.time()), (1, NaiveTime::MIN), "{row:?}");
        }
    }
    for row in rows_of_costs(month) {
        let (start, end) = (time(row, "ChargePeriodStart"), time(row, "ChargePeriodEnd"));
        let is_last_second = (end.minute(), end.second()) == (59, 59);
        assert!(start <= end && !is_last_second, "{row:?}");
        let is_earlier = end <= time(row, "BillingPeriodStart");
        assert_eq!(row["ChargeClass"] == "Correction", is_earlier, "{row:?}");
        for (unit, quantity) in [
            ("PricingUnit", "PricingQuantity"),
            ("ConsumedUnit", "ConsumedQuantity"),
        ] {
            let units = ["", "Hours", "GB-Hours", "GB", "Months", "Units"];
            assert!(units.contains(&row[unit].as_str()), "{row:?}");
            assert_eq!(
                row[unit].is_empty(),
                number(row, quantity).is_none(),
                "{row:?}"
            );
        }
        if let Some(price) = number(row, "ListUnitPrice") {
            let quantity = number(row, "PricingQuantity").unwrap();
            assert_eq!(Some(price * quantity), number(row, "ListCost"), "{row:?}");
        }
        assert_eq!(
            row["x_IsEstimate"] == "true",
            row["InvoiceId"].is_empty(),
            "{row:?}"
        );
        for column in [
            "ResourceId",
            "SubAccountId",
            "SkuId",
            "SkuPriceId",
            "BillingAccountId",
        ] {
            let is_number = row[column].parse::<i64>().is_ok();
            assert!(!is_number, "{column}: {row:?}");
        }
    }
}

fn time(row: &Row, column: &str) -> DateTime<Utc> {
    let text = &row[column];
    assert!(text.ends_with('Z'), "{column}: {text}");
    text.parse().unwrap()
}
