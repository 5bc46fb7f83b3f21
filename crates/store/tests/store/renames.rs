//! Matches of cost lines to resources by names and sizes that they have no longer.

use serde_json::json;

use super::bills::{april_lines, assert_balanced, ingest};
use super::matching::{created, line, resource_of, rule_of, with_invoice};
use super::support::droplet;

/// A charge period that contains every change of a test, and one after all of them.
const AROUND_NOW: &str = "2020-01-01 00:00:00 +0000,2999-01-01 00:00:00 +0000";
const LATER: &str = "2999-01-01 00:00:00 +0000,2999-02-01 00:00:00 +0000";

#[tokio::test]
async fn a_line_matches_a_resource_that_lost_its_name_in_the_period() {
    let lines = line("Droplets", "", "web-1 (s-1vcpu-1gb)", AROUND_NOW);
    let fixture = with_invoice(&lines).await;
    let named =
        async |one: &str, two: &str| fixture.sweep(&[droplet(1, one), droplet(2, two)]).await;
    named("web-1", "db-1").await;
    ingest(&fixture, 1, &lines).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));

    named("web-old", "db-1").await;
    assert_eq!(april_lines(&fixture).await[0].match_rule, "name");
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));

    // The resource with the name at the end of the period precedes.
    named("web-old", "web-1").await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("2"));

    named("web-old", "db-1").await;
    let ambiguous = &april_lines(&fixture).await[0];
    assert_eq!(ambiguous.match_rule, "ambiguous");
    let mut candidates = ambiguous.match_candidates.clone().unwrap();
    candidates.sort_unstable();
    let mut both = [
        fixture.resource("1").await.id,
        fixture.resource("2").await.id,
    ];
    both.sort_unstable();
    assert_eq!(candidates, both);

    // A name that comes back is not a former name.
    named("web-1", "db-1").await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn a_name_lost_before_the_period_is_known_and_does_not_match() {
    let lines = [
        line("Droplets", "", "web-1 (s-1vcpu-1gb)", LATER),
        line("Droplets", "", "web-9 (s-1vcpu-1gb)", LATER),
    ]
    .concat();
    let fixture = with_invoice(&lines).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture.sweep(&[droplet(1, "web-old")]).await;
    ingest(&fixture, 1, &lines).await;
    let lines = april_lines(&fixture).await;
    assert_eq!(
        [rule_of(&lines[0]), rule_of(&lines[1])],
        [
            (
                "unmatched",
                Some("no droplet of this name existed in the charge period")
            ),
            ("unmatched", Some("no droplet of this name is known"))
        ]
    );
}

#[tokio::test]
async fn a_restored_resource_is_matched_by_its_former_size() {
    let lines = line("Droplets", "", "web-1 (s-1vcpu-1gb)", AROUND_NOW);
    let fixture = with_invoice(&lines).await;
    let small = created(droplet(1, "web-1"), "2026-01-01T00:00:00Z");
    let mut large = small.clone();
    large.attrs =
        json!({ "created_at": "2026-01-01T00:00:00Z", "size_slug": "s-8vcpu-16gb" }).into();
    fixture.sweep(&[small]).await;
    for _ in 0..3 {
        fixture.sweep(&[droplet(2, "other")]).await;
    }
    fixture.sweep(&[large, droplet(2, "other")]).await;
    assert_eq!(
        fixture.events("1").await,
        ["discovered", "deleted", "restored"]
    );
    ingest(&fixture, 1, &lines).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn rematches_compare_names_with_other_letters_by_one_rule() {
    // Lower case of a final sigma and of a dotted I differs between Rust and locales.
    let named = |name: &str| {
        let description = format!("{name} (s-1vcpu-1gb)");
        let april = "2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000";
        line("Droplets", "", &description, april)
    };
    let lines = [named("ΟΔΟΣ"), named("İZMİR"), named("WEB-1")].concat();
    let fixture = with_invoice(&lines).await;
    ingest(&fixture, 1, &lines).await;
    fixture
        .sweep(&[droplet(1, "ΟΔΟΣ"), droplet(2, "İZMİR"), droplet(3, "web-1")])
        .await;
    for (line, id) in ["1", "2", "3"].into_iter().enumerate() {
        let matched = resource_of(&fixture, line).await;
        assert_eq!(matched.as_deref(), Some(id));
    }
}
