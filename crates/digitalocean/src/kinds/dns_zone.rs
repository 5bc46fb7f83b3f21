//! The listing of DNS zones, which `DigitalOcean` calls domains, and their records.

use domain::ResourceKind;
use domain::inventory::{ObservedResource, RelationKind};

use super::body::relation_to;
use super::{Body, Children, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = zones(None);

pub(super) static LISTING_WITH_RECORDS: ResourceListing = zones(Some(Children {
    kind: ResourceKind::DNS_RECORD,
    path: |zone| format!("/v2/domains/{zone}/records"),
    envelope: "domain_records",
    paging: Paging::Pages,
    ordered: &[],
    read: read_record,
}));

const fn zones(children: Option<Children>) -> ResourceListing {
    ResourceListing {
        kind: ResourceKind::DNS_ZONE,
        included: &[],
        paths: &["/v2/domains"],
        envelope: "domains",
        scope: "domain:read",
        paging: Paging::Pages,
        ordered: &[],
        children,
        read,
    }
}

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let name = body.id("name")?;
    // The zone file repeats all records, as a text of any length.
    let body = body.without(&["zone_file"]);
    let mut zone = body.resource(ResourceKind::DNS_ZONE, name.clone())?;
    zone.name.clone_from(&zone.provider_id);
    // The path of its records needs the name in the spelling of DigitalOcean.
    Ok(Item {
        id: name,
        resources: vec![zone],
    })
}

fn read_record(zone: &str, body: Body<'_>) -> Result<ObservedResource, Unreadable> {
    let id = body.id("id")?;
    let mut record = body.resource(ResourceKind::DNS_RECORD, id)?;
    record.relations = vec![relation_to(
        RelationKind::RecordOf,
        ResourceKind::DNS_ZONE,
        zone,
    )];
    Ok(record)
}
