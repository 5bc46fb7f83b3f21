//! What the environment says, read once and told clearly where it is wrong.

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
use store::budget::Limits;
use store::inventory::{Guard, Rules};
use tokio::net::TcpListener;
use worker::team::MirroredOnly;

use crate::failure;

/// The API's address unless another is asked for.
pub(crate) const DEFAULT_API_BIND: &str = "127.0.0.1:8080";

/// What a worker is told beside where its servers are.
#[derive(Args)]
pub(crate) struct SyncArguments {
    /// Name of the project that must exist, where resources of no project fall.
    #[arg(
        long,
        env = "ARCADIA_INTERNAL_PROJECT",
        default_value = "skyai-internal",
        value_name = "NAME"
    )]
    pub(crate) internal_project: String,
    /// Least time between two strikes of one resource; three strikes make it deleted.
    #[arg(long, env = "ARCADIA_STRIKE_INTERVAL", default_value = "10m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    strike_interval: Duration,
    /// A complete listing that would delete more than this share of a kind's live resources, in percent, and more than
    /// --guard-rows of them, deletes nothing and waits for an operator's word.
    #[arg(long, env = "ARCADIA_GUARD_PERCENT", default_value_t = 20, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    guard_percent: u8,
    /// See --guard-percent.
    #[arg(
        long,
        env = "ARCADIA_GUARD_ROWS",
        default_value_t = 10,
        value_name = "ROWS"
    )]
    guard_rows: u32,
    /// Mirror DNS records as well: a request to DigitalOcean for each zone, every 15 minutes.
    #[arg(long, env = "ARCADIA_DNS_RECORDS")]
    dns_records: bool,
    /// Invoices of so many months before the present one are looked at again every day: DigitalOcean corrects what it has issued.
    #[arg(
        long,
        env = "ARCADIA_LOOK_BACK_MONTHS",
        default_value_t = 3,
        value_name = "MONTHS"
    )]
    look_back_months: u32,
    /// Requests that all workers together make with one token in a minute. 240 where nothing is said and DigitalOcean itself is asked,
    /// which allows 250; no limit of our own for another server, or where this is 0.
    #[arg(long, env = "ARCADIA_REQUESTS_PER_MINUTE", value_name = "REQUESTS")]
    requests_per_minute: Option<u32>,
    /// The same in an hour: 4500 of the 5,000 that DigitalOcean allows, since people may need some.
    #[arg(long, env = "ARCADIA_REQUESTS_PER_HOUR", value_name = "REQUESTS")]
    requests_per_hour: Option<u32>,
    /// After so many activities a task queue's worker is built anew inside the process, as soon as none runs: Temporal's SDK keeps some
    /// memory of each activity, which is given back then.
    #[arg(
        long,
        env = "ARCADIA_RENEW_AFTER",
        default_value_t = worker::RENEW_AFTER,
        value_name = "ACTIVITIES",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    renew_after: u64,
}

/// Which task queues a worker polls.
#[derive(Args)]
pub(crate) struct QueueArguments {
    /// Poll these task queues alone, whose tokens alone are needed then: cloud-sync-full, cloud-sync-fast, cloud-billing. Give it
    /// several times, or with commas [default: all]
    #[arg(long = "queue", env = "ARCADIA_QUEUE", value_name = "QUEUE", value_parser = queues)]
    queues: Vec<Queues>,
}

/// Those of one flag or of the variable.
#[derive(Clone)]
struct Queues(Vec<Purpose>);

fn queues(text: &str) -> Result<Queues, String> {
    let names = text.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    let purpose = |name: &str| {
        let mut all = Purpose::ALL.into_iter();
        all.find(|purpose| purpose.name() == name).ok_or_else(|| {
            let known = Purpose::ALL.map(Purpose::name).join(", ");
            format!("no task queue is called {name}: there are {known}")
        })
    };
    names.map(purpose).collect::<Result<_, _>>().map(Queues)
}

impl QueueArguments {
    /// The purposes whose queues these are: all where none is named.
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

/// Which DigitalOcean is read, and with which tokens.
pub(crate) struct DigitalOcean {
    pub(crate) url: BaseUrl,
    pub(crate) tokens: Tokens,
    /// Where keys for Spaces are given.
    pub(crate) spaces: Option<SpacesClient>,
}

/// A variable that is set to something; an empty one counts as unset, as compose files leave it.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The same command, for which a variable that is set to nothing is not set, as compose files leave it.
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
    /// Whether any token is named: without one, `dev` uses the simulator.
    pub(crate) fn has_token() -> bool {
        Tokens::are_named_by(&variable)
    }

