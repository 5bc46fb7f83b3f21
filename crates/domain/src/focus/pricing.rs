//! The SKU of a charge: quantities, units and unit prices.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::SCALE;
use super::charge::{Category, Kind};
use super::line::Line;
use super::products::{BLOCK_STORAGE, CONNECTIVITY, Product, Service};

/// DigitalOcean bills at most 672 hours (28 days) of a resource in a month (spec).
const BILLED_HOURS: Decimal = Decimal::from_parts(672, 0, 0, false, 0);

/// The least number of decimals of a quantity that is split among tenants.
const QUANTITY_SCALE: u32 = 2;

/// The largest number of decimals of a quantity.
const MAX_QUANTITY_SCALE: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Hours,
    GigabyteHours,
    Gigabytes,
    Months,
    Units,
}

impl Unit {
    /// The value of `PricingUnit` and `ConsumedUnit`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hours => "Hours",
            Self::GigabyteHours => "GB-Hours",
            Self::Gigabytes => "GB",
            Self::Months => "Months",
            Self::Units => "Units",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) amount: Decimal,
    pub(super) unit: Unit,
}

/// The source of a unit price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PriceSource {
    /// The monthly price of the size of the droplet.
    Size,
    /// The description of the line.
    Line,
    /// The billed cost divided by the quantity.
    Cost,
}

impl PriceSource {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Line => "line",
            Self::Cost => "cost",
        }
    }
}

/// The SKU of a usage or a purchase with its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) sku_price_id: String,
    pub(super) meter: &'static str,
    pub(super) details: Cow<'static, str>,
    pub(super) quantity: Quantity,
    /// None for a purchase.
    pub(super) consumed: Option<Quantity>,
    /// USD, not negative.
    pub(super) amount: Decimal,
    pub(super) source: PriceSource,
    /// The exact product of price and quantity.
    pub(super) list_cost: Decimal,
}

impl Price {
    /// Returns the price of a charge; none for one without a SKU.
    pub(super) fn of(line: &Line, kind: Kind, product: &Product, service: Service) -> Option<Self> {
        if !kind.has_price() {
            return None;
        }
        let measured = Measured::of(line, kind, service);
        let quantity = measured.quantity;
        let scale = u32::from(SCALE) - quantity.amount.scale().max(QUANTITY_SCALE);
        let (price, source) = measured
            .unit_price
            .map(|price| (price, PriceSource::Line))
            .or_else(|| Some((price_of_size(line, quantity.unit)?, PriceSource::Size)))
            .unwrap_or_else(|| {
                let price = line.amount.checked_div(quantity.amount);
                (price.unwrap_or_default(), PriceSource::Cost)
            });
        let unit_price = price.abs().round_dp(scale).normalize();
        Some(Self {
            sku_price_id: format!("{}:{}", product.sku_id, price_key(line, quantity.unit)),
            meter: meter(quantity.unit, service),
            details: details(line, measured.gigabytes),
            quantity,
            consumed: measured.consumed,
            amount: unit_price,
            source,
            list_cost: unit_price
                .checked_mul(quantity.amount)
                .unwrap_or(line.amount),
        })
    }
}

/// The quantities of a charge.
struct Measured {
    quantity: Quantity,
    consumed: Option<Quantity>,
    /// USD, as the description states it.
    unit_price: Option<Decimal>,
    gigabytes: Option<Decimal>,
}

