//! `/v2/tags`: the tags of all resources, with the number of resources of each.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use crate::{
    Account, caller::Caller, errors::ApiError, kinds::KINDS, paging::PageRequest, state::Shared,
};

/// The scope for `tags`. Without it, lists of resources omit them without an error.
pub(crate) const SCOPE: &str = "tag:read";

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    caller.needs(SCOPE)?;
    let tags = tags(&shared.account());
    Ok(page.answer("tags", &tags, Clone::clone))
}

fn tags(account: &Account) -> Vec<Value> {
    let mut counts_by_tag: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut count = |collection, tags: &[String]| {
        for tag in tags {
            let counts = counts_by_tag.entry(tag.clone()).or_default();
            *counts.entry(collection).or_default() += 1;
        }
    };
    for droplet in account.droplets.iter().chain(&account.gpu_droplets) {
        count("droplets", &droplet.tags);
    }
    for volume in &account.volumes {
        count("volumes", &volume.tags);
    }
    // The API counts these separately; others are only part of the sum.
    let collection = |kind: &str| match kind {
        "database_cluster" => "databases",
        "image" => "images",
        "snapshot" => "volume_snapshots",
        _ => "others",
    };
    for kind in KINDS {
        for resource in account.stock.of(kind.slug) {
            let tags: Option<Vec<String>> =
                serde_json::from_value(resource.body()["tags"].take()).ok();
            count(collection(kind.slug), &tags.unwrap_or_default());
        }
    }
    let tags = counts_by_tag.into_iter().map(|(name, counts)| {
        let mut resources = json!({ "count": counts.values().sum::<u64>() });
        for collection in [
            "droplets",
            "images",
            "volumes",
            "volume_snapshots",
            "databases",
        ] {
            let number = counts.get(collection).copied().unwrap_or_default();
            resources[collection] = json!({ "count": number });
        }
        json!({ "name": name, "resources": resources })
    });
    tags.collect()
}
