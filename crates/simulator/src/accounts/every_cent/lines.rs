//! The lines of the invoices with their expected attribution.

use chrono::{DateTime, Months, TimeDelta, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    ResourceName, Truth,
    fleet::{ANALYTICS, CACHE_REBUILT, CLAIM, Fleet, OLD_CACHE, PLATFORM, SERVICE, SHOP},
};
use crate::{
    InvoiceLine,
    dates::{moment, month_start},
};

pub(super) struct Billed {
    pub(super) line: InvoiceLine,
    pub(super) truth: Truth,
    /// The expected attribution without an item that names the resource, if it differs.
    pub(super) without_item: Option<Truth>,
    pub(super) group: Option<ResourceName>,
}

impl Billed {
    pub(super) fn new(line: InvoiceLine, truth: Truth) -> Self {
        Self {
            line,
            truth,
            without_item: None,
            group: None,
        }
    }

    fn within(mut self, group: ResourceName) -> Self {
        self.group = Some(group);
        self
    }
}

/// The part of a month that is billed.
pub(super) struct Month<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    /// The number of months since 2024, for amounts that grow every month.
    number: i64,
}

impl<'a> Month<'a> {
    pub(super) fn new(fleet: &'a Fleet, (year, month): (i32, u32)) -> Self {
        let start = month_start(year, month);
        Self {
            fleet,
            start,
            end: start.checked_add_months(Months::new(1)).unwrap_or(start),
            number: i64::from(year - 2025) * 12 + i64::from(month),
        }
    }

    pub(super) fn until(mut self, end: DateTime<Utc>) -> Self {
        self.end = end;
        self
    }

    /// Returns a line for the whole month, with the last second as end except for droplets.
    pub(super) fn line(&self, product: &str, description: &str, cents: i64) -> InvoiceLine {
        let end = if product.starts_with("Droplet") {
            self.end
        } else {
            self.end - TimeDelta::seconds(1)
        };
        let hours = u32::try_from((self.end - self.start).num_hours()).unwrap_or_default();
        InvoiceLine::new(product, description, Decimal::new(cents, 2))
            .during(hours, self.start, end)
    }

    pub(super) fn droplet(&self, named: &str, id: u64, project: &str, cents: i64) -> Billed {
        let line = self.line("Droplets", named, cents).with_id(&id);
        let truth = Truth::Resource(ResourceName::new("droplet", &id));
        Billed::new(line.in_project(project), truth)
    }

    pub(super) fn deleted_droplet(
        &self,
        named: &str,
        id: u64,
        project: &str,
        cents: i64,
    ) -> Billed {
        let line = self.line("Droplets", named, cents).with_id(&id);
        let truth = Truth::Deleted(ResourceName::new("droplet", &id));
        Billed::new(line.in_project(project), truth)
    }

    /// Returns a line of the account as a whole.
    pub(super) fn account(&self, product: &str, description: &str, cents: i64) -> Billed {
        let line = self.line(product, description, cents);
        Billed::new(
            InvoiceLine {
                hours: None,
                ..line
            },
            Truth::Account,
        )
    }

    /// Returns the lines of every month.
    pub(super) fn usual(&self) -> Vec<Billed> {
        let mut billed = self.droplets();
        billed.extend(self.snapshots());
        billed.extend(self.storage());
        billed.extend(self.databases());
        billed.extend(self.kubernetes());
        let balancer = self.line("Load Balancers", "edge", 1200).in_project(SHOP);
        billed.push(with_uuid("load_balancer", balancer, self.fleet.balancer));
        let mut app = self.line("App Platform", "storefront (basic-xs)", 1000);
        "paas".clone_into(&mut app.category);
        billed.push(with_uuid("app", app.in_project(PLATFORM), self.fleet.app));
        billed.push(self.account("Taxes", "GST (10%)", 3120 + self.number));
        billed
    }

    fn droplets(&self) -> Vec<Billed> {
        let fleet = self.fleet;
        let mut billed = vec![self.droplet("web-01 (s-2vcpu-4gb)", fleet.web, SHOP, 2400)];
        let backup = self.line("Droplet Backups", "web-01", 480);
        billed.push(Billed::new(
            backup.with_id(&fleet.web).in_project(SHOP),
            Truth::Resource(ResourceName::new("droplet", &fleet.web)),
        ));
        let workers = fleet.workers.map(|id| ResourceName::new("droplet", &id));
        for id in fleet.workers {
            billed.push(Billed {
                without_item: Some(Truth::Ambiguous(workers.to_vec())),
                ..self.droplet("worker-01 (s-1vcpu-2gb)", id, ANALYTICS, 1200)
            });
        }
        billed.push(self.droplet("build-01 (c-2)", fleet.build_and_snapshot, PLATFORM, 4200));
        billed.extend(self.caches());
        billed
    }

