//! The domains API.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;

use crate::{
    Domain, answers::one, caller::Caller, errors::ApiError, paging::PageRequest, state::Shared,
};

#[derive(Serialize)]
struct DomainBody<'a> {
    name: &'a str,
    ttl: u32,
    zone_file: String,
}

impl Domain {
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
