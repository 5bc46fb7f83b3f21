//! Settings from flags and environment variables that several commands share.

use std::env;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use digitalocean::spaces::DEFAULT_ENDPOINT;
use digitalocean::{BaseUrl, Client, Purpose, SpacesClient, SpacesKeys, Tokens};
use secrecy::SecretString;
use store::Store;
use store::inventory::{Guard, Rules};
use store::rate_limit::Limits;
use tokio::net::TcpListener;
use worker::SigningKey;
use worker::team::MirroredTeamGate;

use crate::failure;

/// The API's address by default.
pub(crate) const DEFAULT_API_BIND: &str = "127.0.0.1:8080";

/// Minimum time between two strikes by default.
const STRIKE_INTERVAL: Duration = Duration::from_mins(10);

/// Settings of the syncs.
#[derive(Args)]
pub(crate) struct SyncArguments {
    /// Name of the internal project, to which resources without a project are attributed; the first
    /// sync creates it.
    #[arg(
        long,
        env = "ARCADIA_INTERNAL_PROJECT",
        default_value = "skyai-internal",
        value_name = "NAME"
    )]
    pub(crate) internal_project: String,
    /// Minimum time between two strikes of a resource; a resource is deleted at its third strike
    /// [default: 10m]
    #[arg(long, env = "ARCADIA_STRIKE_INTERVAL", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) strike_interval: Option<Duration>,
    /// Deletion guard, in percent: if a complete listing would delete more than this share of a
    /// kind's live resources and more than --guard-rows of them, or all of two or more, the
    /// deletions are held until an operator decides. The same holds for projects.
    #[arg(long, env = "ARCADIA_GUARD_PERCENT", default_value_t = 20, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    guard_percent: u8,
    /// Deletion guard, in resources: see --guard-percent.
    #[arg(
        long,
        env = "ARCADIA_GUARD_ROWS",
        default_value_t = 10,
        value_name = "ROWS"
    )]
    guard_rows: u32,
    /// Also mirror DNS records, at one request to DigitalOcean per zone every 15 minutes.
    #[arg(long, env = "ARCADIA_DNS_RECORDS")]
    dns_records: bool,
    /// Number of months before the current one for which invoices are rechecked daily:
    /// DigitalOcean corrects issued invoices.
    #[arg(
        long,
        env = "ARCADIA_LOOK_BACK_MONTHS",
        default_value_t = 3,
        value_name = "MONTHS"
    )]
    look_back_months: u32,
    #[command(flatten)]
    limits: LimitArguments,
    /// Number of activities after which the worker of a task queue is re-created inside the
    /// process, once it is idle, to release the memory that Temporal's SDK retains for each
    /// activity.
    #[arg(
        long,
        env = "ARCADIA_RENEW_AFTER",
        default_value_t = worker::RENEW_AFTER,
        value_name = "ACTIVITIES",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    renew_after: u64,
}

/// Limits on requests to DigitalOcean. A worker applies them; the API shows them.
#[derive(Args)]
pub(crate) struct LimitArguments {
    /// Maximum requests per minute with one token, for all workers together; 0 for no limit
    /// [default: 240 for DigitalOcean, which allows 250; no limit for another server]
    #[arg(long, env = "ARCADIA_REQUESTS_PER_MINUTE", value_name = "REQUESTS")]
    requests_per_minute: Option<u32>,
    /// Maximum requests per hour with one token, for all workers together; 0 for no limit
    /// [default: 4500 for DigitalOcean, which allows 5000; no limit for another server]
    #[arg(long, env = "ARCADIA_REQUESTS_PER_HOUR", value_name = "REQUESTS")]
    requests_per_hour: Option<u32>,
}

/// The task queues that a worker polls.
#[derive(Args)]
pub(crate) struct QueueArguments {
    /// Task queue to poll: cloud-sync-full, cloud-sync-fast or cloud-billing. Repeat it, or
    /// separate several with commas. Only the tokens of these queues are needed [default: all
    /// queues]
    #[arg(long = "queue", env = "ARCADIA_QUEUE", value_name = "QUEUE", value_parser = queues)]
    queues: Vec<Queues>,
}

/// The queues of one occurrence of the flag, or of the variable.
#[derive(Clone)]
struct Queues(Vec<Purpose>);

