//! Tests of the metrics from the database.

use std::slice;

use axum::body::Body;
use axum::http::Request;
use chrono::TimeDelta;
use domain::balance::BalanceReading;
use domain::{Completeness, ResourceKind};
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection};
use store::Store;
use store::inventory::Shortfall;

use crate::support::{
    TestApi, content, entry, facts, invoice_of, lines, live_droplets, operator, resource, respond,
    sweep, sweep_with,
};

/// A page of metrics.
struct Page(String);

impl Page {
    /// Requests the metrics from a new router, because a router reuses its last reading for a
    /// moment.
    async fn of(store: &Store) -> Self {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let (_, metrics) = api::routers(store.clone().into());
        let page = respond(metrics, request).await;
        assert_eq!(page.status, 200, "{page:?}");
        Self(page.text)
    }

    fn line(&self, series: &str) -> Option<&str> {
        let values = |line: &'_ str| line.strip_prefix(series)?.strip_prefix(' ').map(str::len);
        let line = self.0.lines().find(|line| values(line).is_some())?;
        line.rsplit_once(' ').map(|(_, value)| value)
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        let value = self.line(series);
        let value = value.unwrap_or_else(|| panic!("{series} is not in\n{}", self.0));
        value.parse().unwrap()
    }

    #[track_caller]
    fn shows(&self, series: &str, expected: &str) {
        assert_eq!(self.line(series), Some(expected), "{series} in\n{}", self.0);
    }

    #[track_caller]
    fn hides(&self, name: &str) {
        assert!(!self.0.contains(name), "{name} is in\n{}", self.0);
    }
}

