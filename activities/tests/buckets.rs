//! Where buckets are known from, and what becomes of them when one of these places cannot be read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::Duration;

use activities::inventory::InventoryActivities;
use activities::projects::ProjectActivities;
use devstack::testing::TestDatabase;
use digitalocean::{Client, SpacesClient, SpacesKeys};
use domain::ResourceKind;
use serde_json::json;
use simulator::{
    Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Fault, FaultKind, Simulator,
};
use store::inventory::{Guard, Resource, ResourceFilter, Rules, State};
use store::{Run, Store};
use uuid::Uuid;
use workflows::inventory::KindSynced;

struct World {
    simulator: Simulator,
    store: Store,
    inventory: InventoryActivities,
    projects: ProjectActivities,
    _database: TestDatabase,
}

/// A new one each time: the same run would be taken for a retry.
fn run() -> Run {
    Run {
        workflow_id: "sync".to_owned(),
        run_id: Uuid::now_v7().to_string(),
    }
}

impl World {
    /// One bucket of a project in syd1, one that a key was granted too in nyc3, and one that only S3 lists, in fra1.
    async fn new() -> Self {
        let database = devstack::testing::database().await;
        let store = Store::connect(&database.url(), 4).await.unwrap();
        store.migrate().await.unwrap();
        let mut account = Account::empty();
        account.add_project("internal");
        account.add_resource("spaces_bucket", "images", "syd1");
        account.add_resource("spaces_bucket", "exports", "nyc3");
        account.add_resource("spaces_bucket", "forgotten", "fra1");
        account.remove_member("do:space:forgotten");
        let key = account.add_resource("spaces_key", "uploader", "nyc3");
        account.grant_bucket(&key, "exports", "read");
        let simulator = Simulator::start(account).await.unwrap();
        let digitalocean = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        let keys = SpacesKeys::new(
            Some(DEMO_SPACES_KEY.to_owned()),
            Some(DEMO_SPACES_SECRET.into()),
        );
        let spaces = SpacesClient::new(&simulator.spaces_url(), keys.unwrap().unwrap()).unwrap();
        let rules = Rules {
            strike_interval: Duration::ZERO,
            guard: Guard::default(),
        };
        Self {
            inventory: InventoryActivities {
                digitalocean: digitalocean.clone(),
                store: store.clone(),
                rules,
                dns_records: false,
                spaces: Some(spaces),
            },
            projects: ProjectActivities {
                digitalocean,
                store: store.clone(),
                internal_project: "internal".to_owned(),
                rules,
            },
            simulator,
            store,
            _database: database,
        }
    }

    /// None where the run would fail.
    async fn try_sync(&self) -> Option<KindSynced> {
        let of_projects = run();
        drop(self.projects.sync_projects(of_projects.clone()).await);
        drop(self.projects.walk(of_projects).await);
        let synced = self.inventory.sync(ResourceKind::SPACES_KEY, run()).await;
        synced.ok()
    }

    /// What became of the buckets.
    async fn sync(&self) -> KindSynced {
        let Some(mut keys) = self.try_sync().await else {
            panic!("the sync failed")
        };
        assert_eq!(keys.also.len(), 1);
        keys.also.remove(0)
    }

    async fn buckets(&self, state: State) -> Vec<Resource> {
        let filter = ResourceFilter {
            kind: Some("spaces_bucket".to_owned()),
            state,
            ..ResourceFilter::default()
        };
        self.store.resources(&filter, None, 100).await.unwrap()
    }

    async fn regions(&self) -> Vec<(String, Option<String>)> {
        let buckets = self.buckets(State::Live).await.into_iter();
        buckets.map(|bucket| (bucket.name, bucket.region)).collect()
    }

    /// How often the region or the time of each bucket was set or changed.
    async fn events(&self) -> Vec<(String, usize)> {
        let mut events = Vec::new();
        for bucket in self.buckets(State::All).await {
            let of_bucket = self.store.resource_events(bucket.id, None, 100).await;
            let of_bucket = of_bucket.unwrap().into_iter();
            let told = of_bucket.filter(|event| {
                let mut fields = event.changes.as_object().unwrap().keys();
                fields.any(|field| field == "region" || field.starts_with("attrs"))
            });
            events.push((bucket.name, told.count()));
        }
        events
    }

    fn remove(&self, bucket: &str) {
        self.simulator
            .change(|account| account.remove_resource("spaces_bucket", bucket));
    }
}

