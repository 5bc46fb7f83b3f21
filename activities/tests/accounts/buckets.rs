//! Tests of the three sources of buckets, and of failures of these sources.

use digitalocean::{SpacesClient, SpacesKeys};
use domain::ResourceKind;
use serde_json::json;
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, Fault, FaultKind};
use store::Store;
use store::inventory::{Resource, ResourceFilter, State};
use uuid::Uuid;
use workflows::inventory::KindSynced;

use super::support::{World, run};

/// Starts an account with a bucket of a project in syd1, a bucket of a project and an access key in
/// nyc3, and a bucket in fra1 that only S3 lists.
async fn world() -> World {
    let mut account = Account::empty();
    account.add_project("internal");
    account.add_resource("spaces_bucket", "images", "syd1");
    account.add_resource("spaces_bucket", "exports", "nyc3");
    account.add_resource("spaces_bucket", "forgotten", "fra1");
    account.remove_member("do:space:forgotten");
    let key = account.add_resource("spaces_key", "uploader", "nyc3");
    account.grant_bucket(&key, "exports", "read");
    let mut world = World::of(account, "internal").await;
    let keys = SpacesKeys::new(
        Some(DEMO_SPACES_KEY.to_owned()),
        Some(DEMO_SPACES_SECRET.into()),
    );
    let spaces = SpacesClient::new(&world.simulator.spaces_url(), keys.unwrap().unwrap());
    world.inventory.spaces = Some(spaces.unwrap());
    world
}

impl World {
    /// Syncs the buckets; none if the run fails.
    async fn try_sync_buckets(&self) -> Option<KindSynced> {
        self.sync_projects().await;
        let synced = self.inventory.sync(ResourceKind::SPACES_KEY, run()).await;
        synced.ok()
    }