    /// Returns the lines of the older and the newer `cache-01`, each for its lifetime.
    fn caches(&self) -> Vec<Billed> {
        let rebuilt = moment(CACHE_REBUILT);
        let named = "cache-01 (s-1vcpu-1gb)";
        let part = |from: DateTime<Utc>, until: DateTime<Utc>, mut billed: Billed| {
            let hours = u32::try_from((until - from).num_hours()).unwrap_or_default();
            billed.line = billed.line.during(hours, from, until);
            billed
        };
        let mut billed = Vec::new();
        if self.start < rebuilt {
            let until = self.end.min(rebuilt);
            let older = self.deleted_droplet(named, OLD_CACHE, SHOP, 412);
            billed.push(part(self.start, until, older));
        }
        if self.end > rebuilt {
            let from = self.start.max(rebuilt + TimeDelta::seconds(1));
            let newer = self.droplet(named, self.fleet.cache, SHOP, 247);
            billed.push(part(from, self.end, newer));
        }
        billed
    }

    fn snapshots(&self) -> Vec<Billed> {
        let id = self.fleet.build_and_snapshot;
        let of_droplet = self.line("Droplet Snapshots", "web-01-before-upgrade", 14);
        let of_volume = self.line("Volume Snapshots", "data-weekly", 123);
        vec![
            Billed::new(
                of_droplet.with_id(&id),
                Truth::Resource(ResourceName::new("snapshot", &id)),
            ),
            with_uuid("snapshot", of_volume, self.fleet.volume_snapshot),
        ]
    }

    fn storage(&self) -> Vec<Billed> {
        let [sydney, new_york] = self.fleet.data;
        let volume = |description: &str, uuid, project: &str| {
            let line = self.line("Volumes", description, 1000).in_project(project);
            with_uuid("volume", line, uuid)
        };
        let bucket = self.line("Spaces", "shop-images (syd1)", 95 + self.number * 7);
        let subscription = "Spaces ($5/mo 250GB storage & 1TB bandwidth)";
        vec![
            volume("data (syd1) 100GB", sydney, SHOP),
            volume("data (nyc3) 100GB", new_york, ANALYTICS),
            self.account("Spaces Subscription", subscription, 500),
            Billed::new(
                bucket.in_project(SHOP),
                Truth::Resource(ResourceName::new("spaces_bucket", &"shop-images")),
            ),
        ]
    }

    fn databases(&self) -> Vec<Billed> {
        let cluster = ResourceName::new("database_cluster", &self.fleet.orders);
        let line = |description: &str, cents| {
            let mut line = self.line("Database Clusters", description, cents);
            "paas".clone_into(&mut line.category);
            line.in_group("orders").in_project(SHOP)
        };
        let nodes = line("2 nodes - 4 GB / 2 vCPU / 60 GB SSD", 12_000);
        let replica = line("orders-read-1 - 4 GB / 2 vCPU / 60 GB SSD", 6000);
        vec![
            with_uuid("database_cluster", nodes, self.fleet.orders),
            with_uuid("database_replica", replica, self.fleet.orders_replica).within(cluster),
        ]
    }

    fn kubernetes(&self) -> Vec<Billed> {
        let fleet = self.fleet;
        let cluster = ResourceName::new("kubernetes_cluster", &fleet.cluster);
        let line = |description: &str, cents| {
            let line = self.line("Kubernetes Clusters", description, cents);
            line.in_group("prod-k8s").in_project(PLATFORM)
        };
        let nodes = line("3 nodes - 4 GB / 2 vCPU / 80 GB SSD", 7200);
        let volume = line(&format!("{CLAIM} (syd1) 20GB"), 200);
        vec![
            with_uuid("kubernetes_cluster", nodes, fleet.cluster),
            with_uuid("load_balancer", line(SERVICE, 1200), fleet.service_balancer)
                .within(cluster.clone()),
            with_uuid("volume", volume, fleet.claimed_volume).within(cluster),
        ]
    }
}

fn with_uuid(kind: &'static str, line: InvoiceLine, uuid: Uuid) -> Billed {
    let truth = Truth::Resource(ResourceName::new(kind, &uuid));
    Billed::new(line.with_uuid(uuid), truth)
}
