//! Tests of a token with fewer scopes than the one before: resources that it may not read keep
//! their projects.

use domain::ResourceKind;
use simulator::{Account, DEMO_TOKEN, Scopes};
use store::inventory::Guard;

use super::support::{World, rules, run};

const NARROW: &str = "dop_v1_without_droplet_read";

#[tokio::test]
async fn a_token_without_droplet_scopes_moves_no_droplet() {
    let mut account = Account::demo();
    let scopes = ["project:read", "domain:read"];
    account.accept_token(NARROW, Scopes::only(scopes));
    let mut world = World::of(account, "skyai-internal").await;
    // The guard is disabled: it is not under test.
    let unguarded = rules(Guard {
        percent: 100,
        rows: 1_000,
    });
    world.inventory.rules = unguarded;
    world.projects.rules = unguarded;
    world.sync_projects().await.unwrap();
    world.sync(&ResourceKind::DROPLET).await;
    world.sync_projects().await.unwrap();

    let droplets = "select r.name || ' in ' || p.name || ' by ' || r.attribution from cloud_resources r
        join cloud_projects p on p.id = r.cloud_project_id where r.kind = 'droplet' and r.deleted_at is null order by 1";
    let before = world.rows(droplets).await;
    assert_eq!(before.len(), 5);
    world.use_token(NARROW);
    for _ in 1..=4 {
        let run = run();
        let synced = world.projects.sync_projects(run.clone()).await;
        synced.ok().unwrap();
        let synced = world.inventory.sync(ResourceKind::DROPLET, run.clone());
        synced.await.ok().unwrap();
        let walked = world.projects.walk(run).await.ok().unwrap();
        assert_eq!(walked.incomplete, None);
        assert_eq!(
            (walked.moved, walked.unseen_kinds),
            (0, vec!["droplet".to_owned()])
        );
    }
    assert_eq!(world.rows(droplets).await, before);
    let drifts =
        "select count(*) from cloud_resource_events where event in ('drift_detected', 'deleted')";
    assert_eq!(world.count(drifts).await, 0);
}

const NO_TAGS: &str = "dop_v1_without_tag_read";
const NO_PROJECTS: &str = "dop_v1_without_project_read";

/// Kinds with tags, relations by tags, or a project in the body.
const KINDS: [ResourceKind; 9] = [
    ResourceKind::DROPLET,
    ResourceKind::VOLUME,
    ResourceKind::SNAPSHOT,
    ResourceKind::LOAD_BALANCER,
    ResourceKind::DATABASE_CLUSTER,
    ResourceKind::KUBERNETES_CLUSTER,
    ResourceKind::APP,
    ResourceKind::NAT_GATEWAY,
    ResourceKind::VECTOR_DATABASE,
];

/// Returns an account with all kinds, and two tokens with a missing scope each.
async fn two_tokens() -> World {
    let mut account = Account::everything();
    let scopes = || {
        let listings = digitalocean::kinds::listings().iter();
        listings.map(|listing| listing.scope)
    };
    account.accept_token(NO_TAGS, Scopes::only(scopes().chain(["project:read"])));
    account.accept_token(NO_PROJECTS, Scopes::only(scopes().chain(["tag:read"])));
    let world = World::of(account, "skyai-internal").await;
    world.sync_projects().await.unwrap();
    sync(&world).await;
    world
}

async fn sync(world: &World) {
    for kind in &KINDS {
        world.sync(kind).await;
    }
    let moved = world.store.attribute(&run()).await.unwrap();
    assert!(moved == 0 || world.count(SYNCS).await <= 9, "{moved} moved");
}

const SYNCS: &str = "select count(*) from cloud_listings where kind not like 'project%'";
const ROWS: &str = "select r.xmin || ' ' || r::text from cloud_resource_rows r order by r.id";
const EVENTS: &str = "select count(*) from cloud_resource_events";
const TAGGED: &str = "select count(*) from cloud_resources where tags <> '{}'";

#[tokio::test]
async fn tokens_with_different_scopes_take_turns_without_events() {
    let mut world = two_tokens().await;
    assert!(world.count(TAGGED).await > 3);
    let in_body = "select count(*) from cloud_resources where attribution = 'body'";
    assert!(world.count(in_body).await > 0);
    sync(&world).await;
    let (rows, events) = (world.rows(ROWS).await, world.count(EVENTS).await);
    for token in [NO_TAGS, DEMO_TOKEN, NO_PROJECTS, NO_TAGS] {
        world.use_token(token);
        sync(&world).await;
        assert_eq!(world.count(EVENTS).await, events, "{token}");
        assert_eq!(world.rows(ROWS).await, rows, "{token}");
    }
    // The reason is visible, and names the scope.
    let reason = "select last_state || ': ' || coalesce(last_reason, '') from cloud_kind_freshness
        where kind = 'droplet'";
    let reason = world.rows(reason).await.remove(0);
    assert!(
        reason.starts_with("complete: ") && reason.contains("tag:read"),
        "{reason}"
    );
    world.use_token(DEMO_TOKEN);
    world.sync(&ResourceKind::DROPLET).await;
    let reasons = "select count(last_reason) from cloud_kind_freshness where kind = 'droplet'";
    assert_eq!(world.count(reasons).await, 0);
}

#[tokio::test]
async fn a_token_without_tag_scope_still_reports_other_changes() {
    let mut world = two_tokens().await;
    let tags = "select provider_id || ' ' || tags::text from cloud_resources order by 1";
    let before = world.rows(tags).await;
    world.simulator.change(|account| {
        let mut droplets = account.droplets().iter();
        let tagged = droplets
            .find(|droplet| !droplet.tags.is_empty())
            .unwrap()
            .id;
        account.rename_droplet(tagged, "renamed");
    });
    world.use_token(NO_TAGS);
    world.sync(&ResourceKind::DROPLET).await;
    assert_eq!(world.rows(tags).await, before);
    let last = "select event || ' ' || array(select jsonb_object_keys(changes))::text
        from cloud_resource_events order by id desc limit 1";
    assert_eq!(world.rows(last).await, ["updated {name}"]);
}

#[tokio::test]
async fn tags_that_a_person_removes_from_all_droplets_vanish() {
    let world = two_tokens().await;
    world.simulator.change(|account| {
        let ids: Vec<u64> = account
            .droplets()
            .iter()
            .map(|droplet| droplet.id)
            .collect();
        for id in ids {
            account.change_droplet(id, |droplet| droplet.tags.clear());
        }
    });
    world.sync(&ResourceKind::DROPLET).await;
    let tagged = "select count(*) from cloud_resources where kind = 'droplet' and tags <> '{}'";
    assert_eq!(world.count(tagged).await, 0);
}

#[tokio::test]
async fn unchanged_listings_need_no_request_for_tags() {
    let world = two_tokens().await;
    let requests = || {
        let requests = world.simulator.requests();
        let tags = requests.iter().filter(|request| request.path == "/v2/tags");
        tags.count()
    };
    let before = requests();
    sync(&world).await;
    assert_eq!(requests(), before);
}
