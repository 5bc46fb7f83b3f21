//! The resources of the account with traps.

use uuid::Uuid;

use crate::{
    Account, Droplet,
    dates::{moment, month_start},
};

pub(super) const SHOP: &str = "Shop";
pub(super) const ANALYTICS: &str = "Analytics";
pub(super) const PLATFORM: &str = "Platform";

/// The ids of the account's resources.
pub(super) struct Fleet {
    pub(super) web: u64,
    /// Two droplets with the same name and size, created in the same hour.
    pub(super) workers: [u64; 2],
    /// The existing droplet `cache-01`, created when the older one of this name was destroyed.
    pub(super) cache: u64,
    pub(super) trainer: u64,
    /// The number of a droplet and also of a snapshot of another droplet.
    pub(super) build_and_snapshot: u64,
    pub(super) volume_snapshot: Uuid,
    /// Two volumes with the same name and size, in Sydney and in New York.
    pub(super) data: [Uuid; 2],
    pub(super) orders: Uuid,
    pub(super) orders_replica: Uuid,
    pub(super) cluster: Uuid,
    pub(super) claimed_volume: Uuid,
    pub(super) service_balancer: Uuid,
    pub(super) balancer: Uuid,
    pub(super) app: Uuid,
}

/// The older `cache-01`.
pub(super) const OLD_CACHE: u64 = 480_000_101;
/// A droplet that was deleted in April 2025, with its project.
pub(super) const LEGACY_MAIL: u64 = 301_557_640;

pub(super) fn uuid(id: &str) -> Uuid {
    Uuid::parse_str(id).unwrap_or_default()
}

/// Creates all resources except `cache-01` and `trainer-01` before the first invoice.
pub(super) fn create(account: &mut Account) -> Fleet {
    let founded = month_start(2024, 6);
    account.continue_at(founded);
    for project in &mut account.projects {
        (project.created_at, project.updated_at) = (founded, founded);
    }
    let [shop, analytics, platform] = [SHOP, ANALYTICS, PLATFORM].map(|n| account.add_project(n));
    let web = account.create_in(shop, |account| {
        account.add_droplet("web-01", "s-2vcpu-4gb", "syd1")
    });
    account.add_droplet_backup(web, "web-01-weekly");
    let snapshot = account.add_droplet_snapshot(web, "web-01-before-upgrade");
    let build_and_snapshot = snapshot.parse().unwrap_or_default();
    account.create_in(platform, |account| {
        let build = account.new_droplet("build-01", "c-2", "syd1");
        account.insert_droplet(Droplet {
            id: build_and_snapshot,
            ..build
        });
    });
    let workers = account.create_in(analytics, |account| {
        [(); 2].map(|()| account.add_droplet("worker-01", "s-1vcpu-2gb", "nyc3"))
    });
    let data = [(shop, "syd1"), (analytics, "nyc3")].map(|(project, region)| {
        account.create_in(project, |account| account.add_volume("data", region, 100))
    });
    account.attach_volume(data[0], web);
    let volume_snapshot = uuid(&account.add_volume_snapshot(data[0], "data-weekly"));
    let (orders, orders_replica) = account.create_in(shop, |account| {
        let orders = account.add_resource("database_cluster", "orders", "syd1");
        let replica = account.add_database_replica(&orders, "orders-read-1", "syd1");
        (uuid(&orders), uuid(&replica))
    });
    let balancer = account.create_in(shop, |account| {
        account.add_resource("spaces_bucket", "shop-images", "syd1");
        account.add_domain("shop.example");
        uuid(&account.add_resource("load_balancer", "edge", "syd1"))
    });
    account.add_reserved_ip("198.18.7.20", "syd1", None);
    account.add_resource("image", "golden-image", "syd1");
    let cluster = account.create_in(platform, |account| {
        account.add_resource("kubernetes_cluster", "prod-k8s", "syd1")
    });
    for node in [
        "prod-k8s-pool-3niq",
        "prod-k8s-pool-3nix",
        "prod-k8s-pool-3nit",
    ] {
        account.add_kubernetes_node(&cluster, node);
    }
    let service = account.add_kubernetes_load_balancer(&cluster, SERVICE);
    let claimed_volume = account.add_kubernetes_volume(&cluster, CLAIM, 20);
    let app = account.create_in(platform, |account| {
        account.add_resource("app", "storefront", "syd1")
    });
    let (cache, trainer) = create_later(account, shop, analytics);
    Fleet {
        web,
        workers,
        cache,
        trainer,
        build_and_snapshot,
        volume_snapshot,
        data,
        orders,
        orders_replica,
        cluster: uuid(&cluster),
        claimed_volume,
        service_balancer: uuid(&service),
        balancer,
        app: uuid(&app),
    }
}

/// The name of the load balancer of a Kubernetes service: the service's UID.
pub(super) const SERVICE: &str = "a56e086a317d4c1b9";
pub(super) const CLAIM: &str = "pvc-5a4981aa";

/// The time when the older `cache-01` was destroyed.
pub(super) const CACHE_REBUILT: (i32, u32, u32, u32) = (2025, 5, 20, 10);

fn create_later(account: &mut Account, shop: Uuid, analytics: Uuid) -> (u64, u64) {
    account.continue_at(moment(CACHE_REBUILT));
    let cache = account.create_in(shop, |account| {
        account.add_droplet("cache-01", "s-1vcpu-1gb", "syd1")
    });
    account.continue_at(moment((2026, 4, 1, 0)));
    let trainer = account.create_in(analytics, |account| {
        account.add_gpu_droplet("trainer-01", "gpu-h100x1-80gb", "tor1")
    });
    (cache, trainer)
}
