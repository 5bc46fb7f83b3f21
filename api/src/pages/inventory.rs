//! `/inventory`: the resources of the account by kind, project, tenant, region and tag, now or at a
//! time in the past.

mod control_panel;
mod costs;
mod events;
mod overrides;
mod resource;
mod tables;
mod words;

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use domain::{ResourceKind, TenantId};
use rust_decimal::Decimal;
use serde_json::Value;
use store::inventory::Resource;
use store::projects::Project;
use store::{Store, StoreError};
use uuid::Uuid;

use super::format::{Moment, Money};
use super::freshness::FreshnessView;
use super::page::{Frame, PageProblem, render};
use super::parameters::{Parameters, address};
use super::session::Viewer;
use crate::ApiState;
use crate::paging::Paged;
use crate::routes::inventory::{InventoryQuery, csv_of_resources, read_counts, read_resources};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/inventory", get(show))
        .merge(resource::routes())
        .merge(overrides::routes())
}

/// A name with the address of a page.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) address: String,
}

/// An option of a select.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) name: String,
    pub(super) is_selected: bool,
}

impl Choice {
    /// Returns choices with equal names and values. A selected one that is not among them is added,
    /// so that the form keeps it.
    pub(super) fn named<T: Into<String>>(
        names: impl IntoIterator<Item = T>,
        selected: &str,
    ) -> Vec<Self> {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        if !selected.is_empty() && !names.iter().any(|name| name == selected) {
            names.push(selected.to_owned());
        }
        let names = names.into_iter();
        names
            .map(|name| Self {
                is_selected: name == selected,
                value: name.clone(),
                name,
            })
            .collect()
    }
}

struct Row {
    resource: Link,
    kind: String,
    region: String,
    status: String,
    project: Option<Link>,
    tenant: Option<Link>,
    price: Option<Money>,
    first_seen: Moment,
    last_seen: Moment,
    deleted: Option<Moment>,
    /// Number of complete listings without the resource.
    strikes: i32,
}

struct KindLink {
    kind: String,
    address: String,
    resources: i64,
    is_selected: bool,
}

#[derive(Template)]
#[template(path = "inventory.html")]
struct InventoryPage {
    frame: Frame,
    is_admin: bool,
    filters: Filters,
    kinds: Vec<KindLink>,
    is_of_all_kinds: bool,
    all_kinds: String,
    total: i64,
    rows: Vec<Row>,
    next: Option<String>,
    notes: Vec<String>,
    /// The requested time in the past.
    as_of: Option<Moment>,
    freshness: FreshnessView,
}

/// The fields of the filter form.
struct Filters {
    kinds: Vec<Choice>,
    projects: Vec<Choice>,
    tenants: Vec<Choice>,
    states: Vec<Choice>,
    region: String,
    tag: String,
    text: String,
    as_of: String,
    /// True if `as_of` is empty or a date, which a date field can show.
    is_date: bool,
    is_filtered: bool,
}

impl Filters {
    async fn of(
        parameters: &Parameters,
        tenant: Option<&TenantId>,
        projects: &Projects,
        store: &Store,
    ) -> Result<Self, StoreError> {
        let tenants = match tenant {
            Some(_) => Vec::new(),
            None => store.tenant_ids().await?,
        };
        let as_of = parameters.get("as_of").to_owned();
        let states = ["live", "deleted", "all"];
        let kinds = ResourceKind::ALL;
        Ok(Self {
            kinds: Choice::named(
                kinds.iter().map(ResourceKind::as_str),
                parameters.get("kind"),
            ),
            projects: projects.choices(parameters.get("project")),
            tenants: Choice::named(tenants, parameters.get("tenant")),
            states: Choice::named(states, parameters.get("state")),
            region: parameters.get("region").to_owned(),
            tag: parameters.get("tag").to_owned(),
            text: parameters.get("q").to_owned(),
            is_date: as_of.is_empty() || as_of.len() == "YYYY-MM-DD".len(),
            as_of,
            is_filtered: parameters.has_others_than(&["limit", "cursor", "as_of"]),
        })
    }
}

/// The most projects of a select and of the names that are read at once.
const MAX_PROJECTS: i64 = 500;

/// The projects of a viewer, for selects and names.
pub(super) struct Projects {
    live: Vec<Project>,
    others: HashMap<Uuid, String>,
}