    /// With the tokens of these purposes, which must be named.
    pub(crate) fn from_environment(purposes: &[Purpose]) -> anyhow::Result<Self> {
        let secret = |name: &str| variable(name).map(SecretString::from);
        let tokens = Tokens::from_variables(purposes, &variable)?;
        let url = variable("DIGITALOCEAN_API_URL");
        let url = BaseUrl::parse(url.as_deref().unwrap_or(BaseUrl::DIGITALOCEAN))?;
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

    /// Reads the tokens and asks DigitalOcean whether they are valid. A clear no to some is a warning: a token may be put right while
    /// the others work. A clear no to all is an error. DigitalOcean or Vault being away is the activities' to wait out.
    ///
    /// A token of another team than the one in the database is refused like one that is not valid.
    pub(crate) async fn check(&self, store: &Store) -> anyhow::Result<()> {
        let mut refused = Vec::new();
        for (purpose, source) in self.tokens.iter() {
            let client = Client::new(self.url.as_str(), source.clone())?;
            match client.check_team(&MirroredOnly(store.clone())).await {
                Ok(()) => {}
                Err(error @ digitalocean::Error::OtherTeam { .. }) => {
                    let no = format!("the token of {purpose} is not used");
                    refused.push(anyhow::Error::new(error).context(no));
                }
                Err(error @ digitalocean::Error::Unauthorized { .. }) => {
                    let no = format!(
                        "{} does not accept the token of {purpose}",
                        self.url.as_str()
                    );
                    refused.push(anyhow::Error::new(error).context(no));
                }
                Err(digitalocean::Error::Token(error)) if !error.may_be_an_outage() => {
                    let no = format!("there is no token for {purpose}");
                    refused.push(anyhow::Error::new(error).context(no));
                }
                Err(error) => tracing::warn!(
                    "DigitalOcean could not be asked about the token of {purpose}: {error}"
                ),
            }
        }
        let is_any_left = refused.len() < self.tokens.iter().count();
        let mut refused = refused.into_iter();
        if !is_any_left && let Some(first) = refused.next() {
            return Err(first);
        }
        for no in refused {
            tracing::warn!(
                "{}; its task queue is served all the same, and nothing comes of it until that is mended",
                failure::one_line(&no)
            );
        }
        Ok(())
    }
}

impl SyncArguments {
    /// How many requests all workers together may make of this server with each token.
    pub(crate) fn request_limits(&self, url: &BaseUrl) -> Limits {
        // DigitalOcean's limits are not another server's, which says so itself when it has any.
        let usual = if url.is_digitaloceans() {
            Limits::default()
        } else {
            Limits::NONE
        };
        Limits {
            per_minute: self.requests_per_minute.unwrap_or(usual.per_minute),
            per_hour: self.requests_per_hour.unwrap_or(usual.per_hour),
            ..Limits::default()
        }
    }

    pub(crate) fn settings(self, store: Store, digitalocean: DigitalOcean) -> worker::Settings {
        let request_limits = self.request_limits(&digitalocean.url);
        worker::Settings {
            store,
            digitalocean_url: digitalocean.url.as_str().to_owned(),
            tokens: digitalocean.tokens,
            request_limits,
            internal_project: self.internal_project,
            rules: Rules {
                strike_interval: self.strike_interval,
                guard: Guard {
                    percent: self.guard_percent,
                    rows: self.guard_rows,
                },
            },
            dns_records: self.dns_records,
            look_back_months: self.look_back_months,
            spaces: digitalocean.spaces,
            renew_after: self.renew_after,
        }
    }
}

/// Connects to the database of `DATABASE_URL`.
pub(crate) async fn connect_database(connections: u32) -> anyhow::Result<Store> {
    Ok(Store::connect(&database_url()?, connections).await?)
}

/// `DATABASE_URL`.
pub(crate) fn database_url() -> anyhow::Result<String> {
    let Some(url) = variable("DATABASE_URL") else {
        bail!(
            "no database: set DATABASE_URL to one like postgres://user:password@host:5432/database, or use `arcadia dev`"
        );
    };
    Ok(url)
}

/// Listens where the API is asked to.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("the API cannot listen on {address}: free that port, or choose another with --api-bind or ARCADIA_API_BIND")
    })
}

/// Writes a file that only its owner can read, whole or not at all.
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
    struct Given {
        #[command(flatten)]
        sync: SyncArguments,
    }

    fn limits(url: &str, arguments: &[&str]) -> (u32, u32) {
        let arguments = ["arcadia"].iter().chain(arguments);
        let given = Given::parse_from(arguments);
        let limits = given.sync.request_limits(&BaseUrl::parse(url).unwrap());
        (limits.per_minute, limits.per_hour)
    }

    #[test]
    fn digitaloceans_limits_are_kept_however_its_address_is_written() {
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
