//! `arcadia dev`: runs the whole system on one machine.

mod demo;
mod servers;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use devstack::{Postgres, Progress, StateDir, Temporal};
use secrecy::ExposeSecret as _;
use store::rate_limit::Limits;
use store::{Role, Store};
use temporalio_client::{Client, NamespacedClient as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use worker::Telemetry;
use worker::metrics::Metrics;
use worker::schedules::{Installation, Plan};

use self::demo::Demo;
use self::servers::Servers;
use crate::api::UiArguments;
use crate::configuration::{self, DEFAULT_API_BIND, SyncArguments, listen};
use crate::instance::{Instance, quoted};
use crate::schedule_status::Schedules;
use crate::signing::SigningArguments;
use crate::stop::Stop;
use crate::traces::SpanExport;
use crate::worker::MetricsArguments;
use crate::{logging, operator, schedules, token};

/// Run PostgreSQL, Temporal, the worker and the API on this machine.
///
/// Without a DigitalOcean token, the worker reads a simulated demo account. Ctrl-C stops all
/// servers that were started; their data remain in the state directory.
#[derive(clap::Args)]
#[command(
    after_help = "If DATABASE_URL or TEMPORAL_ADDRESS is set, uses that server instead of starting one. \
                  If DO_API_TOKEN is set, reads DigitalOcean (DIGITALOCEAN_API_URL) and Spaces \
                  (SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY, SPACES_ENDPOINT_URL). On its first \
                  start, the demo account gets tenants, and some of its resources change twenty \
                  seconds later; its strikes are two minutes apart unless ARCADIA_STRIKE_INTERVAL is set."
)]
pub(crate) struct Arguments {
    /// Directory of the database, Temporal's store and the logs [default: a per-user data
    /// directory]
    #[arg(long, env = "ARCADIA_STATE_DIR", value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// Address of the API; port 0 for a free port [default: 127.0.0.1:8080, or a free port if 8080
    /// is in use]
    #[arg(long, env = "ARCADIA_API_BIND", value_name = "ADDRESS:PORT")]
    api_bind: Option<SocketAddr>,
    /// File to which the addresses and the admin token are written as JSON once all servers are
    /// ready.
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// Only print the variables of the instance that runs in the state directory, for
    /// `eval "$(arcadia dev --print-env)"`.
    #[arg(long)]
    print_env: bool,
    /// First remove the database and Temporal's store from the state directory.
    #[arg(long, conflicts_with = "print_env")]
    reset: bool,
    #[command(flatten)]
    ui: UiArguments,
    #[command(flatten)]
    sync: SyncArguments,
    #[command(flatten)]
    signing: SigningArguments,
    #[command(flatten)]
    metrics: MetricsArguments,
}

pub(crate) async fn run(arguments: Arguments, mut stop: Stop) -> anyhow::Result<()> {
    let path = arguments
        .state_dir
        .clone()
        .map_or_else(StateDir::default_path, Ok)?;
    if arguments.print_env {
        return print_env(&path);
    }
    let ready_file = arguments.ready_file.clone();
    let remove_ready_file = || {
        if let Some(path) = &ready_file {
            let _ = fs::remove_file(path);
        }
    };
    // The file of an earlier run is outdated.
    remove_ready_file();
    let state = StateDir::open(path)?;
    Instance::remove(&state);
    let log = state.path().join("log").join("arcadia.log");
    logging::to_file(open_log(&log)?);
    let progress = Progress::terminal();
    progress.step(format!("state directory: {}", state.path().display()));
    if arguments.reset {
        reset(&state, &progress).await?;
    }

    let mut servers = Servers::default();
    let span_export = SpanExport::from_environment("arcadia")?;
    let outcome = Box::pin(serve(
        arguments,
        &state,
        &progress,
        &mut servers,
        &log,
        &span_export,
        &mut stop,
    ))
    .await;
    span_export.finish().await;
    remove_ready_file();
    Instance::remove(&state);
    progress.step("stopping the servers");
    servers.stop().await?;
    outcome
}

