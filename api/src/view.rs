//! What a tenant sees of things that are its own now and were others' before, or that belong together with others' things: nothing
//! that names those.

mod attributes;

use std::collections::HashSet;

use domain::TenantId;
use serde_json::Value;
use store::inventory::Resource;
use store::{Store, StoreError};
use uuid::Uuid;

use crate::access::Caller;

/// What the caller may read of other tenants: all for an admin, nothing for a tenant.
pub(crate) struct View {
    confined: Option<Confined>,
}

struct Confined {
    tenant: TenantId,
    /// Those that are the tenant's or were.
    projects: HashSet<Uuid>,
}

impl View {
    pub(crate) async fn of(caller: &Caller, store: &Store) -> Result<Self, StoreError> {
        let Some(tenant) = caller.tenant() else {
            return Ok(Self { confined: None });
        };
        let projects = store.projects_known_to(tenant).await?;
        Ok(Self {
            confined: Some(Confined {
                tenant: tenant.clone(),
                projects: projects.into_iter().collect(),
            }),
        })
    }

    pub(crate) fn shows_all(&self) -> bool {
        self.confined.is_none()
    }

    pub(crate) fn shows_tenant(&self, tenant: Option<&str>) -> bool {
        self.confined
            .as_ref()
            .is_none_or(|confined| tenant == Some(confined.tenant.as_str()))
    }

    pub(crate) fn shows_project(&self, project: Uuid) -> bool {
        self.confined
            .as_ref()
            .is_none_or(|confined| confined.projects.contains(&project))
    }

    /// Leaves out of a resource, as it is or was, who else it belongs to and which other resources it names.
    pub(crate) fn narrow_resource(&self, resource: &mut Resource) {
        if self.shows_all() {
            return;
        }
        attributes::narrow(&mut resource.attrs);
        if !self.shows_tenant(resource.tenant_id.as_deref()) {
            resource.tenant_id = None;
        }
        resource.cloud_project_id = resource
            .cloud_project_id
            .filter(|project| self.shows_project(*project));
    }

    /// Leaves out of an event's changes whom the resource came from and went to, what it was before it came, which other resources
    /// it named, and who of the operators said so.
    pub(crate) fn narrow_changes(&self, changes: &mut Value) {
        if self.shows_all() {
            return;
        }
        let from = changes.pointer("/tenant_id/before");
        let was_others = from.is_some_and(|tenant| !self.shows_tenant(tenant.as_str()));
        for (field, change) in changes.as_object_mut().into_iter().flatten() {
            for (side, value) in change.as_object_mut().into_iter().flatten() {
                match field.as_str() {
                    _ if was_others && side == "before" => *value = Value::Null,
                    "tenant_id" => self.narrow_tenant(value),
                    "cloud_project_id" | "provider_project_id" => self.narrow_project(value),
                    "pin" if side != "by" => self.narrow_pin(value),
                    "pin" | "relations" | "approved_by" => *value = Value::Null,
                    "attrs" => attributes::narrow(value),
                    field => {
                        if let Some(key) = field.strip_prefix("attrs.") {
                            attributes::narrow_one(key, value);
                        }
                    }
                }
            }
        }
    }

    fn narrow_tenant(&self, value: &mut Value) {
        if !self.shows_tenant(value.as_str()) {
            *value = Value::Null;
        }
    }

    fn narrow_project(&self, value: &mut Value) {
        let project = value.as_str().and_then(|id| id.parse().ok());
        if !project.is_some_and(|project| self.shows_project(project)) {
            *value = Value::Null;
        }
    }

    /// The times of a tenant or project that is not shown are not shown either.
    fn narrow_pin(&self, value: &mut Value) {
        if let Some(tenant) = value.get_mut("tenant_id") {
            self.narrow_tenant(tenant);
        }
        if let Some(project) = value.get_mut("cloud_project_id") {
            self.narrow_project(project);
        }
        for (of, since) in [
            ("tenant_id", "tenant_since"),
            ("cloud_project_id", "project_since"),
        ] {
            let is_hidden = value.get(of).is_some_and(Value::is_null);
            if let Some(since) = value.get_mut(since).filter(|_| is_hidden) {
                *since = Value::Null;
            }
        }
    }
}