impl Projects {
    /// Reads the live projects of a viewer, and the names of these projects.
    pub(super) async fn read(
        store: &Store,
        tenant: Option<&TenantId>,
        named: impl IntoIterator<Item = Uuid>,
    ) -> Result<Self, StoreError> {
        let live = store.projects(tenant, None, MAX_PROJECTS).await?;
        let named: BTreeSet<Uuid> = named.into_iter().collect();
        let mut others = HashMap::new();
        // Projects that are deleted, or beyond the maximum. A tenant sees the names of its current
        // projects only.
        for id in named {
            if live.iter().any(|project| project.id == id) {
                continue;
            }
            match store.project(id, tenant).await {
                Ok(project) => others.insert(id, project.name),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(Self { live, others })
    }

    /// Returns the name of a project, or its id.
    pub(super) fn name(&self, id: Uuid) -> String {
        let live = self.live.iter().find(|project| project.id == id);
        let name = live.map(|project| &project.name).or(self.others.get(&id));
        name.cloned().unwrap_or_else(|| id.to_string())
    }

    pub(super) fn choices(&self, selected: &str) -> Vec<Choice> {
        let choices = self.live.iter().map(|project| Choice {
            value: project.id.to_string(),
            name: project.name.clone(),
            is_selected: project.id.to_string() == selected,
        });
        let mut choices: Vec<Choice> = choices.collect();
        let is_listed = choices.iter().any(|choice| choice.is_selected);
        // A deleted one, or one beyond the maximum: the form keeps it.
        if let Some(id) = selected.parse().ok().filter(|_| !is_listed) {
            choices.push(Choice {
                value: selected.to_owned(),
                name: self.name(id),
                is_selected: true,
            });
        }
        choices
    }
}

/// Returns the list price of a resource in USD a month, as DigitalOcean returns it in the body.
fn list_price(attrs: &Value) -> Option<Money> {
    let places = ["/size/price_monthly", "/plan_price_per_month"];
    let price = places.into_iter().find_map(|place| attrs.pointer(place))?;
    let text = match price {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    text.parse::<Decimal>().ok().map(Money)
}

async fn show(
    viewer: Viewer,
    State(state): State<ApiState>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    let tenant = viewer.access.role.tenant();
    let read = Paged::<InventoryQuery>::read(parameters.pairs())?;
    if read.pages.is_csv() {
        let tenant = tenant.cloned();
        let Paged { filter, pages } = read;
        return Ok(csv_of_resources(store, viewer, tenant.as_ref(), filter, &pages).await?);
    }
    let list = read_resources(store, tenant, read.filter, &read.pages).await?;
    let mut of_all_kinds = parameters.pairs();
    of_all_kinds.retain(|(name, _)| name != "kind");
    let of_all_kinds = Paged::<InventoryQuery>::read(of_all_kinds)?;
    let counts = read_counts(store, tenant, of_all_kinds.filter).await?;
    let named = list
        .data
        .iter()
        .filter_map(|resource| resource.cloud_project_id);
    let projects = Projects::read(store, tenant, named).await?;
    let meta = list.meta;
    let rows = list
        .data
        .into_iter()
        .map(|resource| row(resource, &projects, &parameters));
    render(&InventoryPage {
        frame: viewer.frame("Inventory", "/inventory"),
        is_admin: tenant.is_none(),
        filters: Filters::of(&parameters, tenant, &projects, store).await?,
        is_of_all_kinds: parameters.get("kind").is_empty(),
        all_kinds: parameters.link("/inventory", "kind", ""),
        total: counts.iter().map(|count| count.resources).sum(),
        kinds: counts
            .into_iter()
            .map(|count| KindLink {
                address: parameters.link("/inventory", "kind", &count.kind),
                is_selected: parameters.get("kind") == count.kind,
                resources: count.resources,
                kind: count.kind,
            })
            .collect(),
        rows: rows.collect(),
        next: meta
            .next_cursor
            .map(|cursor| parameters.link("/inventory", "cursor", &cursor)),
        notes: meta
            .common
            .notes
            .into_iter()
            .map(|note| note.detail)
            .collect(),
        as_of: (!parameters.get("as_of").is_empty()).then_some(Moment(meta.common.as_of)),
        freshness: meta.common.freshness.unwrap_or_default().into(),
    })
}

fn row(resource: Resource, projects: &Projects, parameters: &Parameters) -> Row {
    let as_of = parameters.get("as_of");
    let as_of = Some(("as_of", as_of)).filter(|(_, time)| !time.is_empty());
    let path = format!("/inventory/{}", resource.id);
    Row {
        resource: Link {
            address: address(&path, as_of.as_slice()),
            name: resource.name,
        },
        region: resource.region.unwrap_or_default(),
        status: resource.status.unwrap_or_default(),
        project: resource.cloud_project_id.map(|id| Link {
            name: projects.name(id),
            address: parameters.link("/inventory", "project", &id.to_string()),
        }),
        tenant: resource.tenant_id.map(|tenant| Link {
            address: parameters.link("/inventory", "tenant", &tenant),
            name: tenant,
        }),
        price: list_price(&resource.attrs),
        first_seen: Moment(resource.first_seen_at),
        last_seen: Moment(resource.last_seen_at),
        deleted: resource.deleted_at.map(Moment),
        strikes: resource.stale_strike_count,
        kind: resource.kind,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_price_is_read_from_the_body() {
        for (attrs, expected) in [
            (json!({ "size": { "price_monthly": 6.0 } }), Some("6.00")),
            (json!({ "plan_price_per_month": 10 }), Some("10.00")),
            (json!({ "size": "small" }), None),
            (json!({}), None),
        ] {
            let price = list_price(&attrs).map(|price| price.to_string());
            assert_eq!(price.as_deref(), expected, "{attrs}");
        }
    }
}
