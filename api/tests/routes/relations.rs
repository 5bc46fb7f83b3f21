//! Tests of relations between resources, and of memberships in projects.

use domain::ResourceKind;
use domain::inventory::{Direction, Relation, RelationKind};
use serde_json::json;

use crate::support::{TestApi, column, resource, rows, sweep};

/// Returns a relation to the droplet that a resource is attached to.
pub(crate) fn attached_to(droplet: &str) -> Relation {
    Relation {
        relation: RelationKind::AttachedTo,
        other: ResourceKind::DROPLET.with_id(droplet),
        direction: Direction::ToOther,
    }
}

/// Creates a volume that is attached to web-1 of acme, to db-1 of globex, and to an unknown
/// droplet. It gets the tenant of the first.
async fn attach_volume(api: &TestApi) {
    let kind = ResourceKind::VOLUME;
    let mut volume = resource(kind.clone(), "v-1".to_owned(), "data-1");
    volume.relations = vec![attached_to("1"), attached_to("4"), attached_to("99")];
    sweep(&api.store, &kind, &[volume]).await;
}

async fn relations(api: &TestApi, token: &str, name: &str) -> serde_json::Value {
    let id = api.resource_id(name).await;
    let path = format!("/api/v1/inventory/{id}/relations");
    api.get(token, &path).await.ok()
}

#[tokio::test]
async fn a_relation_is_listed_on_both_resources() {
    let api = TestApi::with_account().await;
    attach_volume(&api).await;
    let (volume, web_1) = (
        api.resource_id("data-1").await,
        api.resource_id("web-1").await,
    );
    let of_volume = relations(&api, &api.admin, "data-1").await;
    assert_eq!(column(&of_volume, "provider_id"), ["1", "4", "99"]);
    assert_eq!(
        of_volume["data"][0],
        json!({
            "relation": "attached_to",
            "direction": "to",
            "id": web_1,
            "kind": "droplet",
            "provider_id": "1",
            "name": "web-1",
        })
    );
    // The mirror does not have this droplet.
    assert_eq!(
        (&of_volume["data"][2]["id"], &of_volume["data"][2]["name"]),
        (&json!(null), &json!(null))
    );
    let of_droplet = relations(&api, &api.admin, "web-1").await;
    assert_eq!(
        rows(&of_droplet),
        [json!({
            "relation": "attached_to",
            "direction": "from",
            "id": volume,
            "kind": "volume",
            "provider_id": "v-1",
            "name": "data-1",
        })]
    );
    let kinds: Vec<_> = of_droplet["meta"]["freshness"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fresh| fresh["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["droplet", "volume"]);
}

#[tokio::test]
async fn relations_come_in_pages() {
    let api = TestApi::with_account().await;
    attach_volume(&api).await;
    let id = api.resource_id("data-1").await;
    let path = format!("/api/v1/inventory/{id}/relations?limit=2");
    let first = api.get(&api.admin, &path).await.ok();
    let cursor = first["meta"]["next_cursor"].as_str().unwrap();
    let second = api
        .get(&api.admin, &format!("{path}&cursor={cursor}"))
        .await
        .ok();
    assert_eq!(column(&first, "provider_id"), ["1", "4"]);
    assert_eq!(column(&second, "provider_id"), ["99"]);
    assert_eq!(second["meta"]["next_cursor"], json!(null));
}

#[tokio::test]
async fn a_tenant_sees_relations_between_its_own_resources_only() {
    let api = TestApi::with_account().await;
    attach_volume(&api).await;
    let of_volume = relations(&api, &api.acme, "data-1").await;
    assert_eq!(column(&of_volume, "name"), ["web-1"]);
    let of_droplet = relations(&api, &api.globex, "db-1").await;
    assert_eq!(rows(&of_droplet), [json!(null); 0]);
}

#[tokio::test]
async fn memberships_are_dated_and_do_not_overlap() {
    let api = TestApi::with_account().await;
    let (alpha, beta) = (api.project_id("alpha").await, api.project_id("beta").await);
    let one = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    let change = json!({ "cloud_project_id": beta }).to_string();
    api.patch(&api.admin, &one, &change).await.ok();

    let path = format!("{one}/memberships");
    let memberships = api.get(&api.admin, &path).await.ok();
    assert_eq!(column(&memberships, "cloud_project_id"), [beta, alpha]);
    assert_eq!(column(&memberships, "project_name"), ["beta", "alpha"]);
    let [now, before] = rows(&memberships) else {
        panic!("{memberships}");
    };
    assert_eq!(now["valid_to"], json!(null));
    assert_eq!(before["valid_to"], now["valid_from"]);
    assert_eq!(column(&memberships, "is_override"), ["true", "false"]);

    let by_globex = api.get(&api.globex, &path).await.ok();
    assert_eq!(column(&by_globex, "project_name"), ["beta"]);

    // Without the override only the memberships from DigitalOcean remain.
    let undo = json!({ "cloud_project_id": null }).to_string();
    api.patch(&api.admin, &one, &undo).await.ok();
    let memberships = api.get(&api.admin, &path).await.ok();
    assert_eq!(column(&memberships, "project_name"), ["alpha"]);
    assert_eq!(memberships["data"][0]["valid_to"], json!(null));
}
