//! Redaction for tenants: removes references to other tenants, their projects and their resources
//! from resources and events.

mod attributes;

use std::collections::HashSet;

use domain::TenantId;
use serde_json::Value;
use store::inventory::Resource;
use store::{Store, StoreError};
use uuid::Uuid;

use crate::access::Caller;

/// The data that a caller may see: everything for an admin, its own data for a tenant.
pub(crate) struct View {
    /// None for an admin.
    restriction: Option<Restriction>,
}

struct Restriction {
    tenant: TenantId,
    /// Current and former projects of the tenant.
    projects: HashSet<Uuid>,
}

impl View {
    /// Loads the view of a caller.
    pub(crate) async fn of(caller: &Caller, store: &Store) -> Result<Self, StoreError> {
        Self::of_tenant(caller.tenant(), store).await
    }

    /// Loads the view of a tenant, or without a tenant the view of an admin.
    pub(crate) async fn of_tenant(
        tenant: Option<&TenantId>,
        store: &Store,
    ) -> Result<Self, StoreError> {
        let Some(tenant) = tenant else {
            return Ok(Self { restriction: None });
        };
        let projects = store.projects_ever_assigned_to(tenant).await?;
        Ok(Self {
            restriction: Some(Restriction {
                tenant: tenant.clone(),
                projects: projects.into_iter().collect(),
            }),
        })
    }

    pub(crate) fn shows_all(&self) -> bool {
        self.restriction.is_none()
    }

    pub(crate) fn shows_tenant(&self, tenant: Option<&str>) -> bool {
        self.restriction
            .as_ref()
            .is_none_or(|restriction| tenant == Some(restriction.tenant.as_str()))
    }

    pub(crate) fn shows_project(&self, project: Uuid) -> bool {
        self.restriction
            .as_ref()
            .is_none_or(|restriction| restriction.projects.contains(&project))
    }

    /// Removes other tenants, their projects and references to other resources from a current or
    /// past state of a resource.
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

    /// Removes from the changes of an event: other tenants, the values before the resource became
    /// the tenant's, references to other resources, and the names of operators.
    pub(crate) fn narrow_changes(&self, changes: &mut Value) {
        if self.shows_all() {
            return;
        }
        let previous = changes.pointer("/tenant_id/before");
        let was_of_another = previous.is_some_and(|tenant| !self.shows_tenant(tenant.as_str()));
        for (field, change) in changes.as_object_mut().into_iter().flatten() {
            for (side, value) in change.as_object_mut().into_iter().flatten() {
                match field.as_str() {
                    _ if was_of_another && side == "before" => *value = Value::Null,
                    "tenant_id" => self.narrow_tenant(value),
                    "cloud_project_id" | "provider_project_id" => self.narrow_project(value),
                    "override" if side != "by" => self.narrow_override(value),
                    "override" | "relations" | "approved_by" => *value = Value::Null,
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

    /// Removes hidden tenants and projects from an override, with their start times.
    fn narrow_override(&self, value: &mut Value) {
        if let Some(tenant) = value.get_mut("tenant_id") {
            self.narrow_tenant(tenant);
        }
        if let Some(project) = value.get_mut("cloud_project_id") {
            self.narrow_project(project);
        }
        for (field, since) in [
            ("tenant_id", "tenant_since"),
            ("cloud_project_id", "project_since"),
        ] {
            let is_hidden = value.get(field).is_some_and(Value::is_null);
            if let Some(since) = value.get_mut(since).filter(|_| is_hidden) {
                *since = Value::Null;
            }
        }
    }
}
