//! Checks that all tokens are of the team in the database, or, before the first sync, of one team.

use ::digitalocean::{Error, Purpose, Team, TokenSource};
use store::Store;

use super::Report;

/// The expected team.
pub(super) struct Teams {
    /// The database's team; None before the first sync, or if the database cannot be read.
    mirrored: Option<Team>,
    /// The team of the first token that reported one, used if `mirrored` is None.
    first: Option<(Purpose, Team)>,
}

impl Teams {
    /// Reads the team from the database. A database that cannot be read was reported before.
    pub(super) async fn from_database(store: Option<&Store>) -> Self {
        let mirrored = match store {
            Some(store) => store.mirrored_team().await.ok().flatten(),
            None => None,
        };
        let mirrored = mirrored.map(|team| Team {
            uuid: team.team_uuid,
            name: team.name,
        });
        Self {
            mirrored,
            first: None,
        }
    }

    pub(super) fn check(
        &mut self,
        report: &mut Report,
        purpose: Purpose,
        source: &TokenSource,
        team: Option<Team>,
    ) -> anyhow::Result<()> {
        let check = format!("team {purpose}");
        let Some(team) = team else {
            return report.warn(
                &check,
                "the token cannot read its team, so a token of another team would not be detected: \
                 grant account:read",
            );
        };
        if let Some(mirrored) = &self.mirrored {
            if mirrored.uuid == team.uuid {
                return report.ok(&check, team);
            }
            let other = Error::OtherTeam {
                origin: source.name().to_owned(),
                team: Box::new(team),
                expected: Box::new(mirrored.clone()),
            };
            return report.error(&check, other);
        }
        match &self.first {
            Some((other, first)) if first.uuid != team.uuid => report.fail(
                &check,
                format_args!(
                    "the token of {} is of team {team}, but that of {other} is of team {first}: use tokens \
                     of one team",
                    source.name()
                ),
            ),
            _ => {
                report.ok(&check, &team)?;
                self.first.get_or_insert((purpose, team));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_first_sync_all_tokens_must_be_of_one_team() {
        let mut report = Report::default();
        let mut teams = Teams {
            mirrored: None,
            first: None,
        };
        let source = TokenSource::from("token");
        let team = |uuid: &str| {
            Some(Team {
                uuid: uuid.to_owned(),
                name: String::new(),
            })
        };
        for (reported, purpose, failed) in [
            (team("a1"), Purpose::CloudSyncFull, 0),
            (None, Purpose::CloudSyncFast, 0),
            (team("a1"), Purpose::CloudSyncFast, 0),
            (team("b2"), Purpose::CloudBilling, 1),
        ] {
            teams
                .check(&mut report, purpose, &source, reported)
                .unwrap();
            assert_eq!(report.failed, failed, "{purpose}");
        }
    }
}
