//! The columns of the datasets: ids, types, versions and values.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::invoices::{BillingPeriod, InvoiceDetail};
use super::pricing::Quantity;
use super::row::{Charge, CostRow};
use super::{PROVIDER, Version};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    /// A text with a JSON object.
    Json,
    Time,
    Decimal,
    Integer,
    Boolean,
}

impl ColumnType {
    /// Returns FOCUS's name of the type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "String",
            Self::Json => "JSON",
            Self::Time => "Date/Time",
            Self::Decimal => "Decimal",
            Self::Integer => "Integer",
            Self::Boolean => "Boolean",
        }
    }
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    /// A text, or JSON.
    Text(&'a str),
    Time(DateTime<Utc>),
    Decimal(Decimal),
    Integer(i32),
    Boolean(bool),
}

macro_rules! from_value {
    ($($type:ty => $variant:ident),*) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

from_value!(&'a str => Text, DateTime<Utc> => Time, Decimal => Decimal, i32 => Integer, bool => Boolean);

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A column of a dataset with rows `R`.
pub struct Column<R: 'static> {
    pub id: &'static str,
    pub column_type: ColumnType,
    /// Whether the value can be null.
    pub is_nullable: bool,
    versions: &'static [Version],
    value: for<'a> fn(&'a R) -> Value<'a>,
}

impl<R> Column<R> {
    /// Returns the value of a row in this column.
    pub fn value<'a>(&self, row: &'a R) -> Value<'a> {
        (self.value)(row)
    }

    /// Returns the columns of a version, in their order: those of FOCUS, then those of this system.
    pub fn of(columns: &'static [Self], version: Version) -> Vec<&'static Self> {
        let columns = columns.iter();
        columns
            .filter(|column| column.versions.contains(&version))
            .collect()
    }

    const fn new(
        id: &'static str,
        column_type: ColumnType,
        value: for<'a> fn(&'a R) -> Value<'a>,
    ) -> Self {
        Self {
            id,
            column_type,
            is_nullable: true,
            versions: &[Version::V1_2, Version::V1_4],
            value,
        }
    }

    const fn required(self) -> Self {
        Self {
            is_nullable: false,
            ..self
        }
    }

    const fn only_in(self, versions: &'static [Version]) -> Self {
        Self { versions, ..self }
    }
}

use ColumnType::{Boolean, Decimal as Number, Integer, Json, Text, Time};

const SINCE_1_4: &[Version] = &[Version::V1_4];
const UNTIL_1_2: &[Version] = &[Version::V1_2];

const UNALLOCATED: &str = "unallocated";

type Cost = Column<CostRow>;

