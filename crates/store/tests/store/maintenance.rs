//! Retention, the partitions of the histories, and the purge of a secret.

use chrono::{DateTime, Months, Utc};
use domain::maintenance::Rule;
use serde_json::json;
use sqlx::AssertSqlSafe;
use store::StoreError;
use store::inventory::{Resource, ResourceFilter};

use super::support::{Fixture, by, droplet, fixture};

async fn execute(fixture: &Fixture, statements: &str) {
    let statements = AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements)
        .execute(&fixture.pool)
        .await
        .unwrap();
}

async fn count(fixture: &Fixture, rows: &str) -> i64 {
    let query = AssertSqlSafe(format!("select count(*) from {rows}"));
    sqlx::query_scalar(query)
        .fetch_one(&fixture.pool)
        .await
        .unwrap()
}

/// Applies a rule to completion, and returns the number of rows.
async fn maintain(fixture: &Fixture, rule: Rule) -> u64 {
    let mut total = 0;
    loop {
        let portion = fixture.maintain(rule).await.unwrap();
        total += portion.count;
        if portion.is_last {
            return total;
        }
    }
}

/// Dates a number of listings of droplets, the latest 91 days ago, one a minute, with a state.
async fn old_listings(fixture: &Fixture, number: u32, is_complete: bool) {
    execute(
        fixture,
        &format!(
            "insert into cloud_listings (kind, workflow_id, run_id, started_at, finished_at, complete, state, items, requests, has_struck)
             select 'droplet', 'w', gen_random_uuid(), at, at + interval '1 second', {is_complete},
                 case when {is_complete} then 'complete' else 'failed' end, 0, 1, {is_complete}
             from generate_series(1, {number}) n
             cross join lateral (select now() - interval '91 days' - make_interval(mins => n) as at) dated"
        ),
    )
    .await;
}

#[tokio::test]
async fn listings_are_removed_after_ninety_days() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    old_listings(&fixture, 5_001, true).await;
    let (one, two) = tokio::join!(
        maintain(&fixture, Rule::Listings),
        maintain(&fixture, Rule::Listings)
    );
    assert_eq!(one + two, 5_001, "none is counted twice");
    assert_eq!(count(&fixture, "cloud_listings").await, 1);
    assert_eq!(maintain(&fixture, Rule::Listings).await, 0);
}

#[tokio::test]
async fn listings_that_something_refers_to_stay() {
    let fixture = fixture().await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    old_listings(&fixture, 5, true).await;
    // In the order of the generated listings: a strike, a sighting, a hold.
    execute(
        &fixture,
        "create temporary table numbered as
             select row_number() over (order by started_at desc) as number, id, finished_at from cloud_listings
             where started_at < now() - interval '90 days';
         update cloud_resource_rows set stale_strike_count = 1, last_struck_at = (select finished_at from numbered where number = 1)
         where provider_id = '1';
         insert into cloud_sightings (kind, seen_at) select 'droplet', finished_at from numbered where number = 2;
         insert into cloud_held_deletions (kind, listing_id, listing_started_at, would_delete, live, held_at)
         select 'droplet', id, now(), 1, 1, now() from numbered where number = 3",
    )
    .await;
    assert_eq!(maintain(&fixture, Rule::Listings).await, 2);
    assert_eq!(count(&fixture, "cloud_listings").await, 4);
}

#[tokio::test]
async fn the_first_failed_listing_of_a_failing_kind_stays() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    old_listings(&fixture, 4, false).await;
    execute(
        &fixture,
        "update cloud_kind_freshness set last_complete_at = now() - interval '100 days'",
    )
    .await;
    assert_eq!(maintain(&fixture, Rule::Listings).await, 3);
    let first = "cloud_listings where started_at < now() - interval '91 days 4 minutes'";
    assert_eq!(count(&fixture, first).await, 1);
}

#[tokio::test]
async fn ended_tokens_without_acts_are_removed_after_ninety_days() {
    let fixture = fixture().await;
    execute(
        &fixture,
        "insert into api_tokens (name, role, token_sha256, token_prefix, revoked_at, expires_at)
         select name, 'platform_admin', sha256(name::bytea), 'arc_', revoked, expires
         from (values
             ('revoked', now() - interval '91 days', null), ('expired', null, now() - interval '91 days'),
             ('revoked recently', now() - interval '89 days', now() - interval '1 day'),
             ('replacement', now() - interval '91 days', null), ('valid', null, now() + interval '1 day')
         ) token (name, revoked, expires);
         update api_tokens set replaced_by = (select id from api_tokens where name = 'replacement') where name = 'valid';
         insert into web_sessions (session_sha256, token_id, expires_at)
         select sha256('s'), id, now() - interval '1 day' from api_tokens where name = 'expired'",
    )
    .await;
    assert_eq!(
        maintain(&fixture, Rule::Tokens).await,
        1,
        "expired has a session"
    );
    assert_eq!(maintain(&fixture, Rule::Sessions).await, 1);
    assert_eq!(maintain(&fixture, Rule::Tokens).await, 1);
    let kept = "api_tokens where name in ('revoked recently', 'replacement', 'valid')";
    assert_eq!(count(&fixture, kept).await, 3);
}

