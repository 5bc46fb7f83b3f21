//! Sweeps of resources: events, strikes and deletions.

use std::time::Duration;

use domain::inventory::Attrs;
use domain::{Completeness, ResourceKind};
use serde_json::json;
use store::inventory::{ListingFacts, ResourceFilter, SweepOutcome};

use super::support::{droplet, every, fixture, incomplete};

#[tokio::test]
async fn a_new_resource_is_discovered_once() {
    let fixture = fixture().await;
    let outcome = fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    assert_eq!(
        outcome,
        SweepOutcome {
            seen: 2,
            discovered: 2,
            ..SweepOutcome::default()
        }
    );
    let again = fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    assert_eq!(
        again,
        SweepOutcome {
            seen: 2,
            ..SweepOutcome::default()
        }
    );
    assert_eq!(fixture.events("1").await, ["discovered"]);
}

#[tokio::test]
async fn an_unchanged_row_gets_only_a_new_time_of_observation() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let before = fixture.resource("1").await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let after = fixture.resource("1").await;
    assert!(after.last_seen_at > before.last_seen_at);
    assert_eq!(after.first_seen_at, before.first_seen_at);
    assert_eq!(fixture.events("1").await.len(), 1);
}

#[tokio::test]
async fn a_change_is_one_event_with_before_and_after() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let mut resized = droplet(1, "web-1");
    resized.attrs = json!({ "memory": 2048 }).into();
    let outcome = fixture.sweep(&[resized.clone()]).await;
    assert_eq!(outcome.updated, 1);
    resized.tags.push("prod".to_owned());
    assert_eq!(fixture.sweep(&[resized]).await.tagged, 1);

    let resource = fixture.resource("1").await;
    assert_eq!(resource.attrs, json!({ "memory": 2048 }));
    assert_eq!(resource.tags, ["prod", "web"]);
    let events = fixture
        .resource_events(resource.id, None, 10)
        .await
        .unwrap();
    assert_eq!(events[0].event, "tagged");
    assert_eq!(
        events[1].changes,
        json!({ "attrs.memory": { "before": 1024, "after": 2048 } })
    );
    assert_eq!(events[1].workflow_id.as_deref(), Some("sync-1"));
    assert_eq!(events[1].run_id.as_deref(), Some("run-1"));
}

#[tokio::test]
async fn special_characters_are_stored_unchanged() {
    let fixture = fixture().await;
    let odd = "tab\t line\n return\r \\N \\ \"quoted\" {brace} ü";
    let mut resource = droplet(1, odd);
    resource.region = Some(String::new());
    resource.status = None;
    resource.tags = ["NULL", "", odd, "a,b", "{}"].map(str::to_owned).to_vec();
    resource.attrs = json!({ "image": { "name": odd }, "kernel": null, odd: [odd] }).into();
    fixture.sweep(&[resource.clone()]).await;
    assert_eq!(
        fixture.sweep(&[resource]).await,
        SweepOutcome {
            seen: 1,
            ..SweepOutcome::default()
        }
    );

    let stored = fixture.resource("1").await;
    assert_eq!(stored.name, odd);
    assert_eq!((stored.region.as_deref(), stored.status), (Some(""), None));
    assert_eq!(stored.tags, ["", "NULL", "a,b", odd, "{}"]);
    let attrs = json!({ "image": { "name": odd }, "kernel": null, odd: [odd] });
    assert_eq!(stored.attrs, attrs);
    let events = fixture.resource_events(stored.id, None, 10).await.unwrap();
    assert_eq!(
        events[0].changes,
        json!({
            "name": { "before": null, "after": odd },
            "region": { "before": null, "after": "" },
            "tags": { "before": null, "after": ["", "NULL", "a,b", odd, "{}"] },
            "attrs": { "before": null, "after": attrs },
        })
    );
}

