//! Restricts DigitalOcean tokens to the team that the database mirrors.

use digitalocean::{NotAdmitted, Team, TeamGate};
use futures::future::{BoxFuture, FutureExt as _};
use store::Store;

/// Admits tokens of the mirrored team only. If the database has no team yet, the first one is
/// registered as the mirrored team.
pub struct MirroredTeamGate(pub Store);

impl TeamGate for MirroredTeamGate {
    fn admit<'a>(&'a self, team: &'a Team) -> BoxFuture<'a, Result<(), NotAdmitted>> {
        let (store, team) = (self.0.clone(), team.clone());
        // Runs to completion even if the caller is cancelled, so that no connection returns to the
        // pool with an unread response.
        let token_team = team.clone();
        let lookup = self.0.run_to_completion(async move {
            store
                .mirrored_team_or(&token_team.uuid, &token_team.name)
                .await
        });
        async move {
            match lookup.await {
                Ok(Ok(mirrored)) if mirrored.team_uuid == team.uuid => Ok(()),
                Ok(Ok(mirrored)) => Err(NotAdmitted::Other {
                    expected: Team {
                        uuid: mirrored.team_uuid,
                        name: mirrored.name,
                    },
                }),
                Ok(Err(error)) => Err(NotAdmitted::Unknown(error.to_string())),
                Err(unfinished) => Err(NotAdmitted::Unknown(unfinished.to_string())),
            }
        }
        .boxed()
    }
}
