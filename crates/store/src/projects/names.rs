//! Names of projects over time, and the cost lines that depend on them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::inventory::intervals;
use crate::invoices::{line_attribution, matching};
use crate::reallocations::Affected;
use crate::{Run, StoreError};

/// Ends the names that projects no longer have, begins the current ones, and rematches and
/// reallocates the cost lines of these projects.
pub(crate) async fn follow(
    tx: &mut PgConnection,
    run: Option<&Run>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let renamed = intervals::follow_names(tx, at).await?;
    matching::set_cause(tx, "inventory", None, run).await?;
    matching::rematch_named_projects(tx, &renamed).await?;
    line_attribution::reallocate(tx, Affected::of_projects(&renamed)).await?;
    Ok(())
}