/// Starts and serves until a stop signal, which may also interrupt the start.
async fn serve(
    arguments: Arguments,
    state: &StateDir,
    progress: &Progress,
    servers: &mut Servers,
    log: &Path,
    span_export: &SpanExport,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let ready_file = arguments.ready_file.clone();
    let starting = Box::pin(start(arguments, state, progress, servers));
    let Some(started) = stop.unless_requested(starting).await else {
        return Ok(());
    };
    let Started {
        listener,
        metrics_listener,
        settings,
        metrics,
        system,
    } = started?;

    let demo = servers.demo.clone();
    let strike_interval = settings.rules.strike_interval;
    let (stop_sender, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let api = api::Settings {
        tracer: span_export.tracer(),
        metrics_listener: Some(metrics_listener),
        rate_limits: api::RateLimits::local(),
        ..crate::api::settings(
            system.store.clone(),
            Schedules::of(system.client.clone(), system.store.clone()),
            system.instance.temporal_ui_url.clone(),
            settings.request_limits,
        )
    };
    let telemetry = Telemetry {
        metrics,
        traces: span_export.worker_traces(),
    };
    let mut api = tokio::spawn(api::serve(listener, api, wait(stopped.clone())));
    let mut worker = std::pin::pin!(worker::run_with_telemetry(
        system.client.clone(),
        settings,
        telemetry,
        wait(stopped)
    ));
    let until_stopped = async {
        system.apply_schedules(progress).await?;
        trigger_on_first_start(&system.client, state, progress).await?;
        system.instance.write(state)?;
        let login = system.login_link().await?;
        print_addresses(&system.instance, &login, ready_file.as_deref(), state, log)?;
        if let Some(demo) = &demo {
            let workflows = Schedules::of(system.client.clone(), system.store.clone());
            let life = demo.live(&system.store, &workflows, strike_interval, progress);
            stop.unless_requested(Box::pin(life)).await;
        } else {
            stop.requested().await;
        }
        Ok(())
    };
    let keeping = servers.keep_running(progress, async || {
        if let Err(error) = system.apply_schedules(progress).await {
            tracing::warn!(
                "cannot apply the schedules to the restarted Temporal server: {error:#}"
            );
        }
    });
    let ended = |name: &str, cause: Option<anyhow::Error>| {
        let ended = format!("the {name} ended unexpectedly; see {}", log.display());
        cause.map_or_else(|| anyhow!("{ended}"), |cause| cause.context(ended.clone()))
    };
    let outcome = tokio::select! {
        outcome = &mut worker => return Err(ended("worker", outcome.err())),
        outcome = &mut api => {
            let served = outcome.map_err(anyhow::Error::from);
            let served = served.and_then(|served| Ok(served?));
            return Err(ended("API", served.err()));
        }
        error = keeping => return Err(error),
        outcome = until_stopped => outcome,
    };
    progress.step("stopping: waiting for running activities");
    let _ = stop_sender.send(true);
    let stopping = async {
        worker.await?;
        api.await??;
        Ok::<_, anyhow::Error>(())
    };
    match tokio::time::timeout(STOPS_WITHIN, stopping).await {
        Ok(stopped) => stopped?,
        // The Temporal server may have ended in the meantime; it is not restarted at this point.
        Err(_) => progress.step(
            "the worker did not stop in time: Temporal repeats its unfinished activities later",
        ),
    }
    outcome
}

/// Longer than the grace period of running activities.
const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// The parts that run after all servers have started.
struct Started {
    listener: TcpListener,
    metrics_listener: TcpListener,
    settings: worker::Settings,
    metrics: Option<Metrics>,
    system: System,
}

/// The connected servers.
struct System {
    client: Client,
    store: Store,
    instance: Instance,
}

impl System {
    /// Applies the schedules to Temporal. Replaces those of another installation only on a server
    /// that `dev` started, which no other installation uses.
    async fn apply_schedules(&self, progress: &Progress) -> anyhow::Result<()> {
        let installation = Installation::of(&self.store).await?;
        let mut plan = Plan::new(&self.client, &installation).await?;
        if self.instance.temporal_is_own
            && let Some(foreign) = plan.foreign()
        {
            progress.step(format!(
                "schedules: replacing those of installation {} on this state directory's Temporal server",
                foreign.owner
            ));
            plan.take_over();
        }
        plan.check_owner(&self.client)?;
        let namespace = self.client.namespace();
        schedules::record(&self.store, &namespace, &plan, false, &operator::actor()).await?;
        Ok(plan.carry_out(&self.client).await?)
    }
}

impl System {
    /// Creates a link for one login as the holder of the admin token.
    async fn login_link(&self) -> anyhow::Result<String> {
        let access = self.store.authenticate(&self.instance.admin_token).await?;
        let token_id = access.context("the admin token was revoked")?.token_id;
        let code = api::generate_secret();
        let code = code.expose_secret();
        let actor = operator::actor();
        self.store.create_login_link(token_id, code, &actor).await?;
        Ok(format!("{}/login?code={code}", self.instance.api_url))
    }
}

async fn start(
    arguments: Arguments,
    state: &StateDir,
    progress: &Progress,
    servers: &mut Servers,
) -> anyhow::Result<Started> {
    let signing_key = arguments.signing.key()?;
    let digitalocean = servers.digitalocean(state, progress).await?;
    let listener = api_listener(arguments.api_bind).await?;
    // A free port, so that several instances run on one machine.
    let metrics_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let metrics = arguments.metrics.serve()?;
    let database_url = servers.database(state, progress).await?;
    let store =
        Store::connect(&database_url, worker::CONNECTIONS + crate::api::CONNECTIONS).await?;
    store.migrate().await?;
    digitalocean.check(&store).await?;
    let (client, temporal_address) = servers.temporal(state, progress).await?;
    let instance = Instance {
        api_url: format!("http://{}", listener.local_addr()?),
        temporal_address,
        temporal_namespace: client.namespace(),
        temporal_is_own: servers.temporal.is_some(),
        temporal_ui_url: servers
            .temporal
            .as_ref()
            .and_then(Temporal::ui_url)
            .or(arguments.ui.url()),
        is_simulated: servers.demo.is_some(),
        database_url,
        admin_token: admin_token(&store, state).await?,
        api_metrics_url: format!("http://{}/metrics", metrics_listener.local_addr()?),
        metrics_url: metrics
            .as_ref()
            .map(|metrics| format!("http://{}/metrics", metrics.address())),
    };
    let mut sync = arguments.sync;
    if servers.demo.is_some() {
        sync.strike_interval.get_or_insert(demo::STRIKE_INTERVAL);
    }
    let mut settings = sync.settings(store.clone(), digitalocean, signing_key);
    if servers.demo.is_some() {
        // The simulator needs no protection, and a demo should not wait for the rate limit.
        settings.request_limits = Limits::NONE;
    }
    Ok(Started {
        listener,
        metrics_listener,
        settings,
        metrics,
        system: System {
            client,
            store,
            instance,
        },
    })
}

fn open_log(path: &Path) -> anyhow::Result<fs::File> {
    let create = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::OpenOptions::new().create(true).append(true).open(path)
    };
    create().with_context(|| format!("cannot write the log to {}", path.display()))
}