#[tokio::test]
async fn abandoned_staging_and_unused_documents_are_removed() {
    let fixture = fixture().await;
    execute(
        &fixture,
        "insert into cloud_resumable_listings (listing, run_id, kinds, started_at, taken_at)
         select gen_random_uuid(), n::text, '{droplet}', now(), now() - make_interval(mins => n * 60 - 30) from generate_series(1, 3) n;
         insert into cloud_listing_pages (listing, path, number, total, has_next, item_ids, kinds, provider_ids)
         select listing, '/v2/droplets', 1, 1, false, '{}', '{}', '{}' from cloud_resumable_listings;
         insert into cloud_invoice_documents (sha256, source, gzip, bytes, stored_at)
         select sha256(n::text::bytea), 'csv', '', 0, now() - make_interval(hours => n * 24 - 12) from generate_series(89, 92) n;
         insert into cloud_invoices (invoice_uuid, period, amount, listed_at, csv_sha256)
         values (gen_random_uuid(), '2026-01-01', 0, now(), sha256('92'))",
    )
    .await;
    assert_eq!(maintain(&fixture, Rule::Staging).await, 1);
    assert_eq!(count(&fixture, "cloud_listing_pages").await, 2);
    assert_eq!(maintain(&fixture, Rule::Documents).await, 1);
    assert_eq!(count(&fixture, "cloud_invoice_documents").await, 3);
}

#[tokio::test]
async fn rows_of_bounded_tables_are_removed_only_by_retention() {
    let fixture = fixture().await;
    for table in ["cloud_listings", "api_tokens", "cloud_invoice_documents"] {
        for statement in [
            format!("delete from {table}"),
            format!("truncate {table} cascade"),
        ] {
            let executed = sqlx::query(AssertSqlSafe(statement.clone())).execute(&fixture.pool);
            let error = executed.await.unwrap_err();
            let code = error.as_database_error().unwrap().code();
            assert_eq!(code.as_deref(), Some("23001"), "{statement}: {error}");
        }
    }
}

#[tokio::test]
async fn the_time_of_the_last_complete_maintenance_is_recorded() {
    let fixture = fixture().await;
    let installed_at = fixture.gauges().await.unwrap().maintained_at;
    let before = fixture.now().await.unwrap();
    assert!(installed_at < before);
    for _ in 0..2 {
        let counts = [(Rule::Listings, 3)];
        fixture.record_maintenance(&counts).await.unwrap();
    }
    assert!(fixture.gauges().await.unwrap().maintained_at > before);
}

/// Returns the middle of the month some months ago.
async fn months_ago(fixture: &Fixture, months: u32) -> DateTime<Utc> {
    let now = fixture.now().await.unwrap();
    now.checked_sub_months(Months::new(months)).unwrap()
}

/// Stores the droplet with an event a month for a year: renames, and regions.
async fn with_a_year_of_events(fixture: &Fixture) -> Resource {
    fixture.sweep(&[droplet(1, "now")]).await;
    let resource = fixture.resource("1").await;
    execute(
        fixture,
        &format!(
            "update cloud_resource_rows set first_seen_at = now() - interval '2 years';
             insert into cloud_resource_events (resource_id, event, changes, occurred_at)
             select '{id}', 'updated', case when ago % 2 = 0
                 then jsonb_build_object('name', jsonb_build_object('before', 'name ' || ago, 'after', 'x'))
                 else jsonb_build_object('region', jsonb_build_object('before', 'region ' || ago, 'after', 'x')) end,
                 now() - make_interval(months => ago)
             from generate_series(1, 12) ago order by ago desc",
            id = resource.id
        ),
    )
    .await;
    resource
}

