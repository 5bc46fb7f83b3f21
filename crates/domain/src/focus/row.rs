//! The rows of Cost and Usage: one for a cost line, or one for each tenant's share of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Map, Value as Json};

use super::TAG_PREFIX;
use super::charge::{Kind, classify};
use super::invoices::DetailKey;
use super::line::{Bill, Line, Period};
use super::pricing::Price;
use super::products::{Product, Service};
use super::types::resource_type;
use crate::costs::split;
use crate::kind::ResourceKind;
use crate::regions;

/// The decimals of the ratio of a share.
const RATIO_SCALE: u32 = 10;

/// The facts of a bill, as its rows state them.
#[derive(Debug)]
pub(super) struct BillFacts {
    pub(super) bill: Bill,
    pub(super) account_id: String,
    pub(super) invoice_id: Option<String>,
    pub(super) month: Period,
}

/// The facts of a line that its shares have in common.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) of: Arc<BillFacts>,
    pub(super) line: Line,
    pub(super) kind: Kind,
    pub(super) period: Period,
    pub(super) description: Option<String>,
    pub(super) product: Arc<Product>,
    pub(super) service: Service,
    pub(super) price: Option<Price>,
    pub(super) detail_id: Option<String>,
    pub(super) resource_id: Option<String>,
    pub(super) resource_type: Option<Cow<'static, str>>,
    pub(super) tags: Option<String>,
}

/// A row of Cost and Usage. USD.
#[derive(Debug, Clone)]
pub struct CostRow {
    pub(super) charge: Arc<Charge>,
    pub(super) billed_cost: Decimal,
    pub(super) list_cost: Decimal,
    pub(super) quantity: Option<Decimal>,
    pub(super) consumed: Option<Decimal>,
    pub(super) tenant_id: Option<String>,
    pub(super) allocated: Option<Allocated>,
}

/// The allocation of a share.
#[derive(Debug, Clone)]
pub(super) struct Allocated {
    pub(super) method: AllocationMethod,
    pub(super) details: Option<String>,
    pub(super) tags: String,
}

/// The rule by which the cost of a line is allocated to tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocationMethod {
    /// By the time that the resource was in the projects of each tenant.
    Time,
    /// Shared costs, by the direct costs of each tenant.
    Proportional,
    /// Shared costs, in equal parts.
    Even,
    /// Shared costs, by weights that an operator set.
    Fixed,
}

impl AllocationMethod {
    /// `AllocatedMethodId`
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Time => "arcadia-time-in-project",
            Self::Proportional => "arcadia-spread-proportional",
            Self::Even => "arcadia-spread-even",
            Self::Fixed => "arcadia-spread-fixed",
        }
    }
}

/// One tenant's share of a line (USD); no tenant for the unallocated share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantShare {
    pub tenant_id: Option<String>,
    pub amount: Decimal,
}

/// Maps the lines of one bill to rows.
#[derive(Debug)]
pub struct Mapper {
    of: Arc<BillFacts>,
    /// By name: the lines of a bill have few products.
    products: HashMap<String, Arc<Product>>,
}

impl Mapper {
    pub fn new(bill: Bill) -> Self {
        Self {
            of: Arc::new(BillFacts {
                account_id: bill.account.id(),
                invoice_id: bill.invoice.as_ref().map(|of| of.uuid.to_string()),
                month: Period::month(bill.period),
                bill,
            }),
            products: HashMap::new(),
        }
    }

    /// Returns the row of a line.
    pub fn row(&mut self, line: Line) -> CostRow {
        let charge = Arc::new(self.charge(line));
        let price = charge.price.as_ref();
        CostRow {
            billed_cost: charge.line.amount,
            list_cost: price.map_or(charge.line.amount, |price| price.list_cost),
            quantity: price.map(|price| price.quantity.amount),
            consumed: price.and_then(|price| Some(price.consumed?.amount)),
            tenant_id: charge.line.tenant_id.clone(),
            allocated: None,
            charge,
        }
    }

    /// Returns a row for each share of a line. Their costs and quantities total those of the line;
    /// unit prices and dimensions are those of the line.
    pub fn shares(
        &mut self,
        line: Line,
        shares: Vec<TenantShare>,
        method: AllocationMethod,
    ) -> impl Iterator<Item = CostRow> {
        let charge = Arc::new(self.charge(line));
        let weights: Vec<Decimal> = shares.iter().map(|share| share.amount.abs()).collect();
        let price = charge.price.as_ref();
        let parts_of = |whole: Option<Decimal>| whole.map(|whole| split(whole, &weights));
        let quantities = parts_of(price.map(|price| price.quantity.amount));
        let consumed = parts_of(price.and_then(|price| Some(price.consumed?.amount)));
        let unit_price = price.map(|price| price.amount);
        let amount = charge.line.amount;
        shares.into_iter().enumerate().map(move |(place, share)| {
            let part = |parts: &Option<Vec<Decimal>>| parts.as_ref().map(|parts| parts[place]);
            let quantity = part(&quantities);
            let list_cost = unit_price.zip(quantity);
            let list_cost = list_cost.and_then(|(price, quantity)| price.checked_mul(quantity));
            CostRow {
                billed_cost: share.amount,
                list_cost: list_cost.unwrap_or(share.amount),
                quantity,
                consumed: part(&consumed),
                allocated: Some(Allocated {
                    method,
                    details: details(share.amount, amount),
                    tags: allocated_tags(&charge.line, share.tenant_id.as_deref()),
                }),
                tenant_id: share.tenant_id,
                charge: Arc::clone(&charge),
            }
        })
    }

