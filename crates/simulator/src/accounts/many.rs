//! Accounts with very many resources or invoices.

use chrono::{DateTime, Datelike, Months, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    Account, Invoice, InvoiceLine,
    dates::month_start,
    identifiers::{identifier, spread},
    stock::Parent,
};

/// The kinds that [`Account::with_resources`] creates, each with its own paged list.
const KINDS: [&str; 10] = [
    "droplet",
    "volume",
    "dns_zone",
    "reserved_ip",
    "snapshot",
    "load_balancer",
    "vpc",
    "firewall",
    "certificate",
    "uptime_check",
];

/// The kinds other than droplets.
const OTHERS: &[&str] = KINDS.split_at(1).1;

const REGIONS: [&str; 3] = ["nyc3", "syd1", "fra1"];

/// The months from December 2014 to April 2026.
const MONTHS: u32 = 137;

impl Account {
    /// Creates an account with droplets of various sizes and regions in four projects.
    pub fn with_droplets(count: usize) -> Self {
        const SIZES: &[&str] = &["s-1vcpu-1gb", "s-2vcpu-4gb", "s-4vcpu-8gb", "g-2vcpu-8gb"];
        let mut account = Self::empty();
        let projects = four_projects(&mut account);
        for number in 0..count {
            let size = SIZES[number % SIZES.len()];
            let region = REGIONS[number % REGIONS.len()];
            let name = format!("node-{number:06}.{region}");
            let mut droplet = account.new_droplet(&name, size, region);
            droplet.tags = vec!["env:production".to_owned(), format!("rack-{}", number % 40)];
            account.insert_droplet_into(projects[number % projects.len()], droplet);
        }
        account
    }

    /// Creates an account with resources of ten kinds in equal numbers: droplets, volumes, DNS
    /// zones, reserved IPs, snapshots of volumes, load balancers, VPCs, firewalls, certificates and
    /// uptime checks. Project members are in four projects.
    pub fn with_resources(count: usize) -> Self {
        let mut account = Self::empty();
        let projects = four_projects(&mut account);
        for number in 0..count {
            let (round, kind) = (number / KINDS.len(), KINDS[number % KINDS.len()]);
            let project = projects[round % projects.len()];
            account.create_in(project, |account| create(account, kind, round));
        }
        account
    }

    /// Creates an account with invoices of a few lines each, for forty droplets and for deleted
    /// ones. They are distributed evenly over the months from December 2014 to April 2026, so that
    /// most are supplementary, and all are paid.
    pub fn with_invoices(count: u32) -> Self {
        let mut account = Self::with_droplets(40);
        // Appends in the order of the list, newest first: sorted insertion would be slow.
        for back in 0..MONTHS.min(count) {
            let end = month_start(2026, 5);
            let month = end.checked_sub_months(Months::new(back + 1));
            let numbers = (back..count).step_by(MONTHS as usize);
            let invoices = numbers.map(|number| small(&account, month.unwrap_or(end), number));
            let invoices: Vec<Invoice> = invoices.collect();
            account.invoices.extend(invoices);
        }
        account.settle_balance();
        account
    }

    /// Creates an account with 20,000 droplets, 14,000 resources of nine other kinds, and an
    /// invoice of 200 lines for each of the last 150 months.
    pub fn large() -> Self {
        let mut account = Self::with_droplets(20_000);
        let project = account.default_project();
        for number in 0..14_000 {
            let (round, kind) = (number / OTHERS.len(), OTHERS[number % OTHERS.len()]);
            account.create_in(project, |account| create(account, kind, round));
        }
        let end = month_start(2026, 5);
        for back in (1..=150).rev() {
            let month = end.checked_sub_months(Months::new(back)).unwrap_or(end);
            let lines = (0..200).map(|place| line(&account, month, back, place));
            let invoice = Invoice::for_month(month.year(), month.month(), lines.collect());
            account.add_invoice(invoice);
        }
        account.settle_balance();
        account
    }
}

/// Three new projects and the default one.
fn four_projects(account: &mut Account) -> [Uuid; 4] {
    let [first, second, third] =
        ["storefront", "analytics", "platform"].map(|name| account.add_project(name));
    [first, second, third, account.default_project()]
}

