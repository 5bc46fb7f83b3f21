//! The projects API: reading, creating, and the resources of a project.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Account, Member, MemberStatus, Project,
    answers::{json_answer, one},
    caller::Caller,
    errors::ApiError,
    identifiers::{OWNER_ID, OWNER_UUID, identifier, kind_and_id},
    paging::{Origin, PageRequest},
    state::Shared,
};

/// The purposes in DigitalOcean's control panel. Others are stored as `Other: ` and the text.
const PURPOSES: &[&str] = &[
    "Just trying out DigitalOcean",
    "Class project / Educational purposes",
    "Website or blog",
    "Web Application",
    "Service or API",
    "Mobile Application",
    "Machine learning / AI / Data processing",
    "IoT",
    "Operational / Developer tooling",
];

const ASSIGNABLE: &[&str] = &[
    "app",
    "dbaas",
    "domain",
    "droplet",
    "floatingip",
    "kubernetes",
    "loadbalancer",
    "space",
    "volume",
];

/// A project in the API's format.
#[derive(Serialize)]
struct ProjectBody<'a> {
    id: Uuid,
    owner_uuid: &'static str,
    owner_id: u64,
    name: &'a str,
    description: &'a str,
    purpose: &'a str,
    environment: &'a str,
    is_default: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Project {
    fn body(&self) -> ProjectBody<'_> {
        ProjectBody {
            id: self.id,
            owner_uuid: OWNER_UUID,
            owner_id: OWNER_ID,
            name: &self.name,
            description: &self.description,
            purpose: &self.purpose,
            environment: &self.environment,
            is_default: self.is_default,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// A member in the API's format.
#[derive(Serialize)]
struct MemberBody<'a> {
    urn: &'a str,
    assigned_at: DateTime<Utc>,
    links: SelfLink,
    status: &'a str,
}

#[derive(Serialize)]
struct SelfLink {
    #[serde(rename = "self")]
    this: String,
}

impl Member {
    fn body<'a>(&'a self, origin: &Origin, status: &'a str) -> MemberBody<'a> {
        let (kind, id) = kind_and_id(&self.urn);
        MemberBody {
            urn: &self.urn,
            assigned_at: self.assigned_at,
            links: SelfLink {
                this: format!("{}/v2/{}/{id}", origin.0, collection(kind)),
            },
            status,
        }
    }

    fn status_name(&self) -> &'static str {
        match self.status {
            MemberStatus::Ok => "ok",
            MemberStatus::NotFound => "not_found",
            MemberStatus::ServiceDown => "service_down",
        }
    }

    /// Returns whether the caller's scopes cover this member. Members that they do not cover are
    /// omitted without an error.
    fn visible_to(&self, caller: &Caller) -> bool {
        let scope = match kind_and_id(&self.urn).0 {
            "dbaas" => "database:read".to_owned(),
            "floatingip" => "reserved_ip:read".to_owned(),
            "loadbalancer" => "load_balancer:read".to_owned(),
            "space" => "spaces_key:read".to_owned(),
            "volume" => "block_storage:read".to_owned(),
            kind => format!("{kind}:read"),
        };
        caller.may(&scope)
    }
}

fn collection(kind: &str) -> &str {
    match kind {
        "app" => "apps",
        "dbaas" => "databases",
        "domain" => "domains",
        "droplet" => "droplets",
        "floatingip" => "floating_ips",
        "kubernetes" => "kubernetes/clusters",
        "loadbalancer" => "load_balancers",
        "volume" => "volumes",
        other => other,
    }
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    caller.needs("project:read")?;
    Ok(page.answer("projects", &shared.account().projects, Project::body))
}

pub(crate) async fn get(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("project:read")?;
    Ok(one("project", &find(&shared.account(), &id)?.body()))
}

/// The project with an id; `default` is an alias of the default project's id.
fn find<'a>(account: &'a Account, id: &str) -> Result<&'a Project, ApiError> {
    let id = match id {
        "default" => Ok(account.default_project()),
        id => Uuid::parse_str(id),
    };
    id.ok()
        .and_then(|id| account.project(id))
        .ok_or_else(ApiError::not_found)
}

#[derive(Deserialize)]
struct NewProject {
    name: String,
    purpose: String,
    #[serde(default)]
    description: String,
    environment: Option<String>,
}

pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, ApiError> {
    caller.needs("project:create")?;
    let request: NewProject = serde_json::from_slice(&body)
        .map_err(|_| ApiError::unprocessable("name and purpose are required"))?;
    let too_long = |text: &str, most: usize| text.chars().count() > most;
    if request.name.is_empty() || too_long(&request.name, 175) {
        return Err(ApiError::unprocessable(
            "name must have between 1 and 175 characters",
        ));
    }
    if request.purpose.is_empty()
        || too_long(&request.purpose, 255)
        || too_long(&request.description, 255)
    {
        return Err(ApiError::unprocessable(
            "purpose and description must not be longer than 255 characters",
        ));
    }
    let environment = request.environment.unwrap_or("Development".to_owned());
    if !["Development", "Staging", "Production"].contains(&environment.as_str()) {
        return Err(ApiError::unprocessable(
            "environment must be Development, Staging or Production",
        ));
    }
    let mut account = shared.account_mut();
    if account
        .projects
        .iter()
        .any(|project| project.name == request.name)
    {
        return Err(ApiError::conflict(
            "name is already in use (duplicate project name)",
        ));
    }
    let purpose = match request.purpose {
        known if PURPOSES.contains(&known.as_str()) => known,
        other => format!("Other: {other}"),
    };
    let now = Utc::now().trunc_subsecs(0);
    let project = Project {
        id: identifier("project", account.next_number()),
        name: request.name,
        description: request.description,
        purpose,
        environment,
        is_default: false,
        created_at: now,
        updated_at: now,
        members: Vec::new(),
    };
    let body = json!({ "project": project.body() });
    account.insert_project(project);
    Ok(json_answer(StatusCode::CREATED, body.to_string()))
}

pub(crate) async fn resources(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("project:read")?;
    let account = shared.account();
    let members = &find(&account, &id)?.members;
    let visible: Vec<&Member> = members
        .iter()
        .filter(|member| caller.may_everything() || member.visible_to(&caller))
        .collect();
    Ok(page.answer("resources", &visible, |member| {
        member.body(&page.origin, member.status_name())
    }))
}

#[derive(Deserialize)]
struct Assignment {
    resources: Vec<String>,
}

pub(crate) async fn assign(
    State(shared): State<Shared>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    caller.needs("project:assign_resource")?;
    let request: Assignment = serde_json::from_slice(&body)
        .map_err(|_| ApiError::unprocessable("resources must be a list of URNs"))?;
    let mut account = shared.account_mut();
    let project = find(&account, &id)?.id;
    for urn in &request.resources {
        refuse_unassignable(&account, project, urn)?;
    }
    let already: Vec<&String> = request
        .resources
        .iter()
        .filter(|urn| account.project_of(urn) == Some(project))
        .collect();
    for urn in &request.resources {
        account.assign(project, urn);
    }
    let members = &account
        .project(project)
        .ok_or_else(ApiError::not_found)?
        .members;
    let bodies: Vec<_> = members
        .iter()
        .map(|member| {
            let status = match () {
                () if already.contains(&&member.urn) => "already_assigned",
                () if request.resources.contains(&member.urn) => "assigned",
                () => member.status_name(),
            };
            member.body(&origin, status)
        })
        .collect();
    Ok(one("resources", &bodies))
}

fn refuse_unassignable(account: &Account, project: Uuid, urn: &str) -> Result<(), ApiError> {
    let (kind, id) = kind_and_id(urn);
    if !ASSIGNABLE.contains(&kind) {
        return Err(ApiError::bad_request(
            "resource types must be one of the following: AppPlatformApp Bucket Database Domain DomainRecord \
             Droplet Firewall FloatingIp Image Kubernetes LoadBalancer MarketplaceApp Saas Volume",
        ));
    }
    let current = account.project_of(urn).ok_or_else(ApiError::not_found)?;
    let attached = account
        .reserved_ips
        .iter()
        .any(|ip| kind == "floatingip" && ip.ip == id && ip.droplet_id.is_some());
    if attached && current != project {
        return Err(ApiError::precondition_failed(
            "Cannot move a Reserved IP with an associated Droplet; move the Droplet instead",
        ));
    }
    Ok(())
}
