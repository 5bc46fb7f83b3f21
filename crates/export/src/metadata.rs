//! The description of exported files, as JSON next to them.

use chrono::{DateTime, NaiveDate, Utc};
use domain::focus::{
    BILLING_PERIOD, COST_AND_USAGE, Column, ColumnType, Dataset, INVOICE_DETAIL, PRECISION, Rows,
    SCALE, TAG_PREFIX, Version,
};
use serde::Serialize;

/// The metadata of the datasets of one month, by the terms of FOCUS.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Metadata {
    pub data_generator: &'static str,
    pub data_generator_version: &'static str,
    pub focus_version: &'static str,
    /// Changes with the columns.
    pub schema_id: String,
    pub dataset_instance_id: String,
    pub delivery: Delivery,
    pub tag_prefix: &'static str,
    pub recency: Recency,
    pub datasets: Vec<SchemaDataset>,
}

/// The effect of a delivery on an earlier one.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// `Overwrite`: a delivery replaces the earlier one of the same month.
    pub mechanism: &'static str,
    pub scope: &'static str,
}

/// The state of the data of a month.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recency {
    pub billing_period_start: NaiveDate,
    /// When the bill of the month was last read, or its tenants or allocation rule last changed.
    pub last_updated_at: DateTime<Utc>,
    /// When the snapshot was read from which the files are written.
    pub exported_at: DateTime<Utc>,
    /// True if no further invoice is expected, and each of the month's invoices reconciles.
    pub is_complete: bool,
    /// Why the month is not complete.
    pub reasons: Vec<String>,
    /// When the inventory was last listed completely; null if it never was.
    pub inventory_listed_at: Option<DateTime<Utc>>,
}

/// A dataset with its columns.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SchemaDataset {
    pub name: &'static str,
    pub columns: Vec<SchemaColumn>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SchemaColumn {
    pub name: &'static str,
    #[serde(rename = "type")]
    pub column_type: &'static str,
    pub is_nullable: bool,
    /// Of decimals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u8>,
}

impl Metadata {
    /// Returns the metadata of the files of a month; `version` is that of this program, `rows`
    /// those of Cost and Usage.
    pub fn new(version: &'static str, focus: Version, rows: Rows, recency: Recency) -> Self {
        let month = recency.billing_period_start.format("%Y-%m");
        Self {
            data_generator: "Arcadia Cloud",
            data_generator_version: version,
            focus_version: focus.as_str(),
            schema_id: format!("arcadia-focus-{}-{}", focus.as_str(), SCHEMA),
            dataset_instance_id: format!("arcadia-{}-{month}", rows.as_str()),
            delivery: Delivery {
                mechanism: "Overwrite",
                scope: "BillingPeriod",
            },
            tag_prefix: TAG_PREFIX,
            recency,
            datasets: Dataset::ALL
                .into_iter()
                .filter(|dataset| dataset.is_in(focus))
                .map(|dataset| SchemaDataset {
                    name: dataset.title(),
                    columns: columns_of(dataset, focus),
                })
                .collect(),
        }
    }
}

/// The number of the set of columns, to be increased with each change of it.
const SCHEMA: u32 = 1;

/// Returns the columns of a dataset.
pub fn columns_of(dataset: Dataset, version: Version) -> Vec<SchemaColumn> {
    match dataset {
        Dataset::CostAndUsage => described(COST_AND_USAGE, version),
        Dataset::InvoiceDetail => described(INVOICE_DETAIL, version),
        Dataset::BillingPeriod => described(BILLING_PERIOD, version),
    }
}

fn described<R>(columns: &'static [Column<R>], version: Version) -> Vec<SchemaColumn> {
    Column::of(columns, version)
        .into_iter()
        .map(|column| {
            let is_decimal = column.column_type == ColumnType::Decimal;
            SchemaColumn {
                name: column.id,
                column_type: column.column_type.as_str(),
                is_nullable: column.is_nullable,
                precision: is_decimal.then_some(PRECISION),
                scale: is_decimal.then_some(SCALE),
            }
        })
        .collect()
}
