//! Matches of cost lines to resources, by the precedence of the rules.

use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::json;
use store::inventory::Commit;
use store::invoices::CostLine;

use super::bills::{
    APRIL, april_lines, assert_balanced, correct, header, ingest, ingest_with, lines_of,
    statements, uuid,
};
use super::support::{Fixture, by, droplet, fixture, resource};

const WHOLE_APRIL: &str = "2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000";

pub(super) fn line(product: &str, group: &str, description: &str, time: &str) -> String {
    format!("{product},{group},{description},1,{time},$1.00,web,iaas\n")
}

fn droplet_line(description: &str) -> String {
    line("Droplets", "", description, WHOLE_APRIL)
}

pub(super) fn created(mut droplet: ObservedResource, at: &str) -> ObservedResource {
    droplet.attrs = json!({ "created_at": at, "size_slug": "s-1vcpu-1gb" }).into();
    droplet
}

pub(super) async fn with_invoice(lines: &str) -> Fixture {
    let fixture = fixture().await;
    let cents = i64::try_from(lines.lines().count()).unwrap() * 100;
    fixture
        .discover_invoices(&[header(1, "2026-04", cents)])
        .await
        .unwrap();
    fixture
}

pub(super) fn rule_of(line: &CostLine) -> (&str, Option<&str>) {
    (line.match_rule.as_str(), line.match_note.as_deref())
}

pub(super) async fn resource_of(fixture: &Fixture, line: usize) -> Option<String> {
    let id = april_lines(fixture).await[line].resource_id?;
    let found: String = sqlx::query_scalar("select provider_id from cloud_resources where id = $1")
        .bind(id)
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    Some(found)
}

#[tokio::test]
async fn a_numeric_id_precedes_names_and_is_unique_per_kind() {
    let lines = [
        droplet_line("web-1 (s-1vcpu-1gb)"),
        line("Droplet Backups", "", "web-1", WHOLE_APRIL),
        line("Droplet Snapshots", "", "nightly", WHOLE_APRIL),
        line("Mystery", "", "web-1", WHOLE_APRIL),
    ]
    .concat();
    let fixture = with_invoice(&lines).await;
    fixture
        .sweep(&[droplet(7, "other-name"), droplet(8, "web-1")])
        .await;
    let snapshot = ResourceKind::SNAPSHOT;
    fixture.sweep_kind(&[resource(snapshot.clone(), "7")]).await;
    let outcome = ingest_with(&fixture, 1, &lines, &[Some("7"); 4], None).await;
    assert_eq!(outcome.rules.get("id"), Some(&3));
    let lines = april_lines(&fixture).await;
    let of = |name: &str, kind: &str| {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        let pool = fixture.pool.clone();
        async move {
            sqlx::query_scalar::<_, uuid::Uuid>(
                "select id from cloud_resources where provider_id = $1 and kind = $2",
            )
            .bind(name)
            .bind(kind)
            .fetch_one(&pool)
            .await
            .unwrap()
        }
    };
    assert_eq!(lines[0].resource_id, Some(of("7", "droplet").await));
    // The item of a backup contains the id of its droplet.
    assert_eq!(lines[1].resource_id, Some(of("7", "droplet").await));
    assert_eq!(lines[2].resource_id, Some(of("7", "snapshot").await));
    assert_eq!(
        rule_of(&lines[3]),
        (
            "unmatched",
            Some("the product is not known here, and DigitalOcean's id 7 could be of any kind")
        )
    );
}

#[tokio::test]
async fn a_uuid_is_matched_for_an_unknown_product() {
    let lines = line("Mystery", "", "data", WHOLE_APRIL);
    let fixture = with_invoice(&lines).await;
    fixture
        .sweep_kind(&[resource(ResourceKind::VOLUME, "0b1f5b3a")])
        .await;
    ingest_with(&fixture, 1, &lines, &[Some("uuid:0b1f5b3a")], None).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("0b1f5b3a"));
    assert_eq!(april_lines(&fixture).await[0].match_rule, "uuid");
}

#[tokio::test]
async fn a_line_with_an_unknown_id_is_historic_and_not_matched_by_name() {
    let lines = droplet_line("web-1 (s-1vcpu-1gb)");
    let fixture = with_invoice(&lines).await;
    fixture.sweep(&[droplet(8, "web-1")]).await;
    ingest_with(&fixture, 1, &lines, &[Some("7")], None).await;
    let historic = &april_lines(&fixture).await[0];
    assert_eq!(
        rule_of(historic),
        (
            "historic",
            Some("DigitalOcean names droplet 7, which this mirror has never seen")
        )
    );
    assert_eq!(historic.provider_resource_id.as_deref(), Some("7"));

    // The droplet is listed later.
    fixture
        .sweep(&[droplet(8, "web-1"), droplet(7, "web-1")])
        .await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("7"));
    let changes = fixture
        .line_changes(april_lines(&fixture).await[0].id)
        .await
        .unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(
        changes[0].changes["match_rule"],
        json!({ "before": "historic", "after": "id" })
    );
    assert_eq!(
        (changes[0].cause.as_str(), changes[0].run_id.is_some()),
        ("inventory", true)
    );
}