fn queues(text: &str) -> Result<Queues, String> {
    let names = text.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    let purpose = |name: &str| {
        let mut all = Purpose::ALL.into_iter();
        all.find(|purpose| purpose.name() == name).ok_or_else(|| {
            let known = Purpose::ALL.map(Purpose::name).join(", ");
            format!("unknown task queue {name}: expected {known}")
        })
    };
    names.map(purpose).collect::<Result<_, _>>().map(Queues)
}

impl QueueArguments {
    /// Returns the purposes of the named queues, or all purposes if none is named.
    pub(crate) fn purposes(&self) -> Vec<Purpose> {
        let is_named =
            |purpose: &Purpose| self.queues.iter().any(|named| named.0.contains(purpose));
        let named: Vec<_> = Purpose::ALL.into_iter().filter(is_named).collect();
        if named.is_empty() {
            return Purpose::ALL.to_vec();
        }
        named
    }
}

/// The DigitalOcean API that is read, and its credentials.
pub(crate) struct DigitalOcean {
    pub(crate) url: BaseUrl,
    pub(crate) tokens: Tokens,
    /// None without keys for Spaces.
    pub(crate) spaces: Option<SpacesClient>,
}

/// Returns the URL of the DigitalOcean API.
pub(crate) fn digitalocean_url() -> anyhow::Result<BaseUrl> {
    let url = variable("DIGITALOCEAN_API_URL");
    Ok(BaseUrl::parse(
        url.as_deref().unwrap_or(BaseUrl::DIGITALOCEAN),
    )?)
}

/// Returns a variable's value. An empty variable counts as unset, because compose files set
/// variables without a value to the empty string.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Makes a command ignore the variables of its arguments that are set to the empty string, as
/// compose files set them.
pub(crate) fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |argument: &clap::Arg| {
        let value = argument.get_env().and_then(env::var_os);
        value.is_some_and(|value| value.to_string_lossy().trim().is_empty())
    };
    command
        .mut_args(|argument| {
            if is_empty(&argument) {
                argument.env(None::<&'static str>)
            } else {
                argument
            }
        })
        .mut_subcommands(without_empty_variables)
}

impl DigitalOcean {
    /// Returns true if any token is configured. Without one, `dev` uses the simulator.
    pub(crate) fn has_token() -> bool {
        Tokens::are_configured(&variable)
    }

    /// Reads the settings of DigitalOcean. Fails if the token of one of the purposes is not
    /// configured.
    pub(crate) fn from_environment(purposes: &[Purpose]) -> anyhow::Result<Self> {
        let secret = |name: &str| variable(name).map(SecretString::from);
        let tokens = Tokens::from_variables(purposes, &variable)?;
        let url = digitalocean_url()?;
        let keys = SpacesKeys::new(
            variable(SpacesKeys::ACCESS_KEY_ID),
            secret(SpacesKeys::SECRET_ACCESS_KEY),
        )?;
        let endpoint = variable("SPACES_ENDPOINT_URL");
        let endpoint = endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        let spaces = keys.map(|keys| SpacesClient::new(endpoint, keys));
        Ok(Self {
            url,
            tokens,
            spaces: spaces.transpose()?,
        })
    }

    /// Reads the tokens and checks with DigitalOcean that they are valid and of the database's
    /// team.
    ///
    /// Fails if all tokens are rejected. If only some are, logs a warning for each: such a token
    /// can be replaced while the others work. If DigitalOcean or Vault is unreachable, only logs a
    /// warning too, because activities wait for both.
    pub(crate) async fn check(&self, store: &Store) -> anyhow::Result<()> {
        let mut rejected = Vec::new();
        for (purpose, source) in self.tokens.iter() {
            let client = Client::new(self.url.as_str(), source.clone())?;
            match client.check_team(&MirroredTeamGate(store.clone())).await {
                Ok(()) => {}
                Err(error @ digitalocean::Error::OtherTeam { .. }) => {
                    let context = format!("cannot use the token of {purpose}");
                    rejected.push(anyhow::Error::new(error).context(context));
                }
                Err(error @ digitalocean::Error::Unauthorized { .. }) => {
                    let url = self.url.as_str();
                    let context = format!("{url} rejected the token of {purpose}");
                    rejected.push(anyhow::Error::new(error).context(context));
                }
                Err(digitalocean::Error::Token(error)) if !error.may_be_an_outage() => {
                    let context = format!("cannot read the token of {purpose}");
                    rejected.push(anyhow::Error::new(error).context(context));
                }
                Err(error) => {
                    tracing::warn!("the token of {purpose} could not be checked: {error}");
                }
            }
        }
        let is_any_left = rejected.len() < self.tokens.iter().count();
        let mut rejected = rejected.into_iter();
        if !is_any_left && let Some(first) = rejected.next() {
            return Err(first);
        }
        for error in rejected {
            tracing::warn!(
                "{}; its task queue is polled, but its activities fail until the token is replaced",
                failure::one_line(&error)
            );
        }
        Ok(())
    }
}

