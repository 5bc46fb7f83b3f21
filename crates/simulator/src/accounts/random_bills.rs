//! Generated invoices, for tests of properties that hold for all invoices.

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{Account, CsvForm, Invoice, InvoiceLine, dates::month_start, identifiers::spread};

/// Pseudorandom numbers that depend only on the seed.
struct Dice {
    seed: u64,
    rolls: u64,
}

impl Dice {
    /// Returns a number from 0 to `sides - 1`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.rolls += 1;
        spread(self.seed ^ spread(self.rolls)) % sides.max(1)
    }

    /// Returns true with the probability 1 / `times`.
    fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
        all.get(usize::try_from(self.roll(count)).unwrap_or_default())
    }

    fn cents(&mut self, most: u64) -> Decimal {
        Decimal::new(i64::try_from(1 + self.roll(most)).unwrap_or(1), 2)
    }
}

impl Account {
    /// Issues invoices for the months before May 2026, oldest first, and returns their UUIDs. Their
    /// lines are of resources in the account, of deleted ones, of taxes, credits and unknown
    /// products, in known and unknown projects; some months have a second invoice. The header's
    /// amount is the exact sum of the lines. The same seed and account give the same invoices.
    pub fn add_random_invoices(&mut self, seed: u64, months: u32) -> Vec<Uuid> {
        let mut dice = Dice { seed, rolls: 0 };
        let known = known_lines(self);
        let end = month_start(2026, 5);
        let mut uuids = Vec::new();
        for back in (1..=months).rev() {
            let month = end.checked_sub_months(Months::new(back)).unwrap_or(end);
            uuids.push(self.add_invoice(random_invoice(&mut dice, &known, month)));
            if dice.once_in(6) {
                uuids.push(self.add_invoice(random_invoice(&mut dice, &known, month)));
            }
        }
        uuids
    }
}

fn random_invoice(dice: &mut Dice, known: &[InvoiceLine], month: DateTime<Utc>) -> Invoice {
    let mut lines: Vec<InvoiceLine> = Vec::new();
    for _ in 0..=dice.roll(40) {
        let again = lines.last().filter(|_| dice.once_in(8)).cloned();
        lines.push(again.unwrap_or_else(|| random_line(dice, known, month)));
    }
    let mut invoice = Invoice::for_month(month.year(), month.month(), lines);
    invoice.csv_form = match dice.roll(5) {
        0 => CsvForm::legacy(),
        1 => CsvForm::default().saved_on_windows(),
        2 => CsvForm::of_columns(&[
            "USD",
            "Description",
            "project_name",
            "PRODUCT",
            "start",
            "end",
        ]),
        _ => CsvForm::default(),
    };
    if dice.once_in(4) {
        let mut items = invoice.lines.clone();
        for place in (1..items.len()).rev() {
            let sides = u64::try_from(place + 1).unwrap_or(1);
            items.swap(place, usize::try_from(dice.roll(sides)).unwrap_or_default());
        }
        invoice.items = Some(items);
    }
    invoice
}

fn random_line(dice: &mut Dice, known: &[InvoiceLine], month: DateTime<Utc>) -> InvoiceLine {
    let most = if dice.once_in(10) { 2_000_000 } else { 5000 };
    let cents = dice.cents(most);
    let of_known = |dice: &mut Dice| {
        let known = dice.pick(known)?;
        Some(InvoiceLine {
            amount: cents,
            ..known.clone()
        })
    };
    let number = dice.roll(900_000);
    let mut line = match dice.roll(20) {
        0..14 => of_known(dice),
        14 => Some(InvoiceLine::new("Taxes", "GST (10%)", cents)),
        15 => Some(InvoiceLine::new("Credits", "Credit", -cents)),
        16 => Some(InvoiceLine::new(
            "Premier Support Subscription",
            "Support",
            cents,
        )),
        17 => Some(InvoiceLine::new("Quantum Accelerators", "q-1", cents)),
        _ => None,
    }
    .unwrap_or_else(|| {
        let named = format!("deleted-{number} (s-1vcpu-1gb)");
        InvoiceLine::new("Droplets", &named, cents).with_id(&(20_000_000 + number))
    });
    if dice.once_in(10) {
        "Deleted project".clone_into(&mut line.project_name);
    }
    if dice.once_in(10) {
        return line;
    }
    let hours = |hours: u64| TimeDelta::hours(i64::try_from(hours).unwrap_or_default());
    let (after, lasted) = (dice.roll(600), 1 + dice.roll(72));
    let start = month + hours(after);
    line.during(
        u32::try_from(lasted).unwrap_or(1),
        start,
        start + hours(lasted),
    )
}