#[tokio::test]
async fn a_body_in_a_different_order_is_unchanged() {
    let fixture = fixture().await;
    let body = |json: &str| {
        let body: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
            serde_json::from_str(json).unwrap();
        Attrs::of(&body).unwrap()
    };
    let mut resource = droplet(1, "web-1");
    resource.attrs = body(r#"{ "size": { "slug": "s-1", "memory": 1024 } }"#);
    fixture.sweep(&[resource.clone()]).await;
    resource.attrs = body(r#"{ "size": {"memory":1024,"slug":"s-1"} }"#);
    let outcome = fixture.sweep(&[resource]).await;
    assert_eq!(
        outcome,
        SweepOutcome {
            seen: 1,
            ..SweepOutcome::default()
        }
    );
    assert_eq!(fixture.events("1").await, ["discovered"]);
}

#[tokio::test]
async fn three_complete_listings_without_a_resource_delete_it() {
    let fixture = fixture().await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    for strikes in 1..=2 {
        let outcome = fixture.sweep(&[droplet(2, "web-2")]).await;
        assert_eq!((outcome.struck, outcome.deleted), (1, 0));
        let resource = fixture.resource("1").await;
        assert_eq!(
            (resource.stale_strike_count, resource.deleted_at),
            (strikes, None)
        );
    }
    assert_eq!(fixture.sweep(&[droplet(2, "web-2")]).await.deleted, 1);
    assert!(fixture.resource("1").await.deleted_at.is_some());
    assert_eq!(fixture.events("1").await, ["discovered", "deleted"]);
    assert_eq!(
        fixture.sweep(&[droplet(2, "web-2")]).await,
        SweepOutcome {
            seen: 1,
            ..SweepOutcome::default()
        }
    );
    let live = fixture
        .resources(&ResourceFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(live.len(), 1);
}

#[tokio::test]
async fn an_observation_resets_the_strikes() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    for _ in 0..3 {
        fixture.sweep(&[]).await;
        fixture.sweep(&[]).await;
        fixture.sweep(&[droplet(1, "web-1")]).await;
        assert_eq!(fixture.resource("1").await.stale_strike_count, 0);
    }
    assert_eq!(fixture.events("1").await, ["discovered"]);
}

#[tokio::test]
async fn an_incomplete_listing_adds_resources_and_no_strikes() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    for _ in 0..5 {
        let facts = fixture.facts(incomplete()).await;
        fixture
            .sweep_with(&ResourceKind::DROPLET, &[droplet(2, "web-2")], &facts)
            .await;
    }
    let resource = fixture.resource("1").await;
    assert_eq!(
        (resource.stale_strike_count, resource.deleted_at),
        (0, None)
    );
    assert_eq!(fixture.events("2").await, ["discovered"]);
}

#[tokio::test]
async fn a_listing_adds_strikes_only_to_its_kind() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    for _ in 0..4 {
        let facts = fixture.facts(Completeness::Complete).await;
        fixture.sweep_with(&ResourceKind::VOLUME, &[], &facts).await;
    }
    assert_eq!(fixture.resource("1").await.stale_strike_count, 0);
}

#[tokio::test]
async fn a_retried_activity_adds_one_strike_per_run() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let first_try = fixture.facts(Completeness::Complete).await;
    for _ in 0..4 {
        let evidence = fixture.begin_fetch().await.unwrap();
        let facts = ListingFacts {
            evidence,
            finished_at: evidence.began_at(),
            ..first_try.clone()
        };
        fixture
            .sweep_with(&ResourceKind::DROPLET, &[], &facts)
            .await;
    }
    assert_eq!(fixture.resource("1").await.stale_strike_count, 1);
}

#[tokio::test]
async fn a_run_with_an_incomplete_first_attempt_may_add_strikes() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let broken = fixture.facts(incomplete()).await;
    fixture
        .sweep_with(&ResourceKind::DROPLET, &[], &broken)
        .await;
    let evidence = fixture.begin_fetch().await.unwrap();
    let whole = ListingFacts {
        completeness: Completeness::Complete,
        evidence,
        finished_at: evidence.began_at(),
        ..broken
    };
    fixture
        .sweep_with(&ResourceKind::DROPLET, &[], &whole)
        .await;
    assert_eq!(fixture.resource("1").await.stale_strike_count, 1);
}