#[tokio::test]
async fn the_metrics_of_a_kind_follow_complete_and_failed_syncs() {
    let api = TestApi::with_account().await;
    let droplet = ResourceKind::DROPLET;
    sweep(&api.store, &droplet, &live_droplets()).await;
    let synced = Page::of(&api.store).await;
    synced.shows("arcadia_database_up", "1");
    synced.shows(r#"arcadia_kind_live_rows{kind="droplet"}"#, "3");
    synced.shows(r#"arcadia_kind_live_rows{kind="project"}"#, "3");
    synced.shows(r#"arcadia_kind_struck_rows{kind="droplet"}"#, "0");
    synced.shows(
        r#"arcadia_kind_attempt_state{kind="droplet",state="complete"}"#,
        "1",
    );
    let age = synced.value(r#"arcadia_kind_complete_listing_age_seconds{kind="droplet"}"#);
    assert!((0.0..60.0).contains(&age), "{age}");

    sweep(&api.store, &droplet, &live_droplets()[1..]).await;
    let mut failed = facts(&api.store).await;
    failed.completeness = Completeness::Incomplete("page 2 returned 503".to_owned());
    failed.shortfall = Shortfall::Failed;
    sweep_with(&api.store, &droplet, &[], &failed).await;
    // A complete listing an hour ago, and an attempt just now.
    api.write_by_hand(
        "update cloud_kind_freshness set last_complete_at = now() - interval '1 hour' where kind = 'droplet'",
    )
    .await;
    let failed = Page::of(&api.store).await;
    failed.shows(r#"arcadia_kind_live_rows{kind="droplet"}"#, "3");
    failed.shows(r#"arcadia_kind_struck_rows{kind="droplet"}"#, "1");
    for (state, expected) in [("failed", "1"), ("complete", "0"), ("held", "0")] {
        let series = format!(r#"arcadia_kind_attempt_state{{kind="droplet",state="{state}"}}"#);
        failed.shows(&series, expected);
    }
    let age = failed.value(r#"arcadia_kind_complete_listing_age_seconds{kind="droplet"}"#);
    assert!((3600.0..3700.0).contains(&age), "{age}");
    let age = failed.value(r#"arcadia_kind_attempt_age_seconds{kind="droplet"}"#);
    assert!((0.0..60.0).contains(&age), "{age}");
}

#[tokio::test]
async fn tokens_that_expire_soon_are_counted_until_they_are_replaced() {
    let api = TestApi::empty().await;
    let page = Page::of(&api.store).await;
    page.shows("arcadia_api_tokens_expiring", "0");
    page.hides("arcadia_api_token_expiry_seconds");
    api.write_by_hand(
        "update api_tokens set created_at = now() - interval '300 days', expires_at = now() + interval '1 day'
         where tenant_id = 'acme'",
    )
    .await;
    let page = Page::of(&api.store).await;
    page.shows("arcadia_api_tokens_expiring", "1");
    let left = page.value("arcadia_api_token_expiry_seconds");
    assert!((86_000.0..=86_400.0).contains(&left), "{left}");
    let acme = api.store.authenticate(&api.acme).await.unwrap().unwrap();
    let (token, overlap) = (api::generate_token(), TimeDelta::days(7));
    let secret = token.expose_secret();
    api.store
        .rotate_token(acme.token_id, secret, None, overlap, &operator())
        .await
        .unwrap();
    let page = Page::of(&api.store).await;
    page.shows("arcadia_api_tokens_expiring", "0");
}

#[tokio::test]
async fn the_age_of_the_maintenance_counts_from_the_last_complete_run() {
    let api = TestApi::empty().await;
    api.write_by_hand("update installation set created_at = now() - interval '4 days'")
        .await;
    let name = "arcadia_maintenance_age_seconds";
    let age = Page::of(&api.store).await.value(name);
    assert!((345_600.0..345_700.0).contains(&age), "{age}");
    api.store.record_maintenance(&[]).await.unwrap();
    let age = Page::of(&api.store).await.value(name);
    assert!((0.0..60.0).contains(&age), "{age}");
}

#[tokio::test]
async fn a_kind_without_a_complete_listing_has_a_state_and_no_age() {
    let api = TestApi::empty().await;
    let mut unreadable = facts(&api.store).await;
    unreadable.completeness = Completeness::Incomplete("returned 403".to_owned());
    unreadable.shortfall = Shortfall::NotReadable;
    sweep_with(&api.store, &ResourceKind::VOLUME, &[], &unreadable).await;
    let page = Page::of(&api.store).await;
    page.shows(
        r#"arcadia_kind_attempt_state{kind="volume",state="not_readable"}"#,
        "1",
    );
    page.hides("arcadia_kind_complete_listing_age_seconds{");
}

#[tokio::test]
async fn held_deletions_have_metrics_until_they_are_decided() {
    let api = TestApi::empty().await;
    let volume = ResourceKind::VOLUME;
    let volumes: Vec<_> = (0..12)
        .map(|id| resource(volume.clone(), format!("v-{id}"), &format!("data-{id}")))
        .collect();
    sweep(&api.store, &volume, &volumes).await;
    for _strike in 0..3 {
        sweep(&api.store, &volume, &[]).await;
    }
    let held = Page::of(&api.store).await;
    held.shows(r#"arcadia_held_deletions_pending{kind="volume"}"#, "1");
    held.shows(r#"arcadia_held_deletion_rows{kind="volume"}"#, "12");
    let age = held.value(r#"arcadia_held_deletion_age_seconds{kind="volume"}"#);
    assert!((0.0..60.0).contains(&age), "{age}");

    // A listing with all volumes closes the hold.
    sweep(&api.store, &volume, &volumes).await;
    let decided = Page::of(&api.store).await;
    decided.shows(r#"arcadia_held_deletions_pending{kind="volume"}"#, "0");
    decided.shows(r#"arcadia_held_deletion_rows{kind="volume"}"#, "0");
    decided.hides("arcadia_held_deletion_age_seconds{");
}

#[tokio::test]
async fn invoices_have_metrics_by_status_and_difference() {
    let api = TestApi::empty().await;
    let droplet = "Droplets,,web-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$6.00,alpha,iaas";
    api.invoice("2026-03", "6.00", droplet).await;
    // Differences of 0.50 and -1.25 must not cancel each other out.
    api.invoice("2026-04", "6.50", droplet).await;
    api.invoice("2026-05", "4.75", droplet).await;
    let page = Page::of(&api.store).await;
    page.shows(r#"arcadia_invoices{ingest_status="ingested"}"#, "3");
    page.shows(r#"arcadia_invoices{ingest_status="failed"}"#, "0");
    page.shows("arcadia_invoices_unreconciled", "2");
    page.shows("arcadia_invoices_off_by_usd", "1.75");
    page.shows("arcadia_invoices_check_failed", "0");
    page.shows("arcadia_invoices_withdrawn", "0");
    page.shows("arcadia_invoices_not_final", "2");
    page.shows("arcadia_invoices_unverified", "0");
    page.shows("arcadia_overrides_orphaned", "0");

    // Without a summary, nothing differs and nothing is verified.
    let june = invoice_of("2026-06");
    api.listed(june, "2026-06", "6.00").await;
    api.ingest(june, content(&lines(droplet))).await;
    let page = Page::of(&api.store).await;
    page.shows("arcadia_invoices_not_final", "2");
    page.shows("arcadia_invoices_unverified", "1");

    // A later failed check is not a failed ingest, and a withdrawn invoice is not checked.
    let april = invoice_of("2026-04");
    api.fail_check(april, "404").await;
    let page = Page::of(&api.store).await;
    page.shows(r#"arcadia_invoices{ingest_status="failed"}"#, "0");
    page.shows("arcadia_invoices_check_failed", "1");
    let evidence = api.store.begin_fetch().await.unwrap();
    api.store
        .store_invoice_list(&[], evidence, true)
        .await
        .unwrap();
    let page = Page::of(&api.store).await;
    page.shows("arcadia_invoices_check_failed", "0");
    page.shows("arcadia_invoices_withdrawn", "4");
}

#[tokio::test]
async fn balance_ledger_and_estimate_have_metrics_once_they_are_known() {
    let api = TestApi::empty().await;
    let before = Page::of(&api.store).await;
    before.shows("arcadia_ledger_entries", "0");
    for unknown in [
        "arcadia_balance",
        "arcadia_ledger_difference",
        "arcadia_estimate",
    ] {
        before.hides(unknown);
    }

    let entry = entry("Invoice", "10.00", "2026-05-01T00:00:00Z");
    api.ledger(slice::from_ref(&entry)).await;
    let reading = BalanceReading {
        month_to_date_balance: "31.50".parse().unwrap(),
        account_balance: "12.11".parse().unwrap(),
        month_to_date_usage: "19.39".parse().unwrap(),
        generated_at: "2026-05-09T05:00:00Z".parse().unwrap(),
    };
    let evidence = api.store.begin_fetch().await.unwrap();
    api.store.store_balance(&reading, evidence).await.unwrap();
    api.estimate(
        "2026-05",
        "3.25",
        "Droplets,,web-1 (s-1vcpu-1gb),1,2026-05-01 00:00:00 +0000,2026-05-02 00:00:00 +0000,$3.25,alpha,iaas",
    )
    .await;
    let page = Page::of(&api.store).await;
    page.shows("arcadia_month_to_date_usage_usd", "19.39");
    page.shows("arcadia_month_to_date_balance_usd", "31.5");
    page.shows("arcadia_account_balance_usd", "12.11");
    page.shows("arcadia_ledger_total_usd", "10");
    page.shows("arcadia_ledger_difference_usd", "2.11");
    page.shows("arcadia_estimate_usd", "3.25");
    for age in [
        "arcadia_balance_age_seconds",
        "arcadia_estimate_age_seconds",
    ] {
        let age = page.value(age);
        assert!((0.0..60.0).contains(&age), "{age}");
    }
}

#[tokio::test]
async fn an_unavailable_database_is_down_in_the_metrics() {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    drop(database);
    let page = Page::of(&store).await;
    page.shows("arcadia_database_up", "0");
    page.shows("arcadia_http_server_errors_total", "0");
    page.hides("arcadia_kind");
    page.hides("arcadia_invoices");
}

#[tokio::test]
async fn a_blocked_database_does_not_block_a_scrape() {
    let api = TestApi::empty().await;
    let mut locking = PgConnection::connect(&api.database_url()).await.unwrap();
    let mut locked = locking.begin().await.unwrap();
    sqlx::query("lock table cloud_invoices in access exclusive mode")
        .execute(&mut *locked)
        .await
        .unwrap();
    // Without a separate time limit the scrape would end with 503 at the timeout of the router.
    Page::of(&api.store).await.shows("arcadia_database_up", "0");
    locked.rollback().await.unwrap();
    Page::of(&api.store).await.shows("arcadia_database_up", "1");
}

#[tokio::test]
async fn frequent_scrapes_reuse_the_same_reading() {
    let api = TestApi::empty().await;
    let project = "insert into cloud_project_rows (provider_id, name, description, is_default, attrs, first_seen_at, sighting_id)
        values ('p', 'p', '', false, '{}', now(), 1)";
    let live =
        |text: &str| Page(text.to_owned()).value(r#"arcadia_kind_live_rows{kind="project"}"#);
    let first = api.get(&api.admin, "/metrics").await;
    api.write_by_hand(project).await;
    let second = api.get(&api.admin, "/metrics").await;
    assert_eq!((live(&first.text), live(&second.text)), (0.0, 0.0));
    let page = Page::of(&api.store).await;
    page.shows(r#"arcadia_kind_live_rows{kind="project"}"#, "1");
}
