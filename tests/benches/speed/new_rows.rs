//! Measures storing new resources, relative to COPY of the same rows into the same table.

use std::time::Instant;

use digitalocean::PageSink;
use domain::inventory::ObservedResource;
use store::inventory::{ListingFacts, Shortfall};

use crate::child::{Contents, RULES, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};
use crate::sweep::{kinds_of, new_run};

const RUNS: usize = 3;

/// Collects the pages of a listing.
struct Pages(Vec<Vec<ObservedResource>>);

impl PageSink<ObservedResource> for Pages {
    type Error = std::convert::Infallible;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), Self::Error> {
        self.0.push(resources);
        Ok(())
    }
}

pub(crate) async fn measure(report: &mut Report, contents: Contents) -> anyhow::Result<()> {
    let simulator = SimulatorProcess::start(contents).await?;
    let client = simulator.client()?;
    let (mut stored, mut copies, mut copies_of_all) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let database = Database::new().await?;
        let store = database.store().await?;
        let mut seconds = 0.0;
        for (kind, count) in kinds_of(contents) {
            let listing = digitalocean::kinds::listing(&kind)
                .ok_or_else(|| anyhow::anyhow!("no listing of {kind}"))?;
            let mut pages = Pages(Vec::new());
            let Ok(listed) = client.list_resources(listing, &mut pages).await;
            let started = Instant::now();
            let mut seen = store.observe(std::slice::from_ref(&kind)).await?;
            for page in pages.0 {
                seen.add(page).await?;
            }
            let facts = ListingFacts {
                evidence: seen.evidence(),
                finished_at: store.now().await?,
                completeness: listed[0].completeness.clone(),
                shortfall: Shortfall::default(),
                total: listed[0].total,
                requests: listed[0].requests,
                rules: RULES,
                run: new_run(),
            };
            let swept = store.sweep(&seen, &kind, &facts).await?;
            seconds += started.elapsed().as_secs_f64();
            anyhow::ensure!(swept.discovered == count, "{kind}: {swept:?}");
        }
        stored.push(seconds);
        // The other columns have defaults, or are generated.
        let columns = "id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id, provider_project_id, \
                       parent_id, cloud_project_id, tenant_id, attribution, first_seen_at, sighting_id";
        let rows = database
            .copy_out(&format!("select {columns} from cloud_resource_rows"))
            .await?;
        let relations = database
            .copy_out("select * from cloud_resource_relations")
            .await?;
        let events = database
            .copy_out("select resource_id, event, changes, occurred_at, workflow_id, run_id from cloud_resource_events")
            .await?;
        drop(database);
        let other = Database::new().await?;
        let copy = other
            .copy_in(&format!("cloud_resource_rows ({columns})"), &rows)
            .await?;
        copies.push(copy);
        let columns =
            "cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)";
        copies_of_all.push(
            copy + other
                .copy_in("cloud_resource_relations", &relations)
                .await?
                + other.copy_in(columns, &events).await?,
        );
    }
    let (stored, copy) = (median(stored), median(copies));
    let copy_of_all = median(copies_of_all);
    report.known("COPY of the rows, without events", copy, Unit::Seconds)?;
    report.known(
        "COPY of the rows, their events and relations",
        copy_of_all,
        Unit::Seconds,
    )?;
    report.known(
        "storing them, with events and relations",
        stored,
        Unit::Seconds,
    )?;
    report.limited(
        "storing, relative to COPY of the rows",
        stored / copy,
        2.0,
        Unit::Times,
    )?;
    report.known(
        "storing, relative to COPY of all written rows",
        stored / copy_of_all,
        Unit::Times,
    )
}
