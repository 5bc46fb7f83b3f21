//! Reads projects and their resources, and creates projects.

use std::sync::Arc;

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

/// The fields of a project that are stored in separate columns. The spec requires no field; a body
/// without an id and a name is not a project.
#[derive(Deserialize)]
struct ProjectBody {
    id: Uuid,
    name: String,
    description: Option<String>,
    environment: Option<String>,
    is_default: Option<bool>,
}

const COLUMN_FIELDS: [&str; 5] = ["id", "name", "description", "environment", "is_default"];

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
    /// Lists every project (`GET /v2/projects`).
    ///
    /// Each team has a default project, which cannot be deleted (documentation). A list without it
    /// is therefore incomplete, even if DigitalOcean reports no projects: the token cannot read all
    /// of them.
    pub async fn list_projects(&self) -> Listing<ObservedProject> {
        let mut listed = self
            .list(&Source {
                path: PROJECTS,
                envelope: "projects",
                paging: Paging::Pages,
                read: Arc::new(|json| read_project(serde_json::from_str(json)?)),
                id: Some(|project: &ObservedProject| project.provider_id.to_string()),
                extra: None,
            })
            .await;
        if !listed.items.iter().any(|project| project.is_default) {
            let reason = format!(
                "{PROJECTS}: {} projects without the default project, which every team has: use a token that can read all projects",
                listed.items.len()
            );
            listed.completeness = listed.completeness.and(Completeness::Incomplete(reason));
        }
        listed
    }

    /// Creates a project (`POST /v2/projects`). A name that is taken is an [`Error::Conflict`]
    /// (observed).
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
            Error::unexpected(&call, format!("an invalid project: {problem}"))
        })
    }

    /// Lists the resources of a project (`GET /v2/projects/{id}/resources`) that the token may
    /// read. Resources of kinds for which it lacks the scope are omitted without an error (spec).
    pub async fn list_project_resources(&self, project: Uuid) -> Listing<ProjectMember> {
        self.list(&Source {
            path: &format!("{PROJECTS}/{project}/resources"),
            envelope: "resources",
            paging: Paging::Pages,
            read: Arc::new(read_member),
            id: Some(|member: &ProjectMember| {
                format!("{}:{}", member.urn.kind, member.urn.provider_id)
            }),
            extra: None,
        })
        .await
    }
}

fn read_project(mut body: Value) -> Result<ObservedProject, Unreadable> {
    let own = ProjectBody::deserialize(&body)?;
    if let Some(rest) = body.as_object_mut() {
        rest.retain(|key, _| !COLUMN_FIELDS.contains(&key.as_str()));
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
        status: MemberStatus::from_status(&body.status.unwrap_or_default()),
        assigned_at: body.assigned_at,
    })
}
