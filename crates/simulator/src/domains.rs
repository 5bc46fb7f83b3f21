//! Domains: DNS zones, whose name is their id.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;

use crate::{
    Account, answers::one, caller::Caller, errors::ApiError, paging::PageRequest, state::Shared,
};

/// A DNS zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// `example.com`; also its id.
    pub name: String,
    /// Seconds that answers may be cached.
    pub ttl: u32,
    /// The address of the zone's A record.
    pub address: String,
}

#[derive(Serialize)]
struct DomainBody<'a> {
    name: &'a str,
    ttl: u32,
    zone_file: String,
}

impl Domain {
    /// `do:domain:NAME`.
    pub fn urn(&self) -> String {
        format!("do:domain:{}", self.name)
    }

    fn body(&self) -> DomainBody<'_> {
        let Self { name, ttl, address } = self;
        let zone_file = format!(
            "$ORIGIN {name}.\n\
             $TTL {ttl}\n\
             {name}. IN SOA ns1.digitalocean.com. hostmaster.{name}. 1415982609 10800 3600 604800 {ttl}\n\
             {name}. {ttl} IN NS ns1.digitalocean.com.\n\
             {name}. {ttl} IN NS ns2.digitalocean.com.\n\
             {name}. {ttl} IN NS ns3.digitalocean.com.\n\
             {name}. {ttl} IN A {address}\n"
        );
        DomainBody {
            name,
            ttl: *ttl,
            zone_file,
        }
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

    /// Deletes a domain; it leaves its project too, and its records go with it.
    pub fn remove_domain(&mut self, name: &str) {
        self.domains.retain(|domain| domain.name != name);
        self.remove_member(&format!("do:domain:{name}"));
        self.remove_children("dns_record", "dns_zone", name);
    }

    /// Sets how many seconds a domain's answers may be cached.
    pub fn set_domain_ttl(&mut self, name: &str, ttl: u32) {
        for domain in self.domains.iter_mut().filter(|domain| domain.name == name) {
            domain.ttl = ttl;
        }
    }
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    caller.needs("domain:read")?;
    Ok(page.answer("domains", &shared.account().domains, Domain::body))
}

pub(crate) async fn get(
    State(shared): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("domain:read")?;
    let account = shared.account();
    let domain = account.domains.iter().find(|domain| domain.name == name);
    Ok(one(
        "domain",
        &domain.ok_or_else(ApiError::not_found)?.body(),
    ))
}
