//! The tables of the page of a resource as CSV.

use axum::response::Response;
use store::Store;
use uuid::Uuid;

use super::costs::read_costs_of;
use crate::csv;
use crate::pages::attributes::flatten;
use crate::pages::page::PageProblem;
use crate::pages::parameters::{Parameters, unknown_table};
use crate::pages::session::Viewer;
use crate::paging::{PageQuery, Paged};
use crate::routes::inventory::history::csv_of_events;
use crate::routes::inventory::relations::{file_of, read_memberships, read_relations};
use crate::routes::inventory::{ResourceQuery, read_resource};

const COSTS: &str = "costs";
const RELATIONS: &str = "relations";
const EVENTS: &str = "events";
const MEMBERSHIPS: &str = "memberships";
const ATTRIBUTES: &str = "attributes";

/// Returns a table as CSV, as far as the viewer may see it.
pub(super) async fn csv_of(
    viewer: Viewer,
    store: &Store,
    id: Uuid,
    table: &str,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let Paged { filter: query, .. } = Paged::<ResourceQuery>::read(parameters.pairs())?;
    let (own, all) = (viewer.tenant().cloned(), PageQuery::csv());
    let tenant = own.as_ref();
    // Refuses the resource of another tenant.
    let resource = read_resource(store, tenant, id, query).await?.data.resource;
    let response = match table {
        COSTS => {
            viewer.require_costs()?;
            let costs = read_costs_of(store, tenant, id).await?;
            csv::whole(viewer, file_of("costs-of-resource", id), costs)?
        }
        RELATIONS => {
            let list = read_relations(store, tenant, id, &all).await?;
            csv::list(viewer, &all, file_of(RELATIONS, id), list)?
        }
        EVENTS => csv_of_events(store, viewer, tenant, id).await?,
        MEMBERSHIPS => {
            let list = read_memberships(store, tenant, id, &all).await?;
            csv::list(viewer, &all, file_of(MEMBERSHIPS, id), list)?
        }
        ATTRIBUTES => csv::whole(viewer, file_of(ATTRIBUTES, id), flatten(&resource.attrs))?,
        _ => {
            let known = [COSTS, RELATIONS, EVENTS, MEMBERSHIPS, ATTRIBUTES];
            return Err(unknown_table(table, &known));
        }
    };
    Ok(response)
}
