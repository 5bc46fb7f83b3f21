//! Where one token comes from, asked whenever it is needed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::error::{FILE_IS_FRESH_FOR, TokenError, VAULT_IS_FRESH_FOR};
use super::secret::{Given, Token};
use super::vault::Vault;
use crate::Error;

/// How long a token is used on while its source cannot be read: an outage of Vault should not become one of ours.
const OUTLIVES_ITS_SOURCE: Duration = Duration::from_hours(1);
/// How soon a source that could not be read is tried again, and how often a refused token is looked up anew: many requests at once
/// are one question.
const PAUSE: Duration = Duration::from_secs(1);

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
    state: Mutex<State>,
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
    last: Option<Read>,
    failed: Option<(Instant, TokenError)>,
    /// When a refused token was looked up anew and found to be the same.
    confirmed_at: Option<Instant>,
}

struct Read {
    token: Arc<Token>,
    at: Instant,
}

impl TokenSource {
    fn new(origin: Origin, name: String) -> Self {
        let state = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                origin,
                name,
                state,
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
            Origin::Fixed(token) => return token.clone().ok_or_else(|| self.invalid()),
            Origin::File(_) => FILE_IS_FRESH_FOR,
            Origin::Vault { .. } => VAULT_IS_FRESH_FOR,
        };
        let mut state = self.inner.state.lock().await;
        if let Some(read) = &state.last
            && now.saturating_duration_since(read.at) < fresh_for
        {
            return Ok(read.token.clone());
        }
        let just_failed = state
            .failed
            .as_ref()
            .filter(|(at, _)| now.saturating_duration_since(*at) < PAUSE);
        let error = match just_failed {
            Some((_, error)) => error.clone(),
            None => match self.read(&mut state, now).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            },
        };
        match &state.last {
            Some(read)
                if error.is_retryable()
                    && now.saturating_duration_since(read.at) < OUTLIVES_ITS_SOURCE =>
            {
                Ok(read.token.clone())
            }
            _ => Err(error),
        }
    }

    pub(super) async fn instead_of_at(
        &self,
        refused: &Token,
        now: Instant,
    ) -> Result<Option<Arc<Token>>, TokenError> {
        if matches!(self.inner.origin, Origin::Fixed(_)) {
            return Ok(None);
        }
        let mut state = self.inner.state.lock().await;
        if let Some(read) = &state.last
            && !read.token.is(refused)
        {
            // Another request was refused before this one.
            return Ok(Some(read.token.clone()));
        }
        if state
            .confirmed_at
            .is_some_and(|at| now.saturating_duration_since(at) < PAUSE)
        {
            return Ok(None);
        }
        let token = self.read(&mut state, now).await?;
        if token.is(refused) {
            state.confirmed_at = Some(now);
            return Ok(None);
        }
        tracing::info!(source = self.name(), "the token has been replaced");
        Ok(Some(token))
    }

    async fn read(&self, state: &mut State, now: Instant) -> Result<Arc<Token>, TokenError> {
        let secret = match &self.inner.origin {
            // Never read anew.
            Origin::Fixed(token) => return token.clone().ok_or_else(|| self.invalid()),
            Origin::File(given) => given.read().await,
            Origin::Vault { vault, keys } => vault.read(keys).await,
        };
        let token = secret.and_then(|secret| Token::new(&secret).ok_or_else(|| self.invalid()));
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
                tracing::warn!(source = self.name(), "no token could be read: {error}");
                // What waited for this answer meanwhile need not ask again.
                state.failed = Some((Instant::now().max(now), error.clone()));
                Err(error)
            }
        }
    }

    fn invalid(&self) -> TokenError {
        TokenError::Invalid {
            origin: self.name().to_owned(),
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
