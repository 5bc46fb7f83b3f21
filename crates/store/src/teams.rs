//! The team whose resources and bills are here.

use chrono::{DateTime, Utc};

use crate::{Store, StoreError};

/// The team as the first token told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirroredTeam {
    /// DigitalOcean's, opaque.
    pub team_uuid: String,
    /// As it was told last.
    pub name: String,
    pub first_seen_at: DateTime<Utc>,
}

impl Store {
    /// The team whose resources and bills are here; none before a token has told one.
    pub async fn mirrored_team(&self) -> Result<Option<MirroredTeam>, StoreError> {
        let team = sqlx::query_as!(
            MirroredTeam,
            "select team_uuid, name, first_seen_at from cloud_teams where provider = 'digitalocean'"
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(team)
    }

    /// The team whose resources and bills are here, now that a token of this team is used: this one if it is the first. Of several that come
    /// first at once, one is.
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
        // Another's row is written as it was, so that it is returned whosever it is.
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