#[tokio::test]
async fn an_insert_without_a_partition_succeeds_and_is_moved_later() {
    let fixture = fixture().await;
    with_a_year_of_events(&fixture).await;
    assert_eq!(
        count(&fixture, "history.cloud_resource_events_default").await,
        12
    );
    let events = count(&fixture, "cloud_resource_events").await;
    let (one, two) = tokio::join!(
        maintain(&fixture, Rule::Partitions),
        maintain(&fixture, Rule::Partitions)
    );
    assert_eq!(one + two, 12, "one for each month");
    assert_eq!(
        count(&fixture, "history.cloud_resource_events_default").await,
        0
    );
    assert_eq!(count(&fixture, "cloud_resource_events").await, events);
    assert_eq!(maintain(&fixture, Rule::Partitions).await, 0);

    // The partitions of the next three months exist before their first row.
    let ahead = fixture
        .now()
        .await
        .unwrap()
        .checked_add_months(Months::new(3))
        .unwrap();
    for table in ["cloud_resource_events", "cloud_cost_line_changes"] {
        let partition = format!(
            "pg_class where relname = '{table}_{}'",
            ahead.format("%Y_%m")
        );
        assert_eq!(count(&fixture, &partition).await, 1, "{partition}");
    }
    let partition = format!(
        "delete from history.cloud_resource_events_{}",
        months_ago(&fixture, 3).await.format("%Y_%m")
    );
    let deleted = sqlx::query(AssertSqlSafe(partition)).execute(&fixture.pool);
    let error = deleted.await.unwrap_err();
    assert_eq!(
        error.as_database_error().unwrap().code().as_deref(),
        Some("23001")
    );
}

#[tokio::test]
async fn a_partition_of_any_day_contains_its_whole_month() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    execute(
        &fixture,
        "select add_history_partition('cloud_resource_events', '2050-05-15');
         insert into cloud_resource_events (resource_id, event, changes, occurred_at)
         select id, 'updated', '{}', at from cloud_resource_rows
         cross join unnest('{2050-05-01 00:00Z,2050-05-02 00:00Z,2050-06-01 00:00Z}'::timestamptz[]) at",
    )
    .await;
    assert_eq!(
        count(&fixture, "history.cloud_resource_events_2050_05").await,
        2
    );
}

#[tokio::test]
async fn a_purge_may_change_events_and_no_changes_of_lines() {
    let fixture = fixture().await;
    let month = months_ago(&fixture, 0).await.format("%Y_%m").to_string();
    for partition in [month.as_str(), "default"] {
        for (table, is_refused) in [
            ("cloud_resource_events", false),
            ("cloud_cost_line_changes", true),
        ] {
            for statement in [
                format!("update history.{table}_{partition} set changes = '{{}}'"),
                format!("delete from history.{table}_{partition}"),
            ] {
                let mut tx = fixture.pool.begin().await.unwrap();
                sqlx::query("set local arcadia.change = 'purge'")
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                let executed = sqlx::query(AssertSqlSafe(statement.clone()));
                let executed = executed.execute(&mut *tx).await;
                let code = executed.err().and_then(|error| {
                    let code = error.as_database_error()?.code();
                    code.map(std::borrow::Cow::into_owned)
                });
                let refused = is_refused.then_some("23001");
                assert_eq!(code.as_deref(), refused, "{statement}");
            }
        }
    }
}

#[tokio::test]
async fn past_states_after_detached_months_stay_exact() {
    let fixture = fixture().await;
    let resource = with_a_year_of_events(&fixture).await;
    maintain(&fixture, Rule::Partitions).await;
    let filter = ResourceFilter::default();
    let mut before = Vec::new();
    for months in 0..=5 {
        let at = months_ago(&fixture, months).await;
        before.push((
            at,
            fixture
                .resources_as_of(at, &filter, None, 10)
                .await
                .unwrap(),
        ));
    }
    assert_eq!(fixture.history_start().await.unwrap(), None);
    let former = "cloud_resource_events where changes ? 'name'";
    let renames = count(&fixture, former).await;

    let last = months_ago(&fixture, 6).await.format("%Y-%m-01").to_string();
    let detach = format!("select count(*) from detach_history('cloud_resource_events', '{last}')");
    let detached: i64 = sqlx::query_scalar(AssertSqlSafe(detach))
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(detached, 7);
    let start = fixture.history_start().await.unwrap().unwrap();
    assert_eq!(start.format("%d %H:%M").to_string(), "01 00:00");
    for (at, states) in before {
        let now = fixture
            .resources_as_of(at, &filter, None, 10)
            .await
            .unwrap();
        assert_eq!(now, states, "{at}");
    }
    // The first known value of each field applies to the time before it, too.
    let later = format!(
        "cloud_resource_past_values where valid_from <= '{start}' and valid_from > '-infinity'"
    );
    assert_eq!(count(&fixture, &later).await, 0);
    // Cost lines are matched by former names, but the events of a resource begin with the history.
    assert_eq!(count(&fixture, former).await, renames);
    let events = fixture
        .resource_events(resource.id, None, 100)
        .await
        .unwrap();
    assert!(events.iter().all(|event| event.occurred_at >= start));
    assert_eq!(events.len(), 6, "five, and the discovery");
    assert_eq!(maintain(&fixture, Rule::Partitions).await, 0);

    let recent = format!(
        "select detach_history('cloud_resource_events', '{}')",
        start.format("%Y-12-01")
    );
    let refused = sqlx::query(AssertSqlSafe(recent))
        .execute(&fixture.pool)
        .await;
    assert!(refused.is_err(), "the last three months stay attached");
}

