//! Checks the team of a token before its first other request, so that no token of another team
//! reads anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::Value;

use super::{Body, Client};
use crate::error::{Call, Error};
use crate::rate_limit::TokenKey;
use crate::response_text::one_line;
use crate::team::{NotAdmitted, Team, TeamGate};
use crate::tokens::Token;

/// The longest wait for a concurrent check of the same token: a check that hangs must not block
/// other requests. After it, the request checks the token itself.
const CONCURRENT_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The gate, and the last token that it admitted.
pub(super) struct Admission {
    gate: Arc<dyn TeamGate>,
    admitted: Mutex<Option<TokenKey>>,
    check_in_progress: tokio::sync::Mutex<()>,
}

impl Admission {
    fn new(gate: Arc<dyn TeamGate>) -> Self {
        Self {
            gate,
            admitted: Mutex::default(),
            check_in_progress: tokio::sync::Mutex::default(),
        }
    }

    fn has_admitted(&self, token: TokenKey) -> bool {
        *self.admitted() == Some(token)
    }

    fn set_admitted(&self, token: TokenKey) {
        *self.admitted() = Some(token);
    }

    /// Waits for the check of a concurrent request: one request checks the token, and the others
    /// use its result.
    async fn wait_for_check(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        tokio::time::timeout(CONCURRENT_CHECK_TIMEOUT, self.check_in_progress.lock())
            .await
            .ok()
    }

    fn admitted(&self) -> MutexGuard<'_, Option<TokenKey>> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call that returns the team of a token.
fn account() -> Call {
    Call::get("/v2/account")
}

impl Client {
    /// Makes the client and its clones check the team of each new token first (`GET /v2/account`).
    /// No other request is sent with a token of a team that the gate does not admit. A token that
    /// may not read its account is admitted.
    #[must_use]
    pub fn admitted_by(mut self, gate: Arc<dyn TeamGate>) -> Self {
        self.admission = Some(Arc::new(Admission::new(gate)));
        self
    }

    /// Checks that the token is accepted, and returns its team (`GET /v2/account`). None if the
    /// token may not read the account, or the server does not have this path.
    pub async fn check_token(&self) -> Result<Option<Team>, Error> {
        let call = account();
        Self::team(&call, self.get(&call).await)
    }

    /// Checks that the token is accepted, and that the gate admits its team if the team is known.
    pub async fn check_team(&self, gate: &dyn TeamGate) -> Result<(), Error> {
        match self.check_token().await? {
            Some(team) => self.check_gate(gate, team).await,
            None => Ok(()),
        }
    }

    fn team(call: &Call, answer: Result<Body, Error>) -> Result<Option<Team>, Error> {
        let body = match answer {
            Ok(body) => body,
            Err(Error::Forbidden { .. } | Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // An HTML page is an error even with status 200; an account without these fields has no
        // team.
        let account: Value = Self::decode(call, &body)?;
        let text = |pointer| account.pointer(pointer)?.as_str().map(str::trim);
        let uuid = text("/account/team/uuid").filter(|uuid| !uuid.is_empty());
        let printable = |text| one_line(text, body.token.secret());
        Ok(uuid.map(|uuid| Team {
            uuid: printable(uuid),
            name: printable(text("/account/team/name").unwrap_or_default()),
        }))
    }

    /// Fails if the token is of another team.
    pub(super) async fn admit(&self, token: &Arc<Token>) -> Result<(), Error> {
        let Some(admission) = &self.admission else {
            return Ok(());
        };
        if admission.has_admitted(token.key()) {
            return Ok(());
        }
        let _check = admission.wait_for_check().await;
        if admission.has_admitted(token.key()) {
            return Ok(());
        }
        let call = account();
        let request = self.request(Method::GET, &call);
        let request = request.header(ACCEPT, "application/json");
        let answer = self.exchange(token, &call, request).await;
        if let Some(team) = Self::team(&call, answer)? {
            self.check_gate(&*admission.gate, team).await?;
        } else {
            tracing::warn!(
                source = self.inner.token.name(),
                "the token may not read its team, so a token of another team would not be detected: grant it account:read"
            );
        }
        admission.set_admitted(token.key());
        Ok(())
    }

    async fn check_gate(&self, gate: &dyn TeamGate, team: Team) -> Result<(), Error> {
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
