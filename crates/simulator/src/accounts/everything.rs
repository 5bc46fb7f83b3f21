//! An account with some of each kind of resource that DigitalOcean bills or that affects costs.

use uuid::Uuid;

use crate::{Account, MemberStatus};

/// The projects that the parts of the account use.
struct Projects {
    shop: Uuid,
    analytics: Uuid,
    platform: Uuid,
}

impl Account {
    /// Two or three resources of each kind in four projects, including those that are hard to
    /// attribute: two volumes with one name, a Kubernetes cluster outside the default project with
    /// its nodes, load balancer and volume in the default project, snapshots of deleted resources,
    /// a bucket that only a key names, members of an unknown kind, a dangling member and a member
    /// of an unavailable service. The bodies contain [`crate::SECRETS`].
    pub fn everything() -> Self {
        let mut account = Self::empty();
        let projects = Projects {
            shop: account.add_project("Shop"),
            analytics: account.add_project("Analytics"),
            platform: account.add_project("Platform"),
        };
        let vpc = create_networks(&mut account);
        create_machines(&mut account, &projects, &vpc);
        create_cluster(&mut account, &projects, &vpc);
        create_data(&mut account, &projects, &vpc);
        create_spaces(&mut account, &projects);
        create_platform(&mut account, &projects);
        create_oddities(&mut account, &projects);
        account
    }
}

/// Returns the VPC that the machines are in.
fn create_networks(account: &mut Account) -> String {
    let vpc = account.add_resource("vpc", "shop-syd1", "syd1");
    account.set_resource_field("vpc", &vpc, "default", true.into());
    let other = account.add_resource("vpc", "platform-nyc3", "nyc3");
    let peering = account.add_resource("vpc_peering", "syd1-nyc3", "syd1");
    account.set_resource_field("vpc_peering", &peering, "/vpc_ids/0", vpc.as_str().into());
    account.set_resource_field("vpc_peering", &peering, "/vpc_ids/1", other.as_str().into());
    account.add_resource("vpc_peering", "syd1-fra1", "syd1");
    for (kind, names) in [
        ("nat_gateway", ["egress-syd1", "egress-spare"]),
        ("partner_attachment", ["megaport-syd", "megaport-spare"]),
        ("byoip_prefix", ["documentation", "documentation-2"]),
        ("firewall", ["web", "databases"]),
        ("certificate", ["www", "api"]),
    ] {
        for name in names {
            let id = account.add_resource(kind, name, "syd1");
            account.put_in_vpc(kind, &id, &vpc);
        }
    }
    vpc
}

fn create_machines(account: &mut Account, projects: &Projects, vpc: &str) {
    let web = account.create_in(projects.shop, |account| {
        let web = account.add_droplet("web-01", "s-2vcpu-4gb", "syd1");
        let other = account.add_droplet("web-02", "s-2vcpu-4gb", "syd1");
        for id in [web, other] {
            account.tag_droplet(id, "web");
            account.put_in_vpc("droplet", &id.to_string(), vpc);
        }
        let data = account.add_volume("data", "syd1", 100);
        account.attach_volume(data, web);
        account.add_volume_snapshot(data, "data-weekly");
        account.add_domain("shop.example");
        account.add_domain("www.shop.example");
        let balancer = account.add_resource("load_balancer", "shop", "syd1");
        account.put_in_vpc("load_balancer", &balancer, vpc);
        account.set_resource_field("load_balancer", &balancer, "tag", "web".into());
        account.set_resource_field(
            "load_balancer",
            &balancer,
            "droplet_ids",
            serde_json::json!([web, other]),
        );
        web
    });
    account.create_in(projects.analytics, |account| {
        account.add_gpu_droplet("trainer-01", "gpu-h100x1-80gb", "tor1");
        account.add_gpu_droplet("trainer-02", "gpu-h100x1-80gb", "tor1");
        // A volume with the same name in another region.
        account.add_volume("data", "nyc3", 500);
    });
    // A global load balancer has no region.
    let global = account.add_resource("load_balancer", "worldwide", "syd1");
    account.set_resource_field("load_balancer", &global, "type", "GLOBAL".into());
    account.remove_resource_field("load_balancer", &global, "region");
    let idle = account.add_droplet("idle", "s-1vcpu-1gb", "nyc3");
    account.set_droplet_status(idle, "off");
    for name in ["web-01-2026-04-01", "web-01-2026-05-01"] {
        account.add_droplet_snapshot(web, name);
    }
    for name in ["web-01-weekly-1", "web-01-weekly-2"] {
        account.add_droplet_backup(web, name);
    }
    let deleted = account.add_droplet("deleted", "s-1vcpu-1gb", "syd1");
    account.add_droplet_snapshot(deleted, "deleted-last-state");
    account.remove_droplet(deleted);
    account.add_resource("snapshot", "deleted-volume", "syd1");
    account.add_resource("image", "golden-image", "syd1");
    account.add_resource("image", "appliance", "nyc3");
    account.add_resource("autoscale_pool", "checkout", "syd1");
    account.add_resource("autoscale_pool", "search", "syd1");

    account.add_reserved_ip("198.18.0.7", "syd1", None);
    account.attach_reserved_ip("198.18.0.7", web);
    account.add_reserved_ip("198.18.0.8", "syd1", None);
    account.add_resource("reserved_ipv6", "2001:db8::7", "syd1");
    account.attach_reserved_ipv6("2001:db8::7", web);
    account.add_resource("reserved_ipv6", "2001:db8::8", "syd1");
    for (kind, name, data) in [
        ("A", "@", "198.18.0.7"),
        ("MX", "@", "mail.shop.example."),
        ("TXT", "_acme", "not-a-secret"),
    ] {
        account.add_dns_record("shop.example", kind, name, data);
    }
}

