//! Connects DigitalOcean's client with what the database knows of the team that is mirrored.

use digitalocean::{NotAdmitted, Team, TeamGate};
use futures::future::{BoxFuture, FutureExt as _};
use store::Store;

/// Admits the team whose resources and bills are in the database; the first one to come, where there are none.
pub struct MirroredOnly(pub Store);

impl TeamGate for MirroredOnly {
    fn admit<'a>(&'a self, team: &'a Team) -> BoxFuture<'a, Result<(), NotAdmitted>> {
        let (store, team) = (self.0.clone(), team.clone());
        // To its end, whoever gives up waiting: a connection is not handed back in the midst of an answer.
        let asked = team.clone();
        let looking = self.0.run_to_completion(async move {
            store.mirrored_team_or(&asked.uuid, &asked.name).await
        });
        async move {
            match looking.await {
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