impl Measured {
    fn of(line: &Line, kind: Kind, service: Service) -> Self {
        let of = |amount: Decimal, unit| Quantity {
            amount: amount.round_dp(MAX_QUANTITY_SCALE).normalize(),
            unit,
        };
        let one = of(Decimal::ONE, Unit::Units);
        if kind.category == Category::Purchase {
            return Self {
                quantity: of(Decimal::ONE, Unit::Months),
                consumed: None,
                unit_price: None,
                gigabytes: None,
            };
        }
        let hours = line.hours.map(|hours| of(hours.abs(), Unit::Hours));
        let billed = hours.map(|hours| hours.amount.min(BILLED_HOURS));
        let stated = stated_gigabytes(&line.description);
        let gigabytes = trailing_gigabytes(&line.description).filter(|_| service == BLOCK_STORAGE);
        let mut measured = match (stated, gigabytes, billed) {
            (Some((amount, unit_price)), ..) => Self {
                quantity: of(amount, Unit::Gigabytes),
                consumed: Some(of(amount, Unit::Gigabytes)),
                unit_price,
                gigabytes: None,
            },
            (None, Some(gigabytes), Some(billed)) => Self {
                quantity: of(gigabytes * billed, Unit::GigabyteHours),
                consumed: hours,
                unit_price: None,
                gigabytes: Some(gigabytes),
            },
            (None, _, Some(billed)) => Self {
                quantity: of(billed, Unit::Hours),
                consumed: hours,
                unit_price: None,
                gigabytes: None,
            },
            (None, _, None) => Self {
                quantity: one,
                consumed: Some(one),
                unit_price: None,
                gigabytes: None,
            },
        };
        // No price explains an amount for nothing.
        if measured.quantity.amount.is_zero() && !line.amount.is_zero() {
            measured.quantity = one;
            measured.consumed = Some(one);
            measured.unit_price = None;
        }
        measured
    }
}

/// Returns the hourly price of the droplet of a line, if its size is still that on the line.
fn price_of_size(line: &Line, unit: Unit) -> Option<Decimal> {
    let resource = line.resource.as_ref()?;
    let is_size = line.size.is_some() && line.size == resource.size && unit == Unit::Hours;
    resource
        .monthly_price
        .filter(|_| is_size)
        .map(|monthly| monthly / BILLED_HOURS)
}

/// Reads an amount of data, and its price if there is one: `Overage (2825.36GB @ $0.01/GB)`, or
/// `2825.36GB` alone.
fn stated_gigabytes(description: &str) -> Option<(Decimal, Option<Decimal>)> {
    let Some((amount, price)) = description.split_once(" @ $") else {
        return Some((gigabytes(description.trim())?, None));
    };
    let amount = amount.rsplit([' ', '(']).next()?;
    let end = price.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let price = price[..end.unwrap_or(price.len())].parse().ok();
    Some((gigabytes(amount)?, price))
}

/// Reads the size of a volume: `data (sfo2) 100GB`.
fn trailing_gigabytes(description: &str) -> Option<Decimal> {
    gigabytes(description.rsplit(' ').next()?)
}

fn gigabytes(text: &str) -> Option<Decimal> {
    let digits = text.strip_suffix("GB")?.replace(',', "");
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Returns the last part of `SkuPriceId`. It never changes for the same product and size.
fn price_key(line: &Line, unit: Unit) -> &str {
    match (unit, &line.size) {
        (Unit::Months, _) => "base",
        (Unit::Gigabytes, _) => "gb",
        (Unit::GigabyteHours, _) => "gb-month",
        (_, Some(size)) => size,
        (_, None) if line.description.starts_with("Unused ") => "unused",
        (_, None) => "other",
    }
}

/// `SkuMeter`
fn meter(unit: Unit, service: Service) -> &'static str {
    match unit {
        Unit::Hours => service.hours,
        Unit::GigabyteHours => "Volume GB-Hours",
        Unit::Gigabytes if service == CONNECTIVITY => "Outbound Transfer",
        Unit::Gigabytes => "Data Volume",
        Unit::Months => "Subscription",
        Unit::Units => "Charges",
    }
}

/// `SkuPriceDetails`
fn details(line: &Line, gigabytes: Option<Decimal>) -> Cow<'static, str> {
    match (&line.size, gigabytes) {
        (Some(size), _) => serde_json::json!({ "x_SizeSlug": size }).to_string().into(),
        (None, Some(gigabytes)) => format!(r#"{{"x_SizeGigabytes":{gigabytes}}}"#).into(),
        (None, None) => "{}".into(),
    }
}