fn create_cluster(account: &mut Account, projects: &Projects, vpc: &str) {
    let cluster = account.create_in(projects.platform, |account| {
        account.add_resource("kubernetes_cluster", "production", "syd1")
    });
    account.put_in_vpc("kubernetes_cluster", &cluster, vpc);
    for name in ["default-pool-3niq", "default-pool-3nix"] {
        account.add_kubernetes_node(&cluster, name);
    }
    account.add_kubernetes_node_pool(&cluster, "batch-pool", "c-2");
    account.add_kubernetes_node(&cluster, "batch-pool-7d2a");
    account.add_kubernetes_load_balancer(&cluster, "a56e086a317d4c1b9");
    account.add_kubernetes_volume(&cluster, "pvc-5a4981aa", 20);
    let staging = account.add_resource("kubernetes_cluster", "staging", "nyc3");
    account.add_kubernetes_node(&staging, "default-pool-9xkq");
}

fn create_data(account: &mut Account, projects: &Projects, vpc: &str) {
    account.create_in(projects.shop, |account| {
        let orders = account.add_resource("database_cluster", "orders", "syd1");
        account.put_in_vpc("database_cluster", &orders, vpc);
        account.add_database_replica(&orders, "orders-read-1", "syd1");
        account.add_database_replica(&orders, "orders-read-2", "nyc3");
    });
    account.create_in(projects.analytics, |account| {
        account.add_resource("database_cluster", "warehouse", "nyc3");
        for name in ["products", "documents"] {
            account.add_resource("vector_database", name, "tor1");
            account.add_resource("genai_agent", name, "tor1");
            account.add_resource("genai_knowledge_base", name, "tor1");
            account.add_resource("dedicated_inference", name, "atl1");
        }
    });
    for name in ["media", "scratch"] {
        let share = account.add_resource("nfs_share", name, "atl1");
        account.add_nfs_snapshot(&share, &format!("{name}-daily"));
    }
    account.add_resource("nfs_share", "far-away", "ams3");
}

fn create_spaces(account: &mut Account, projects: &Projects) {
    account.create_in(projects.shop, |account| {
        account.add_resource("spaces_bucket", "shop-images", "syd1");
    });
    account.create_in(projects.analytics, |account| {
        account.add_resource("spaces_bucket", "warehouse-exports", "nyc3");
    });
    account.add_resource("spaces_bucket", "backups", "syd1");
    let uploader = account.add_resource("spaces_key", "uploader", "syd1");
    account.grant_bucket(&uploader, "shop-images", "readwrite");
    // This bucket is in no project.
    account.grant_bucket(&uploader, "only-in-a-grant", "read");
    let exporter = account.add_resource("spaces_key", "exporter", "nyc3");
    account.grant_bucket(&exporter, "warehouse-exports", "readwrite");
    account.add_resource("spaces_key", "administrator", "syd1");
    account.add_resource("cdn_endpoint", "shop-images", "syd1");
    account.add_resource("cdn_endpoint", "only-behind-a-cdn", "ams3");
}

fn create_platform(account: &mut Account, projects: &Projects) {
    account.create_in(projects.platform, |account| {
        account.add_resource("app", "status-page", "syd1");
        account.add_resource("app", "handbook", "nyc3");
    });
    for (kind, names) in [
        ("registry", ["team-images", "public-images"]),
        ("function_namespace", ["webhooks", "reports"]),
        ("uptime_check", ["Shop", "API"]),
        ("alert_policy", ["CPU is high", "CPU is very high"]),
        ("saas_addon", ["mail", "logs"]),
    ] {
        for name in names {
            account.add_resource(kind, name, "syd1");
        }
    }
}

fn create_oddities(account: &mut Account, projects: &Projects) {
    use MemberStatus::{NotFound, Ok, ServiceDown};
    let default = account.default_project();
    account.add_member(projects.platform, "do:quantumcomputer:q-1", Ok);
    account.add_member(default, "do:quantumcomputer:q-2", Ok);
    account.add_member(default, "do:droplet:404404", NotFound);
    account.add_member(projects.analytics, "do:space:service-is-down", ServiceDown);
}
