//! The reserved IPs API, also under the former name, floating IPs.

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
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
    /// Without the scope `droplet:read` the droplet is null; without `project:read` there is no
    /// project.
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

pub(crate) fn routes() -> Router<Shared> {
    let mut router = Router::new();
    for (path, list_key, key) in [
        ("/v2/floating_ips", "floating_ips", "floating_ip"),
        ("/v2/reserved_ips", "reserved_ips", "reserved_ip"),
    ] {
        let list = async move |shared, caller, page| list(&shared, &caller, &page, list_key);
        let single = async move |shared, caller, ip| single(&shared, &caller, &ip, key);
        router = router
            .route(path, get(list))
            .route(&format!("{path}/{{ip}}"), get(single));
    }
    router
}

fn list(
    State(shared): &State<Shared>,
    caller: &Caller,
    page: &PageRequest,
    key: &'static str,
) -> Result<Response, ApiError> {
    caller.needs("reserved_ip:read")?;
    let account = shared.account();
    Ok(page.answer(key, &account.reserved_ips, |ip| ip.body(&account, caller)))
}

fn single(
    State(shared): &State<Shared>,
    caller: &Caller,
    Path(ip): &Path<String>,
    key: &'static str,
) -> Result<Response, ApiError> {
    caller.needs("reserved_ip:read")?;
    let account = shared.account();
    let found = account.reserved_ips.iter().find(|known| known.ip == *ip);
    let found = found.ok_or_else(ApiError::not_found)?;
    Ok(one(key, &found.body(&account, caller)))
}
