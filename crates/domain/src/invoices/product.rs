//! What an invoice line paid for, read from its product and its descriptions.

use std::collections::HashSet;

use compact_str::CompactString;

use super::{ChargePart, InvoiceLine, InvoiceSummary};
use crate::kind::ResourceKind;

/// What a line paid for. Of a product that is not known here, only the part: the set of products is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// None for what the account as a whole pays, and for products not known here.
    pub kind: Option<ResourceKind>,
    /// None where the line gives no name.
    pub resource_name: Option<CompactString>,
    /// Whether that name is the group's: a cluster or a database with several charges below it.
    pub is_named_by_group: bool,
    pub region: Option<CompactString>,
    pub size: Option<CompactString>,
    /// The kind that the JSON item's numeric `resource_id` counts in; for kinds with uuids the kind itself.
    pub identified_kind: Option<ResourceKind>,
    /// Whether no resource stands behind it by nature: taxes, credits, support, subscriptions.
    pub for_account: bool,
    pub part: ChargePart,
}

/// Where a product's lines carry the resource's name, and what else they tell.
#[derive(Clone, Copy)]
enum Form {
    /// `NAME (SIZE)`. The brackets are the last ones; a droplet's own name has none (spec: a host name).
    Sized,
    /// `NAME (REGION)`, or `NAME (REGION) 100GB`.
    Regional,
    /// `NAME`, or `NAME (...)` for kinds whose names have no brackets.
    Named,
    /// A name that people write freely, brackets included. Only brackets that hold a region or an amount of data are not its own
    /// (rule of ours).
    FreelyNamed,
    /// `group_description`, with single charges below it in `description`.
    Grouped,
    /// `Unused Floating IP - ADDRESS`.
    Address,
}

/// Products by their words in lower case: API description, tests of DigitalOcean's clients, public exports.
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

/// Products that no single resource stands behind, beside those that [`part_of_product`] tells.
const ACCOUNT: &[&str] = &[
    "bandwidth",
    "spaces subscription",
    "container registry subscription",
    "uptime health check",
    "uptime & alerts",
    "commitment deal surcharge",
    "premier support subscription",
];

/// What a line paid for. A product that is not known here is no error.
pub fn charged_for(product: &str, group_description: &str, description: &str) -> Charge {
    let product = product.trim().to_lowercase();
    let (group, description) = (group_description.trim(), description.trim());
    let part = part_of_product(&product);
    let known = part.is_none().then(|| resource_of(&product)).flatten();
    let Some((kind, form)) = known else {
        let part =
            part.or_else(|| says(description, OVERAGE_WORDS).then_some(ChargePart::Overages));
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
    // Elsewhere the word may be a resource's own name.
    let is_overage = is_named_by_group && says(description, OVERAGE_WORDS);
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

/// Makes product charges of the lines whose product the summary counts among them, whatever the table here says. A product that the
/// summary does not list stays what it was: summaries leave out products, and write some in other words.
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

/// The part of a product that is no usual charge; the summary sums these apart (spec).
fn part_of_product(product: &str) -> Option<ChargePart> {
    if says(product, TAX_WORDS) {
        Some(ChargePart::Taxes)
    } else if says(product, ADJUSTMENT_WORDS) {
        Some(ChargePart::CreditsAndAdjustments)
    } else if product == "droplet bandwidth" || says(product, OVERAGE_WORDS) {
        // A droplet's bandwidth costs nothing up to the allowance.
        Some(ChargePart::Overages)
    } else {
        None
    }
}

fn says(text: &str, words: &[&str]) -> bool {
    text.split(|character: char| !character.is_alphanumeric())
        .any(|said| words.iter().any(|word| word.eq_ignore_ascii_case(said)))
}

fn resource_of(product: &str) -> Option<(&'static ResourceKind, Form)> {
    // `Managed Databases: PostgreSQL` (seen in synthetic tests only) names the engine behind a colon.
    let word = match product.split_once(':') {
        Some((word, _)) if word == "managed databases" => word,
        _ => product,
    };
    RESOURCES
        .iter()
        .find(|(known, ..)| *known == word)
        .map(|(_, kind, form)| (kind, *form))
}

/// A backup is billed under its droplet's id (observed).
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

/// `web-1` and `s-1vcpu-2gb` of `web-1 (s-1vcpu-2gb)`, `data` and `sfo2` of `data (sfo2) 100GB`. Brackets that belong to the name
/// itself come before the last ones.
fn last_brackets(description: &str) -> Option<(&str, &str)> {
    let (name, rest) = description
        .rsplit_once(" (")
        .or_else(|| Some(("", description.strip_prefix('(')?)))?;
    let inside = rest.split_once(')').map_or(rest, |(inside, _)| inside);
    Some((name.trim(), inside.trim()))
}

/// Regions of the API description (`region_slug.yml`), and `ams1`, which only its registry lists.
///
/// A region that opens later is not taken for one until it stands here: its lines are then matched by name alone. A word that only
/// looks like a region would keep a line from its resource.
const REGIONS: [&str; 16] = [
    "ams1", "ams2", "ams3", "atl1", "blr1", "fra1", "lon1", "nyc1", "nyc2", "nyc3", "sfo1", "sfo2",
    "sfo3", "sgp1", "syd1", "tor1",
];

fn is_region(text: &str) -> bool {
    REGIONS.contains(&text)
}

/// Returns true for the slug of a droplet's size: `s-1vcpu-2gb`, `c-2`, `so1_5-2vcpu-16gb`, `gpu-h100x1-80gb`, `512mb`.
///
/// The set of sizes is open, so this compares the form: a family, then parts of which one counts processors or memory. Other words
/// in the brackets, such as `10 GiB` or `old`, are no size.
fn is_size(text: &str) -> bool {
    let is_slug = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte));
    let mut parts = text.split('-');
    let (Some(family), true) = (parts.next(), is_slug) else {
        return false;
    };
    // `512mb`, `16gb`: before sizes had families.
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
