//! The invoices API: the list with its preview, and the items, summary and CSV of one invoice.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Account, Invoice, InvoiceLine,
    answers::{amount, ok},
    caller::Caller,
    errors::ApiError,
    identifiers::OWNER_ID,
    paging::PageRequest,
    state::Shared,
};

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let account = shared.account();
    let preview = account.preview.as_ref().map(|preview| {
        let mut body = header_of(preview);
        body["updated_at"] = json!(account.balance.generated_at);
        ("invoice_preview", body)
    });
    Ok(page.answer_with("invoices", &account.invoices, header_of, preview))
}

fn header_of(invoice: &Invoice) -> Value {
    json!({
        "invoice_uuid": invoice.uuid,
        "invoice_id": invoice.id,
        "amount": amount(invoice.amount),
        "invoice_period": invoice.period_text(),
    })
}

/// The invoice with a UUID; `preview` is an alias of the preview's UUID.
fn find<'a>(account: &'a Account, uuid: &str) -> Result<&'a Invoice, ApiError> {
    let preview = account.preview.as_ref();
    let found = match uuid {
        "preview" => preview,
        uuid => Uuid::parse_str(uuid).ok().and_then(|uuid| {
            let preview = preview.filter(|preview| preview.uuid == uuid);
            preview.or_else(|| account.invoice(uuid))
        }),
    };
    found.ok_or_else(ApiError::not_found)
}

#[derive(Serialize)]
struct Item<'a> {
    product: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_uuid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    group_description: &'a str,
    description: &'a str,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    project_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    category: &'a str,
}

fn item(line: &InvoiceLine) -> Item<'_> {
    Item {
        product: &line.product,
        resource_uuid: line.resource_uuid,
        resource_id: line.resource_id.as_deref(),
        group_description: &line.group_description,
        description: &line.description,
        amount: amount(line.amount),
        duration: line.hours.map(|hours| hours.to_string()),
        duration_unit: line.hours.map(|_| "Hours"),
        start_time: line.start,
        end_time: line.end,
        project_name: &line.project_name,
        category: &line.category,
    }
}

pub(crate) async fn items(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    Path(uuid): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let account = shared.account();
    let invoice = find(&account, &uuid)?;
    if invoice.lacks_items {
        return Err(ApiError::not_found());
    }
    Ok(page.answer("invoice_items", invoice.json_items(), item))
}

pub(crate) async fn summary(
    State(shared): State<Shared>,
    caller: Caller,
    Path(uuid): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let account = shared.account();
    let invoice = find(&account, &uuid)?;
    if invoice.lacks_summary {
        return Err(ApiError::not_found());
    }
    let body = summary_of(invoice);
    Ok(ok(&body))
}

pub(crate) async fn csv(
    State(shared): State<Shared>,
    caller: Caller,
    Path(uuid): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let account = shared.account();
    let invoice = find(&account, &uuid)?;
    if invoice.lacks_csv {
        return Err(ApiError::not_found());
    }
    let month = invoice.period.format("%Y %b");
    let disposition = format!(
        "attachment; filename=\"DigitalOcean Invoice {month} ({OWNER_ID}-{}).csv\"",
        invoice.id
    );
    let headers = [
        (header::CONTENT_TYPE, "text/csv".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, invoice.csv_text()).into_response())
}

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

fn of_part(invoice: &Invoice, expected: Part) -> impl Iterator<Item = &InvoiceLine> {
    let lines = invoice.lines.iter();
    lines.filter(move |line| part(line) == expected)
}

fn summary_of(invoice: &Invoice) -> Value {
    let parts = invoice.summary_parts;
    let charge = |name: &str, part: Part, fixed: Option<Decimal>| {
        let sum = || of_part(invoice, part).map(|line| line.amount).sum();
        json!({ "name": name, "amount": amount(fixed.unwrap_or_else(sum)) })
    };
    let mut charges = charge("Product usage charges", Part::Charge, parts.product_charges);
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
        "overages": charge("Overages", Part::Overage, parts.overages),
        "taxes": charge("Taxes", Part::Tax, parts.taxes),
        "credits_and_adjustments":
            charge("Credits & adjustments", Part::Adjustment, parts.credits_and_adjustments),
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
