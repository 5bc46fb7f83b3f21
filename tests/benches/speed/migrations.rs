//! Migrations over tables that years have filled: how long each takes, and for how long it keeps others from their rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgPool};
use store::Manners;
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::report::{Report, Unit};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// The first whose writers knew the rule that others go on working meanwhile (CONTRIBUTING.md).
const RULE_SINCE: i64 = 4;
/// How long a migration waits for a lock, others behind it, and some time for what it does with it.
const LIMIT_MILLISECONDS: f64 = 2_500.0;
const DEADLOCK_DETECTED: &str = "40P01";
const BETWEEN_PROBES: Duration = Duration::from_millis(5);

/// What readers and writers of the first version do all the time, one row at a time.
const PROBES: [(&str, &str); 4] = [
    (
        "a reader of lines",
        "select count(*) from cloud_cost_lines where invoice_id = (select id from cloud_invoices limit 1)",
    ),
    (
        "a writer of invoices",
        "update cloud_invoices set updated_at = now() where id = (select id from cloud_invoices limit 1)",
    ),
    (
        "a writer of resources",
        "update cloud_resources set last_seen_at = now() where id = (select id from cloud_resources limit 1)",
    ),
    (
        "a writer of events",
        "insert into cloud_resource_events (resource_id, event, changes) select id, 'updated', '{}' from cloud_resources limit 1",
    ),
];

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    let database = Database::at(&MIGRATOR, 1).await?;
    let started = Instant::now();
    database.execute(&rows(lines)).await?;
    database.execute("vacuum analyze").await?;
    report.known(
        "putting the rows there",
        started.elapsed().as_secs_f64(),
        Unit::Seconds,
    )?;
    let store = database.store().await?;
    for migration in MIGRATOR.iter().filter(|migration| migration.version > 1) {
        let until = MIGRATOR
            .iter()
            .filter(|other| other.version <= migration.version);
        let until = Migrator::with_migrations(until.cloned().collect());
        let probes = Probes::start(&database.pool);
        let started = Instant::now();
        store.migrate_with(&until, Manners::default()).await?;
        let took = started.elapsed().as_secs_f64();
        let waits = probes.end().await?;
        let name = format!("{:04} ({})", migration.version, migration.description);
        report.known(&name, took, Unit::Seconds)?;
        for (who, wait) in waits {
            let what = format!("  the longest that {who} waited");
            if migration.version < RULE_SINCE {
                report.known(&what, wait, Unit::Milliseconds)?;
            } else {
                report.limited(&what, wait, LIMIT_MILLISECONDS, Unit::Milliseconds)?;
            }
        }
    }
    Ok(())
}

/// Others at work.
struct Probes {
    over: Arc<AtomicBool>,
    working: Vec<(&'static str, JoinHandle<sqlx::Result<Duration>>)>,
}

impl Probes {
    fn start(pool: &PgPool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let working = PROBES.map(|(who, statement)| {
            let (pool, over) = (pool.clone(), Arc::clone(&over));
            let probe = async move {
                let mut session = pool.acquire().await?;
                let mut longest = Duration::ZERO;
                while !over.load(Ordering::SeqCst) {
                    let started = Instant::now();
                    let done = sqlx::raw_sql(AssertSqlSafe(statement))
                        .execute(&mut *session)
                        .await;
                    // One of the two has to give way: it asks again, and has waited.
                    if let Err(error) = done
                        && error
                            .as_database_error()
                            .and_then(DatabaseError::code)
                            .as_deref()
                            != Some(DEADLOCK_DETECTED)
                    {
                        return Err(error);
                    }
                    longest = longest.max(started.elapsed());
                    tokio::time::sleep(BETWEEN_PROBES).await;
                }
                Ok(longest)
            };
            (who, tokio::spawn(probe))
        });
        Self {
            over,
            working: working.into(),
        }
    }

    /// The longest that each waited, in milliseconds.
    async fn end(self) -> anyhow::Result<BTreeMap<&'static str, f64>> {
        self.over.store(true, Ordering::SeqCst);
        let mut waits = BTreeMap::new();
        for (who, probe) in self.working {
            waits.insert(who, probe.await??.as_secs_f64() * 1_000.0);
        }
        Ok(waits)
    }
}

/// An account of years, as the first version kept it: a tenth as many resources as lines, three events each, half as many listings,
/// and a hundred lines to an invoice.
fn rows(lines: usize) -> String {
    let (resources, listings, invoices) = (lines / 10, lines / 2, lines / 100);
    format!(
        "insert into cloud_projects (provider_id, name, description, is_default, attrs, first_seen_at, last_seen_at)
         select n::text, 'project ' || n, '', n = 1, '{{}}', now() - interval '2 years', now() from generate_series(1, 20) n;

         insert into cloud_resources (kind, provider_id, name, region, status, tags, attrs, fingerprint, cloud_project_id,
             attribution, first_seen_at, last_seen_at)
         select (array['droplet', 'volume', 'snapshot'])[n % 3 + 1], n::text, 'node-' || n, 'nyc3', 'active', '{{web}}',
             jsonb_build_object('memory', n, 'body', repeat(md5(n::text), 12)), sha256(convert_to(n::text, 'utf8')), project.id,
             'membership', now() - interval '2 years', now()
         from generate_series(1, {resources}) n join cloud_projects project on project.provider_id = (n % 20 + 1)::text;
         insert into cloud_project_members (kind, provider_id, cloud_project_id, status, last_seen_at)
         select kind, provider_id, cloud_project_id, 'ok', now() from cloud_resources;

         insert into cloud_resource_events (resource_id, event, changes, occurred_at)
         select id, 'discovered', '{{}}', now() - interval '2 years' from cloud_resources;
         insert into cloud_resource_events (resource_id, event, changes, occurred_at)
         select resource.id, 'updated',
             jsonb_build_object('name', jsonb_build_object('before', 'node', 'after', resource.name)), now() - n * interval '30 days'
         from generate_series(1, 2) n, cloud_resources resource;

         insert into cloud_listings (kind, workflow_id, run_id, started_at, finished_at, complete, items, total, requests, has_struck)
         select (array['droplet', 'volume', 'snapshot', 'project', 'project_member'])[n % 5 + 1], 'sync-inventory', 'run-' || n / 5,
             now() - n * interval '1 minute', now() - n * interval '1 minute', true, 200, 200, 1, true
         from generate_series(1, {listings}) n;

         insert into cloud_invoices (invoice_uuid, period, amount, ingest_status, ingested_at, reconciled, off_by, line_count)
         select gen_random_uuid(), (date '2020-01-01' + n % 72 * interval '1 month')::date, 0, 'ingested', now(), true, 0, 100
         from generate_series(1, {invoices}) n;
         insert into cloud_cost_lines (id, invoice_id, line_no, product, kind, group_description, description, hours, start_at,
             end_at, amount, project_name, category, resource_name, resource_id, match_rule)
         select gen_random_uuid(), invoice.id, n, 'Droplets', 'droplet', '', resource.name || ' (s-1vcpu-1gb)', 720, invoice.period,
             invoice.period + interval '1 month', round(n * 1.37, 2), 'project ' || n % 20 + 1, 'iaas', resource.name, resource.id, 'name'
         from cloud_invoices invoice cross join generate_series(1, 100) n
         join cloud_resources resource on resource.kind = 'droplet' and resource.provider_id = (n * 3)::text;
         update cloud_invoices invoice set line_total = lines.total, amount = lines.total
         from (select invoice_id, sum(amount) as total from cloud_cost_lines group by 1) lines where lines.invoice_id = invoice.id;"
    )
}
