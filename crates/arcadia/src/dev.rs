//! `arcadia dev`: the whole system on one machine.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use devstack::{Postgres, Progress, StateDir, Temporal};
use digitalocean::{BaseUrl, Purpose, SpacesClient, SpacesKeys, Tokens};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Simulator};
use store::budget::Limits;
use store::{Role, Store};
use temporalio_client::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use worker::Sight;
use worker::metrics::Metrics;

use crate::api::UiArguments;
use crate::configuration::{self, DEFAULT_API_BIND, DigitalOcean, SyncArguments, listen, variable};
use crate::schedule_status::Schedules;
use crate::stop::Stop;
use crate::traces::Sending;
use crate::worker::MetricsArguments;
use crate::{logging, token};

/// Run everything on this machine: PostgreSQL, Temporal, the worker and the API.
///
/// Without a DigitalOcean token it reads a simulated demo account. Ctrl-C stops all that it started; the data stay in the
/// state directory.
#[derive(clap::Args)]
#[command(
    after_help = "Uses the servers of DATABASE_URL and TEMPORAL_ADDRESS where these are set, and DigitalOcean (DIGITALOCEAN_API_URL) \
                  and Spaces (SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY, SPACES_ENDPOINT_URL) where DO_API_TOKEN is."
)]
pub(crate) struct Arguments {
    /// Where the database, Temporal's store and the log are kept [default: a per-user data directory]
    #[arg(long, env = "ARCADIA_STATE_DIR", value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// Address of the API; port 0 for a free one [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, env = "ARCADIA_API_BIND", value_name = "ADDRESS:PORT")]
    api_bind: Option<SocketAddr>,
    /// Write the addresses and the admin token here, as JSON, once everything answers.
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    ui: UiArguments,
    #[command(flatten)]
    sync: SyncArguments,
    #[command(flatten)]
    metrics: MetricsArguments,
}

/// What people and scripts need to use the system; the field names are relied on from outside.
#[derive(Serialize)]
struct Ready {
    api_url: String,
    temporal_address: String,
    /// None where Temporal is a server we did not start, and nobody said where its UI is.
    temporal_ui_url: Option<String>,
    database_url: String,
    admin_token: String,
    /// The worker's metrics, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_url: Option<String>,
}

/// What `dev` started itself, and so stops.
#[derive(Default)]
struct Servers {
    postgres: Option<Postgres>,
    temporal: Option<Temporal>,
    /// Held for as long as it is to answer.
    simulator: Option<Simulator>,
}

pub(crate) async fn run(arguments: Arguments, mut stop: Stop) -> anyhow::Result<()> {
    let ready_file = arguments.ready_file.clone();
    let remove_ready_file = || {
        if let Some(path) = &ready_file {
            let _ = fs::remove_file(path);
        }
    };
    // What an earlier run left there is not true any more.
    remove_ready_file();
    let path = arguments
        .state_dir
        .clone()
        .map_or_else(StateDir::default_path, Ok)?;
    let state = StateDir::open(path)?;
    let log = state.path().join("log").join("arcadia.log");
    logging::to_file(open_log(&log)?);
    let progress = Progress::terminal();
    progress.step(format!("state directory: {}", state.path().display()));

    let mut servers = Servers::default();
    let sending = Sending::from_environment("arcadia")?;
    let outcome = serve(
        arguments,
        &state,
        &progress,
        &mut servers,
        &log,
        &sending,
        &mut stop,
    )
    .await;
    sending.finish().await;
    remove_ready_file();
    progress.step("stopping the servers");
    servers.stop().await?;
    outcome
}

