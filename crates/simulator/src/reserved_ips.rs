//! Reserved IPs, once called floating IPs: one stock, two names for it in the API.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Account,
    answers::one,
    caller::Caller,
    catalogue::{self, Region},
    droplets::DropletBody,
    errors::ApiError,
    paging::PageRequest,
    state::Shared,
};

/// A reserved IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedIp {
    /// The address; also its id.
    pub ip: String,
    /// The region's slug.
    pub region: String,
    /// The droplet it points to. Unassigned ones are billed.
    pub droplet_id: Option<u64>,
}

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
    /// `do:floatingip:IP`: the projects API kept the older name.
    pub fn urn(&self) -> String {
        format!("do:floatingip:{}", self.ip)
    }

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

impl Account {
    /// The reserved IPs, in the order of their listing.
    pub fn reserved_ips(&self) -> &[ReservedIp] {
        &self.reserved_ips
    }

    /// Reserves an address: in the project of the droplet it points to, or unassigned in the default project.
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

    /// Lets an address point to a droplet, into whose project it goes.
    pub fn attach_reserved_ip(&mut self, ip: &str, droplet_id: u64) {
        self.set_droplet_of(ip, Some(droplet_id));
        if let Some(project) = self.project_of(&format!("do:droplet:{droplet_id}")) {
            self.assign(project, &format!("do:floatingip:{ip}"));
        }
    }

    /// Lets an address point to nothing. It stays in its project.
    pub fn detach_reserved_ip(&mut self, ip: &str) {
        self.set_droplet_of(ip, None);
    }

    fn set_droplet_of(&mut self, ip: &str, droplet_id: Option<u64>) {
        let mut all = self.reserved_ips.iter_mut();
        if let Some(reserved) = all.find(|reserved| reserved.ip == ip) {
            reserved.droplet_id = droplet_id;
        }
    }

    /// Gives an address back; it leaves its project too.
    pub fn remove_reserved_ip(&mut self, ip: &str) {
        self.reserved_ips.retain(|reserved| reserved.ip != ip);
        self.remove_member(&format!("do:floatingip:{ip}"));
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
