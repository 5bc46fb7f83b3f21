//! Reads the charged resource, and the part of the bill, from an invoice line's product and
//! descriptions.

use std::collections::HashSet;

use compact_str::CompactString;

use super::{ChargePart, InvoiceLine, InvoiceSummary};
use crate::kind::ResourceKind;
use crate::regions;

/// The charged resource and the part of the bill. An unknown product has only a part: the set of
/// products is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// None for charges to the whole account, and for unknown products.
    pub kind: Option<ResourceKind>,
    /// None if the line has no name.
    pub resource_name: Option<CompactString>,
    /// Whether the name is the group's: a cluster or a database with several charges.
    pub is_named_by_group: bool,
    pub region: Option<CompactString>,
    pub size: Option<CompactString>,
    /// The kind that the JSON item's numeric `resource_id` identifies; for kinds with uuids the
    /// kind itself.
    pub identified_kind: Option<ResourceKind>,
    /// Whether the charge is never for a resource: taxes, credits, support, subscriptions.
    pub for_account: bool,
    pub part: ChargePart,
}

/// The place of the resource's name in a product's lines, and their other fields.
#[derive(Clone, Copy)]
enum Form {
    /// `NAME (SIZE)`: the size is in the last brackets. A droplet's own name has no brackets (spec:
    /// a host name).
    Sized,
    /// `NAME (REGION)`, or `NAME (REGION) 100GB`.
    Regional,
    /// `NAME`, or `NAME (...)` for kinds with names without brackets.
    Named,
    /// A free text that may include brackets. Brackets are not part of the name only if they hold a
    /// region or an amount of data (rule of ours).
    FreelyNamed,
    /// `group_description`; `description` names a single charge of the group.
    Grouped,
    /// `Unused Floating IP - ADDRESS`.
    Address,
}

/// Products in lower case. Sources: API description, tests of DigitalOcean's clients, public
/// exports.
const RESOURCES: &[(&str, ResourceKind, Form)] = &[
    ("droplets", ResourceKind::DROPLET, Form::Sized),
    ("gpu droplets", ResourceKind::DROPLET, Form::Sized),
    ("droplet backups", ResourceKind::DROPLET_BACKUP, Form::Named),
    ("backups", ResourceKind::DROPLET_BACKUP, Form::Named),
    (
        "droplet snapshots",
        ResourceKind::SNAPSHOT,
        Form::FreelyNamed,
    ),
    (
        "volume snapshots",
        ResourceKind::SNAPSHOT,
        Form::FreelyNamed,
    ),
    ("snapshots", ResourceKind::SNAPSHOT, Form::FreelyNamed),
    ("custom images", ResourceKind::IMAGE, Form::FreelyNamed),
    ("volumes", ResourceKind::VOLUME, Form::Regional),
    ("load balancers", ResourceKind::LOAD_BALANCER, Form::Named),
    ("nat gateways", ResourceKind::NAT_GATEWAY, Form::Named),
    ("vpc nat gateways", ResourceKind::NAT_GATEWAY, Form::Named),
    (
        "kubernetes clusters",
        ResourceKind::KUBERNETES_CLUSTER,
        Form::Grouped,
    ),
    (
        "database clusters",
        ResourceKind::DATABASE_CLUSTER,
        Form::Grouped,
    ),
    (
        "managed databases",
        ResourceKind::DATABASE_CLUSTER,
        Form::Grouped,
    ),
    ("apps", ResourceKind::APP, Form::Named),
    ("app platform", ResourceKind::APP, Form::Named),
    ("spaces", ResourceKind::SPACES_BUCKET, Form::Regional),
    (
        "spaces buckets",
        ResourceKind::SPACES_BUCKET,
        Form::Regional,
    ),
    ("floating ips", ResourceKind::RESERVED_IP, Form::Address),
    ("reserved ips", ResourceKind::RESERVED_IP, Form::Address),
];

