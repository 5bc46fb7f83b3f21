//! An account with very many resources.

use crate::{Account, stock::Parent};

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

const REGIONS: [&str; 3] = ["nyc3", "syd1", "fra1"];

impl Account {
    /// An account with so many resources, spread evenly over ten kinds: droplets, volumes, DNS zones, reserved IPs,
    /// snapshots of volumes, load balancers, VPCs, firewalls, certificates and uptime checks. Those that projects
    /// list are spread over four projects.
    pub fn with_resources(count: usize) -> Self {
        let mut account = Self::empty();
        let others = ["storefront", "analytics", "platform"].map(|name| account.add_project(name));
        let [first, second, third] = others;
        let projects = [first, second, third, account.default_project()];
        for number in 0..count {
            let (round, kind) = (number / KINDS.len(), KINDS[number % KINDS.len()]);
            let project = projects[round % projects.len()];
            account.create_in(project, |account| create(account, kind, round));
        }
        account
    }
}

fn create(account: &mut Account, kind: &str, round: usize) {
    let region = REGIONS[round % REGIONS.len()];
    match kind {
        "reserved_ip" => {
            let number = u32::try_from(round).unwrap_or_default();
            let [_, b, c, d] = number.to_be_bytes();
            // 198.18.0.0 and what follows.
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