#[tokio::test]
async fn lines_of_a_cluster_are_matched_by_their_group() {
    let cluster = ResourceKind::KUBERNETES_CLUSTER;
    let lines = line(
        "Kubernetes Clusters",
        "prod",
        "3 nodes - 4 GB / 2 vCPU / 80 GB SSD",
        WHOLE_APRIL,
    );
    let fixture = with_invoice(&lines).await;
    let mut observed = resource(cluster.clone(), "c-1");
    observed.name = "prod".to_owned();
    fixture.sweep_kind(&[observed]).await;
    ingest(&fixture, 1, &lines).await;
    let line = &april_lines(&fixture).await[0];
    assert_eq!(
        (line.match_rule.as_str(), line.resource_name.as_deref()),
        ("group", Some("prod"))
    );
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("c-1"));
}

#[tokio::test]
async fn volumes_with_one_name_are_distinguished_by_region() {
    let lines = [
        line("Volumes", "", "data (nyc3) 100GB", WHOLE_APRIL),
        line("Volumes", "", "data (sfo2) 100GB", WHOLE_APRIL),
        line("Volumes", "", "data (ams3) 100GB", WHOLE_APRIL),
    ]
    .concat();
    let fixture = with_invoice(&lines).await;
    let of_region = |id: &str, region: &str| ObservedResource {
        name: "data".to_owned(),
        region: Some(region.to_owned()),
        ..resource(ResourceKind::VOLUME, id)
    };
    fixture
        .sweep_kind(&[of_region("v-nyc", "nyc3"), of_region("v-sfo", "sfo2")])
        .await;
    ingest(&fixture, 1, &lines).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("v-nyc"));
    assert_eq!(resource_of(&fixture, 1).await.as_deref(), Some("v-sfo"));
    assert_eq!(
        rule_of(&april_lines(&fixture).await[2]),
        (
            "unmatched",
            Some("no volume of this name is in the region ams3")
        )
    );
}

