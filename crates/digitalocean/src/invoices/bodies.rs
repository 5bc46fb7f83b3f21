//! Decodes the JSON of invoices, their items and their summaries.

use chrono::{DateTime, Utc};
use domain::invoices::{
    ChargePart, InvalidPeriod, InvoiceHeader, InvoiceItem, InvoicePeriod, InvoicePreview,
    InvoiceSummary,
};
use domain::{InvoiceUuid, normalised_id};
use serde::Deserialize;

use crate::decode::{Amount, Unreadable, optional_text, optional_time};

#[derive(Deserialize)]
struct HeaderBody {
    invoice_uuid: InvoiceUuid,
    #[serde(default, deserialize_with = "optional_text")]
    invoice_id: Option<String>,
    invoice_period: String,
    amount: Amount,
}

#[derive(Deserialize)]
struct PreviewBody {
    invoice_period: String,
    amount: Amount,
    #[serde(default, deserialize_with = "optional_time")]
    updated_at: Option<DateTime<Utc>>,
}

/// An item of an invoice. The spec requires no field; an item without an amount is an error.
#[derive(Deserialize)]
struct ItemBody {
    #[serde(default, deserialize_with = "optional_text")]
    product: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    resource_uuid: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    resource_id: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    group_description: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    description: Option<String>,
    amount: Amount,
    #[serde(default, deserialize_with = "optional_text")]
    duration: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    duration_unit: Option<String>,
    #[serde(default, deserialize_with = "optional_time")]
    start_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "optional_time")]
    end_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "optional_text")]
    project_name: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    category: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SummaryBody {
    #[serde(default, deserialize_with = "optional_text")]
    invoice_uuid: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    invoice_id: Option<String>,
    /// The list has it as `invoice_period` (spec).
    #[serde(alias = "invoice_period")]
    billing_period: String,
    amount: Amount,
    product_charges: Option<PartBody>,
    overages: Option<PartBody>,
    taxes: Option<PartBody>,
    credits_and_adjustments: Option<PartBody>,
}

#[derive(Deserialize)]
struct PartBody {
    amount: Option<Amount>,
    /// Product charges only.
    items: Option<Vec<ProductBody>>,
}

#[derive(Deserialize)]
struct ProductBody {
    #[serde(default, deserialize_with = "optional_text")]
    name: Option<String>,
}

pub(super) fn read_header(json: &str) -> Result<InvoiceHeader, Unreadable> {
    let body: HeaderBody = serde_json::from_str(json)?;
    Ok(InvoiceHeader {
        invoice_uuid: body.invoice_uuid,
        invoice_id: body.invoice_id,
        period: read_period(&body.invoice_period)?,
        amount: body.amount.0,
    })
}

/// Returns none for null.
pub(super) fn read_preview(json: &str) -> Result<Option<InvoicePreview>, Unreadable> {
    let Some(body) = serde_json::from_str::<Option<PreviewBody>>(json)? else {
        return Ok(None);
    };
    Ok(Some(InvoicePreview {
        period: read_period(&body.invoice_period)?,
        amount: body.amount.0,
        updated_at: body.updated_at,
    }))
}

pub(super) fn read_item(json: &str) -> Result<InvoiceItem, Unreadable> {
    let body: ItemBody = serde_json::from_str(json)?;
    Ok(InvoiceItem {
        product: body.product.unwrap_or_default().into(),
        group_description: body.group_description.unwrap_or_default().into(),
        description: body.description.unwrap_or_default().into(),
        // Normalised, because they are compared with the ids of resources.
        resource_uuid: body.resource_uuid.map(|id| normalised_id(id).into()),
        resource_id: body.resource_id.map(|id| normalised_id(id).into()),
        amount: body.amount.0,
        // A duration that is not a number is none: no decision depends on it.
        duration: body
            .duration
            .and_then(|duration| duration.trim().replace(',', "").parse().ok()),
        duration_unit: body.duration_unit.map(Into::into),
        start_time: body.start_time,
        end_time: body.end_time,
        project_name: body.project_name.unwrap_or_default().into(),
        category: body.category.map(Into::into),
    })
}

pub(super) fn read_summary(body: SummaryBody) -> Result<InvoiceSummary, Unreadable> {
    let charged_products = body
        .product_charges
        .iter()
        .flat_map(|part| part.items.iter().flatten())
        .filter_map(|product| product.name.clone())
        .collect();
    let parts = [
        (ChargePart::ProductCharges, body.product_charges),
        (ChargePart::Overages, body.overages),
        (ChargePart::Taxes, body.taxes),
        (
            ChargePart::CreditsAndAdjustments,
            body.credits_and_adjustments,
        ),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(part, body)| Some((part, body?.amount?.0)))
        .collect();
    Ok(InvoiceSummary {
        invoice_uuid: body
            .invoice_uuid
            .filter(|uuid| uuid != "preview")
            .map(|uuid| uuid.parse())
            .transpose()
            .map_err(|error: domain::InvalidId| Unreadable::new(error.to_string()))?,
        invoice_id: body.invoice_id,
        period: read_period(&body.billing_period)?,
        amount: body.amount.0,
        parts,
        charged_products,
    })
}

fn read_period(text: &str) -> Result<InvoicePeriod, Unreadable> {
    text.parse()
        .map_err(|error: InvalidPeriod| Unreadable::new(error.to_string()))
}
