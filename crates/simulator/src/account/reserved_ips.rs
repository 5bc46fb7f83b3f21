//! Reserved IPs, formerly called floating IPs.

use super::Account;

/// A reserved IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedIp {
    /// The address, which is also the id.
    pub ip: String,
    /// The region's slug.
    pub region: String,
    /// The droplet that it is assigned to. Unassigned addresses are billed.
    pub droplet_id: Option<u64>,
}

impl ReservedIp {
    /// `do:floatingip:IP`: URNs have the former name.
    pub fn urn(&self) -> String {
        format!("do:floatingip:{}", self.ip)
    }
}

impl Account {
    /// The reserved IPs, in the order of their listing.
    pub fn reserved_ips(&self) -> &[ReservedIp] {
        &self.reserved_ips
    }

    /// Reserves an address, in the project of its droplet or unassigned in the default project.
    pub fn add_reserved_ip(&mut self, ip: &str, region: &str, droplet_id: Option<u64>) {
        let reserved = ReservedIp {
            ip: ip.to_owned(),
            region: region.to_owned(),
            droplet_id,
        };
        let urn = reserved.urn();
        self.assign_new(&urn);
        self.reserved_ips.push(reserved);
        let project = droplet_id.and_then(|id| self.project_of(&format!("do:droplet:{id}")));
        if let Some(project) = project {
            self.assign(project, &urn);
        }
    }

    /// Assigns an address to a droplet and moves it to the droplet's project.
    pub fn attach_reserved_ip(&mut self, ip: &str, droplet_id: u64) {
        let mut all = self.reserved_ips.iter_mut();
        if let Some(reserved) = all.find(|reserved| reserved.ip == ip) {
            reserved.droplet_id = Some(droplet_id);
        }
        if let Some(project) = self.project_of(&format!("do:droplet:{droplet_id}")) {
            self.assign(project, &format!("do:floatingip:{ip}"));
        }
    }

    /// Releases an address and removes it from its project.
    pub fn remove_reserved_ip(&mut self, ip: &str) {
        self.reserved_ips.retain(|reserved| reserved.ip != ip);
        self.remove_member(&format!("do:floatingip:{ip}"));
    }
}