/// A line of a droplet, or of a deleted one.
fn line(account: &Account, month: DateTime<Utc>, number: u32, place: u32) -> InvoiceLine {
    let id = 30_000_000 + number * 256 + place;
    let [cents, droplet, more, ..] = spread(u64::from(id)).to_le_bytes();
    let cents = Decimal::new(i64::from(cents) + 100, 2);
    let droplets = account.droplets();
    let droplet = usize::from(u16::from_le_bytes([droplet, more])) % droplets.len().max(1);
    let end = month.checked_add_months(Months::new(1)).unwrap_or(month);
    let deleted = || {
        InvoiceLine::new(
            "Droplets",
            &format!("deleted-{number}-{place} (c-2)"),
            cents,
        )
        .with_id(&id)
    };
    let droplet = droplets.get(droplet).filter(|_| place.is_multiple_of(2));
    droplet
        .map_or_else(deleted, |droplet| {
            let named = format!("{} ({})", droplet.name, droplet.size);
            InvoiceLine::new("Droplets", &named, cents).with_id(&droplet.id)
        })
        .during(720, month, end)
        .in_project("storefront")
}

/// An invoice with three to six lines.
fn small(account: &Account, month: DateTime<Utc>, number: u32) -> Invoice {
    let places = 0..2 + number % 4;
    let mut lines: Vec<InvoiceLine> = places
        .map(|place| line(account, month, number, place))
        .collect();
    lines.push(InvoiceLine::new("Taxes", "GST (10%)", Decimal::new(31, 2)));
    Invoice {
        uuid: identifier("one of many invoices", u64::from(number)),
        id: (421_000_000 + number).to_string(),
        ..Invoice::for_month(month.year(), month.month(), lines)
    }
}

fn create(account: &mut Account, kind: &str, round: usize) {
    let region = REGIONS[round % REGIONS.len()];
    match kind {
        "reserved_ip" => {
            let number = u32::try_from(round).unwrap_or_default();
            let [_, b, c, d] = number.to_be_bytes();
            // From 198.18.0.0.
            account.add_reserved_ip(&format!("198.{}.{c}.{d}", 18 + u32::from(b)), region, None);
        }
        "dns_zone" => account.add_domain(&format!("zone-{round:06}.example")),
        "snapshot" => {
            let volume = account.volumes().last();
            let parent = volume.map(|volume| Parent::new("volume", &volume.id.to_string()));
            account.add_child(kind, &format!("snapshot-{round:06}"), region, parent);
        }
        _ => {
            let name = format!("{}-{round:06}", kind.replace('_', "-"));
            account.add_resource(kind, &name, region);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_large_account_has_34000_resources_and_30000_lines() {
        let account = Account::large();
        let lines = account.invoices().iter().map(|invoice| invoice.lines.len());
        assert_eq!(
            (account.droplets().len(), account.invoices().len()),
            (20_000, 150)
        );
        assert_eq!(lines.sum::<usize>(), 30_000);
        assert_eq!(account.balance().account_balance, Decimal::ZERO);
    }

    #[test]
    fn ten_thousand_invoices_go_back_to_2014_newest_first_and_each_is_another() {
        let account = Account::with_invoices(10_000);
        let invoices = account.invoices();
        assert!(invoices.is_sorted_by(|newer, older| newer.period >= older.period));
        assert_eq!(
            invoices.first().map(Invoice::period_text).as_deref(),
            Some("2026-04")
        );
        assert_eq!(
            invoices.last().map(Invoice::period_text).as_deref(),
            Some("2014-12")
        );
        let uuids: BTreeSet<_> = invoices.iter().map(|invoice| invoice.uuid).collect();
        let ids: BTreeSet<_> = invoices.iter().map(|invoice| &invoice.id).collect();
        assert_eq!((uuids.len(), ids.len()), (10_000, 10_000));
        assert!(
            invoices
                .iter()
                .all(|i| (3..=6).contains(&i.lines.len()) && i.amount == i.total())
        );
        assert_eq!(account.balance().account_balance, Decimal::ZERO);
    }
}
