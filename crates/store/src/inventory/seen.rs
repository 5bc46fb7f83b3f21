//! The sightings of the resources that a listing shows, see [`crate::sightings`].

use sqlx::PgConnection;

use super::rows::SweepContext;
use crate::StoreError;
use crate::sightings::{self, Sighting};

/// The sightings of the kind, as the listing found them.
pub(super) struct Seen {
    found: Vec<Sighting>,
    /// The sighting for new and restored resources.
    pub(super) current: Option<i64>,
}

impl Seen {
    /// Returns true if the listing lacks resources that no listing has shown since it began.
    pub(super) fn lacks_any(&self, context: SweepContext<'_>) -> bool {
        let mut found = self.found.iter();
        found.any(|sighting| sighting.missing > 0 && sighting.seen_at < context.started_at)
    }
}

/// Records that the listing shows its resources, and resets their strikes. Those that a later
/// listing showed do not change, and neither do deleted ones: this listing began before the
/// deletion and proves nothing.
///
/// With `adds_rows`, the result has a current sighting.
pub(super) async fn record(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    adds_rows: bool,
) -> Result<Seen, StoreError> {
    let kind = context.kind.as_str();
    let shown = context.seen.provider_ids(context.kind);
    let found = sqlx::query_as!(
        Sighting,
        r#"
        select s.id, s.seen_at, count(r.sighting_id) filter (where r.provider_id = any($2)) as "shown!",
            count(r.sighting_id) filter (where r.provider_id <> all($2)) as "missing!"
        from cloud_sightings s
        left join cloud_resource_rows r
            on r.sighting_id = s.id and r.provider = 'digitalocean' and r.kind = $1 and r.deleted_at is null
        where s.provider = 'digitalocean' and s.kind = $1
        group by s.id
        "#,
        kind,
        &shown as &[&str],
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "update cloud_resource_rows r set stale_strike_count = 0, last_struck_at = null
         from cloud_sightings s
         where r.provider = 'digitalocean' and r.kind = $1 and r.deleted_at is null and r.stale_strike_count > 0
           and r.provider_id = any($2) and s.id = r.sighting_id and s.seen_at < $3",
        kind,
        &shown as &[&str],
        context.finished_at,
    )
    .execute(&mut *tx)
    .await?;
    let renewed = sightings::renew(tx, kind, context.finished_at, &found, adds_rows).await?;
    if !renewed.moves.is_empty() {
        let moves = renewed.moves;
        sqlx::query!(
            "update cloud_resource_rows r set sighting_id = moved.target
             from unnest($3::bigint[], $4::bool[], $5::bigint[]) as moved (source, shown, target)
             where r.provider = 'digitalocean' and r.kind = $1 and r.deleted_at is null
               and r.sighting_id = moved.source and (r.provider_id = any($2)) = moved.shown",
            kind,
            &shown as &[&str],
            &moves.from,
            &moves.shown,
            &moves.to,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(Seen {
        found,
        current: renewed.current,
    })
}
