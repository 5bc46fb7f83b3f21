//! The summary of an invoice: its amount, and its four parts.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{Invoice, InvoiceLine, answers::amount};

/// The part of the summary that includes a line.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Charge,
    Overage,
    Tax,
    Adjustment,
}

fn part(line: &InvoiceLine) -> Part {
    match line.product.as_str() {
        "Taxes" => Part::Tax,
        "Credits" | "Discounts" => Part::Adjustment,
        _ if line.description.contains("Overage") => Part::Overage,
        _ => Part::Charge,
    }
}

fn of_part(invoice: &Invoice, wanted: Part) -> impl Iterator<Item = &InvoiceLine> {
    let lines = invoice.lines.iter();
    lines.filter(move |line| part(line) == wanted)
}

pub(crate) fn body(invoice: &Invoice) -> Value {
    let said = invoice.summary_parts;
    let charge = |name: &str, wanted: Part, said: Option<Decimal>| {
        let sum = || of_part(invoice, wanted).map(|line| line.amount).sum();
        json!({ "name": name, "amount": amount(said.unwrap_or_else(sum)) })
    };
    let mut charges = charge("Product usage charges", Part::Charge, said.product_charges);
    charges["items"] = products(invoice).into();
    json!({
        "invoice_uuid": invoice.uuid,
        "invoice_id": invoice.id,
        "billing_period": invoice.period_text(),
        "amount": amount(invoice.summary_amount.unwrap_or(invoice.amount)),
        "user_name": "Kestrel Operations",
        "user_billing_address": {
            "address_line1": "12 Harbour Street",
            "address_line2": "",
            "city": "Sydney",
            "region": "NSW",
            "postal_code": "2000",
            "country_iso2_code": "AU",
            "created_at": "2014-11-28T03:12:09.000+00:00",
            "updated_at": "2022-02-17T22:40:31.000+00:00",
        },
        "user_company": "Kestrel",
        "user_email": "ops@kestrel.example",
        "product_charges": charges,
        "overages": charge("Overages", Part::Overage, said.overages),
        "taxes": charge("Taxes", Part::Tax, said.taxes),
        "credits_and_adjustments":
            charge("Credits & adjustments", Part::Adjustment, said.credits_and_adjustments),
    })
}

/// The charges of each product, by name.
fn products(invoice: &Invoice) -> Vec<Value> {
    let mut products: BTreeMap<&str, (Decimal, u32)> = BTreeMap::new();
    for line in of_part(invoice, Part::Charge) {
        let (sum, count) = products.entry(&line.product).or_default();
        *sum += line.amount;
        *count += 1;
    }
    let product = |(name, (sum, count)): (&str, (Decimal, u32))| json!({ "amount": amount(sum), "name": name, "count": count.to_string() });
    products.into_iter().map(product).collect()
}