#[tokio::test]
async fn strikes_have_a_minimum_interval() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    for _ in 0..4 {
        let facts = ListingFacts {
            rules: every(Duration::from_mins(10)),
            ..fixture.facts(Completeness::Complete).await
        };
        fixture
            .sweep_with(&ResourceKind::DROPLET, &[], &facts)
            .await;
    }
    assert_eq!(fixture.resource("1").await.stale_strike_count, 1);
}

#[tokio::test]
async fn a_listing_begun_before_an_observation_adds_no_strike() {
    let fixture = fixture().await;
    let early = fixture.facts(Completeness::Complete).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .sweep_with(&ResourceKind::DROPLET, &[], &early)
        .await;
    assert_eq!(fixture.resource("1").await.stale_strike_count, 0);
}

#[tokio::test]
async fn an_older_listing_does_not_overwrite_a_newer_one() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "old-name")]).await;
    let early = fixture.facts(Completeness::Complete).await;
    fixture.sweep(&[droplet(1, "new-name")]).await;
    let outcome = fixture
        .sweep_with(&ResourceKind::DROPLET, &[droplet(1, "old-name")], &early)
        .await;
    assert_eq!(outcome.updated, 0);
    assert_eq!(fixture.resource("1").await.name, "new-name");
}

#[tokio::test]
async fn a_deleted_resource_that_is_observed_again_is_restored() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let id = fixture.resource("1").await.id;
    for _ in 0..3 {
        fixture.sweep(&[]).await;
    }
    let outcome = fixture.sweep(&[droplet(1, "web-1")]).await;
    assert_eq!((outcome.restored, outcome.discovered), (1, 0));
    let resource = fixture.resource("1").await;
    assert_eq!(
        (
            resource.id,
            resource.deleted_at,
            resource.stale_strike_count
        ),
        (id, None, 0)
    );
    assert_eq!(
        fixture.events("1").await,
        ["discovered", "deleted", "restored"]
    );
}

#[tokio::test]
async fn two_concurrent_sweeps_of_one_kind_have_the_effect_of_one() {
    let fixture = fixture().await;
    let droplets: Vec<_> = (0..300)
        .map(|id| droplet(id, &format!("web-{id}")))
        .collect();
    let (one, two) = tokio::join!(fixture.sweep(&droplets), fixture.sweep(&droplets));
    assert_eq!(one.discovered + two.discovered, 300);
    assert_eq!(fixture.all_resources().await.len(), 300);

    // Both began before either added a strike: one absence counts once.
    let (one, two) = (
        fixture.facts(Completeness::Complete).await,
        fixture.facts(Completeness::Complete).await,
    );
    let interval = Duration::from_mins(1);
    let one = ListingFacts {
        rules: every(interval),
        ..one
    };
    let two = ListingFacts {
        rules: every(interval),
        ..two
    };
    let kind = ResourceKind::DROPLET;
    let (one, two) = tokio::join!(
        fixture.sweep_with(&kind, &droplets[1..], &one),
        fixture.sweep_with(&kind, &droplets[1..], &two)
    );
    assert_eq!(one.struck + two.struck, 1);
    assert_eq!(fixture.resource("0").await.stale_strike_count, 1);
}

#[tokio::test]
async fn thousands_of_resources_are_stored() {
    let fixture = fixture().await;
    let droplets: Vec<_> = (0..2_500)
        .map(|id| droplet(id, &format!("web-{id}")))
        .collect();
    assert_eq!(fixture.sweep(&droplets).await.discovered, 2_500);
    assert_eq!(fixture.sweep(&droplets).await.updated, 0);
    let mut filter = ResourceFilter {
        text: Some("WEB-2499".to_owned()),
        ..ResourceFilter::default()
    };
    assert_eq!(fixture.resources(&filter, None, 10).await.unwrap().len(), 1);
    filter.tenant = Some("unknown".to_owned());
    assert_eq!(fixture.resources(&filter, None, 10).await.unwrap().len(), 0);
}