#[tokio::test]
async fn a_purged_secret_is_in_no_resource_and_in_no_event() {
    let fixture = fixture().await;
    let secret = r#"pass"word\1"#;
    let mut leaking = droplet(1, "web-1");
    leaking.attrs = json!({ "env": format!("KEY={secret};") }).into();
    leaking.tags = vec![format!("tag-{secret}")];
    fixture.sweep(&[leaking.clone(), droplet(2, "web-2")]).await;
    let rows = fixture.purge_secret(secret, &by("ann")).await.unwrap();
    assert_eq!(rows, 2, "the resource and its event");
    let escaped = r#"pass_"word"#;
    let found = format!("cloud_resource_events where changes::text like '%{escaped}%'");
    assert_eq!(count(&fixture, &found).await, 0);
    let resource = fixture.resource("1").await;
    assert_eq!(resource.attrs, json!({ "env": "KEY=[purged];" }));
    assert_eq!(resource.tags, ["tag-[purged]"]);
    // The next listing of the same body does not restore it.
    fixture.sweep(&[leaking, droplet(2, "web-2")]).await;
    assert_eq!(fixture.resource("1").await.tags, ["tag-[purged]"]);
    assert_eq!(fixture.events("1").await, ["discovered"]);

    let short = fixture.purge_secret("short", &by("ann")).await;
    assert!(matches!(short, Err(StoreError::Database(_))), "{short:?}");
}

#[tokio::test]
async fn a_purge_replaces_digits_in_strings_and_keys_and_keeps_numbers() {
    let fixture = fixture().await;
    let mut leaking = droplet(1, "web-1");
    leaking.attrs = json!({
        "id": 123_456_789,
        "env": [{ "pin 12345678": null }, "pin=12345678;", 12_345_678, true, {}, []],
    })
    .into();
    let mut other = droplet(2, "web-2");
    other.attrs = json!({ "id": 123_456_789 }).into();
    fixture.sweep(&[leaking, other]).await;
    let digits = "12345678";
    execute(
        &fixture,
        "insert into cloud_staged_resources (listing, id, kind, provider_id, name, tags, attrs, fingerprint)
         values (gen_random_uuid(), gen_random_uuid(), 'droplet', '3', 'web-3', '{}', '{\"id\": 123456789}', '')",
    )
    .await;
    let rows = fixture.purge_secret(digits, &by("ann")).await.unwrap();
    assert_eq!(rows, 2, "the resource and its event");
    let purged = json!({
        "id": 123_456_789,
        "env": [{ "pin [purged]": null }, "pin=[purged];", 12_345_678, true, {}, []],
    });
    assert_eq!(fixture.resource("1").await.attrs, purged);
    let discovered = fixture.last_event("1").await.changes;
    assert_eq!(discovered["attrs"]["after"], purged);
    let kept = fixture.resource("2").await.attrs;
    assert_eq!(kept, json!({ "id": 123_456_789 }));
    assert_eq!(count(&fixture, "cloud_staged_resources").await, 1);
}

#[tokio::test]
async fn a_purge_covers_every_text_of_stored_and_staged_resources() {
    let fixture = fixture().await;
    let secret = "secret-secret";
    let mut leaking = droplet(1, "web-1");
    leaking.region = Some(secret.to_owned());
    leaking.status = Some(secret.to_owned());
    fixture.sweep(&[leaking]).await;
    execute(
        &fixture,
        "insert into cloud_staged_resources
             (listing, id, kind, provider_id, name, region, status, tags, attrs, relations, fingerprint)
         select gen_random_uuid(), gen_random_uuid(), 'droplet', '2',
             case place when 1 then 'secret-secret' else 'web' end, case place when 2 then 'secret-secret' end,
             case place when 3 then 'secret-secret' end, case place when 4 then '{secret-secret}' else '{}' end::text[],
             case place when 5 then '{\"a\": \"secret-secret\"}' else '{}' end::jsonb,
             case place when 6 then '[{\"provider_id\": \"secret-secret\"}]' end::jsonb, ''
         from generate_series(1, 7) place",
    )
    .await;
    let rows = fixture.purge_secret(secret, &by("ann")).await.unwrap();
    assert_eq!(rows, 8, "the resource, its event and six staged rows");
    let resource = fixture.resource("1").await;
    assert_eq!(resource.region.as_deref(), Some("[purged]"));
    assert_eq!(resource.status.as_deref(), Some("[purged]"));
    assert_eq!(count(&fixture, "cloud_staged_resources").await, 1);
}