/// Runs until it is asked to stop, at whatever point that is.
async fn serve(
    arguments: Arguments,
    state: &StateDir,
    progress: &Progress,
    servers: &mut Servers,
    log: &Path,
    sending: &Sending,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let ready_file = arguments.ready_file.clone();
    let starting = Box::pin(start(arguments, state, progress, servers));
    let Some(parts) = stop.unless_asked(starting).await else {
        return Ok(());
    };
    let parts = parts?;

    let (tell, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let api = api::Settings {
        tracer: sending.tracer(),
        ..crate::api::settings(
            parts.settings.store.clone(),
            Schedules::of(parts.client.clone()),
            parts.ready.temporal_ui_url.clone(),
        )
    };
    let sight = Sight {
        metrics: parts.metrics,
        traces: sending.of_worker(),
    };
    let api = tokio::spawn(api::serve(parts.listener, api, wait(stopped.clone())));
    let mut worker = std::pin::pin!(worker::run_in_sight(
        parts.client.clone(),
        parts.settings,
        sight,
        wait(stopped)
    ));
    let until_stopped = async {
        worker::schedules::apply(&parts.client).await?;
        trigger_on_first_start(&parts.client, state, progress).await?;
        announce(&parts.ready, ready_file.as_deref(), log)?;
        stop.asked().await;
        Ok(())
    };
    let outcome = tokio::select! {
        // A worker ends by itself only if it fails.
        outcome = &mut worker => return outcome,
        outcome = until_stopped => outcome,
    };
    progress.step("stopping: running activities may end first");
    let _ = tell.send(true);
    worker.await?;
    api.await??;
    outcome
}

/// What runs once all servers do.
struct Parts {
    listener: TcpListener,
    client: Client,
    settings: worker::Settings,
    metrics: Option<Metrics>,
    ready: Ready,
}

async fn start(
    arguments: Arguments,
    state: &StateDir,
    progress: &Progress,
    servers: &mut Servers,
) -> anyhow::Result<Parts> {
    let digitalocean = digitalocean(servers, progress).await?;
    let listener = api_listener(arguments.api_bind).await?;
    let metrics = arguments.metrics.serve()?;
    let database_url = database(servers, state, progress).await?;
    let store =
        Store::connect(&database_url, worker::CONNECTIONS + crate::api::CONNECTIONS).await?;
    store.migrate().await?;
    digitalocean.check(&store).await?;
    let (client, temporal_address) = temporal(servers, state, progress).await?;
    let ready = Ready {
        api_url: format!("http://{}", listener.local_addr()?),
        temporal_address,
        temporal_ui_url: servers
            .temporal
            .as_ref()
            .and_then(Temporal::ui_url)
            .or(arguments.ui.url()),
        database_url,
        admin_token: admin_token(&store, state).await?,
        metrics_url: metrics
            .as_ref()
            .map(|metrics| format!("http://{}/metrics", metrics.address())),
    };
    let mut settings = arguments.sync.settings(store, digitalocean);
    if servers.simulator.is_some() {
        // Nobody else needs the simulator's requests, and who looks at a demo is not to wait for them.
        settings.request_limits = Limits::NONE;
    }
    Ok(Parts {
        listener,
        client,
        settings,
        metrics,
        ready,
    })
}

fn open_log(path: &Path) -> anyhow::Result<fs::File> {
    let create = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::OpenOptions::new().create(true).append(true).open(path)
    };
    create().with_context(|| format!("the log cannot be written to {}", path.display()))
}

async fn digitalocean(servers: &mut Servers, progress: &Progress) -> anyhow::Result<DigitalOcean> {
    if DigitalOcean::has_token() {
        let digitalocean = DigitalOcean::from_environment(&Purpose::ALL)?;
        progress.step(format!("DigitalOcean: {}", digitalocean.url.as_str()));
        return Ok(digitalocean);
    }
    let simulator = Simulator::start(Account::demo())
        .await
        .context("the simulator could not start")?;
    progress.step(format!(
        "DigitalOcean: no DO_API_TOKEN, so a simulated demo account at {}",
        simulator.url()
    ));
    // The simulator's own: keys that happen to be set are for the real Spaces.
    let keys = SpacesKeys::new(
        Some(DEMO_SPACES_KEY.to_owned()),
        Some(DEMO_SPACES_SECRET.into()),
    )?;
    let spaces = keys.map(|keys| SpacesClient::new(&simulator.spaces_url(), keys));
    let spaces = spaces.transpose()?;
    let url = BaseUrl::parse(&simulator.url())?;
    servers.simulator = Some(simulator);
    Ok(DigitalOcean {
        url,
        tokens: Tokens::one(DEMO_TOKEN.into()),
        spaces,
    })
}

