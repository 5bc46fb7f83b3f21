//! `/v2/tags`: the tags that droplets, volumes and the other kinds bear, each with how many of what.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use crate::{
    Account, caller::Caller, errors::ApiError, kinds::KINDS, paging::PageRequest, state::Shared,
};

/// The scope without which lists of resources leave `tags` out, without a word.
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
    let mut borne: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut bear = |collection, tags: &[String]| {
        for tag in tags {
            let counts = borne.entry(tag.clone()).or_default();
            *counts.entry(collection).or_default() += 1;
        }
    };
    for droplet in account.droplets.iter().chain(&account.gpu_droplets) {
        bear("droplets", &droplet.tags);
    }
    for volume in &account.volumes {
        bear("volumes", &volume.tags);
    }
    // The API counts these apart; of what else bears tags, only the sum tells.
    let counted = |word: &str| match word {
        "database_cluster" => "databases",
        "image" => "images",
        "snapshot" => "volume_snapshots",
        _ => "others",
    };
    for kind in KINDS {
        for resource in account.stock.of(kind.word) {
            let tags: Option<Vec<String>> =
                serde_json::from_value(resource.body()["tags"].take()).ok();
            bear(counted(kind.word), &tags.unwrap_or_default());
        }
    }
    let tags = borne.into_iter().map(|(name, counts)| {
        let mut resources = json!({ "count": counts.values().sum::<u64>() });
        for collection in [
            "droplets",
            "images",
            "volumes",
            "volume_snapshots",
            "databases",
        ] {
            let count = counts.get(collection).copied().unwrap_or_default();
            resources[collection] = json!({ "count": count });
        }
        json!({ "name": name, "resources": resources })
    });
    tags.collect()
}
