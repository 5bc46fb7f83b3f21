//! Where one token comes from, asked whenever it is needed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::error::{FILE_IS_FRESH_FOR, TokenError, VAULT_IS_FRESH_FOR};
use super::secret::{Given, Token};
use super::vault::Vault;
use crate::Error;

/// How long a token is used on while its source cannot be read: an outage of Vault should not become one of ours.
const OUTLIVES_ITS_SOURCE: Duration = Duration::from_hours(1);
/// How soon a source that could not be read is tried again by those who have no token, and how often a refused token is looked up anew:
/// many requests at once are one question.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a request that has a token to go on with waits for a newer one. The look goes on without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a token comes from. Asked for every request, it reads a file or Vault every few seconds at most. Cheap to clone; the clones
/// share what was read.
#[derive(Clone)]
pub struct TokenSource {
    inner: Arc<Inner>,
}

struct Inner {
    origin: Origin,
    /// The variable, the file or Vault's path, as people are told.
    name: String,
    /// Never held while anything is waited for.
    state: Mutex<State>,
    /// Held by whoever reads the source.
    reading: Arc<tokio::sync::Mutex<()>>,
}

enum Origin {
    Fixed(Option<Arc<Token>>),
    File(Given),
    Vault {
        vault: Arc<Vault>,
        /// The first of them that the secret has.
        keys: [&'static str; 2],
    },
}

#[derive(Default)]
struct State {
    /// None after a clear no.
    last: Option<Read>,
    failed: Option<(Instant, TokenError)>,
    /// When a refused token was looked up anew and found to be the same.
    confirmed_at: Option<Instant>,
}

struct Read {
    token: Arc<Token>,
    at: Instant,
}

impl State {
    fn read_within(&self, age: Duration, now: Instant) -> Option<Arc<Token>> {
        let last = self.last.as_ref()?;
        (now.saturating_duration_since(last.at) < age).then(|| last.token.clone())
    }

    fn failed_within(&self, age: Duration, now: Instant) -> Option<TokenError> {
        let (at, error) = self.failed.as_ref()?;
        (now.saturating_duration_since(*at) < age).then(|| error.clone())
    }

    /// What is known of a refused token's successor without looking.
    fn instead_of(
        &self,
        refused: &Token,
        now: Instant,
    ) -> Option<Result<Option<Arc<Token>>, TokenError>> {
        if let Some(read) = &self.last
            && !read.token.is(refused)
        {
            // Another request was refused before this one.
            return Some(Ok(Some(read.token.clone())));
        }
        let is_confirmed = self
            .confirmed_at
            .is_some_and(|at| now.saturating_duration_since(at) < PAUSE);
        if is_confirmed {
            return Some(Ok(None));
        }
        self.failed_within(PAUSE, now).map(Err)
    }
}

impl TokenSource {
    fn new(origin: Origin, name: String) -> Self {
        Self {
            inner: Arc::new(Inner {
                origin,
                name,
                state: Mutex::default(),
                reading: Arc::default(),
            }),
        }
    }

    pub(super) fn fixed(token: &SecretString, variable: &str) -> Self {
        let token = Token::new(token).map(Arc::new);
        Self::new(Origin::Fixed(token), variable.to_owned())
    }

    /// From what a variable holds, or the file that it names.
    pub(super) fn given(given: Given, variable: &str) -> Self {
        match &given {
            Given::Value(token) => Self::fixed(token, variable),
            Given::File { variable, path } => {
                let name = format!("the file {} of {variable}", path.display());
                Self::new(Origin::File(given), name)
            }
        }
    }

