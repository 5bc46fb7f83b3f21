//! Whether all tokens are of the team whose resources and bills are in the database.

use ::digitalocean::{Error, Purpose, Team, TokenSource};
use store::Store;

use super::Report;

/// The team that is right.
pub(super) struct Teams {
    mirrored: Option<Team>,
    /// Of the first token that told one, where the database holds nobody's yet.
    first: Option<(Purpose, Team)>,
}

impl Teams {
    /// As the database knows it; it does not where it cannot be asked, which has been told by then.
    pub(super) async fn known_to(store: Option<&Store>) -> Self {
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
        let what = format!("team {purpose}");
        let Some(team) = team else {
            return report.warn(
                &what,
                "the token does not tell of which team it is, so that one of another team would go unnoticed: grant account:read",
            );
        };
        if let Some(mirrored) = &self.mirrored {
            if mirrored.uuid == team.uuid {
                return report.ok(&what, team);
            }
            let other = Error::OtherTeam {
                origin: source.name().to_owned(),
                team: Box::new(team),
                expected: Box::new(mirrored.clone()),
            };
            return report.error(&what, other);
        }
        match &self.first {
            Some((other, first)) if first.uuid != team.uuid => report.fail(
                &what,
                format_args!(
                    "the token of {} is one of the team {team}, and that of {other} one of {first}: put tokens of one team there",
                    source.name()
                ),
            ),
            _ => {
                report.ok(&what, &team)?;
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
    fn where_the_database_holds_nobodys_yet_the_tokens_must_be_of_one_team() {
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
        for (told, purpose, failed) in [
            (team("a1"), Purpose::CloudSyncFull, 0),
            (None, Purpose::CloudSyncFast, 0),
            (team("a1"), Purpose::CloudSyncFast, 0),
            (team("b2"), Purpose::CloudBilling, 1),
        ] {
            teams.check(&mut report, purpose, &source, told).unwrap();
            assert_eq!(report.failed, failed, "{purpose}");
        }
    }
}