/// Products without a resource, in addition to those of [`part_of_product`].
const ACCOUNT: &[&str] = &[
    "bandwidth",
    "spaces subscription",
    "container registry subscription",
    "uptime health check",
    "uptime & alerts",
    "commitment deal surcharge",
    "premier support subscription",
];

/// Reads the charge of a line. An unknown product is not an error.
pub fn charged_for(product: &str, group_description: &str, description: &str) -> Charge {
    let product = product.trim().to_lowercase();
    let (group, description) = (group_description.trim(), description.trim());
    let part = part_of_product(&product);
    let known = part.is_none().then(|| resource_of(&product)).flatten();
    let Some((kind, form)) = known else {
        let part = part
            .or_else(|| contains_any(description, OVERAGE_WORDS).then_some(ChargePart::Overages));
        return Charge {
            kind: None,
            resource_name: None,
            is_named_by_group: false,
            region: None,
            size: None,
            identified_kind: None,
            for_account: part.is_some() || ACCOUNT.contains(&product.as_str()),
            part: part.unwrap_or(ChargePart::ProductCharges),
        };
    };

    let (form, is_named_by_group) = match form {
        Form::Grouped if group.is_empty() => (Form::Named, false),
        Form::Grouped => (Form::Grouped, true),
        other => (other, false),
    };
    let Parts { name, region, size } = parts_of(form, group, description);
    // In other lines the word can be part of a resource's name.
    let is_overage = is_named_by_group && contains_any(description, OVERAGE_WORDS);
    Charge {
        resource_name: text(name),
        is_named_by_group,
        region: region.and_then(text),
        size: size.and_then(text),
        identified_kind: Some(identified_kind(kind)),
        kind: Some(kind.clone()),
        for_account: false,
        part: if is_overage {
            ChargePart::Overages
        } else {
            ChargePart::ProductCharges
        },
    }
}

/// Changes lines to product charges if the summary counts their product as such, regardless of the
/// table in this file. Lines with products that the summary does not list keep their part:
/// summaries omit some products and write others differently.
pub fn part_by_summary(lines: &mut [InvoiceLine], summary: &InvoiceSummary) {
    let key = |product: &str| product.trim().to_lowercase();
    let charged: HashSet<String> = summary
        .charged_products
        .iter()
        .map(|product| key(product))
        .collect();
    for line in lines {
        if line.part != ChargePart::ProductCharges && charged.contains(&key(&line.product)) {
            line.part = ChargePart::ProductCharges;
        }
    }
}

const TAX_WORDS: &[&str] = &["tax", "taxes"];
const ADJUSTMENT_WORDS: &[&str] = &[
    "credit",
    "credits",
    "discount",
    "discounts",
    "adjustment",
    "adjustments",
    "promotion",
    "promotions",
    "promotional",
    "refund",
    "refunds",
];
const OVERAGE_WORDS: &[&str] = &["overage", "overages"];

/// The part of a product that is not a usual charge. The summary has separate sums for these
/// (spec).
fn part_of_product(product: &str) -> Option<ChargePart> {
    if contains_any(product, TAX_WORDS) {
        Some(ChargePart::Taxes)
    } else if contains_any(product, ADJUSTMENT_WORDS) {
        Some(ChargePart::CreditsAndAdjustments)
    } else if product == "droplet bandwidth" || contains_any(product, OVERAGE_WORDS) {
        // Droplet bandwidth is free up to the allowance.
        Some(ChargePart::Overages)
    } else {
        None
    }
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    text.split(|character: char| !character.is_alphanumeric())
        .any(|found| words.iter().any(|word| word.eq_ignore_ascii_case(found)))
}

fn resource_of(product: &str) -> Option<(&'static ResourceKind, Form)> {
    // `Managed Databases: PostgreSQL` (seen in synthetic tests only) has the engine after a colon.
    let word = match product.split_once(':') {
        Some((word, _)) if word == "managed databases" => word,
        _ => product,
    };
    RESOURCES
        .iter()
        .find(|(known, ..)| *known == word)
        .map(|(_, kind, form)| (kind, *form))
}

