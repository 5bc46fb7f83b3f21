//! Domains: DNS zones, identified by their names.

use super::Account;

/// A DNS zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// `example.com`; also its id.
    pub name: String,
    /// The time to live of records, in seconds.
    pub ttl: u32,
    /// The address of the zone's A record.
    pub address: String,
}

impl Domain {
    /// `do:domain:NAME`.
    pub fn urn(&self) -> String {
        format!("do:domain:{}", self.name)
    }
}

impl Account {
    /// The domains, in the order of their listing.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Creates a domain in the default project.
    pub fn add_domain(&mut self, name: &str) {
        let domain = Domain {
            name: name.to_owned(),
            ttl: 1800,
            address: "198.18.0.10".to_owned(),
        };
        self.assign_new(&domain.urn());
        self.domains.push(domain);
    }

    /// Deletes a domain with its project membership and its records.
    pub fn remove_domain(&mut self, name: &str) {
        self.domains.retain(|domain| domain.name != name);
        self.remove_member(&format!("do:domain:{name}"));
        self.remove_children("dns_record", "dns_zone", name);
    }

    /// Sets the time to live of a domain's records, in seconds.
    pub fn set_domain_ttl(&mut self, name: &str, ttl: u32) {
        for domain in self.domains.iter_mut().filter(|domain| domain.name == name) {
            domain.ttl = ttl;
        }
    }
}
