//! Reads the list of resources, by pages or as CSV.

use std::sync::Arc;

use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use domain::TenantId;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Store;
use store::inventory::{AfterResource, Resource, ResourceFilter};
use uuid::Uuid;

use super::{InventoryQuery, past};
use crate::csv::{self, FileName};
use crate::envelope::List;
use crate::extract::Text;
use crate::paging::{Page, PageQuery};
use crate::problem::Problem;
use crate::view::View;

/// The key of a resource in the list.
#[derive(Deserialize)]
pub(super) struct ResourcePlace {
    kind: Text,
    name: Text,
    id: Uuid,
}

/// A list of resources, as far as the caller may see them.
pub(super) struct Listing {
    store: Store,
    pub(super) filter: ResourceFilter,
    pub(super) as_of: Option<DateTime<Utc>>,
    pub(super) view: View,
    /// Identifies the list in cursors.
    pub(super) name: Value,
}

impl Listing {
    /// Returns the list of a query; with `tenant`, as that tenant sees it.
    pub(super) async fn of(
        store: &Store,
        tenant: Option<&TenantId>,
        query: InventoryQuery,
    ) -> Result<Self, Problem> {
        let as_of = past(store, query.as_of).await?;
        let existence = query.state.unwrap_or_default();
        let filter = query.filter(tenant)?;
        let name = json!({ "inventory": {
            "kind": filter.kind,
            "project": filter.project,
            "tenant": filter.tenant,
            "state": existence,
            "region": filter.region,
            "tag": filter.tag,
            "q": filter.text,
            "as_of": as_of,
        }});
        Ok(Self {
            store: store.clone(),
            filter,
            as_of,
            view: View::of_tenant(tenant, store).await?,
            name,
        })
    }

    pub(super) async fn read(
        &self,
        mut page: Page<ResourcePlace>,
    ) -> Result<List<Resource>, Problem> {
        let after = page.after.take().map(|place| AfterResource {
            kind: place.kind.into(),
            name: place.name.into(),
            id: place.id,
        });
        let (store, after, rows) = (&self.store, after.as_ref(), page.rows_to_fetch());
        let mut resources = match self.as_of {
            Some(at) => store.resources_as_of(at, &self.filter, after, rows).await?,
            None => store.resources(&self.filter, after, rows).await?,
        };
        for resource in &mut resources {
            self.view.narrow_resource(resource);
        }
        Ok(page.show(
            resources,
            |last| json!({ "kind": last.kind, "name": last.name, "id": last.id }),
        ))
    }
}

/// Longer than any transaction that records a rename.
const RENAME_MARGIN: TimeDelta = TimeDelta::minutes(10);

/// Returns all resources as CSV; with `tenant`, as that tenant sees them. Fails if a resource is
/// renamed in the meantime: the list is ordered by name, so that the resource could be missing or
/// doubled.
pub(crate) async fn csv_of_resources(
    store: &Store,
    caller: impl Send + 'static,
    tenant: Option<&TenantId>,
    query: InventoryQuery,
    pages: &PageQuery,
) -> Result<Response, Problem> {
    let listing = Arc::new(Listing::of(store, tenant, query).await?);
    // Renames are counted, because one that commits during the download can have begun before.
    let since = store.now().await? - RENAME_MARGIN;
    let renames = store.renames_since(since).await?;
    let file = FileName::new("inventory")
        .with(listing.filter.kind.as_deref())
        .with(listing.filter.tenant.as_deref());
    let page = pages.page(listing.name.clone())?;
    csv::stream(store, caller, file, page, move |page| {
        let listing = Arc::clone(&listing);
        async move {
            let (is_first, is_past) = (page.after.is_none(), listing.as_of.is_some());
            let list = listing.read(page).await?;
            let is_whole = is_first || is_past || list.meta.next_cursor.is_some();
            if !is_whole && listing.store.renames_since(since).await? != renames {
                return Err(Problem::Conflict(
                    "resources were renamed during the download: repeat it".to_owned(),
                ));
            }
            Ok(list)
        }
    })
    .await
}