/// A backup is billed with its droplet's id (observed).
fn identified_kind(kind: &ResourceKind) -> ResourceKind {
    if *kind == ResourceKind::DROPLET_BACKUP {
        ResourceKind::DROPLET
    } else {
        kind.clone()
    }
}

struct Parts<'a> {
    name: &'a str,
    region: Option<&'a str>,
    size: Option<&'a str>,
}

fn parts_of<'a>(form: Form, group: &'a str, description: &'a str) -> Parts<'a> {
    let named = |name| Parts {
        name,
        region: None,
        size: None,
    };
    let in_brackets = last_brackets(description);
    match (form, in_brackets) {
        (Form::Grouped, _) => named(group),
        (Form::Address, _) => named(description.rsplit(" - ").next().unwrap_or(description)),
        (_, None) => named(description),
        (Form::Sized, Some((name, size))) => Parts {
            size: Some(size).filter(|size| is_size(size)),
            ..named(name)
        },
        (Form::Regional, Some((name, region))) => Parts {
            region: Some(region).filter(|region| is_region(region)),
            ..named(name)
        },
        (Form::Named, Some((name, _))) => named(name),
        (Form::FreelyNamed, Some((name, inside))) => {
            if is_region(inside) || is_amount_of_data(inside) {
                named(name)
            } else {
                named(description)
            }
        }
    }
}

/// Splits at the last brackets: `web-1` and `s-1vcpu-2gb` for `web-1 (s-1vcpu-2gb)`, `data` and
/// `sfo2` for `data (sfo2) 100GB`. Earlier brackets are part of the name.
fn last_brackets(description: &str) -> Option<(&str, &str)> {
    let (name, rest) = description
        .rsplit_once(" (")
        .or_else(|| Some(("", description.strip_prefix('(')?)))?;
    let inside = rest.split_once(')').map_or(rest, |(inside, _)| inside);
    Some((name.trim(), inside.trim()))
}

/// A new region is not recognised until it is added to the table; its lines match by name alone
/// until then. A guess would be worse: a word that only looks like a region would prevent a match
/// of the line with its resource.
fn is_region(text: &str) -> bool {
    regions::name_of(text).is_some()
}

/// Returns true for the slug of a droplet's size: `s-1vcpu-2gb`, `c-2`, `so1_5-2vcpu-16gb`,
/// `gpu-h100x1-80gb`, `512mb`.
///
/// The set of sizes is open, so this checks the form: a family, followed by parts of which one
/// counts processors or memory. Other text in the brackets, such as `10 GiB` or `old`, is not a
/// size.
fn is_size(text: &str) -> bool {
    let is_slug = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte));
    let mut parts = text.split('-');
    let (Some(family), true) = (parts.next(), is_slug) else {
        return false;
    };
    // Old sizes without a family: `512mb`, `16gb`.
    let is_counted = |part: &str| {
        ["vcpu", "gb", "mb"].iter().any(|unit| {
            part.strip_suffix(unit).is_some_and(|count| {
                let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'.';
                count.starts_with(|first: char| first.is_ascii_digit())
                    && count.bytes().all(is_digit)
            })
        })
    };
    let mut rest = parts.peekable();
    if rest.peek().is_none() {
        return is_counted(family);
    }
    family.starts_with(|first: char| first.is_ascii_lowercase())
        // `c-2`, `m-16gb`, `gpu-h100x1-base`.
        && (family == "gpu"
            || rest.any(|part| {
                is_counted(part)
                    || (family.len() == 1 && part.parse::<u32>().is_ok())
            }))
}

/// `2.5 GB`, `100GiB`
fn is_amount_of_data(text: &str) -> bool {
    let unit = text.trim_start_matches(|character: char| {
        character.is_ascii_digit() || matches!(character, '.' | ',')
    });
    unit.len() < text.len()
        && ["KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(unit.trim_start()))
}

fn text(part: &str) -> Option<CompactString> {
    let part = part.trim();
    (!part.is_empty()).then(|| part.into())
}

#[cfg(test)]
#[path = "product_tests.rs"]
mod tests;
