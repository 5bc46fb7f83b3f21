//! Issues the invoices, each with its trap.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    ResourceName, Traps, Truth,
    fleet::{ANALYTICS, LEGACY_MAIL, PLATFORM, SHOP},
    ledger::Ledger,
    lines::{Billed, Month},
};
use crate::{CsvForm, Invoice, InvoiceLine, dates::moment, identifiers::identifier};

const CENT: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

pub(super) fn issue(ledger: &mut Ledger) -> Traps {
    let traps = Traps {
        legacy: legacy(ledger),
        reordered: reordered(ledger),
        windows: windows(ledger),
        few_columns: few_columns(ledger),
        recreated_without_items: without_items(ledger, 5),
        without_items: without_items(ledger, 6),
        without_csv: without_csv(ledger),
        without_summary: without_summary(ledger),
        off_by_a_cent: off_by_a_cent(ledger),
        summary_off_by_a_cent: summary_off_by_a_cent(ledger),
        supplementary: supplementary(ledger),
        many_items: many_items(ledger),
        shuffled: shuffled(ledger),
        items_differ: items_differ(ledger),
        alike: alike(ledger),
        unpaid: unpaid(ledger),
    };
    let running = Month::new(&ledger.fleet, (2026, 5)).until(moment((2026, 5, 9, 5)));
    let billed = running.usual();
    ledger.preview((2026, 5), &billed);
    traps
}

/// Issues an invoice with a month's regular lines and additional ones.
fn usual_and(
    ledger: &mut Ledger,
    at: (i32, u32),
    more: impl FnOnce(&Month<'_>) -> Vec<Billed>,
    change: impl FnOnce(&mut Invoice),
) -> Uuid {
    let month = Month::new(&ledger.fleet, at);
    let mut billed = month.usual();
    billed.extend(more(&month));
    ledger.issue(at, &billed, change)
}

/// A deleted droplet of a deleted project.
fn mail(month: &Month<'_>) -> Billed {
    month.deleted_droplet(
        "legacy-mail (s-1vcpu-1gb)",
        LEGACY_MAIL,
        "Old Campaign",
        600,
    )
}

/// A line without hours and dates.
fn bare(product: &str, description: &str, cents: i64) -> InvoiceLine {
    InvoiceLine::new(product, description, Decimal::new(cents, 2))
}

fn nothing(_: &Month<'_>) -> Vec<Billed> {
    Vec::new()
}

fn legacy(ledger: &mut Ledger) -> Uuid {
    let more = |month: &Month<'_>| {
        let overage = "Droplet Bandwidth Overage (2825.36GB @ $0.01/GB)";
        vec![
            mail(month),
            month.account("Droplet Bandwidth", overage, 2825),
        ]
    };
    usual_and(ledger, (2025, 1), more, |invoice| {
        invoice.csv_form = CsvForm::legacy();
        for line in &mut invoice.lines {
            line.category.clear();
        }
    })
}

fn reordered(ledger: &mut Ledger) -> Uuid {
    let more = |month: &Month<'_>| {
        let support = ("Premier Support Subscription", "Premier Support", 99_900);
        let surcharge = ("Commitment Deal Surcharge", "Contract", 123_450);
        let discount = bare("Discounts", "Contract \"iaas\", 45%", -177_955);
        vec![
            mail(month),
            month.account(support.0, support.1, support.2),
            month.account(surcharge.0, surcharge.1, surcharge.2),
            Billed::new(discount, Truth::Account),
        ]
    };
    let columns = [
        "USD",
        "Project_Name",
        "end",
        "START",
        "hours",
        "Tags",
        "description",
        "group_description",
        "category",
        "Product",
    ];
    usual_and(ledger, (2025, 2), more, |invoice| {
        invoice.csv_form = CsvForm::of_columns(&columns);
    })
}

fn windows(ledger: &mut Ledger) -> Uuid {
    let more = |month: &Month<'_>| {
        let address = month.line("Floating IPs", "Unused Floating IP - 198.18.7.20", 500);
        let other = month.line("Floating IPs", "Unused Floating IP - 198.18.99.1", 311);
        let ip = ResourceName::new("reserved_ip", &"198.18.7.20");
        vec![
            mail(month),
            Billed::new(address, Truth::Resource(ip)),
            // A released address; items of addresses have no id.
            Billed::new(other, Truth::Unknown),
        ]
    };
    usual_and(ledger, (2025, 3), more, |invoice| {
        invoice.csv_form = CsvForm::default().saved_on_windows();
    })
}

/// Issues an invoice without groups, so that only the items of clusters' lines name the cluster.
fn few_columns(ledger: &mut Ledger) -> Uuid {
    let more = |month: &Month<'_>| {
        let deleted = identifier("database that is gone", 1);
        let line = month.line("Database Clusters", "1 node - 1 GB / 1 vCPU", 1500);
        let truth = Truth::Deleted(ResourceName::new("database_cluster", &deleted));
        let line = line.in_group("warehouse-old").in_project(ANALYTICS);
        vec![mail(month), Billed::new(line.with_uuid(deleted), truth)]
    };
    usual_and(ledger, (2025, 4), more, |invoice| {
        invoice.csv_form = CsvForm::default()
            .without("group_description")
            .without("hours");
    })
}

/// Issues an invoice without items for a month of 2025.
fn without_items(ledger: &mut Ledger, month: u32) -> Uuid {
    usual_and(ledger, (2025, month), nothing, |invoice| {
        invoice.lacks_items = true;
    })
}