/// Returns a line without an amount for each existing resource that is billed.
fn known_lines(account: &Account) -> Vec<InvoiceLine> {
    let line =
        |product: &str, description: &str| InvoiceLine::new(product, description, Decimal::ZERO);
    let mut lines = Vec::new();
    for droplet in account.droplets().iter().chain(account.gpu_droplets()) {
        let named = format!("{} ({})", droplet.name, droplet.size);
        let project = project_name(account, &droplet.urn());
        let billed = line("Droplets", &named).with_id(&droplet.id);
        lines.push(billed.in_project(&project));
        if droplet.id % 4 == 0 {
            let backup = line("Droplet Backups", &droplet.name).with_id(&droplet.id);
            lines.push(backup.in_project(&project));
        }
    }
    for volume in account.volumes() {
        let named = format!(
            "{} ({}) {}GB",
            volume.name, volume.region, volume.size_gigabytes
        );
        let billed = line("Volumes", &named).with_uuid(volume.id);
        lines.push(billed.in_project(&project_name(account, &volume.urn())));
    }
    for bucket in account.buckets() {
        let billed = line("Spaces", &format!("{} ({})", bucket.name, bucket.region));
        let urn = format!("do:space:{}", bucket.name);
        lines.push(billed.in_project(&project_name(account, &urn)));
    }
    for ip in account
        .reserved_ips()
        .iter()
        .filter(|ip| ip.droplet_id.is_none())
    {
        let named = format!("Unused Floating IP - {}", ip.ip);
        let billed = line("Floating IPs", &named);
        lines.push(billed.in_project(&project_name(account, &ip.urn())));
    }
    for (kind, product, name) in [
        ("load_balancer", "Load Balancers", "/name"),
        ("app", "App Platform", "/spec/name"),
        ("database_cluster", "Database Clusters", "/name"),
        ("kubernetes_cluster", "Kubernetes Clusters", "/name"),
    ] {
        for id in account.resource_ids(kind) {
            let body = account.resource_body(kind, &id).unwrap_or_default();
            let name = body.pointer(name).and_then(serde_json::Value::as_str);
            let name = name.unwrap_or_default();
            let mut billed = line(product, name);
            if product.ends_with("Clusters") {
                billed = line(product, "3 nodes - 4 GB / 2 vCPU").in_group(name);
            }
            billed.resource_uuid = Uuid::parse_str(&id).ok();
            let urn = Account::resource_urn(kind, &id).unwrap_or_default();
            lines.push(billed.in_project(&project_name(account, &urn)));
        }
    }
    lines
}

fn project_name(account: &Account, urn: &str) -> String {
    let project = account.project_of(urn).and_then(|id| account.project(id));
    project.map_or_else(String::new, |project| project.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u64) -> Account {
        let mut account = Account::everything();
        assert!(account.add_random_invoices(seed, 24).len() >= 24);
        account
    }

    #[test]
    fn a_seed_gives_the_same_invoices_and_another_seed_others() {
        assert_eq!(random(1).invoices(), random(1).invoices());
        assert_ne!(random(1).invoices(), random(2).invoices());
    }

    #[test]
    fn every_header_is_the_sum_of_its_lines_and_kinds_of_lines_are_many() {
        for seed in 0..20 {
            let account = random(seed);
            let lines = account.invoices().iter().flat_map(|invoice| &invoice.lines);
            let mut products: Vec<&str> = lines.map(|line| line.product.as_str()).collect();
            products.sort_unstable();
            products.dedup();
            assert!(products.len() > 9, "{products:?}");
            for invoice in account.invoices() {
                assert_eq!(invoice.amount, invoice.total());
                assert!(!invoice.lines.is_empty());
                assert_eq!(invoice.json_items().len(), invoice.lines.len());
            }
        }
    }

    #[test]
    fn an_empty_account_has_bills_of_deleted_resources() {
        let mut account = Account::empty();
        let uuids = account.add_random_invoices(7, 3);
        assert!(uuids.iter().all(|&uuid| account.invoice(uuid).is_some()));
    }
}