/// A taken default port gives way to a free one; a taken port that was asked for is an error.
async fn api_listener(asked: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = asked {
        return listen(address).await;
    }
    match TcpListener::bind(DEFAULT_API_BIND).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(SocketAddr::from(([127, 0, 0, 1], 0))).await,
    }
}

async fn database(
    servers: &mut Servers,
    state: &StateDir,
    progress: &Progress,
) -> anyhow::Result<String> {
    if let Some(url) = variable("DATABASE_URL") {
        progress.step("PostgreSQL: the server of DATABASE_URL");
        return Ok(url);
    }
    let postgres = Postgres::start(state, progress).await?;
    let url = postgres.url();
    servers.postgres = Some(postgres);
    Ok(url)
}

async fn temporal(
    servers: &mut Servers,
    state: &StateDir,
    progress: &Progress,
) -> anyhow::Result<(Client, String)> {
    if let Some(address) = variable("TEMPORAL_ADDRESS") {
        progress.step(format!("Temporal: the server at {address}"));
        return Ok((worker::temporal::connect().await?, address));
    }
    let temporal = Temporal::start(state, progress).await?;
    let address = temporal.address();
    servers.temporal = Some(temporal);
    Ok((worker::temporal::connect_to(&address).await?, address))
}

/// The same admin token at every start, as long as the database knows it.
async fn admin_token(store: &Store, state: &StateDir) -> anyhow::Result<String> {
    let path = state.path().join("admin-token");
    if let Ok(token) = fs::read_to_string(&path)
        && store
            .authenticate(token.trim())
            .await?
            .is_some_and(|access| access.role == Role::PlatformAdmin)
    {
        return Ok(token.trim().to_owned());
    }
    let token = token::create(store, "arcadia dev", &Role::PlatformAdmin).await?;
    configuration::write_private(&path, token.expose_secret())?;
    Ok(token.expose_secret().to_owned())
}

/// So that there is something to look at within a minute.
async fn trigger_on_first_start(
    client: &Client,
    state: &StateDir,
    progress: &Progress,
) -> anyhow::Result<()> {
    let marker = state.path().join("schedules-triggered");
    if !marker.exists() {
        progress.step("first start: every schedule runs once now");
        worker::schedules::trigger_all(client).await?;
        fs::write(&marker, "")?;
    }
    Ok(())
}

fn announce(ready: &Ready, ready_file: Option<&Path>, log: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "API:         {}", ready.api_url)?;
    let ui = ready
        .temporal_ui_url
        .as_deref()
        .unwrap_or("that of your Temporal server");
    writeln!(out, "Temporal UI: {ui}")?;
    writeln!(out, "Database:    {}", ready.database_url)?;
    writeln!(out, "Admin token: {}", ready.admin_token)?;
    if let Some(url) = &ready.metrics_url {
        writeln!(out, "Metrics:     {url}")?;
    }
    writeln!(out, "Log:         {}", log.display())?;
    out.flush()?;
    if let Some(path) = ready_file {
        let json = serde_json::to_string_pretty(ready)?;
        configuration::write_private(path, &json)
            .with_context(|| format!("the ready file cannot be written to {}", path.display()))?;
    }
    Ok(())
}

impl Servers {
    async fn stop(self) -> anyhow::Result<()> {
        drop(self.simulator);
        let temporal = match self.temporal {
            Some(temporal) => temporal.stop().await,
            None => Ok(()),
        };
        let postgres = match self.postgres {
            Some(postgres) => postgres.stop().await,
            None => Ok(()),
        };
        temporal?;
        postgres?;
        Ok(())
    }
}