    /// Syncs the buckets, and returns their result.
    async fn sync_buckets(&self) -> KindSynced {
        let Some(mut keys) = self.try_sync_buckets().await else {
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

    /// Returns a bucket, live or deleted.
    async fn bucket(&self, name: &str) -> Resource {
        let buckets = self.buckets(State::All).await.into_iter();
        let mut named = buckets.filter(|bucket| bucket.name == name);
        named.next().unwrap()
    }

    async fn regions(&self) -> Vec<(String, Option<String>)> {
        let buckets = self.buckets(State::Live).await.into_iter();
        buckets.map(|bucket| (bucket.name, bucket.region)).collect()
    }

    /// Counts the events that set or change the region or the time of each bucket.
    async fn events(&self) -> Vec<(String, usize)> {
        let mut events = Vec::new();
        for bucket in self.buckets(State::All).await {
            let of_bucket = self.store.resource_events(bucket.id, None, 100).await;
            let of_bucket = of_bucket.unwrap().into_iter();
            let events_of_fields = of_bucket.filter(|event| {
                let mut fields = event.changes.as_object().unwrap().keys();
                fields.any(|field| field == "region" || field.starts_with("attrs"))
            });
            events.push((bucket.name, events_of_fields.count()));
        }
        events
    }

    fn remove(&self, bucket: &str) {
        self.simulator
            .change(|account| account.remove_resource("spaces_bucket", bucket));
    }
}

fn all_buckets() -> Vec<(String, Option<String>)> {
    [
        ("exports", "nyc3"),
        ("forgotten", "fra1"),
        ("images", "syd1"),
    ]
    .map(|(name, region)| (name.to_owned(), Some(region.to_owned())))
    .into()
}

#[tokio::test]
async fn s3_has_the_most_fields_and_buckets_that_no_other_source_has() {
    let world = world().await;
    let synced = world.sync_buckets().await;
    assert_eq!((synced.seen, synced.discovered), (3, 3));
    assert_eq!(synced.incomplete, None);
    assert_eq!(world.regions().await, all_buckets());
    let expected = world.simulator.read(|account| account.buckets().to_vec());
    for bucket in world.buckets(State::Live).await {
        let of_account = expected.iter().find(|known| known.name == bucket.name);
        let created_at = of_account.unwrap().created_at;
        assert_eq!(bucket.attrs, json!({ "created_at": created_at }));
    }
    let before = world.events().await;
    let again = world.sync_buckets().await;
    assert_eq!((again.seen, again.updated), (3, 0));
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn a_bucket_keeps_its_region_and_time_while_s3_cannot_be_read() {
    let world = world().await;
    world.sync_buckets().await;
    let before = world.buckets(State::Live).await;
    let events = world.events().await;
    // One bucket is deleted, and one is new: an incomplete listing adds no strikes, and its
    // resources are stored.
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
        let synced = world.try_sync_buckets().await;
        assert_eq!(synced.is_some(), is_limit);
        if let Some(keys) = synced {
            assert_eq!((keys.incomplete, keys.not_readable), (None, false));
            let [buckets] = keys.also.as_slice() else {
                panic!("{:?}", keys.also)
            };
            assert!(buckets.not_readable && buckets.struck == 0 && buckets.deleted == 0);
            let reason = buckets.incomplete.as_deref().unwrap();
            assert!(reason.contains("AccessDenied"), "{reason}");
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
    // Now S3 can be read.
    let synced = world.sync_buckets().await;
    assert_eq!((synced.updated, synced.struck), (1, 1), "{synced:?}");
    assert_eq!(world.regions().await[0].1.as_deref(), Some("sgp1"));
}

#[tokio::test]
async fn a_bucket_is_deleted_if_all_sources_were_read_and_none_has_it() {
    let world = world().await;
    world.sync_buckets().await;
    world.remove("forgotten");
    // The other two buckets are still in an access key and in a project.
    world.remove("exports");
    let empty = Fault::new(FaultKind::EmptyList, "/spaces/*");
    world.simulator.fail(empty);
    for _ in 0..2 {
        assert_eq!(world.sync_buckets().await.struck, 1);
    }
    assert_eq!(world.sync_buckets().await.deleted, 1);
    let mut expected = all_buckets();
    expected.remove(1);
    assert_eq!(world.regions().await, expected);
}

/// Starts an account with a bucket that is known from a project only.
async fn one_bucket() -> World {
    let mut account = Account::empty();
    account.add_project("internal");
    account.add_resource("spaces_bucket", "images", "syd1");
    World::of(account, "internal").await
}

#[tokio::test]
async fn the_last_bucket_is_deleted_with_keys_and_held_without() {
    let keys = world().await;
    let mut world = one_bucket().await;
    world.sync_buckets().await;
    world.remove("images");
    for _ in 0..4 {
        assert_eq!(world.sync_buckets().await.deleted, 0);
    }
    assert_eq!(world.buckets(State::Live).await.len(), 1);
    let held = world.store.held_deletions(10).await.unwrap();
    let held: Vec<_> = held
        .iter()
        .map(|hold| (&*hold.kind, hold.would_delete))
        .collect();
    assert_eq!(held, [("spaces_bucket", 1)]);
    // S3 lists all buckets, so that its empty list suffices.
    world.inventory.spaces.clone_from(&keys.inventory.spaces);
    keys.simulator
        .fail(Fault::new(FaultKind::EmptyList, "/spaces/*"));
    world.sync_buckets().await;
    assert_eq!(world.buckets(State::Live).await, []);
}

#[tokio::test]
async fn listings_by_one_pass_are_one_strike() {
    let world = one_bucket().await;
    world.sync_buckets().await;
    world.remove("images");
    world.simulator.change(|account| {
        account.add_resource("spaces_bucket", "others", "syd1");
    });
    world.sync_projects().await;
    for _ in 0..4 {
        let synced = world.inventory.sync(ResourceKind::SPACES_KEY, run()).await;
        assert!(synced.is_ok_and(|keys| keys.also[0].deleted == 0));
    }
    assert_eq!(world.bucket("images").await.stale_strike_count, 1);
}

/// Stores an invoice with a line for each of these buckets: description, month and project.
async fn bill(store: &Store, lines: &[(&str, u32, &str)]) {
    let header = "product,group_description,description,hours,start,end,USD,project_name,category";
    for month in 1..=12 {
        let of_month: Vec<String> = lines
            .iter()
            .filter(|(_, of, _)| *of == month)
            .map(|(description, _, project)| {
                format!("Spaces,,{description},,,,$5.00,{project},iaas\n")
            })
            .collect();
        if of_month.is_empty() {
            continue;
        }
        let csv = format!("{header}\n{}", of_month.concat());
        let file = domain::invoices::read_invoice_csv(csv.as_bytes()).unwrap();
        let uuid = Uuid::from_u128(month.into()).into();
        let listed = domain::invoices::InvoiceHeader {
            invoice_uuid: uuid,
            invoice_id: None,
            period: format!("2026-{month:02}").parse().unwrap(),
            amount: domain::invoices::line_total(&file.lines).unwrap(),
        };
        let evidence = store.begin_fetch().await.unwrap();
        store
            .store_invoice_list(&[listed], evidence, false)
            .await
            .unwrap();
        let content = store::invoices::InvoiceContent {
            lines: &file.lines,
            sources: store::invoices::Sources::Csv,
            source_note: None,
            unread: None,
            joined: None,
            csv: None,
            items: None,
            summary: None,
        };
        store.ingest_invoice(uuid, evidence, content).await.unwrap();
    }
}

/// Returns rule, note and resource of each line of a month.
async fn matches(store: &Store, month: u32) -> Vec<(String, Option<String>, Option<Uuid>)> {
    let filter = store::invoices::CostLineFilter {
        period: format!("2026-{month:02}-01").parse().unwrap(),
        ..store::invoices::CostLineFilter::default()
    };
    let lines = store.cost_lines(&filter, None, 100).await.unwrap();
    lines
        .into_iter()
        .map(|line| (line.match_rule, line.match_note, line.resource_id))
        .collect()
}

#[tokio::test]
async fn without_keys_a_billed_unlisted_bucket_becomes_a_resource() {
    let mut world = world().await;
    let spaces = world.inventory.spaces.take();
    world.sync_buckets().await;
    bill(
        &world.store,
        &[
            ("forgotten (fra1)", 4, "internal"),
            ("forgotten (fra1)", 5, "internal"),
            ("images (syd1)", 5, "internal"),
            ("Spaces ($5/mo 250GB storage & 1TB bandwidth)", 5, ""),
            ("long-deleted (nyc3)", 1, "internal"),
        ],
    )
    .await;
    let synced = world.sync_buckets().await;
    assert_eq!(
        (synced.discovered, synced.struck, synced.incomplete),
        (1, 0, None)
    );
    let billed = world.bucket("forgotten").await;
    assert_eq!(billed.region.as_deref(), Some("fra1"));
    assert_eq!(billed.attrs, json!({ "source": "invoice" }));
    // In the project that the bill names.
    assert_eq!(billed.attribution.as_deref(), Some("body"));
    let discovered = world
        .store
        .resource_events(billed.id, None, 10)
        .await
        .unwrap();
    assert_eq!(discovered[0].event, "discovered");
    assert_eq!(discovered[0].changes["attrs"]["after"]["source"], "invoice");
    for month in [4, 5] {
        let (rule, _, resource) = matches(&world.store, month).await.remove(0);
        assert_eq!((rule.as_str(), resource), ("name", Some(billed.id)));
    }
    // A bucket that was billed long ago may be deleted: the note names the variables to configure.
    let (rule, note, _) = matches(&world.store, 1).await.remove(0);
    assert_eq!(rule, "unmatched");
    let note = note.unwrap();
    assert!(
        note.contains("SPACES_ACCESS_KEY_ID") && note.contains("SPACES_SECRET_ACCESS_KEY"),
        "{note}"
    );

    let kinds = ["spaces_bucket".to_owned()];
    let fresh = world.store.freshness(Some(&kinds)).await.unwrap().remove(0);
    assert_eq!(fresh.last_state, "complete");
    assert!(
        fresh
            .partial_reason
            .unwrap()
            .contains("SPACES_ACCESS_KEY_ID")
    );

    // Such a listing adds strikes to buckets of projects and access keys, and never to those that
    // only the invoice or S3 has.
    world.remove("images");
    world.remove("forgotten");
    for _ in 0..4 {
        world.sync_buckets().await;
    }
    let after = world.bucket("forgotten").await;
    assert_eq!(
        (after.id, after.deleted_at, after.stale_strike_count),
        (billed.id, None, 0)
    );
    let live: Vec<_> = world
        .regions()
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(live, ["exports", "forgotten"]);

    // A project lists it: the row stays, and the project becomes its source.
    world.simulator.change(|account| {
        account.add_resource("spaces_bucket", "forgotten", "fra1");
    });
    world.sync_buckets().await;
    let listed = world.bucket("forgotten").await;
    assert_eq!(
        (listed.id, listed.attrs, listed.region.as_deref()),
        (billed.id, json!({}), Some("fra1"))
    );
    assert_eq!(listed.attribution.as_deref(), Some("membership"));

    // With Spaces keys the listing is full, and the usual rules apply.
    world.inventory.spaces = spaces;
    world.remove("forgotten");
    for _ in 0..3 {
        world.sync_buckets().await;
    }
    assert!(world.bucket("forgotten").await.deleted_at.is_some());
    let fresh = world.store.freshness(Some(&kinds)).await.unwrap().remove(0);
    assert_eq!(fresh.partial_reason, None);
    let (_, note, _) = matches(&world.store, 1).await.remove(0);
    assert!(note.unwrap().contains("SPACES_ACCESS_KEY_ID"));
}

#[tokio::test]
async fn with_keys_a_billed_unlisted_bucket_is_not_stored() {
    let world = world().await;
    bill(&world.store, &[("elsewhere (fra1)", 5, "internal")]).await;
    let synced = world.sync_buckets().await;
    assert_eq!((synced.seen, synced.discovered), (3, 3));
    let (rule, note, _) = matches(&world.store, 5).await.remove(0);
    assert_eq!(rule, "unmatched");
    // The invoice contradicts the listing: line and listing name the variables to configure. The
    // usual rules apply to listed buckets.
    assert!(note.unwrap().contains("SPACES_ACCESS_KEY_ID"));
    let kinds = ["spaces_bucket".to_owned()];
    let fresh = world.store.freshness(Some(&kinds)).await.unwrap().remove(0);
    assert_eq!(fresh.last_state, "complete");
    assert!(fresh.partial_reason.is_some());
    world.remove("images");
    for _ in 0..3 {
        world.sync_buckets().await;
    }
    assert!(world.bucket("images").await.deleted_at.is_some());
}

#[tokio::test]
async fn a_bucket_listed_only_by_s3_is_kept_without_keys() {
    let mut world = world().await;
    world.sync_buckets().await;
    world.inventory.spaces = None;
    for _ in 0..4 {
        assert_eq!(world.sync_buckets().await.struck, 0);
    }
    assert_eq!(world.regions().await, all_buckets());
}

#[tokio::test]
async fn without_keys_buckets_keep_their_stored_fields() {
    let mut world = world().await;
    let spaces = world.inventory.spaces.take();
    let synced = world.sync_buckets().await;
    assert_eq!((synced.discovered, synced.incomplete), (2, None));
    assert!(
        world
            .regions()
            .await
            .iter()
            .all(|(_, region)| region.is_none())
    );
    world.inventory.spaces = spaces;
    world.sync_buckets().await;
    assert_eq!(world.regions().await, all_buckets());
    world.inventory.spaces = None;
    assert_eq!(world.sync_buckets().await.updated, 0);
    assert_eq!(world.regions().await, all_buckets());
}
