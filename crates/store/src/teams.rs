//! The DigitalOcean team that this database mirrors.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::{Store, StoreError};

/// The mirrored team. The first token of a team determines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirroredTeam {
    /// DigitalOcean's id, opaque.
    pub team_uuid: String,
    /// The last reported name.
    pub name: String,
    pub first_seen_at: DateTime<Utc>,
}

impl Store {
    /// Returns the mirrored team; `None` before the first token of a team is used.
    pub async fn mirrored_team(&self) -> Result<Option<MirroredTeam>, StoreError> {
        mirrored_team(&self.pool).await
    }

    /// Returns the mirrored team, and registers the given one if there is none yet. Updates the
    /// name. Safe under concurrency: exactly one caller registers its team.
    pub async fn mirrored_team_or(
        &self,
        team_uuid: &str,
        name: &str,
    ) -> Result<MirroredTeam, StoreError> {
        if let Some(team) = self.mirrored_team().await?
            && (team.team_uuid != team_uuid || team.name == name)
        {
            return Ok(team);
        }
        // The update leaves the row of another team unchanged, so that `returning` yields the row
        // in either case.
        let team = sqlx::query_as!(
            MirroredTeam,
            "insert into cloud_teams (team_uuid, name) values ($1, $2)
             on conflict (provider) do update set name =
                 case when cloud_teams.team_uuid = excluded.team_uuid then excluded.name else cloud_teams.name end
             returning team_uuid, name, first_seen_at",
            team_uuid,
            name,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(team)
    }
}

/// Reads the result of [`Store::mirrored_team`].
pub(crate) async fn mirrored_team(
    executor: impl PgExecutor<'_>,
) -> Result<Option<MirroredTeam>, StoreError> {
    let team = sqlx::query_as!(
        MirroredTeam,
        "select team_uuid, name, first_seen_at from cloud_teams where provider = 'digitalocean'"
    )
    .fetch_optional(executor)
    .await?;
    Ok(team)
}