    /// From Vault's secret: the first of the keys that it has.
    pub(super) fn vault(vault: Arc<Vault>, keys: [&'static str; 2]) -> Self {
        let name = format!("key {} of {}", keys[0], vault.place());
        Self::new(Origin::Vault { vault, keys }, name)
    }

    /// Where the token comes from, as people are told: the variable, the file or Vault's path.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Reads the token as it is now. Says where it comes from if there is none.
    pub async fn check(&self) -> Result<(), TokenError> {
        self.token().await.map(drop)
    }

    /// Fails at once for a token that will never be one.
    pub(crate) fn check_fixed(&self) -> Result<(), Error> {
        match self.inner.origin {
            Origin::Fixed(None) => Err(Error::InvalidToken),
            _ => Ok(()),
        }
    }

    /// The token to send now.
    pub(crate) async fn token(&self) -> Result<Arc<Token>, TokenError> {
        self.token_at(Instant::now()).await
    }

    /// Another token than the one that was refused, where the source has one by now.
    pub(crate) async fn instead_of(
        &self,
        refused: &Token,
    ) -> Result<Option<Arc<Token>>, TokenError> {
        self.instead_of_at(refused, Instant::now()).await
    }

    pub(super) async fn token_at(&self, now: Instant) -> Result<Arc<Token>, TokenError> {
        let fresh_for = match &self.inner.origin {
            Origin::Fixed(token) => return token.clone().ok_or_else(|| self.inner.invalid()),
            Origin::File(_) => FILE_IS_FRESH_FOR,
            Origin::Vault { .. } => VAULT_IS_FRESH_FOR,
        };
        let usable = {
            let state = self.inner.state();
            if let Some(token) = state.read_within(fresh_for, now) {
                return Ok(token);
            }
            let usable = state.read_within(OUTLIVES_ITS_SOURCE, now);
            if let (Some(token), Some(_)) = (&usable, state.failed_within(fresh_for, now)) {
                return Ok(token.clone());
            }
            usable
        };
        match usable {
            Some(token) => self.newer_than(token, now).await,
            None => self.first_at(fresh_for, now).await,
        }
    }

    /// The source's token if it is there soon, or else the one that will do: whoever has one is not held up by a Vault that does not answer.
    async fn newer_than(&self, token: Arc<Token>, now: Instant) -> Result<Arc<Token>, TokenError> {
        let Ok(alone) = self.inner.reading.clone().try_lock_owned() else {
            return Ok(token);
        };
        let inner = self.inner.clone();
        let looking = tokio::spawn(async move { inner.read(&alone, now).await });
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(Ok(newer))) => Ok(newer),
            Ok(Ok(Err(error))) if error.is_a_clear_no() => Err(error),
            _ => Ok(token),
        }
    }

    async fn first_at(&self, fresh_for: Duration, now: Instant) -> Result<Arc<Token>, TokenError> {
        let alone = self.inner.reading.clone().lock_owned().await;
        {
            // What waited for another's answer need not ask again.
            let state = self.inner.state();
            if let Some(token) = state.read_within(fresh_for, now) {
                return Ok(token);
            }
            if let Some(error) = state.failed_within(PAUSE, now) {
                return Err(error);
            }
        }
        self.inner.read(&alone, now).await
    }

    pub(super) async fn instead_of_at(
        &self,
        refused: &Token,
        now: Instant,
    ) -> Result<Option<Arc<Token>>, TokenError> {
        if matches!(self.inner.origin, Origin::Fixed(_)) {
            return Ok(None);
        }
        let known = self.inner.state().instead_of(refused, now);
        if let Some(known) = known {
            return known;
        }
        let alone = self.inner.reading.clone().lock_owned().await;
        let known = self.inner.state().instead_of(refused, now);
        if let Some(known) = known {
            return known;
        }
        let token = self.inner.read(&alone, now).await?;
        if token.is(refused) {
            self.inner.state().confirmed_at = Some(now);
            return Ok(None);
        }
        tracing::info!(source = self.name(), "the token has been replaced");
        Ok(Some(token))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(
        &self,
        _alone: &OwnedMutexGuard<()>,
        now: Instant,
    ) -> Result<Arc<Token>, TokenError> {
        let secret = match &self.origin {
            // Never read anew.
            Origin::Fixed(token) => return token.clone().ok_or_else(|| self.invalid()),
            Origin::File(given) => given.read().await,
            Origin::Vault { vault, keys } => vault.read(keys).await,
        };
        let token = secret.and_then(|secret| Token::new(&secret).ok_or_else(|| self.invalid()));
        let mut state = self.state();
        match token {
            Ok(token) => {
                let token = Arc::new(token);
                state.failed = None;
                state.last = Some(Read {
                    token: token.clone(),
                    at: now,
                });
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(source = self.name, "no token could be read: {error}");
                if error.is_a_clear_no() {
                    state.last = None;
                }
                // What waited for this answer meanwhile need not ask again.
                state.failed = Some((Instant::now().max(now), error.clone()));
                Err(error)
            }
        }
    }

    fn invalid(&self) -> TokenError {
        TokenError::Invalid {
            origin: self.name.clone(),
        }
    }
}

/// Without the token.
impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TokenSource({})", self.name())
    }
}

