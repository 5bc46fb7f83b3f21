//! Projects and what lives in them.

use chrono::{DateTime, Utc};
use domain::projects::{MemberStatus, NewProject, ObservedProject, ProjectMember};
use domain::{Completeness, Urn};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::decode::{Unreadable, optional_time};
use crate::error::{Call, Error};
use crate::listing::Listing;
use crate::pages::Source;
use crate::paging::Paging;

const PROJECTS: &str = "/v2/projects";

/// What of a project's body has a place of its own. No field is required by the spec; without an id and a name it is no project.
#[derive(Deserialize)]
struct ProjectBody {
    id: Uuid,
    name: String,
    description: Option<String>,
    environment: Option<String>,
    is_default: Option<bool>,
}

const OWN_PLACE: [&str; 5] = ["id", "name", "description", "environment", "is_default"];

#[derive(Deserialize)]
struct MemberBody {
    urn: String,
    status: Option<String>,
    #[serde(default, deserialize_with = "optional_time")]
    assigned_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct CreatedProject {
    project: Value,
}

impl Client {
    /// Every project (`GET /v2/projects`).
    ///
    /// Each team has a default project, which cannot be deleted (documentation). A list without it is therefore incomplete, even
    /// where DigitalOcean calls it one of no projects: the token sees less than there is.
    pub async fn list_projects(&self) -> Listing<ObservedProject> {
        let mut listed = self
            .list(&Source {
                path: PROJECTS,
                envelope: "projects",
                paging: Paging::Pages,
                read: &|json| read_project(serde_json::from_str(json)?),
                id: Some(|project: &ObservedProject| project.provider_id.to_string()),
                beside: None,
            })
            .await;
        if !listed.items.iter().any(|project| project.is_default) {
            let reason = format!(
                "{PROJECTS}: none of {} projects is the default project, which every team has: does the token see all projects?",
                listed.items.len()
            );
            listed.completeness = listed.completeness.and(Completeness::Incomplete(reason));
        }
        listed
    }

    /// Creates a project (`POST /v2/projects`). A name that is taken is an [`Error::Conflict`] (observed).
    pub async fn create_project(&self, new: &NewProject) -> Result<ObservedProject, Error> {
        let body = json!({
            "name": new.name,
            "description": new.description,
            "purpose": new.purpose,
        });
        let created: CreatedProject = self.post_json(PROJECTS, &body).await?;
        read_project(created.project).map_err(|problem| {
            let call = Call {
                method: "POST",
                path: PROJECTS.to_owned(),
            };
            Error::unexpected(&call, format!("no project: {problem}"))
        })
    }

    /// What lives in a project (`GET /v2/projects/{id}/resources`), as far as the token may see it: members of kinds that it lacks
    /// the scope for are left out without a word (spec).
    pub async fn list_project_resources(&self, project: Uuid) -> Listing<ProjectMember> {
        self.list(&Source {
            path: &format!("{PROJECTS}/{project}/resources"),
            envelope: "resources",
            paging: Paging::Pages,
            read: &read_member,
            id: Some(|member: &ProjectMember| {
                format!("{}:{}", member.urn.kind, member.urn.provider_id)
            }),
            beside: None,
        })
        .await
    }
}

fn read_project(mut body: Value) -> Result<ObservedProject, Unreadable> {
    let own = ProjectBody::deserialize(&body)?;
    if let Some(rest) = body.as_object_mut() {
        rest.retain(|key, _| !OWN_PLACE.contains(&key.as_str()));
    }
    Ok(ObservedProject {
        provider_id: own.id,
        name: own.name,
        description: own.description.unwrap_or_default(),
        environment: own.environment,
        is_default: own.is_default.unwrap_or_default(),
        attrs: body,
    })
}

fn read_member(json: &str) -> Result<ProjectMember, Unreadable> {
    let body: MemberBody = serde_json::from_str(json)?;
    let urn: Urn = body
        .urn
        .parse()
        .map_err(|error: domain::InvalidUrn| Unreadable::new(error.to_string()))?;
    Ok(ProjectMember {
        urn,
        status: MemberStatus::from_word(&body.status.unwrap_or_default()),
        assigned_at: body.assigned_at,
    })
}