    fn charge(&mut self, line: Line) -> Charge {
        let product = if let Some(known) = self.products.get(&line.product) {
            Arc::clone(known)
        } else {
            let product = Arc::new(Product::of(&line.product));
            self.products
                .insert(line.product.clone(), Arc::clone(&product));
            product
        };
        let period = Period::charged(&line, self.of.month);
        let kind = classify(
            &line.product,
            &line.description,
            line.part,
            line.amount.is_sign_negative() && !line.amount.is_zero(),
            period.end <= self.of.month.start,
        );
        let service = product.service;
        let identity = identity(&line);
        let key = DetailKey {
            part: line.part,
            product: Cow::Borrowed(line.product.as_str()),
            category: kind.category,
        };
        Charge {
            price: Price::of(&line, kind, &product, service),
            detail_id: self.of.invoice_id.as_ref().map(|invoice| key.id(invoice)),
            description: description(&line),
            tags: line
                .resource
                .as_ref()
                .map(|of| Json::Object(tags(&of.tags)).to_string()),
            resource_type: identity
                .as_ref()
                .map(|(kind, _)| resource_type(kind.as_str())),
            resource_id: identity.map(|(_, id)| id),
            of: Arc::clone(&self.of),
            kind,
            period,
            product,
            service,
            line,
        }
    }
}

impl Charge {
    /// `ResourceName`: the name on the line, or that of the resource.
    pub(super) fn resource_name(&self) -> Option<&str> {
        let own = self
            .line
            .resource
            .as_ref()
            .map(|resource| resource.name.as_str());
        let name = self.line.resource_name.as_deref().or(own);
        name.filter(|_| self.resource_id.is_some())
    }

    pub(super) fn region(&self) -> Option<&str> {
        let resource = self.line.resource.as_ref();
        let region = resource.and_then(|resource| resource.region.as_deref());
        region.or(self.line.region.as_deref())
    }

    pub(super) fn region_name(&self) -> Option<&str> {
        let region = self.region()?;
        Some(regions::name_of(region).unwrap_or(region))
    }
}

/// Returns the kind of the billed resource, and its URN; none if its id is unknown.
fn identity(line: &Line) -> Option<(ResourceKind, String)> {
    let (kind, id) = match (&line.resource, &line.item_id) {
        (Some(resource), _) => (Some(&resource.kind), &resource.provider_id),
        (None, Some(id)) => (line.identified_kind.as_ref(), id),
        (None, None) => return None,
    };
    let kind = ResourceKind::named(kind.map_or("resource", String::as_str));
    let urn = kind.clone().with_id(id.as_str()).to_string();
    Some((kind, urn))
}

/// `ChargeDescription`
fn description(line: &Line) -> Option<String> {
    // Most lines have no group, and their description is used as it is.
    match (line.group_description.as_str(), line.description.as_str()) {
        ("", "") => Some(line.product.clone()).filter(|product| !product.is_empty()),
        ("", _) => None,
        (group, "") => Some(group.to_owned()),
        (group, description) => Some(format!("{group}: {description}")),
    }
}

/// Returns the tags of a resource as keys. DigitalOcean's tags have no values.
fn tags(tags: &[String]) -> Map<String, Json> {
    tags.iter()
        .map(|tag| (tag.clone(), Json::Bool(true)))
        .collect()
}

/// Returns the tags of the origin of a share, and its tenant.
fn allocated_tags(line: &Line, tenant: Option<&str>) -> String {
    let origin = line.resource.as_ref();
    let mut keys = origin.map_or_else(Map::new, |resource| tags(&resource.tags));
    if let Some(tenant) = tenant {
        keys.insert(format!("{TAG_PREFIX}tenant"), tenant.into());
    }
    Json::Object(keys).to_string()
}

/// `AllocatedMethodDetails`; none if the ratio is undefined or negative.
fn details(share: Decimal, amount: Decimal) -> Option<String> {
    let ratio = share.checked_div(amount)?.round_dp(RATIO_SCALE).normalize();
    let is_ratio = (Decimal::ZERO..=Decimal::ONE).contains(&ratio);
    is_ratio.then(|| format!(r#"{{"Elements":[{{"AllocatedRatio":{ratio}}}]}}"#))
}
