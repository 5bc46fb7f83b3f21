//! Tests of past states and events of resources, and of their visibility to tenants.

use domain::ResourceKind;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{TestApi, column, live_droplets, resource, rows, sweep};

async fn names_as_of(api: &TestApi, token: &str, time: &str, query: &str) -> Vec<String> {
    let path = format!("/api/v1/inventory?as_of={time}&{query}");
    column(&api.get(token, &path).await.ok(), "name")
}

/// Renames web-1, deletes web-2 and assigns alpha to globex. Returns the time before these changes.
async fn change_account(api: &TestApi) -> String {
    let before = api.now().await;
    let mut droplets = live_droplets();
    droplets.retain(|droplet| droplet.name != "web-2");
    for droplet in &mut droplets {
        if droplet.name == "web-1" {
            "front-1".clone_into(&mut droplet.name);
        }
    }
    for _strike in 0..3 {
        sweep(&api.store, &ResourceKind::DROPLET, &droplets).await;
    }
    api.assign_project("alpha", "globex").await;
    before
}

#[tokio::test]
async fn the_inventory_of_a_past_time_is_filtered_by_past_states() {
    let api = TestApi::with_account().await;
    let past_time = change_account(&api).await;
    for (query, expected) in [
        ("kind=droplet", vec!["db-1", "web-1", "web-2"]),
        ("q=front", vec![]),
        ("q=web", vec!["web-1", "web-2"]),
        ("tenant=acme&kind=droplet", vec!["web-1", "web-2"]),
        ("state=deleted", vec!["gone-1"]),
    ] {
        let names = names_as_of(&api, &api.admin, &past_time, query).await;
        assert_eq!(names, expected, "{query}");
    }
    assert_eq!(
        names_as_of(&api, &api.admin, "2013-01-01T00:00:00Z", "state=all").await,
        [""; 0]
    );
    let now = api.now().await;
    assert_eq!(
        names_as_of(&api, &api.admin, &now, "kind=droplet").await,
        ["db-1", "front-1"]
    );

    let path = format!("/api/v1/inventory?as_of={past_time}&q=web-1");
    let list = api.get(&api.admin, &path).await.ok();
    assert_eq!(list["meta"]["as_of"], *past_time);
    assert_eq!(list["data"][0]["tenant_id"], "acme");
    let id = api.resource_id("front-1").await;
    let path = format!("/api/v1/inventory/{id}?as_of={past_time}");
    let one = api.get(&api.admin, &path).await.ok();
    assert_eq!(one["meta"]["as_of"], *past_time);
    assert_eq!(one["data"]["name"], "web-1");
}

#[tokio::test]
async fn a_cursor_of_a_past_time_is_valid_for_that_time_only() {
    let api = TestApi::with_account().await;
    let past_time = change_account(&api).await;
    let path = format!("/api/v1/inventory?as_of={past_time}&kind=droplet&limit=2");
    let page = api.get(&api.admin, &path).await.ok();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    let next = api
        .get(&api.admin, &format!("{path}&cursor={cursor}"))
        .await
        .ok();
    assert_eq!(column(&next, "name"), ["web-2"]);
    let present = format!("/api/v1/inventory?kind=droplet&limit=2&cursor={cursor}");
    api.get(&api.admin, &present).await.problem(404);
}