/// Binds the API's listener: on the configured address, which must be free, or on the default port,
/// or on any free port if the default is in use.
async fn api_listener(configured: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = configured {
        return listen(address).await;
    }
    match TcpListener::bind(DEFAULT_API_BIND).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(SocketAddr::from(([127, 0, 0, 1], 0))).await,
    }
}

/// Returns the admin token that the state directory holds, or creates one if there is none or the
/// database does not accept it.
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
    let (role, actor) = (Role::PlatformAdmin, operator::actor());
    let token = token::create(store, "arcadia dev", &role, false, None, &actor).await?;
    configuration::write_private(&path, token.expose_secret())?;
    Ok(token.expose_secret().to_owned())
}

/// Removes the databases of a state directory. Ports, passwords and logs remain.
async fn reset(state: &StateDir, progress: &Progress) -> anyhow::Result<()> {
    progress.step("removing the database and Temporal's store");
    Postgres::remove_data(state, progress).await?;
    Temporal::remove_data(state, progress).await?;
    Demo::remove_record(state)?;
    match fs::remove_file(state.path().join(TRIGGERED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Marks in the state directory that the schedules were triggered once.
const TRIGGERED: &str = "schedules-triggered";

/// Triggers all schedules at the first start, so that data appear within a minute.
async fn trigger_on_first_start(
    client: &Client,
    state: &StateDir,
    progress: &Progress,
) -> anyhow::Result<()> {
    let marker = state.path().join(TRIGGERED);
    if !marker.exists() {
        progress.step("first start: triggering every schedule once");
        worker::schedules::trigger_all(client).await?;
        fs::write(&marker, "")?;
    }
    Ok(())
}

fn print_addresses(
    instance: &Instance,
    login: &str,
    ready_file: Option<&Path>,
    state: &StateDir,
    log: &Path,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "Pages:       {login}")?;
    writeln!(out, "API:         {}", instance.api_url)?;
    let ui = instance
        .temporal_ui_url
        .as_deref()
        .unwrap_or("not configured (ARCADIA_TEMPORAL_UI_URL)");
    writeln!(out, "Temporal UI: {ui}")?;
    writeln!(out, "Database:    {}", instance.database_url)?;
    writeln!(out, "Admin token: {}", instance.admin_token)?;
    writeln!(out, "Metrics:     {} (API)", instance.api_metrics_url)?;
    if let Some(url) = &instance.metrics_url {
        writeln!(out, "             {url} (worker)")?;
    }
    writeln!(out, "Log:         {}", log.display())?;
    writeln!(out, "To use the temporal CLI in another shell:")?;
    let address = quoted(&instance.temporal_address);
    writeln!(out, "export TEMPORAL_ADDRESS={address}")?;
    let option = match StateDir::default_path() {
        Ok(path) if path.canonicalize().unwrap_or(path.clone()) == state.path() => String::new(),
        _ => format!(" --state-dir {}", quoted(&state.path().to_string_lossy())),
    };
    writeln!(
        out,
        "All variables: eval \"$(arcadia dev --print-env{option})\""
    )?;
    out.flush()?;
    if let Some(path) = ready_file {
        let json = serde_json::to_string_pretty(instance)?;
        configuration::write_private(path, &json)
            .with_context(|| format!("cannot write the ready file to {}", path.display()))?;
    }
    Ok(())
}

/// Prints only the variables of the running instance.
fn print_env(directory: &Path) -> anyhow::Result<()> {
    let instance = Instance::read(directory)?;
    let directory = directory
        .canonicalize()
        .with_context(|| format!("cannot read {}", directory.display()))?;
    write!(std::io::stdout(), "{}", instance.exports(&directory))?;
    Ok(())
}
