//! Measures the first start of a large account: all schedules at once, as `arcadia dev` triggers
//! them, on a PostgreSQL with its default durability.

use std::time::{Duration, Instant};

use worker::schedules::SCHEDULES;

use crate::actions::run;
use crate::child::{self, Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit};

const LIMIT: f64 = 60.0;
/// The longest wait of a sweep for a pass over the members of projects.
const WAIT_LIMIT: f64 = 2.0;
const SAMPLE: Duration = Duration::from_millis(50);

const LONGEST_WAIT: &str =
    "select coalesce(max(extract(epoch from clock_timestamp() - waitstart) * 1000), 0)::bigint
     from pg_locks where locktype = 'advisory' and not granted";

/// The longest wait for a lock of all resources, which a pass holds exclusively (rank 2 in
/// crates/store/src/locks.rs). A pass that waits itself delays no sweep yet.
const LONGEST_WAIT_FOR_A_PASS: &str = "
    select coalesce(max(extract(epoch from clock_timestamp() - greatest(waiting.waitstart, pass.xact_start)) * 1000), 0)::bigint
    from pg_locks waiting
    join pg_locks held on held.locktype = 'advisory' and held.granted and held.classid = 2 and held.mode = 'ExclusiveLock'
    join pg_stat_activity pass on pass.pid = held.pid
    where waiting.locktype = 'advisory' and not waiting.granted and waiting.classid = 2 and waiting.mode = 'ShareLock'";

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let temporal = devstack::testing::temporal().await;
    let client = worker::temporal::connect_to(temporal.address()).await?;
    let simulator = SimulatorProcess::start(Contents::Large).await?;
    let database = Database::durable().await?;
    let worker = child::worker(&database.url(), temporal.address(), &simulator.url).await?;
    for round in ["first", "second"] {
        let started = Instant::now();
        let runs = SCHEDULES.iter().map(async |schedule| {
            run(&client, schedule).await?;
            anyhow::Ok((schedule.id, started.elapsed().as_secs_f64()))
        });
        let runs = futures::future::try_join_all(runs);
        tokio::pin!(runs);
        let (mut longest_wait, mut longest_for_a_pass) = (0, 0);
        let mut samples = tokio::time::interval(SAMPLE);
        let ended = loop {
            tokio::select! {
                ended = &mut runs => break ended?,
                _ = samples.tick() => {
                    longest_wait = longest_wait.max(database.number(LONGEST_WAIT).await?);
                    let for_a_pass = database.number(LONGEST_WAIT_FOR_A_PASS).await?;
                    longest_for_a_pass = longest_for_a_pass.max(for_a_pass);
                }
            }
        };
        for (schedule, seconds) in &ended {
            report.known(&format!("{round} {schedule}"), *seconds, Unit::Seconds)?;
        }
        let total = ended
            .iter()
            .map(|(_, seconds)| *seconds)
            .fold(0.0, f64::max);
        report.limited(
            &format!("{round} runs of all schedules"),
            total,
            LIMIT,
            Unit::Seconds,
        )?;
        report.known(
            &format!("{round} runs: longest wait for a lock"),
            longest_wait as f64 / 1_000.0,
            Unit::Seconds,
        )?;
        report.limited(
            &format!("{round} runs: longest wait of a sweep for a pass"),
            longest_for_a_pass as f64 / 1_000.0,
            WAIT_LIMIT,
            Unit::Seconds,
        )?;
    }
    worker.stop().await
}