#[tokio::test]
async fn a_tenant_sees_its_own_resources_of_a_past_time() {
    let api = TestApi::with_account().await;
    let past_time = change_account(&api).await;
    let id = api.resource_id("front-1").await;
    assert_eq!(
        names_as_of(&api, &api.acme, &past_time, "kind=droplet").await,
        ["web-1", "web-2"]
    );
    assert_eq!(
        names_as_of(&api, &api.globex, &past_time, "kind=droplet").await,
        ["db-1"]
    );
    let present = format!("/api/v1/inventory/{id}");
    let past = format!("{present}?as_of={past_time}");
    for (token, path, status) in [
        (&api.acme, &past, 200),
        (&api.acme, &present, 404),
        (&api.globex, &past, 404),
        (&api.globex, &present, 200),
    ] {
        assert_eq!(api.get(token, path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn events_of_a_resource_are_listed_from_the_latest() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("gone-1").await;
    let events = api
        .get(&api.admin, &format!("/api/v1/inventory/{id}/events"))
        .await
        .ok();
    assert_eq!(
        column(&events, "event"),
        ["deleted", "updated", "discovered"]
    );
    assert_json_snapshot!(events["data"][1], {
        ".id" => "[number]",
        ".resource_id" => "[uuid]",
        ".occurred_at" => "[time]",
        ".run_id" => "[uuid]",
        ".changes.cloud_project_id.after" => "[uuid]",
    }, @r#"
    {
      "changes": {
        "attribution": {
          "after": "membership",
          "before": null
        },
        "cloud_project_id": {
          "after": "[uuid]",
          "before": null
        },
        "tenant_id": {
          "after": "acme",
          "before": null
        }
      },
      "event": "updated",
      "id": "[number]",
      "occurred_at": "[time]",
      "resource_id": "[uuid]",
      "run_id": "[uuid]",
      "workflow_id": "sync-inventory"
    }
    "#);
}

#[tokio::test]
async fn a_tenant_sees_no_other_tenant_in_events() {
    let api = TestApi::with_account().await;
    let alpha = api.project_id("alpha").await;
    api.patch(
        &api.admin,
        &format!("/api/v1/projects/{alpha}"),
        r#"{"tenant_id": "globex"}"#,
    )
    .await
    .ok();
    let events = format!(
        "/api/v1/inventory/{}/events",
        api.resource_id("web-1").await
    );

    let seen_by_admin = api.get(&api.admin, &events).await.ok();
    let change = &seen_by_admin["data"][0]["changes"]["tenant_id"];
    assert_eq!(
        (&change["before"], &change["after"]),
        (&"acme".into(), &"globex".into())
    );
    let seen_by_globex = api.get(&api.globex, &events).await.ok();
    assert!(
        !seen_by_globex.to_string().contains("acme"),
        "{seen_by_globex}"
    );
    let change = &seen_by_globex["data"][0]["changes"]["tenant_id"];
    assert_eq!(change["after"], "globex");
}

#[tokio::test]
async fn a_timeline_has_every_state_of_a_resource_without_gaps() {
    let api = TestApi::with_account().await;
    change_account(&api).await;
    let id = api.resource_id("front-1").await;
    let path = format!("/api/v1/inventory/{id}/timeline");
    let timeline = api.get(&api.admin, &path).await.ok();
    assert_eq!(
        column(&timeline, "event"),
        ["updated", "updated", "updated", "discovered"]
    );
    let states = rows(&timeline);
    let names_and_tenants: Vec<_> = states
        .iter()
        .map(|state| {
            let resource = &state["resource"];
            (resource["name"].as_str(), resource["tenant_id"].as_str())
        })
        .collect();
    assert_eq!(
        names_and_tenants,
        [
            (Some("front-1"), Some("globex")),
            (Some("front-1"), Some("acme")),
            (Some("web-1"), Some("acme")),
            (Some("web-1"), None),
        ]
    );
    assert_eq!(states[0]["valid_to"], json!(null));
    for (later, earlier) in states.iter().zip(&states[1..]) {
        assert_eq!(earlier["valid_to"], later["valid_from"]);
    }
    let present = api
        .get(&api.admin, &format!("/api/v1/inventory/{id}"))
        .await
        .ok();
    let mut resource = present["data"].clone();
    resource.as_object_mut().unwrap().remove("pin");
    assert_eq!(states[0]["resource"], resource);

    // `valid_to` is also set across pages.
    let mut walked = Vec::new();
    let mut cursor = String::new();
    while walked.len() < states.len() {
        let page = format!("{path}?limit=1{cursor}");
        let page = api.get(&api.admin, &page).await.ok();
        walked.extend_from_slice(rows(&page));
        let next = page["meta"]["next_cursor"].as_str().unwrap_or_default();
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, states);
}

#[tokio::test]
async fn the_timeline_of_a_deleted_resource_ends_with_its_deletion() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("gone-1").await;
    let path = format!("/api/v1/inventory/{id}/timeline");
    let timeline = api.get(&api.admin, &path).await.ok();
    assert_eq!(
        column(&timeline, "event"),
        ["deleted", "updated", "discovered"]
    );
    let deleted: Vec<_> = rows(&timeline)
        .iter()
        .map(|state| state["resource"]["deleted_at"].is_string())
        .collect();
    assert_eq!(deleted, [true, false, false]);
}

#[tokio::test]
async fn a_tenant_sees_no_former_tenant_of_a_resource() {
    let api = TestApi::with_account().await;
    let (alpha, beta) = (api.project_id("alpha").await, api.project_id("beta").await);
    let id = api.resource_id("web-1").await;
    let one = format!("/api/v1/inventory/{id}");
    // First an override to acme, so that its change has that tenant too.
    for change in [
        json!({ "tenant_id": "acme" }),
        json!({ "tenant_id": null, "cloud_project_id": beta }),
    ] {
        api.patch(&api.admin, &one, &change.to_string()).await.ok();
    }
    for path in ["", "/events", "/timeline", "/memberships", "/relations"] {
        let seen = api.get(&api.globex, &format!("{one}{path}")).await.ok();
        for secret in ["acme", &*alpha, r#""by":"test""#] {
            assert!(!seen.to_string().contains(secret), "{path}: {seen}");
        }
    }
    let by_admin = api.get(&api.admin, &format!("{one}/events")).await.ok();
    for shown in ["acme", &*alpha, r#""by":"test""#] {
        assert!(by_admin.to_string().contains(shown), "{shown}: {by_admin}");
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_part_of_an_override_without_the_operator() {
    let api = TestApi::with_account().await;
    let (alpha, beta) = (api.project_id("alpha").await, api.project_id("beta").await);
    let one = format!("/api/v1/inventory/{}", api.resource_id("db-1").await);
    let tenant_alone = json!({ "tenant_id": "globex" });
    let with_project = json!({ "cloud_project_id": alpha });
    let own_project = json!({ "cloud_project_id": beta });
    for change in [tenant_alone, with_project, own_project] {
        api.patch(&api.admin, &one, &change.to_string()).await.ok();
    }
    let events = api.get(&api.globex, &format!("{one}/events")).await.ok();
    let overrides: Vec<&Value> = rows(&events)
        .iter()
        .map(|event| &event["changes"]["override"])
        .filter(|change| !change.is_null())
        .collect();
    let part = |side: &Value| (side["tenant_id"].clone(), side["cloud_project_id"].clone());
    let seen: Vec<_> = overrides
        .iter()
        .map(|change| {
            (
                part(&change["before"]),
                part(&change["after"]),
                &change["by"],
            )
        })
        .collect();
    let to_none = (json!("globex"), json!(null));
    let to_own = (json!("globex"), json!(beta));
    let nothing = (json!(null), json!(null));
    assert_eq!(
        seen,
        [
            (to_none.clone(), to_own, &json!(null)),
            (to_none.clone(), to_none.clone(), &json!(null)),
            (nothing, to_none, &json!(null)),
        ]
    );
    // The start time of a hidden project is hidden too.
    assert_eq!(overrides[1]["after"]["project_since"], json!(null));
}

#[tokio::test]
async fn a_tenant_sees_no_events_of_a_resource_under_other_tenants() {
    let api = TestApi::with_account().await;
    let mut droplets = live_droplets();
    let mut rename = |name: &str, tag: &str| {
        name.clone_into(&mut droplets[0].name);
        droplets[0].tags = vec![tag.to_owned()];
        droplets.clone()
    };
    let (first, second) = (rename("code-1", "code-2"), rename("code-3", "code-4"));
    let (third, fourth) = (rename("shop-1", "shop"), rename("shop-2", "shop"));
    for seen in [first, second] {
        sweep(&api.store, &ResourceKind::DROPLET, &seen).await;
    }
    let id = api.resource_id("code-3").await;
    let one = format!("/api/v1/inventory/{id}");
    let before = api.get(&api.acme, &format!("{one}/events")).await.ok();
    api.assign_project("alpha", "globex").await;
    for seen in [third, fourth] {
        sweep(&api.store, &ResourceKind::DROPLET, &seen).await;
    }
    for (path, shown) in [
        ("/events", ["updated", "updated", "updated"]),
        ("/timeline", ["updated", "updated", "updated"]),
    ] {
        let path = format!("{one}{path}");
        let by_globex = api.get(&api.globex, &path).await.ok();
        assert_eq!(column(&by_globex, "event"), shown, "{path}");
        for secret in ["web-1", "code-1", "code-2", "acme"] {
            assert!(
                !by_globex.to_string().contains(secret),
                "{path}: {by_globex}"
            );
        }
        // Single pages have the same rows.
        let mut walked = Vec::new();
        let mut cursor = Some(String::new());
        while let Some(from) = cursor {
            let page = format!("{path}?limit=1{from}");
            let page = api.get(&api.globex, &page).await.ok();
            walked.extend_from_slice(rows(&page));
            let next = page["meta"]["next_cursor"].as_str();
            cursor = next.map(|next| format!("&cursor={next}"));
        }
        assert_eq!(walked, rows(&by_globex), "{path}");
        let by_admin = api.get(&api.admin, &path).await.ok().to_string();
        assert!(by_admin.contains("code-1"), "{path}: {by_admin}");
    }
    // After its return the former tenant sees its own events again.
    api.assign_project("alpha", "acme").await;
    let after = api.get(&api.acme, &format!("{one}/events")).await.ok();
    assert_eq!(rows(&after)[1..], *rows(&before));
    let reassigned = &after["data"][0]["changes"];
    assert_eq!(
        reassigned["tenant_id"],
        json!({ "before": null, "after": "acme" })
    );
    let timeline = api.get(&api.acme, &format!("{one}/timeline")).await.ok();
    let names: Vec<_> = rows(&timeline)
        .iter()
        .map(|state| state["resource"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..3], ["shop-2", "code-3", "code-1"]);
}

#[tokio::test]
async fn a_tenant_sees_no_resources_of_others_in_events() {
    let api = TestApi::with_account().await;
    let kind = ResourceKind::VOLUME;
    let mut volume = resource(kind.clone(), "v-1".to_owned(), "data-1");
    sweep(&api.store, &kind, std::slice::from_ref(&volume)).await;
    volume.relations = vec![crate::relations::attached_to("secret-droplet")];
    sweep(&api.store, &kind, std::slice::from_ref(&volume)).await;
    let id = api.resource_id("data-1").await;
    let one = format!("/api/v1/inventory/{id}");
    api.patch(&api.admin, &one, r#"{"tenant_id": "acme"}"#)
        .await
        .ok();
    let path = format!("{one}/events");
    let by_admin = api.get(&api.admin, &path).await.ok().to_string();
    assert!(by_admin.contains("secret-droplet"), "{by_admin}");
    let by_acme = api.get(&api.acme, &path).await.ok().to_string();
    assert!(!by_acme.contains("secret-droplet"), "{by_acme}");
}

#[tokio::test]
async fn a_time_before_the_start_of_the_history_is_refused() {
    let api = TestApi::with_account().await;
    let start = "2026-02-01T00:00:00";
    api.write_by_hand(
        "insert into history_floors (table_name, starts_at) values ('cloud_resource_events', '2026-02-01 00:00Z')",
    )
    .await;
    let id = api.resource_id("web-1").await;
    for path in [
        "/api/v1/inventory".to_owned(),
        "/api/v1/inventory/counts".to_owned(),
        format!("/api/v1/inventory/{id}"),
    ] {
        let path = format!("{path}?as_of=2026-01-31T23:59:59Z");
        let detail = api.get(&api.admin, &path).await.problem(404);
        assert!(detail.contains(start), "{path}: {detail}");
    }
    let now = api.now().await;
    let names = names_as_of(&api, &api.admin, &now, "kind=droplet").await;
    assert_eq!(names, ["db-1", "web-1", "web-2"]);
}
