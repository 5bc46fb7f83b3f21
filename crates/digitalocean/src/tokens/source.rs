//! The source of one token, which caches the token and rereads it when it is stale or refused.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::error::{FILE_MAX_AGE, TokenError, VAULT_MAX_AGE};
use super::secret::{SecretSource, Token};
use super::vault::Vault;
use crate::Error;

/// The maximum age of a token while its source cannot be read: an outage of Vault should not become
/// an outage of ours.
const MAX_AGE_IN_OUTAGE: Duration = Duration::from_hours(1);
/// The interval between reads of a source that failed, if there is no token, and between reads for
/// a refused token: concurrent requests share one read.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum wait for a newer token, if an older one is usable. The read continues in the
/// background.
const REFRESH_WAIT: Duration = Duration::from_secs(1);

/// The source of a token. It is called for every request, and reads a file or Vault at most every
/// few seconds. Cheap to clone; clones share the cached token.
#[derive(Clone)]
pub struct TokenSource {
    inner: Arc<Inner>,
}

struct Inner {
    origin: Origin,
    /// The variable, the file or the path in Vault, for texts.
    name: String,
    /// Never locked across an await.
    state: Mutex<State>,
    /// Locked during a read of the source.
    reading: Arc<tokio::sync::Mutex<()>>,
}

enum Origin {
    Fixed(Option<Arc<Token>>),
    File(SecretSource),
    Vault {
        vault: Arc<Vault>,
        /// The first key that the secret has is used.
        keys: [&'static str; 2],
    },
}

#[derive(Default)]
struct State {
    /// None after a definite refusal.
    last: Option<Read>,
    failed: Option<(Instant, TokenError)>,
    /// The time at which the source last returned a refused token again.
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