/// Cost and Usage.
pub const COST_AND_USAGE: &[Column<CostRow>] = &[
    Cost::new("AllocatedMethodDetails", Json, |row| {
        row.allocated
            .as_ref()
            .and_then(|of| of.details.as_ref())
            .into()
    })
    .only_in(SINCE_1_4),
    Cost::new("AllocatedMethodId", Text, |row| {
        row.allocated.as_ref().map(|of| of.method.id()).into()
    })
    .only_in(SINCE_1_4),
    Cost::new("AllocatedResourceId", Text, allocated_to).only_in(SINCE_1_4),
    Cost::new("AllocatedResourceName", Text, allocated_to).only_in(SINCE_1_4),
    Cost::new("AllocatedTags", Json, |row| {
        row.allocated.as_ref().map(|of| &of.tags).into()
    })
    .only_in(SINCE_1_4),
    Cost::new("BilledCost", Number, |row| row.billed_cost.into()).required(),
    Cost::new("BillingAccountId", Text, |row| {
        (&row.charge.of.account_id).into()
    })
    .required(),
    Cost::new("BillingAccountName", Text, |row| {
        row.charge.of.bill.account.name.as_ref().into()
    }),
    Cost::new("BillingCurrency", Text, |_| "USD".into()).required(),
    Cost::new("BillingPeriodEnd", Time, |row| {
        row.charge.of.month.end.into()
    })
    .required(),
    Cost::new("BillingPeriodStart", Time, |row| {
        row.charge.of.month.start.into()
    })
    .required(),
    Cost::new("ChargeCategory", Text, |row| {
        row.charge.kind.category.as_str().into()
    })
    .required(),
    Cost::new("ChargeClass", Text, |row| row.charge.kind.class().into()),
    Cost::new("ChargeDescription", Text, |row| {
        let line = Some(&row.charge.line.description).filter(|text| !text.is_empty());
        row.charge.description.as_ref().or(line).into()
    }),
    Cost::new("ChargeFrequency", Text, |row| {
        row.charge.kind.frequency().into()
    })
    .required(),
    Cost::new("ChargePeriodEnd", Time, |row| row.charge.period.end.into()).required(),
    Cost::new("ChargePeriodStart", Time, |row| {
        row.charge.period.start.into()
    })
    .required(),
    // Rules of 1.2 read it even where no discount exists.
    Cost::new("CommitmentDiscountStatus", Text, |_| Value::Null).only_in(UNTIL_1_2),
    Cost::new("ConsumedQuantity", Number, |row| row.consumed.into()),
    Cost::new("ConsumedUnit", Text, |row| {
        let price = row.charge.price.as_ref();
        unit(price.and_then(|price| price.consumed))
    }),
    Cost::new("ContractedCost", Number, |row| row.list_cost.into()).required(),
    Cost::new("ContractedUnitPrice", Number, unit_price).only_in(UNTIL_1_2),
    Cost::new("EffectiveCost", Number, |row| row.billed_cost.into()).required(),
    Cost::new("HostProviderName", Text, |_| PROVIDER.into()).only_in(SINCE_1_4),
    Cost::new("InvoiceDetailId", Text, |row| {
        row.charge.detail_id.as_ref().into()
    })
    .only_in(SINCE_1_4),
    Cost::new("InvoiceId", Text, |row| {
        row.charge.of.invoice_id.as_ref().into()
    }),
    Cost::new("InvoiceIssuerName", Text, |_| PROVIDER.into()).required(),
    Cost::new("ListCost", Number, |row| row.list_cost.into()).required(),
    Cost::new("ListUnitPrice", Number, unit_price),
    Cost::new("PricingCategory", Text, |row| {
        row.charge.price.as_ref().map(|_| "Standard").into()
    })
    .only_in(UNTIL_1_2),
    Cost::new("PricingQuantity", Number, |row| row.quantity.into()),
    Cost::new("PricingUnit", Text, |row| {
        unit(row.charge.price.as_ref().map(|price| price.quantity))
    }),
    Cost::new("ProviderName", Text, |_| PROVIDER.into())
        .required()
        .only_in(UNTIL_1_2),
    Cost::new("PublisherName", Text, |_| PROVIDER.into())
        .required()
        .only_in(UNTIL_1_2),
    Cost::new("RegionId", Text, |row| row.charge.region().into()),
    Cost::new("RegionName", Text, |row| row.charge.region_name().into()),
    Cost::new("ResourceId", Text, |row| {
        row.charge.resource_id.as_ref().into()
    }),
    Cost::new("ResourceName", Text, |row| {
        row.charge.resource_name().into()
    }),
    Cost::new("ResourceType", Text, |row| {
        row.charge.resource_type.as_deref().into()
    }),
    Cost::new("ServiceCategory", Text, |row| {
        row.charge.service.category.into()
    })
    .required(),
    Cost::new("ServiceName", Text, |row| service_name(&row.charge)).required(),
    Cost::new("ServiceProviderName", Text, |_| PROVIDER.into())
        .required()
        .only_in(SINCE_1_4),
    Cost::new("ServiceSubcategory", Text, |row| {
        row.charge.service.subcategory.into()
    })
    .required(),
    Cost::new("SkuId", Text, |row| {
        let charge = &row.charge;
        charge.price.as_ref().map(|_| &charge.product.sku_id).into()
    }),
    Cost::new("SkuMeter", Text, |row| {
        row.charge.price.as_ref().map(|price| price.meter).into()
    }),
    Cost::new("SkuPriceDetails", Json, |row| {
        row.charge
            .price
            .as_ref()
            .map(|price| &*price.details)
            .into()
    }),
    Cost::new("SkuPriceId", Text, |row| {
        row.charge
            .price
            .as_ref()
            .map(|price| &price.sku_price_id)
            .into()
    }),
    Cost::new("SubAccountId", Text, |row| {
        row.charge
            .line
            .project
            .as_ref()
            .map(|project| &project.id)
            .into()
    }),
    Cost::new("SubAccountName", Text, |row| {
        row.charge
            .line
            .project
            .as_ref()
            .map(|project| &project.name)
            .into()
    }),
    Cost::new("Tags", Json, |row| row.charge.tags.as_ref().into()),
    Cost::new("x_AttributedBy", Text, |row| {
        (&row.charge.line.attributed_by).into()
    })
    .required(),
    Cost::new("x_Category", Text, |row| {
        row.charge.line.category.as_ref().into()
    }),
    Cost::new("x_ChargePart", Text, |row| {
        row.charge.line.part.as_str().into()
    })
    .required(),
    Cost::new("x_GroupDescription", Text, |row| {
        not_empty(&row.charge.line.group_description)
    }),
    Cost::new("x_InvoiceNumber", Text, |row| {
        let invoice = row.charge.of.bill.invoice.as_ref();
        invoice.and_then(|invoice| invoice.number.as_ref()).into()
    }),
    Cost::new("x_InvoiceVersion", Integer, |row| {
        row.charge
            .of
            .bill
            .invoice
            .as_ref()
            .map(|invoice| invoice.version)
            .into()
    }),
    Cost::new("x_IsEstimate", Boolean, |row| {
        row.charge.of.bill.invoice.is_none().into()
    })
    .required(),
    Cost::new("x_LineNumber", Integer, |row| {
        row.charge.line.line_no.into()
    })
    .required(),
    Cost::new("x_MatchRule", Text, |row| {
        (&row.charge.line.match_rule).into()
    })
    .required(),
    Cost::new("x_ProjectName", Text, |row| {
        not_empty(&row.charge.line.project_name)
    }),
    Cost::new("x_TenantId", Text, |row| row.tenant_id.as_ref().into()),
    Cost::new("x_UnitPriceSource", Text, |row| {
        row.charge
            .price
            .as_ref()
            .map(|price| price.source.as_str())
            .into()
    }),
];

