//! The reserved IPs API, which lists the same addresses under two paths: DigitalOcean kept the former one.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Account, ReservedIp,
    account::DropletBody,
    answers::one,
    caller::Caller,
    catalogue::{self, Region},
    errors::ApiError,
    paging::PageRequest,
    state::Shared,
};

#[derive(Serialize)]
struct ReservedIpBody<'a> {
    ip: &'a str,
    droplet: Option<DropletBody<'a>>,
    region: Region<'a>,
    locked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<Uuid>,
}

impl ReservedIp {
    /// The droplet needs the scope `droplet:read` and the project `project:read`; without them the fields are empty.
    fn body<'a>(&'a self, account: &'a Account, caller: &Caller) -> ReservedIpBody<'a> {
        let droplet = self.droplet_id.filter(|_| caller.may("droplet:read"));
        ReservedIpBody {
            ip: &self.ip,
            droplet: droplet.and_then(|id| Some(account.droplet(id)?.body(true))),
            region: catalogue::region(&self.region),
            locked: false,
            project_id: account
                .project_of(&self.urn())
                .filter(|_| caller.may("project:read")),
        }
    }
}

pub(crate) async fn list_floating(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    list(&shared, &caller, &page, "floating_ips")
}

pub(crate) async fn list_reserved(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    list(&shared, &caller, &page, "reserved_ips")
}

fn list(
    shared: &Shared,
    caller: &Caller,
    page: &PageRequest,
    key: &'static str,
) -> Result<Response, ApiError> {
    caller.needs("reserved_ip:read")?;
    let account = shared.account();
    Ok(page.answer(key, &account.reserved_ips, |ip| ip.body(&account, caller)))
}

pub(crate) async fn get_floating(
    State(shared): State<Shared>,
    caller: Caller,
    Path(ip): Path<String>,
) -> Result<Response, ApiError> {
    get(&shared, &caller, &ip, "floating_ip")
}

pub(crate) async fn get_reserved(
    State(shared): State<Shared>,
    caller: Caller,
    Path(ip): Path<String>,
) -> Result<Response, ApiError> {
    get(&shared, &caller, &ip, "reserved_ip")
}

fn get(
    shared: &Shared,
    caller: &Caller,
    ip: &str,
    key: &'static str,
) -> Result<Response, ApiError> {
    caller.needs("reserved_ip:read")?;
    let account = shared.account();
    let found = account.reserved_ips.iter().find(|known| known.ip == ip);
    let found = found.ok_or_else(ApiError::not_found)?;
    Ok(one(key, &found.body(&account, caller)))
}