/// A token that never changes.
impl From<SecretString> for TokenSource {
    fn from(token: SecretString) -> Self {
        Self::fixed(&token, super::SHARED_VARIABLE)
    }
}

/// A token that never changes.
impl From<&str> for TokenSource {
    fn from(token: &str) -> Self {
        SecretString::from(token).into()
    }
}

/// A token that never changes.
impl From<String> for TokenSource {
    fn from(token: String) -> Self {
        SecretString::from(token).into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn source(path: &Path) -> TokenSource {
        let given = Given::File {
            variable: "DO_API_TOKEN_FILE".to_owned(),
            path: path.to_owned(),
        };
        TokenSource::given(given, "DO_API_TOKEN")
    }

    async fn token_at(source: &TokenSource, at: Instant) -> Result<String, TokenError> {
        let token = source.token_at(at).await?;
        Ok(token.secret().expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_file_is_read_again_after_five_seconds_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "one\n").unwrap();
        let (source, start) = (source(&path), Instant::now());
        assert_eq!(token_at(&source, start).await.unwrap(), "one");
        fs::write(&path, "two").unwrap();
        let soon = start + Duration::from_secs(4);
        assert_eq!(token_at(&source, soon).await.unwrap(), "one");
        let later = start + Duration::from_secs(5);
        assert_eq!(token_at(&source, later).await.unwrap(), "two");
    }

    #[tokio::test]
    async fn a_token_outlives_its_file_by_an_hour() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "one").unwrap();
        let (source, start) = (source(&path), Instant::now());
        token_at(&source, start).await.unwrap();
        fs::remove_file(&path).unwrap();
        let within = start + Duration::from_mins(59);
        assert_eq!(token_at(&source, within).await.unwrap(), "one");
        let after = start + Duration::from_mins(61);
        let error = token_at(&source, after).await.unwrap_err();
        assert!(
            matches!(error, TokenError::UnreadableFile { .. }),
            "{error}"
        );
        fs::write(&path, "two").unwrap();
        let back = after + PAUSE;
        assert_eq!(token_at(&source, back).await.unwrap(), "two");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_again_and_again_is_looked_up_once_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "one").unwrap();
        let (source, start) = (source(&path), Instant::now());
        let refused = source.token_at(start).await.unwrap();
        let successor = source.instead_of_at(&refused, start).await.unwrap();
        assert!(successor.is_none());
        fs::write(&path, "two").unwrap();
        let successor = source.instead_of_at(&refused, start).await.unwrap();
        assert!(successor.is_none());
        let successor = source.instead_of_at(&refused, start + PAUSE).await.unwrap();
        assert_eq!(successor.unwrap().secret().expose_secret(), "two");
    }

    #[tokio::test]
    async fn no_token_is_in_any_debug_text() {
        let source = TokenSource::from("hidden");
        let token = source.token().await.unwrap();
        let text = format!("{source:?} {token:?} {:?}", token.bearer());
        assert!(!text.contains("hidden"), "{text}");
    }
}
