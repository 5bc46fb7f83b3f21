//! Identifies the installation of a schedule. A namespace holds the schedules of one installation
//! only, since their ids are fixed.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use temporalio_client::schedules::ScheduleDescription;
use temporalio_common::protos::temporal::api::common::v1::{Memo, Payload};
use temporalio_common::protos::temporal::api::schedule::v1::{
    Schedule as ScheduleProto, schedule_action::Action,
};
use uuid::Uuid;

use super::payload::json_payload;

/// The memo field with the installation, on each schedule and on each run that it starts.
pub const MEMO: &str = "ArcadiaInstallation";

/// A database and the team that it mirrors. Contains no secret, since all readers of the namespace
/// can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// The database's installation id; a restored copy keeps it.
    pub id: Uuid,
    /// `DigitalOcean`'s id of the team; none until the first token was used.
    pub team_uuid: Option<String>,
    pub team: Option<String>,
}

impl Installation {
    /// Reads the installation of a database.
    pub async fn of(store: &Store) -> Result<Self, StoreError> {
        let id = store.installation_id().await?;
        let team = store.mirrored_team().await?;
        Ok(Self {
            id,
            team_uuid: team.as_ref().map(|team| team.team_uuid.clone()),
            team: team.map(|team| team.name),
        })
    }

    pub(super) fn memo(&self) -> Memo {
        // Serializing a struct of strings cannot fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        Memo {
            fields: [(MEMO.to_owned(), json_payload(&json))].into(),
        }
    }

    fn in_memo(fields: Option<&HashMap<String, Payload>>) -> Option<Self> {
        let payload = fields?.get(MEMO)?;
        serde_json::from_slice(&payload.data).ok()
    }

    /// Returns the installation of a schedule; none if its memos have none.
    pub fn of_schedule(description: &ScheduleDescription) -> Option<Self> {
        let raw = description.raw();
        // `temporal schedule update` replaces the action with its memo, but keeps the schedule's.
        Self::of_runs(raw.schedule.as_ref()).or_else(|| {
            let memo = raw.memo.as_ref();
            Self::in_memo(memo.map(|memo| &memo.fields))
        })
    }

    fn of_runs(schedule: Option<&ScheduleProto>) -> Option<Self> {
        let action = schedule?.action.as_ref()?.action.as_ref()?;
        let Action::StartWorkflow(start) = action;
        Self::in_memo(start.memo.as_ref().map(|memo| &memo.fields))
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.team, &self.team_uuid) {
            (Some(team), Some(uuid)) if !team.is_empty() => {
                write!(formatter, "team {team} ({uuid})")
            }
            (_, Some(uuid)) => write!(formatter, "team {uuid}"),
            (_, None) => formatter.write_str("team unknown"),
        }?;
        write!(formatter, ", database {}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_survives_the_round_trip_through_a_memo() {
        let installation = Installation {
            id: Uuid::new_v4(),
            team_uuid: Some("a1".to_owned()),
            team: Some("Kestrel".to_owned()),
        };
        let memo = installation.memo();
        let read = Installation::in_memo(Some(&memo.fields));
        assert_eq!(read.as_ref(), Some(&installation));
        assert_eq!(Installation::in_memo(Some(&HashMap::new())), None);
        let text = installation.to_string();
        assert!(text.starts_with("team Kestrel (a1), database "), "{text}");
    }
}
