//! Whose a token is, asked before anything else is asked with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::Value;

use super::{Body, Client};
use crate::answer_text::one_line;
use crate::budget::TokenKey;
use crate::error::{Call, Error};
use crate::team::{NotAdmitted, Team, TeamGate};
use crate::tokens::Token;

/// How long a request waits while another asks the same for its token: one that hangs should hold up no others.
const PATIENCE: Duration = Duration::from_secs(5);

/// The gate, and the token that it has let through.
pub(super) struct Admission {
    gate: Arc<dyn TeamGate>,
    admitted: Mutex<Option<TokenKey>>,
    asking: tokio::sync::Mutex<()>,
}

impl Admission {
    fn new(gate: Arc<dyn TeamGate>) -> Self {
        Self {
            gate,
            admitted: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    fn has_admitted(&self, token: TokenKey) -> bool {
        *self.admitted() == Some(token)
    }

    fn note_admitted(&self, token: TokenKey) {
        *self.admitted() = Some(token);
    }

    /// Of requests that begin side by side one asks, and the others wait for its answer, each for a while.
    async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        tokio::time::timeout(PATIENCE, self.asking.lock())
            .await
            .ok()
    }

    fn admitted(&self) -> MutexGuard<'_, Option<TokenKey>> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells of a token whose it is.
fn account() -> Call {
    Call::get("/v2/account")
}

impl Client {
    /// The same client, and clones of it, which asks of each new token first whose it is (`GET /v2/account`), and sends nothing else with
    /// one whose team the gate does not admit. A token that may not tell is let through.
    #[must_use]
    pub fn admitted_by(mut self, gate: Arc<dyn TeamGate>) -> Self {
        self.admission = Some(Arc::new(Admission::new(gate)));
        self
    }

    /// Whether the token is accepted, and of which team it is (`GET /v2/account`). None where it does not tell: one that may not read the
    /// account is a token all the same, and a server may not serve the account.
    pub async fn check_token(&self) -> Result<Option<Team>, Error> {
        let call = account();
        Self::team(&call, self.get(&call).await)
    }

    /// Whether the token is accepted, and the gate admits its team, where it tells of one.
    pub async fn check_team(&self, gate: &dyn TeamGate) -> Result<(), Error> {
        match self.check_token().await? {
            Some(team) => self.pass(gate, team).await,
            None => Ok(()),
        }
    }

    fn team(call: &Call, answer: Result<Body, Error>) -> Result<Option<Team>, Error> {
        let body = match answer {
            Ok(body) => body,
            Err(Error::Forbidden { .. } | Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // A page for people is no account, whatever its status. What is not as in the spec tells nothing of a team.
        let account: Value = Self::decode(call, &body)?;
        let text = |pointer| account.pointer(pointer)?.as_str().map(str::trim);
        let uuid = text("/account/team/uuid").filter(|uuid| !uuid.is_empty());
        let told = |text| one_line(text, body.token.secret());
        Ok(uuid.map(|uuid| Team {
            uuid: told(uuid),
            name: told(text("/account/team/name").unwrap_or_default()),
        }))
    }

    /// Fails for a token of another team.
    pub(super) async fn admit(&self, token: &Arc<Token>) -> Result<(), Error> {
        let Some(admission) = &self.admission else {
            return Ok(());
        };
        if admission.has_admitted(token.key()) {
            return Ok(());
        }
        let _turn = admission.turn().await;
        if admission.has_admitted(token.key()) {
            return Ok(());
        }
        let call = account();
        let request = self.request(Method::GET, &call);
        let request = request.header(ACCEPT, "application/json");
        let answer = self.exchange(token, &call, request).await;
        if let Some(team) = Self::team(&call, answer)? {
            self.pass(&*admission.gate, team).await?;
        } else {
            tracing::warn!(
                source = self.inner.token.name(),
                "the token does not tell of which team it is, so that one of another team would go unnoticed: grant it account:read"
            );
        }
        admission.note_admitted(token.key());
        Ok(())
    }

    async fn pass(&self, gate: &dyn TeamGate, team: Team) -> Result<(), Error> {
        let origin = || self.inner.token.name().to_owned();
        gate.admit(&team).await.map_err(|refusal| match refusal {
            NotAdmitted::Other { expected } => Error::OtherTeam {
                origin: origin(),
                team: Box::new(team),
                expected: Box::new(expected),
            },
            NotAdmitted::Unknown(problem) => Error::TeamUnknown {
                origin: origin(),
                problem,
            },
        })
    }
}