    /// Returns the replacement of a refused token as far as it is cached. None if the source must
    /// be read.
    fn replacement_for(
        &self,
        refused: &Token,
        now: Instant,
    ) -> Option<Result<Option<Arc<Token>>, TokenError>> {
        if let Some(read) = &self.last
            && !read.token.equals(refused)
        {
            // The token has been replaced since it was sent: another request was refused earlier.
            return Some(Ok(Some(read.token.clone())));
        }
        let is_confirmed = self
            .confirmed_at
            .is_some_and(|at| now.saturating_duration_since(at) < RETRY_INTERVAL);
        if is_confirmed {
            return Some(Ok(None));
        }
        self.failed_within(RETRY_INTERVAL, now).map(Err)
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

    /// Creates the source of a secret: the value of a variable, or a file.
    pub(super) fn of_secret(secret: SecretSource, variable: &str) -> Self {
        match &secret {
            SecretSource::Value(token) => Self::fixed(token, variable),
            SecretSource::File { variable, path } => {
                let name = format!("file {} ({variable})", path.display());
                Self::new(Origin::File(secret), name)
            }
        }
    }

    /// Creates the source of a token in Vault: the first of these keys that the secret has.
    pub(super) fn vault(vault: Arc<Vault>, keys: [&'static str; 2]) -> Self {
        let name = format!("key {} of {}", keys[0], vault.location());
        Self::new(Origin::Vault { vault, keys }, name)
    }

    /// Returns the name of the source for texts: the variable, the file or the path in Vault.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Checks that the source returns a token.
    pub async fn check(&self) -> Result<(), TokenError> {
        self.token().await.map(drop)
    }

    /// Fails for a fixed token that is invalid, which cannot become valid later.
    pub(crate) fn check_fixed(&self) -> Result<(), Error> {
        match self.inner.origin {
            Origin::Fixed(None) => Err(Error::InvalidToken),
            _ => Ok(()),
        }
    }

    /// Returns the current token.
    pub(crate) async fn token(&self) -> Result<Arc<Token>, TokenError> {
        self.token_at(Instant::now()).await
    }

    /// Returns a different token than the refused one, if the source has one by now.
    pub(crate) async fn replacement_for(
        &self,
        refused: &Token,
    ) -> Result<Option<Arc<Token>>, TokenError> {
        self.replacement_for_at(refused, Instant::now()).await
    }

    pub(super) async fn token_at(&self, now: Instant) -> Result<Arc<Token>, TokenError> {
        let max_age = match &self.inner.origin {
            Origin::Fixed(token) => return token.clone().ok_or_else(|| self.inner.invalid()),
            Origin::File(_) => FILE_MAX_AGE,
            Origin::Vault { .. } => VAULT_MAX_AGE,
        };
        let usable = {
            let state = self.inner.state();
            if let Some(token) = state.read_within(max_age, now) {
                return Ok(token);
            }
            let usable = state.read_within(MAX_AGE_IN_OUTAGE, now);
            if let (Some(token), Some(_)) = (&usable, state.failed_within(max_age, now)) {
                return Ok(token.clone());
            }
            usable
        };
        match usable {
            Some(token) => self.newer_than(token, now).await,
            None => self.first_at(max_age, now).await,
        }
    }

    /// Returns the token of the source if it is read soon, or else the usable one: a request with a
    /// usable token is not delayed by a Vault that does not respond.
    async fn newer_than(&self, token: Arc<Token>, now: Instant) -> Result<Arc<Token>, TokenError> {
        let Ok(read_lock) = self.inner.reading.clone().try_lock_owned() else {
            return Ok(token);
        };
        let inner = self.inner.clone();
        let refresh = tokio::spawn(async move { inner.read(&read_lock, now).await });
        match tokio::time::timeout(REFRESH_WAIT, refresh).await {
            Ok(Ok(Ok(newer))) => Ok(newer),
            Ok(Ok(Err(error))) if error.is_definite_refusal() => Err(error),
            _ => Ok(token),
        }
    }

    async fn first_at(&self, max_age: Duration, now: Instant) -> Result<Arc<Token>, TokenError> {
        let read_lock = self.inner.reading.clone().lock_owned().await;
        {
            // A concurrent request has read the source meanwhile.
            let state = self.inner.state();
            if let Some(token) = state.read_within(max_age, now) {
                return Ok(token);
            }
            if let Some(error) = state.failed_within(RETRY_INTERVAL, now) {
                return Err(error);
            }
        }
        self.inner.read(&read_lock, now).await
    }

    pub(super) async fn replacement_for_at(
        &self,
        refused: &Token,
        now: Instant,
    ) -> Result<Option<Arc<Token>>, TokenError> {
        if matches!(self.inner.origin, Origin::Fixed(_)) {
            return Ok(None);
        }
        let known = self.inner.state().replacement_for(refused, now);
        if let Some(known) = known {
            return known;
        }
        let read_lock = self.inner.reading.clone().lock_owned().await;
        let known = self.inner.state().replacement_for(refused, now);
        if let Some(known) = known {
            return known;
        }
        let token = self.inner.read(&read_lock, now).await?;
        if token.equals(refused) {
            self.inner.state().confirmed_at = Some(now);
            return Ok(None);
        }
        tracing::info!(source = self.name(), "the DigitalOcean token was replaced");
        Ok(Some(token))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(
        &self,
        _read_lock: &OwnedMutexGuard<()>,
        now: Instant,
    ) -> Result<Arc<Token>, TokenError> {
        let secret = match &self.origin {
            // Fixed tokens are not read.
            Origin::Fixed(token) => return token.clone().ok_or_else(|| self.invalid()),
            Origin::File(secret) => secret.read().await,
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
                tracing::warn!(
                    source = self.name,
                    "cannot read the DigitalOcean token: {error}"
                );
                if error.is_definite_refusal() {
                    state.last = None;
                }
                // Requests that waited for this read need not repeat it.
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

/// Omits the token.
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
        let secret = SecretSource::File {
            variable: "DO_API_TOKEN_FILE".to_owned(),
            path: path.to_owned(),
        };
        TokenSource::of_secret(secret, "DO_API_TOKEN")
    }

    async fn token_at(source: &TokenSource, at: Instant) -> Result<String, TokenError> {
        let token = source.token_at(at).await?;
        Ok(token.secret().expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_file_is_reread_after_five_seconds() {
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
    async fn a_token_is_usable_for_an_hour_without_its_file() {
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
        let back = after + RETRY_INTERVAL;
        assert_eq!(token_at(&source, back).await.unwrap(), "two");
    }

    #[tokio::test]
    async fn a_refused_token_is_reread_once_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "one").unwrap();
        let (source, start) = (source(&path), Instant::now());
        let refused = source.token_at(start).await.unwrap();
        let replacement = source.replacement_for_at(&refused, start).await.unwrap();
        assert!(replacement.is_none());
        fs::write(&path, "two").unwrap();
        let replacement = source.replacement_for_at(&refused, start).await.unwrap();
        assert!(replacement.is_none());
        let replacement = source
            .replacement_for_at(&refused, start + RETRY_INTERVAL)
            .await
            .unwrap();
        assert_eq!(replacement.unwrap().secret().expose_secret(), "two");
    }

    #[tokio::test]
    async fn debug_texts_contain_no_token() {
        let source = TokenSource::from("hidden");
        let token = source.token().await.unwrap();
        let text = format!("{source:?} {token:?} {:?}", token.bearer());
        assert!(!text.contains("hidden"), "{text}");
    }
}
