//! The scenarios of the runs: an account, and its changes before each phase. They are the same in
//! every run.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use simulator::{Account, Balance, Droplet, HistoryEntry, Invoice};
use uuid::Uuid;

use super::injector::Family;

/// The account of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// Some of every kind of resource, with random bills.
    Everything,
    /// An ambiguity or error in every invoice.
    EveryCent,
    /// More than ten pages of droplets, so that their listing is resumable.
    Thousands,
}

/// The number of phases: the first, three for the strikes of a deletion, and a last one in which a
/// deleted droplet returns and many rows change again.
pub(crate) const PHASES: usize = 5;
/// The phases in which the bill is read. It changes between them.
pub(crate) const WITH_BILL: [usize; 3] = [0, 3, 4];

/// The list position of the droplet that is removed and returns.
const REMOVED: usize = 1;

impl Scenario {
    pub(crate) const ALL: [Self; 3] = [Self::Everything, Self::EveryCent, Self::Thousands];

    /// Returns the scenario of a seed. Consecutive seeds of all families share a scenario, so that
    /// a few runs need one run without faults.
    pub(crate) fn of(seed: u64) -> Self {
        let (families, scenarios) = (Family::ALL.len() as u64, Self::ALL.len() as u64);
        let place = usize::try_from(seed / families % scenarios);
        Self::ALL[place.unwrap_or_default()]
    }

    pub(crate) fn account(self) -> Account {
        let mut account = match self {
            Self::Everything => Account::everything(),
            Self::EveryCent => Account::every_cent(),
            Self::Thousands => Account::with_droplets(2_600),
        };
        if self != Self::EveryCent {
            account.add_random_invoices(7, 9);
        }
        account
    }
}

/// Changes the account before a phase's syncs. `removed` holds the droplet that returns later.
pub(crate) fn change_account(phase: usize, account: &mut Account, removed: &mut Option<Droplet>) {
    match phase {
        1 => {
            change_much(account);
            let droplet = account.droplets()[REMOVED].clone();
            account.remove_droplet(droplet.id);
            *removed = Some(droplet);
            // Removed permanently: a volume, and the first resource of several kinds.
            let volume = account.volumes().last().map(|volume| volume.id);
            if let Some(id) = volume {
                account.remove_volume(id);
            }
            for kind in [
                "dns_zone",
                "app",
                "database_cluster",
                "snapshot",
                "spaces_bucket",
            ] {
                if let Some(id) = account.resource_ids(kind).first() {
                    account.remove_resource(kind, id);
                }
            }
            let projects: Vec<_> = account
                .projects()
                .iter()
                .map(|project| project.id)
                .collect();
            account.remove_project(projects[projects.len() - 1]);
        }
        2 => {
            // This volume has one strike and exists after all.
            if let Some(id) = account.resource_ids("volume").first() {
                account.rename_resource("volume", id, "renamed-volume");
            }
            account.add_resource("app", "late-app", "syd1");
            account.add_domain("late.example");
        }
        3 => {
            bill(account);
            let first = account.droplets()[0].id;
            account.resize_droplet(first, "g-2vcpu-8gb");
        }
        4 => {
            if let Some(droplet) = removed.take() {
                account.insert_droplet(droplet);
            }
            change_again(account);
            bill_again(account);
        }
        _ => {}
    }
}

/// Renames, tags, resizes and moves droplets, renames a project, and adds resources.
fn change_much(account: &mut Account) {
    let first = account.droplets()[0].clone();
    account.rename_droplet(first.id, "renamed-droplet");
    let last = account
        .droplets()
        .last()
        .map_or(first.id, |droplet| droplet.id);
    account.tag_droplet(last, "tagged-later");
    account.resize_droplet(last, "s-4vcpu-8gb");
    let moved_to = account.add_project("Newcomer");
    account.move_to_project(moved_to, &first.urn());
    let renamed = account
        .projects()
        .iter()
        .find(|project| !project.is_default);
    if let Some(id) = renamed.map(|project| project.id) {
        account.rename_project(id, "Renamed project");
    }
    account.create_in(moved_to, |account| {
        account.add_droplet("newcomer-1", "s-1vcpu-1gb", "nyc3");
        account.add_volume("newcomer-data", "nyc3", 10);
    });
}

/// Adds an invoice, corrects an old one, and changes the open month and the balance.
fn bill(account: &mut Account) {
    let newest = account.invoices()[0].clone();
    account.add_invoice(Invoice::for_month(2026, 5, newest.lines.clone()));
    correct(account, Decimal::new(123, 2));
    let mut open = newest.lines;
    open.truncate(5);
    account.set_preview(Some(Invoice::for_month(2026, 6, open)));
    let before = account.balance();
    account.set_balance(Balance {
        month_to_date_usage: before.month_to_date_usage + Decimal::new(4_200, 2),
        generated_at: before.generated_at + TimeDelta::hours(6),
        ..before
    });
}

/// The invoice that is corrected: the oldest.
pub(crate) fn corrected_invoice(account: &Account) -> Uuid {
    account.invoices()[account.invoices().len() - 1].uuid
}

fn correct(account: &mut Account, by: Decimal) {
    account.change_invoice(corrected_invoice(account), |invoice| {
        if let Some(line) = invoice.lines.first_mut() {
            line.amount += by;
        }
    });
}

/// Renames and moves the resources that were renamed and moved before.
fn change_again(account: &mut Account) {
    let first = account.droplets()[0].clone();
    account.rename_droplet(first.id, "renamed-again");
    let ordinary = account
        .projects()
        .iter()
        .find(|project| !project.is_default);
    if let Some(id) = ordinary.map(|project| project.id) {
        account.rename_project(id, "Renamed again");
        account.move_to_project(id, &first.urn());
    }
    let volume = account.resource_ids("volume").into_iter().next();
    if let Some(id) = volume {
        account.rename_resource("volume", &id, "renamed-volume-again");
    }
}

/// Reverts the correction of an invoice, and changes the billing history, the open month and the
/// balance.
fn bill_again(account: &mut Account) {
    correct(account, Decimal::new(-123, 2));
    let before = account.balance();
    let paid_at = before.generated_at + TimeDelta::hours(1);
    let ten = Decimal::from(10);
    account.add_history(HistoryEntry::new(
        "Payment",
        "Payment by card",
        -ten,
        paid_at,
    ));
    let open = account.preview().map(|preview| preview.uuid);
    account.change_invoice(open.unwrap_or_default(), |preview| {
        if let Some(line) = preview.lines.first_mut() {
            line.amount += ten;
        }
    });
    account.set_balance(Balance {
        account_balance: before.account_balance - ten,
        month_to_date_usage: before.month_to_date_usage + ten,
        generated_at: before.generated_at + TimeDelta::hours(6),
    });
}