fn without_csv(ledger: &mut Ledger) -> Uuid {
    let credit = |_: &Month<'_>| {
        let credit = bare("Credits", "Referral credit", -2500);
        vec![Billed::new(credit, Truth::Account)]
    };
    usual_and(ledger, (2025, 7), credit, |invoice| {
        invoice.lacks_csv = true;
    })
}

fn without_summary(ledger: &mut Ledger) -> Uuid {
    usual_and(ledger, (2025, 8), nothing, |invoice| {
        invoice.lacks_summary = true;
    })
}

fn off_by_a_cent(ledger: &mut Ledger) -> Uuid {
    usual_and(ledger, (2025, 9), nothing, |invoice| invoice.amount += CENT)
}

fn summary_off_by_a_cent(ledger: &mut Ledger) -> Uuid {
    usual_and(ledger, (2025, 10), nothing, |invoice| {
        let taxes = invoice.lines.iter().filter(|line| line.product == "Taxes");
        let taxes: Decimal = taxes.map(|line| line.amount).sum();
        invoice.summary_parts.taxes = Some(taxes + CENT);
        invoice.summary_amount = Some(invoice.amount + CENT);
    })
}

/// Issues an invoice in mid-month, as DigitalOcean does when usage exceeds the team's threshold.
fn supplementary(ledger: &mut Ledger) -> Uuid {
    usual_and(ledger, (2025, 11), nothing, |_| ());
    let month = Month::new(&ledger.fleet, (2025, 11));
    let burst = month.deleted_droplet("burst-01 (s-8vcpu-16gb)", 531_118_204, ANALYTICS, 9600);
    let billed = vec![burst, month.account("Taxes", "GST (10%)", 960)];
    ledger.issue((2025, 11), &billed, |_| ())
}

/// Issues an invoice with many preview droplets, each of which existed for some hours.
fn many_items(ledger: &mut Ledger) -> Uuid {
    let previews = |month: &Month<'_>| {
        let preview = |number: u32| {
            let named = format!("preview-{number} (s-1vcpu-1gb)");
            let id = 533_000_000 + u64::from(number) * 1009;
            let (from, hours) = (
                month.start + TimeDelta::hours(i64::from(number)),
                number % 9 + 1,
            );
            let mut billed = month.deleted_droplet(&named, id, PLATFORM, i64::from(hours));
            let until = from + TimeDelta::hours(i64::from(hours));
            billed.line = billed.line.during(hours, from, until);
            billed
        };
        (1..=240).map(preview).collect()
    };
    usual_and(ledger, (2025, 12), previews, |_| ())
}

fn shuffled(ledger: &mut Ledger) -> Uuid {
    usual_and(ledger, (2026, 1), nothing, |invoice| {
        let mut items = invoice.lines.clone();
        items.reverse();
        items.rotate_left(7);
        invoice.items = Some(items);
    })
}

fn items_differ(ledger: &mut Ledger) -> Uuid {
    usual_and(ledger, (2026, 2), nothing, |invoice| {
        let web = |item: &InvoiceLine| item.description == "web-01 (s-2vcpu-4gb)";
        let mut items = invoice.lines.clone();
        items.retain(|item| !web(item));
        items.push(bare("Droplets", "only-in-the-json (c-2)", 111).with_id(&499_999_999_u64));
        invoice.items = Some(items);
    })
}

fn alike(ledger: &mut Ledger) -> Uuid {
    let more = |month: &Month<'_>| {
        let flap = |id| {
            let mut billed = month.deleted_droplet("flap-01 (s-1vcpu-1gb)", id, SHOP, 1);
            let from = month.start + TimeDelta::hours(321);
            billed.line = billed.line.during(1, from, from + TimeDelta::seconds(1));
            billed
        };
        let tax = || month.account("Taxes", "STATE SALES TAX (6.25%)", 16);
        let volume = month.fleet.data[0];
        let scanned = bare("Volume Scanning", "data", 321).with_uuid(volume);
        // The number of an existing droplet, in a line of a product without droplets.
        let numbered = bare("Edge Functions", "invocations", 77).with_id(&month.fleet.web);
        vec![
            flap(545_210_001),
            flap(545_210_002),
            tax(),
            tax(),
            Billed::new(
                scanned.in_project(SHOP),
                Truth::Resource(ResourceName::new("volume", &volume)),
            ),
            Billed::new(numbered, Truth::Unknown),
            Billed::new(bare("Quantum Accelerators", "q-1", 4242), Truth::Unknown),
        ]
    };
    usual_and(ledger, (2026, 3), more, |_| ())
}

fn unpaid(ledger: &mut Ledger) -> Uuid {
    let more = |month: &Month<'_>| {
        let trainer = month.fleet.trainer;
        let gpu = month.line("GPU Droplets", "trainer-01 (gpu-h100x1-80gb)", 452_930);
        let gpu = gpu.with_id(&trainer).in_project(ANALYTICS);
        let bucket = month.line("Spaces", "old-exports (nyc3)", 88);
        let discount = bare("Discounts", "Contract \"iaas\", 39%", -177_955);
        let registry = "Container Registry Subscription";
        vec![
            Billed::new(gpu, Truth::Resource(ResourceName::new("droplet", &trainer))),
            // A deleted bucket; items of buckets have no id.
            Billed::new(bucket.in_project(SHOP), Truth::Unknown),
            month.account(registry, "Basic", 500),
            month.account("Uptime Health Check", "2 checks", 100),
            Billed::new(discount, Truth::Account),
        ]
    };
    usual_and(ledger, (2026, 4), more, |invoice| invoice.paid_after = None)
}
