//! The demo account as `arcadia dev` serves it: its bill follows the clock, and its resources
//! change once, so that every page has something to show on any day.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    demo::demo_resources,
    demo_fleet::{API, TOOLING, WEBSITE},
    demo_invoices,
};
use crate::{Account, Droplet, stock::Parent};

/// The droplet with nightly snapshots.
const DATABASE: &str = "postgres-primary";
/// Number of nightly snapshots.
const NIGHTS: i64 = 14;
/// Number of nightly snapshots that remain after [`Account::change_demo`].
const NIGHTS_LEFT: usize = 2;
/// The droplet that [`Account::change_demo`] moves.
const MOVED: &str = "status-page";

impl Account {
    /// The tenants of the demo account's projects: each project with its tenant. One project is
    /// left without a tenant.
    pub const DEMO_TENANTS: &[(&str, &str)] = &[
        (WEBSITE, "marketing"),
        (API, "product"),
        (TOOLING, "platform"),
    ];

    /// Creates the demo account that was first served at `since`, at the time `now`: the resources
    /// and invoices of [`Account::demo`], a preview of the current month, and fourteen nightly
    /// snapshots of a droplet from the days before `since`. Months that ended after `since` have
    /// invoices; earlier months after April 2026 have none.
    pub fn demo_at(since: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let mut account = demo_resources();
        add_snapshots(&mut account, since);
        account.bill_demo(since, now);
        account
    }

    /// Sets the bill of [`Account::demo_at`] to a later time.
    pub fn bill_demo(&mut self, since: DateTime<Utc>, now: DateTime<Utc>) {
        demo_invoices::bill(self, since, now);
    }

    /// Changes the resources of [`Account::demo_at`] as people do: moves the droplet `status-page`
    /// from the website's project to that of internal tools, and deletes all but two of the
    /// snapshots.
    pub fn change_demo(&mut self, now: DateTime<Utc>) {
        self.continue_at(now);
        let urn = self.droplet_named(MOVED).map(Droplet::urn);
        let mut projects = self.projects().iter();
        let tooling = projects.find(|project| project.name == TOOLING);
        if let (Some(urn), Some(id)) = (urn, tooling.map(|project| project.id)) {
            self.assign(id, &urn);
        }
        let mut snapshots = self.resource_ids("snapshot");
        snapshots.truncate(snapshots.len().saturating_sub(NIGHTS_LEFT));
        for snapshot in snapshots {
            self.remove_resource("snapshot", &snapshot);
        }
    }

    fn droplet_named(&self, name: &str) -> Option<&Droplet> {
        self.droplets().iter().find(|droplet| droplet.name == name)
    }
}

/// Adds a snapshot for each night before a time, the oldest first.
fn add_snapshots(account: &mut Account, until: DateTime<Utc>) {
    let Some(droplet) = account.droplet_named(DATABASE).cloned() else {
        return;
    };
    for nights in (1..=NIGHTS).rev() {
        let night = until - TimeDelta::days(nights);
        account.continue_at(night);
        let name = format!("{DATABASE}-{}", night.format("%Y-%m-%d"));
        let parent = Parent::new("droplet", &droplet.id.to_string());
        account.add_child("snapshot", &name, &droplet.region, Some(parent));
    }
    account.continue_at(until);
}
