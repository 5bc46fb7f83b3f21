//! Past states of resources.

use chrono::{DateTime, Utc};
use serde_json::json;
use store::inventory::Commit;
use store::inventory::{ResourceFilter, State};
use store::projects::ProjectChange;

use super::support::{Fixture, by, droplet, fixture, members, project};

const WEB: u128 = 1;

async fn names_at(fixture: &Fixture, at: DateTime<Utc>, filter: &ResourceFilter) -> Vec<String> {
    let resources = fixture.resources_as_of(at, filter, None, 10).await.unwrap();
    resources
        .into_iter()
        .map(|resource| resource.name)
        .collect()
}

#[tokio::test]
async fn past_states_of_a_changed_deleted_and_restored_resource() {
    let fixture = fixture().await;
    let before_all = fixture.now().await.unwrap();
    fixture.sweep(&[droplet(1, "first")]).await;
    let as_first = fixture.now().await.unwrap();
    let mut second = droplet(1, "second");
    second.attrs = json!({ "memory": 2048, "vcpus": 2 }).into();
    second.tags = vec!["new".to_owned()];
    fixture.sweep(&[second.clone()]).await;
    let as_second = fixture.now().await.unwrap();
    for _ in 0..3 {
        fixture.sweep(&[]).await;
    }
    let while_deleted = fixture.now().await.unwrap();
    fixture.sweep(&[droplet(1, "third")]).await;

    let live = ResourceFilter::default();
    assert_eq!(names_at(&fixture, before_all, &live).await, [""; 0]);
    assert_eq!(names_at(&fixture, as_first, &live).await, ["first"]);
    assert_eq!(names_at(&fixture, while_deleted, &live).await, [""; 0]);
    let deleted = ResourceFilter {
        state: State::Deleted,
        ..ResourceFilter::default()
    };
    assert_eq!(
        names_at(&fixture, while_deleted, &deleted).await,
        ["second"]
    );
    // The filter applies to the past state.
    let named = |text: &str| ResourceFilter {
        text: Some(text.to_owned()),
        ..ResourceFilter::default()
    };
    assert_eq!(
        names_at(&fixture, as_first, &named("first")).await,
        ["first"]
    );
    assert_eq!(names_at(&fixture, as_first, &named("third")).await, [""; 0]);
    let tagged = |tag: &str| ResourceFilter {
        tag: Some(tag.to_owned()),
        ..ResourceFilter::default()
    };
    for (at, tag, expected) in [
        (as_first, "WEB", 1),
        (as_first, "new", 0),
        (as_second, "new", 1),
        (while_deleted, "new", 0),
    ] {
        let filter = tagged(tag);
        let counts = fixture.resource_counts_as_of(at, &filter).await.unwrap();
        let counted: i64 = counts.iter().map(|count| count.resources).sum();
        assert_eq!(counted, expected, "{tag}");
        assert_eq!(names_at(&fixture, at, &filter).await.len(), counts.len());
    }

    let id = fixture.resource("1").await.id;
    let first = fixture.resource_as_of(as_first, id, None).await.unwrap();
    assert_eq!(first.attrs, json!({ "memory": 1024 }));
    assert_eq!(first.tags, ["web"]);
    let second = fixture.resource_as_of(as_second, id, None).await.unwrap();
    assert_eq!(second.attrs, json!({ "memory": 2048, "vcpus": 2 }));
    assert_eq!(second.tags, ["new"]);
    assert!(second.last_seen_at <= as_second);
    assert!(fixture.resource_as_of(before_all, id, None).await.is_err());
}

#[tokio::test]
async fn a_past_state_has_its_past_tenant() {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(WEB, "web")]).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    let before = fixture.now().await.unwrap();
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        tenant_since: None,
        purpose: None,
    };
    let web = fixture.project_row("web").await;
    fixture
        .change_project(web, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let after = fixture.now().await.unwrap();
    let acmes = ResourceFilter {
        tenant: Some("acme".to_owned()),
        ..ResourceFilter::default()
    };
    assert_eq!(names_at(&fixture, before, &acmes).await, [""; 0]);
    assert_eq!(names_at(&fixture, after, &acmes).await, ["web-1"]);
}

#[tokio::test]
async fn a_timeline_has_each_state_with_the_event_it_began_with() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "first")]).await;
    fixture.sweep(&[droplet(1, "second")]).await;
    let mut third = droplet(1, "second");
    third.attrs = json!({}).into();
    fixture.sweep(&[third]).await;
    let resource = fixture.resource("1").await;
    let timeline = fixture.timeline(&resource, None, None, 10).await.unwrap();
    let states: Vec<_> = timeline
        .iter()
        .map(|state| {
            (
                state.event.event.as_str(),
                state.resource.name.as_str(),
                state.resource.attrs.to_string(),
            )
        })
        .collect();
    let memory = r#"{"memory":1024}"#;
    assert_eq!(
        states,
        [
            ("updated", "second", "{}".to_owned()),
            ("updated", "second", memory.to_owned()),
            ("discovered", "first", memory.to_owned()),
        ]
    );
    // The next page continues from the cursor.
    let page = fixture
        .timeline(&resource, None, Some(timeline[0].event.id), 1)
        .await
        .unwrap();
    assert_eq!(page, timeline[1..2]);
}

#[tokio::test]
async fn a_tenants_timeline_has_only_its_states_with_their_ends() {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(WEB, "web")]).await;
    fixture.sweep(&[droplet(1, "unassigned")]).await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    let web = fixture.project_row("web").await;
    for tenant in ["acme", "globex", "acme"] {
        let change = ProjectChange {
            tenant_id: Some(Some(tenant.parse().unwrap())),
            tenant_since: None,
            purpose: None,
        };
        fixture
            .change_project(web, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
        fixture.sweep(&[droplet(1, &format!("{tenant}s"))]).await;
    }
    let resource = fixture.resource("1").await;
    let all = fixture.timeline(&resource, None, None, 100).await.unwrap();
    let of_acme: Vec<_> = all
        .iter()
        .filter(|state| state.resource.tenant_id.as_deref() == Some("acme"))
        .cloned()
        .collect();
    let names: Vec<_> = of_acme.iter().map(|state| &*state.resource.name).collect();
    // The first state of each assignment has the name from before it.
    assert_eq!(names, ["acmes", "globexs", "acmes", "unassigned"]);
    let acme = Some("acme");
    let shown = fixture.timeline(&resource, acme, None, 100).await.unwrap();
    assert_eq!(shown, of_acme);
    let first = fixture.timeline(&resource, acme, None, 2).await.unwrap();
    let last = Some(first[1].event.id);
    let second = fixture.timeline(&resource, acme, last, 2).await.unwrap();
    assert_eq!([first, second].concat(), of_acme);
}