fn all_three() -> Vec<(String, Option<String>)> {
    [
        ("exports", "nyc3"),
        ("forgotten", "fra1"),
        ("images", "syd1"),
    ]
    .map(|(name, region)| (name.to_owned(), Some(region.to_owned())))
    .into()
}

#[tokio::test]
async fn s3_says_most_of_a_bucket_and_knows_some_that_nobody_else_does() {
    let world = World::new().await;
    let synced = world.sync().await;
    assert_eq!((synced.seen, synced.discovered), (3, 3));
    assert_eq!(synced.incomplete, None);
    assert_eq!(world.regions().await, all_three());
    let expected = world.simulator.read(|account| account.buckets().to_vec());
    for bucket in world.buckets(State::Live).await {
        let of_account = expected.iter().find(|known| known.name == bucket.name);
        let created_at = of_account.unwrap().created_at;
        assert_eq!(bucket.attrs, json!({ "created_at": created_at }));
    }
    let before = world.events().await;
    let again = world.sync().await;
    assert_eq!((again.seen, again.updated), (3, 0));
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn a_bucket_keeps_its_region_and_time_while_s3_cannot_be_read() {
    let world = World::new().await;
    world.sync().await;
    let before = world.buckets(State::Live).await;
    let events = world.events().await;
    // One is gone, and one is new: an incomplete listing strikes nobody, and what it sees is kept.
    world.remove("images");
    world.simulator.change(|account| {
        account.add_resource("spaces_bucket", "brand-new", "sgp1");
    });
    for fault in [
        FaultKind::ServerError { status: 503 },
        FaultKind::Unauthorized,
        FaultKind::Forbidden,
        FaultKind::CutOff,
    ] {
        let is_limit = fault == FaultKind::Forbidden;
        world.simulator.fail(Fault::new(fault, "/spaces/nyc3/"));
        let synced = world.try_sync().await;
        assert_eq!(synced.is_some(), is_limit);
        if let Some(keys) = synced {
            assert_eq!((keys.incomplete, keys.not_readable), (None, false));
            let [buckets] = keys.also.as_slice() else {
                panic!("{:?}", keys.also)
            };
            assert!(buckets.not_readable && buckets.struck == 0 && buckets.deleted == 0);
            let reason = buckets.incomplete.as_deref().unwrap();
            let expected = "ListBuckets in nyc3 answered 403 AccessDenied";
            assert!(reason.starts_with(expected), "{reason}");
        }
        world.simulator.clear_faults();
    }
    let after = world.buckets(State::Live).await;
    for bucket in before {
        let now = after.iter().find(|now| now.id == bucket.id).unwrap();
        assert_eq!(
            (&now.region, &now.attrs, now.stale_strike_count),
            (&bucket.region, &bucket.attrs, 0)
        );
    }
    let new = after.iter().find(|bucket| bucket.name == "brand-new");
    assert_eq!(new.unwrap().region, None);
    let mut expected = events;
    expected.insert(0, ("brand-new".to_owned(), 1));
    assert_eq!(world.events().await, expected);
    // And then it can be read again.
    let synced = world.sync().await;
    assert_eq!((synced.updated, synced.struck), (1, 1), "{synced:?}");
    assert_eq!(world.regions().await[0].1.as_deref(), Some("sgp1"));
}

#[tokio::test]
async fn a_bucket_is_gone_when_all_three_were_read_and_none_has_it() {
    let world = World::new().await;
    world.sync().await;
    world.remove("forgotten");
    // That S3 lists neither says nothing against a grant and a project.
    world.remove("exports");
    let empty = Fault::new(FaultKind::EmptyList, "/spaces/*");
    world.simulator.fail(empty);
    for _ in 0..2 {
        assert_eq!(world.sync().await.struck, 1);
    }
    assert_eq!(world.sync().await.deleted, 1);
    let mut expected = all_three();
    expected.remove(1);
    assert_eq!(world.regions().await, expected);
}

#[tokio::test]
async fn without_keys_buckets_are_known_by_name_and_lose_nothing_that_is_stored() {
    let mut world = World::new().await;
    let spaces = world.inventory.spaces.take();
    let synced = world.sync().await;
    assert_eq!((synced.discovered, synced.incomplete), (2, None));
    assert!(
        world
            .regions()
            .await
            .iter()
            .all(|(_, region)| region.is_none())
    );
    world.inventory.spaces = spaces;
    world.sync().await;
    assert_eq!(world.regions().await, all_three());
    world.inventory.spaces = None;
    assert_eq!(world.sync().await.updated, 0);
    assert_eq!(world.regions().await, all_three());
}