impl LimitArguments {
    /// Returns the limits on requests to this server with one token, for all workers together.
    pub(crate) fn limits(&self, url: &BaseUrl) -> Limits {
        // Another server has other limits, and reports them in its responses if it has any.
        let defaults = if url.is_digitalocean() {
            Limits::default()
        } else {
            Limits::NONE
        };
        Limits {
            per_minute: self.requests_per_minute.unwrap_or(defaults.per_minute),
            per_hour: self.requests_per_hour.unwrap_or(defaults.per_hour),
            ..Limits::default()
        }
    }
}

impl SyncArguments {
    /// Returns the limits on requests to this server with one token, for all workers together.
    pub(crate) fn request_limits(&self, url: &BaseUrl) -> Limits {
        self.limits.limits(url)
    }

    pub(crate) fn settings(
        self,
        store: Store,
        digitalocean: DigitalOcean,
        signing_key: Option<SigningKey>,
    ) -> worker::Settings {
        let request_limits = self.request_limits(&digitalocean.url);
        worker::Settings {
            store,
            digitalocean_url: digitalocean.url.as_str().to_owned(),
            tokens: digitalocean.tokens,
            request_limits,
            internal_project: self.internal_project,
            rules: Rules {
                strike_interval: self.strike_interval.unwrap_or(STRIKE_INTERVAL),
                guard: Guard {
                    percent: self.guard_percent,
                    rows: self.guard_rows,
                },
            },
            dns_records: self.dns_records,
            look_back_months: self.look_back_months,
            spaces: digitalocean.spaces,
            signing_key,
            renew_after: self.renew_after,
        }
    }
}

/// Connects to the database of `DATABASE_URL`.
pub(crate) async fn connect_database(connections: u32) -> anyhow::Result<Store> {
    Ok(Store::connect(&database_url()?, connections).await?)
}

/// Returns `DATABASE_URL`, or an error with the fix.
pub(crate) fn database_url() -> anyhow::Result<String> {
    let Some(url) = variable("DATABASE_URL") else {
        bail!(
            "no database configured: set DATABASE_URL, e.g. postgres://user:password@host:5432/database, \
             or use `arcadia dev`"
        );
    };
    Ok(url)
}

/// Binds the API's listener.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "the API cannot listen on {address}: free the port, or set another with --api-bind or \
             ARCADIA_API_BIND"
        )
    })
}

/// Writes a file atomically, readable by its owner only.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let unfinished = PathBuf::from(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        sync: SyncArguments,
    }

    fn limits(url: &str, arguments: &[&str]) -> (u32, u32) {
        let arguments = ["arcadia"].iter().chain(arguments);
        let parsed = Arguments::parse_from(arguments);
        let limits = parsed.sync.request_limits(&BaseUrl::parse(url).unwrap());
        (limits.per_minute, limits.per_hour)
    }

    #[test]
    fn default_limits_apply_to_every_spelling_of_digitaloceans_url() {
        for url in [
            "https://api.digitalocean.com",
            "https://api.digitalocean.com/",
            "https://api.digitalocean.com/v2",
            " https://api.digitalocean.com/v2/ ",
            "HTTPS://API.DIGITALOCEAN.COM",
        ] {
            assert_eq!(limits(url, &[]), (240, 4_500), "{url}");
            assert_eq!(limits(url, &["--requests-per-hour=9"]), (240, 9), "{url}");
        }
        assert_eq!(limits("http://127.0.0.1:8080", &[]), (0, 0));
    }
}
