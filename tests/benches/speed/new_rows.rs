//! Storing droplets that were never seen, against COPY of the same rows into the same table.

use crate::child::SimulatorProcess;
use crate::database::Database;
use crate::report::{Report, Unit, median};
use crate::sweep::list_and_sweep;

const RUNS: usize = 3;

pub(crate) async fn measure(report: &mut Report, rows: usize) -> anyhow::Result<()> {
    let simulator = SimulatorProcess::with_droplets(rows).await?;
    let client = simulator.client()?;
    let (mut sweeps, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let swept = Database::new().await?;
        let outcome = list_and_sweep(&client, &swept.store().await?).await?;
        anyhow::ensure!(
            outcome.outcome.discovered == rows,
            "discovered: {:?}",
            outcome.outcome
        );
        sweeps.push(outcome.sweeping);
        let stored = swept.copy_out("select * from cloud_resources").await?;
        drop(swept);
        let other = Database::new().await?;
        copies.push(other.copy_in("cloud_resources", &stored).await?);
    }
    let (sweep, copy) = (median(sweeps), median(copies));
    report.known("COPY of the rows, without events", copy, Unit::Seconds)?;
    report.known("storing them, with events", sweep, Unit::Seconds)?;
    report.limited("storing over COPY", sweep / copy, 2.0, Unit::Times)
}
