//! Addresses, load balancers, VPCs and their gateways and peerings, firewalls, certificates, DNS
//! records.

use serde_json::{Value, json};

use crate::{
    bodies::New,
    catalogue::{self, default_vpc},
};

/// An unassigned address; its id is the address.
pub(crate) fn reserved_ipv6(new: &New<'_>) -> Value {
    json!({
        "ip": new.id,
        "region_slug": new.region,
        "reserved_at": new.created_at,
        "droplet": null,
    })
}

pub(crate) fn load_balancer(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "project_id": new.project,
        "ip": new.address(),
        "ipv6": "",
        "size_unit": 1,
        "size": "lb-small",
        "algorithm": "round_robin",
        "status": "active",
        "created_at": new.created_at,
        "forwarding_rules": [{
            "entry_protocol": "http",
            "entry_port": 80,
            "target_protocol": "http",
            "target_port": 80,
            "certificate_id": "",
            "tls_passthrough": false,
        }],
        "health_check": {
            "protocol": "http",
            "port": 80,
            "path": "/",
            "check_interval_seconds": 10,
            "response_timeout_seconds": 5,
            "healthy_threshold": 5,
            "unhealthy_threshold": 3,
        },
        "sticky_sessions": { "type": "none" },
        "redirect_http_to_https": false,
        "enable_proxy_protocol": false,
        "enable_backend_keepalive": false,
        "http_idle_timeout_seconds": 60,
        "vpc_uuid": default_vpc(new.region),
        "disable_lets_encrypt_dns_records": false,
        "firewall": { "deny": [], "allow": [] },
        "network": "EXTERNAL",
        "network_stack": "IPV4",
        "type": "REGIONAL",
        "tls_cipher_policy": "DEFAULT",
        "region": catalogue::region(new.region),
        "tag": "",
        "droplet_ids": [],
    })
}

pub(crate) fn vpc(new: &New<'_>) -> Value {
    let second = new.number % 200;
    let moment = new.created_at.format("%Y-%m-%dT%H:%M:%S");
    json!({
        "id": new.id,
        "urn": format!("do:vpc:{}", new.id),
        "name": new.name,
        "description": "",
        "region": new.region,
        "ip_range": format!("10.{second}.0.0/20"),
        "default": false,
        // The dates of VPCs have nanoseconds.
        "created_at": format!("{moment}.442049222Z"),
    })
}

pub(crate) fn nat_gateway(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "type": "PUBLIC",
        "state": "ACTIVE",
        "region": new.region,
        "size": 1,
        "vpcs": [{ "vpc_uuid": default_vpc(new.region), "gateway_ip": "10.118.0.35" }],
        "egresses": { "public_gateways": [{ "ipv4": new.address() }] },
        "udp_timeout_seconds": 30,
        "icmp_timeout_seconds": 30,
        "tcp_timeout_seconds": 30,
        "created_at": new.created_at,
        "updated_at": new.created_at,
        // Not in the specification's model, but in its example.
        "project_id": new.project,
    })
}

/// A peering of two VPCs that are not listed; tests may set others.
pub(crate) fn vpc_peering(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "vpc_ids": [default_vpc(new.region), default_vpc("nyc1")],
        "created_at": new.created_at,
        "status": "ACTIVE",
    })
}

pub(crate) fn partner_attachment(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "state": "active",
        "connection_bandwidth_in_mbps": 1000,
        // A partner network's region has no number.
        "region": new.region.trim_end_matches(|letter: char| letter.is_ascii_digit()),
        "naas_provider": "megaport",
        "vpc_ids": [default_vpc(new.region)],
        "bgp": {
            "local_asn": 64532,
            "local_router_ip": "169.254.0.1/29",
            "peer_asn": 133_937,
            "peer_router_ip": "169.254.0.6/29",
        },
        "created_at": new.created_at,
    })
}

pub(crate) fn byoip_prefix(new: &New<'_>) -> Value {
    json!({
        "uuid": new.id,
        "name": new.name,
        "prefix": "203.0.113.0/24",
        "status": "active",
        "region": new.region,
        "validations": [{ "name": "SIGNATURE HASH", "status": "SUCCEEDED", "note": "" }],
        "failure_reason": "",
        "locked": false,
        "advertised": true,
        "project_id": new.project,
    })
}

pub(crate) fn firewall(new: &New<'_>) -> Value {
    let rule = |side: &str, ports: &str| {
        json!([{
            "protocol": "tcp",
            "ports": ports,
            side: { "addresses": ["0.0.0.0/0", "::/0"] },
        }])
    };
    json!({
        "id": new.id,
        "name": new.name,
        "status": "succeeded",
        "created_at": new.created_at,
        "pending_changes": [],
        "inbound_rules": rule("sources", "443"),
        "outbound_rules": rule("destinations", "0"),
        "droplet_ids": [],
        "tags": [],
    })
}

pub(crate) fn certificate(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "not_after": "2027-02-22T00:23:00Z",
        "sha1_fingerprint": new.part("fingerprint").simple().to_string(),
        "created_at": new.created_at,
        "dns_names": ["www.example.com"],
        "state": "verified",
        "type": "lets_encrypt",
    })
}

/// An A record.
pub(crate) fn dns_record(new: &New<'_>) -> Value {
    json!({
        "id": new.id.parse::<u64>().unwrap_or(new.number),
        "type": "A",
        "name": new.name,
        "data": new.address(),
        "priority": null,
        "port": null,
        "ttl": 1800,
        "weight": null,
        "flags": null,
        "tag": null,
    })
}