fn allocated_to(row: &CostRow) -> Value<'_> {
    let tenant = row.tenant_id.as_deref().unwrap_or(UNALLOCATED);
    row.allocated.as_ref().map(|_| tenant).into()
}

fn unit_price(row: &CostRow) -> Value<'_> {
    row.charge.price.as_ref().map(|price| price.amount).into()
}

fn unit(quantity: Option<Quantity>) -> Value<'static> {
    quantity.map(|quantity| quantity.unit.as_str()).into()
}

/// The name must not be null.
fn service_name(charge: &Charge) -> Value<'_> {
    match charge.line.product.as_str() {
        "" => Value::Text(charge.service.category),
        product => Value::Text(product),
    }
}

fn not_empty(text: &str) -> Value<'_> {
    Some(text).filter(|text| !text.is_empty()).into()
}

type Detail = Column<InvoiceDetail>;

/// Invoice Detail.
pub const INVOICE_DETAIL: &[Column<InvoiceDetail>] = &[
    Detail::new("BilledCost", Number, |row| row.billed_cost.into()).required(),
    Detail::new("BillingAccountId", Text, |row| (&row.account_id).into()).required(),
    Detail::new("BillingCurrency", Text, |_| "USD".into()).required(),
    Detail::new("BillingPeriodEnd", Time, |row| row.month.end.into()).required(),
    Detail::new("BillingPeriodStart", Time, |row| row.month.start.into()).required(),
    Detail::new("ChargeCategory", Text, |row| {
        row.key.category.as_str().into()
    })
    .required(),
    Detail::new("InvoiceDetailCreated", Time, |row| row.created_at.into()).required(),
    Detail::new("InvoiceDetailDescription", Text, |row| {
        not_empty(&row.key.product)
    }),
    Detail::new("InvoiceDetailGrain", Json, |row| (&row.grain).into()),
    Detail::new("InvoiceDetailId", Text, |row| (&row.id).into()).required(),
    Detail::new("InvoiceDetailLastUpdated", Time, |row| {
        row.updated_at.into()
    })
    .required(),
    Detail::new("InvoiceId", Text, |row| (&row.invoice_id).into()).required(),
    Detail::new("InvoiceIssueDate", Time, |row| row.issued_at.into()),
    Detail::new("InvoiceIssueStatus", Text, |_| "Issued".into()).required(),
    Detail::new("InvoiceIssuerName", Text, |_| PROVIDER.into()).required(),
    Detail::new("PaymentDueDate", Time, |_| Value::Null),
    Detail::new("PaymentTerms", Text, |_| "Due on receipt".into()).required(),
    Detail::new("ReferenceInvoiceId", Text, |row| (&row.invoice_id).into()).required(),
];

type OfPeriod = Column<BillingPeriod>;

/// Billing Period.
pub const BILLING_PERIOD: &[Column<BillingPeriod>] = &[
    OfPeriod::new("BillingPeriodCreated", Time, |row| row.month.start.into()).required(),
    OfPeriod::new("BillingPeriodEnd", Time, |row| row.month.end.into()).required(),
    OfPeriod::new("BillingPeriodLastUpdated", Time, |row| {
        row.updated_at.into()
    })
    .required(),
    OfPeriod::new("BillingPeriodStart", Time, |row| row.month.start.into()).required(),
    OfPeriod::new("BillingPeriodStatus", Text, |row| {
        row.status.as_str().into()
    })
    .required(),
    OfPeriod::new("InvoiceIssuerName", Text, |_| PROVIDER.into()).required(),
];