#[tokio::test]
async fn a_name_matches_the_droplet_that_existed_in_the_charge_period() {
    let lines = [
        line(
            "Droplets",
            "",
            "web-1 (s-1vcpu-1gb)",
            "2026-04-01 00:00:00 +0000,2026-04-10 08:00:00 +0000",
        ),
        line(
            "Droplets",
            "",
            "web-1 (s-1vcpu-1gb)",
            "2026-04-10 09:00:00 +0000,2026-05-01 00:00:00 +0000",
        ),
        line(
            "Droplets",
            "",
            "web-1 (s-1vcpu-1gb)",
            "2026-03-20 00:00:00 +0000,2026-03-21 00:00:00 +0000",
        ),
    ]
    .concat();
    let fixture = with_invoice(&lines).await;
    let old = created(droplet(1, "web-1"), "2026-03-25T00:00:00Z");
    let new = created(droplet(2, "web-1"), "2026-04-10T09:00:00Z");
    fixture.sweep(&[old]).await;
    for _ in 0..3 {
        fixture.sweep(std::slice::from_ref(&new)).await;
    }
    // The last observation was before the creation of the other droplet.
    sqlx::query(
        "update cloud_resource_rows set first_seen_at = '2026-04-01Z', seen_before_deletion_at = '2026-04-10T07:55:00Z'
         where provider_id = '1'",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    ingest(&fixture, 1, &lines).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
    assert_eq!(resource_of(&fixture, 1).await.as_deref(), Some("2"));
    assert_eq!(
        rule_of(&april_lines(&fixture).await[2]),
        (
            "unmatched",
            Some("no droplet of this name existed in the charge period")
        )
    );
}

#[tokio::test]
async fn a_line_that_begins_after_its_month_is_matched_at_its_start() {
    let lines = line(
        "Droplets",
        "",
        "web-1 (s-1vcpu-1gb)",
        "2026-05-10 00:00:00 +0000,",
    );
    let fixture = with_invoice(&lines).await;
    fixture
        .sweep(&[created(droplet(1, "web-1"), "2026-05-05T00:00:00Z")])
        .await;
    // The first ingest matches the lines as they are inserted, the repeated one by the view.
    for _ in 0..2 {
        ingest(&fixture, 1, &lines).await;
        assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
    }
    let differing = "select count(*) from cloud_cost_lines line
        join cloud_cost_line_matches found on found.line_id = line.id
        where found.resource_id is distinct from line.resource_id";
    assert_eq!(fixture.count(differing).await, 0);
}

#[tokio::test]
async fn a_size_matches_only_a_droplet_that_has_or_had_it() {
    let lines = droplet_line("web-1 (s-2vcpu-2gb)");
    let fixture = with_invoice(&lines).await;
    let mut droplet = created(droplet(1, "web-1"), "2026-01-01T00:00:00Z");
    fixture.sweep(std::slice::from_ref(&droplet)).await;
    ingest(&fixture, 1, &lines).await;
    assert_eq!(
        rule_of(&april_lines(&fixture).await[0]),
        (
            "unmatched",
            Some("no droplet of this name has, or is known to have had, the size s-2vcpu-2gb")
        )
    );
    droplet.attrs =
        json!({ "created_at": "2026-01-01T00:00:00Z", "size_slug": "s-2vcpu-2gb" }).into();
    fixture.sweep(std::slice::from_ref(&droplet)).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
    droplet.attrs =
        json!({ "created_at": "2026-01-01T00:00:00Z", "size_slug": "s-4vcpu-8gb" }).into();
    fixture.sweep(&[droplet]).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn two_fitting_resources_are_ambiguous_candidates() {
    let fixture = with_invoice(APRIL).await;
    ingest(&fixture, 1, APRIL).await;
    assert_eq!(
        rule_of(&april_lines(&fixture).await[0]),
        ("unmatched", Some("no droplet of this name is known"))
    );
    fixture.sweep(&[droplet(1, "Web-1")]).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));

    fixture
        .sweep(&[droplet(1, "Web-1"), droplet(2, "web-1")])
        .await;
    let ambiguous = &april_lines(&fixture).await[0];
    assert_eq!(
        rule_of(ambiguous),
        (
            "ambiguous",
            Some("2 of this name existed in the charge period")
        )
    );
    let mut candidates = ambiguous.match_candidates.clone().unwrap();
    candidates.sort_unstable();
    let mut both = [
        fixture.resource("1").await.id,
        fixture.resource("2").await.id,
    ];
    both.sort_unstable();
    assert_eq!(candidates, both);
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn a_line_matches_the_resource_that_had_the_name_then() {
    let fixture = with_invoice(APRIL).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "db-1")])
        .await;
    fixture
        .sweep(&[droplet(1, "web-old"), droplet(2, "web-1")])
        .await;
    ingest(&fixture, 1, APRIL).await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
    // Also if the names change after the line is stored.
    fixture
        .sweep(&[droplet(1, "web-older"), droplet(2, "db-1")])
        .await;
    assert_eq!(resource_of(&fixture, 0).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn an_override_takes_precedence_and_remains_after_corrections() {
    let fixture = with_invoice(APRIL).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "other")])
        .await;
    ingest(&fixture, 1, APRIL).await;
    let line = april_lines(&fixture).await[0].id;
    let other = fixture.resource("2").await.id;
    fixture
        .override_match(
            line,
            Some(other),
            false,
            &by("ann").because(Some("billed under its old name".to_owned())),
            Commit::Keep,
        )
        .await
        .unwrap();
    let corrected = APRIL.replace("$6.00", "$7.00");
    let with_one_before = format!("{}{corrected}", droplet_line("new (s-1vcpu-1gb)"));
    for lines in [APRIL, &corrected, &with_one_before] {
        correct(&fixture, 1, lines).await;
        let lines = april_lines(&fixture).await;
        let overridden = lines.iter().find(|stored| stored.id == line).unwrap();
        assert_eq!(
            (
                rule_of(overridden),
                overridden.resource_id,
                overridden.description.as_str()
            ),
            (
                ("operator", Some("billed under its old name")),
                Some(other),
                "WEB-1 (s-1vcpu-1gb)"
            )
        );
    }
    let changes = fixture.line_changes(line).await.unwrap();
    assert_eq!(changes[0].changed_by.as_deref(), Some("ann"));

    fixture
        .withdraw_override(line, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let lines = april_lines(&fixture).await;
    let withdrawn = lines.iter().find(|stored| stored.id == line).unwrap();
    assert_eq!(withdrawn.match_rule, "name");
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn an_override_without_resource_makes_a_line_a_shared_cost() {
    let fixture = with_invoice(APRIL).await;
    ingest(&fixture, 1, APRIL).await;
    let line = april_lines(&fixture).await[1].id;
    fixture
        .override_match(line, None, false, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let shared = april_lines(&fixture).await.remove(1);
    assert!(shared.is_shared && shared.resource_id.is_none());
    assert_eq!(
        statements(&fixture, "2026-04-01").await,
        [(None, 600, -100_110 + 9)]
    );
    fixture
        .withdraw_override(line, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert!(!april_lines(&fixture).await[1].is_shared);
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn a_change_of_a_resource_rematches_only_its_lines() {
    let fixture = with_invoice(APRIL).await;
    fixture
        .discover_invoices(&[header(2, "2026-05", 0)])
        .await
        .unwrap();
    ingest(&fixture, 1, APRIL).await;
    ingest(&fixture, 2, APRIL).await;
    fixture.sweep(&[droplet(3, "web-1")]).await;
    let changed: i64 = sqlx::query_scalar("select count(*) from cloud_cost_line_changes")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(changed, 2);
    assert_eq!(lines_of(&fixture, "2026-05-01").await[0].match_rule, "name");
    assert!(fixture.invoice(uuid(2).as_uuid()).await.is_ok());
}
