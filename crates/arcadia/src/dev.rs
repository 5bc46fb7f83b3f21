//! `arcadia dev`: the whole system on one machine.

mod servers;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use devstack::{Postgres, Progress, StateDir, Temporal};
use secrecy::ExposeSecret as _;
use store::budget::Limits;
use store::{Role, Store};
use temporalio_client::{Client, NamespacedClient as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use worker::Telemetry;
use worker::metrics::Metrics;
use worker::schedules::{Installation, Plan};

use self::servers::Servers;
use crate::api::UiArguments;
use crate::configuration::{self, DEFAULT_API_BIND, SyncArguments, listen};
use crate::instance::{Instance, quoted};
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
    /// Start nothing: print the variables of the instance that runs in the state directory, for `eval "$(arcadia dev --print-env)"`.
    #[arg(long)]
    print_env: bool,
    /// Remove the database and Temporal's store of the state directory first.
    #[arg(long, conflicts_with = "print_env")]
    reset: bool,
    #[command(flatten)]
    ui: UiArguments,
    #[command(flatten)]
    sync: SyncArguments,
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
    // What an earlier run left there is not true any more.
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
    let sending = Sending::from_environment("arcadia")?;
    let outcome = Box::pin(serve(
        arguments,
        &state,
        &progress,
        &mut servers,
        &log,
        &sending,
        &mut stop,
    ))
    .await;
    sending.finish().await;
    remove_ready_file();
    Instance::remove(&state);
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
    let Some(started) = stop.unless_asked(starting).await else {
        return Ok(());
    };
    let Started {
        listener,
        settings,
        metrics,
        system,
    } = started?;

    let (tell, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let api = api::Settings {
        tracer: sending.tracer(),
        ..crate::api::settings(
            system.store.clone(),
            Schedules::of(system.client.clone(), system.store.clone()),
            system.instance.temporal_ui_url.clone(),
        )
    };
    let telemetry = Telemetry {
        metrics,
        traces: sending.of_worker(),
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
        announce(&system.instance, ready_file.as_deref(), state, log)?;
        stop.asked().await;
        Ok(())
    };
    let keeping = servers.keep_running(progress, async || {
        if let Err(error) = system.apply_schedules(progress).await {
            tracing::warn!("cannot bring the schedules to the restarted Temporal: {error:#}");
        }
    });
    let ended = |what: &str, cause: Option<anyhow::Error>| {
        let ended = format!("the {what} ended by itself; see {}", log.display());
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
    progress.step("stopping: running activities may end first");
    let _ = tell.send(true);
    let stopping = async {
        worker.await?;
        api.await??;
        Ok::<_, anyhow::Error>(())
    };
    match tokio::time::timeout(STOPS_WITHIN, stopping).await {
        Ok(stopped) => stopped?,
        // Its server may have ended meanwhile, which nobody starts again now.
        Err(_) => progress.step("the worker does not stop: its unfinished work is repeated later"),
    }
    outcome
}

/// Longer than running activities have to end.
const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// What runs once all servers do.
struct Started {
    listener: TcpListener,
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
    /// Brings the schedules to Temporal. Those of another installation are replaced in `dev`'s own
    /// server only, which nobody else uses.
    async fn apply_schedules(&self, progress: &Progress) -> anyhow::Result<()> {
        let installation = Installation::of(&self.store).await?;
        let mut plan = Plan::new(&self.client, &installation).await?;
        if self.instance.temporal_is_own
            && let Some(foreign) = plan.foreign()
        {
            progress.step(format!(
                "schedules: replacing those of {} in this state directory's Temporal",
                foreign.owner
            ));
            plan.take_over();
        }
        Ok(plan.carry_out(&self.client).await?)
    }
}

async fn start(
    arguments: Arguments,
    state: &StateDir,
    progress: &Progress,
    servers: &mut Servers,
) -> anyhow::Result<Started> {
    let digitalocean = servers.digitalocean(progress).await?;
    let listener = api_listener(arguments.api_bind).await?;
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
        is_simulated: servers.simulator.is_some(),
        database_url,
        admin_token: admin_token(&store, state).await?,
        metrics_url: metrics
            .as_ref()
            .map(|metrics| format!("http://{}/metrics", metrics.address())),
    };
    let mut settings = arguments.sync.settings(store.clone(), digitalocean);
    if servers.simulator.is_some() {
        // Nobody else needs the simulator's requests, and who looks at a demo is not to wait for them.
        settings.request_limits = Limits::NONE;
    }
    Ok(Started {
        listener,
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
    create().with_context(|| format!("the log cannot be written to {}", path.display()))
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

/// Removes all data of a state directory. Ports, passwords and logs stay.
async fn reset(state: &StateDir, progress: &Progress) -> anyhow::Result<()> {
    progress.step("removing the database and Temporal's store");
    Postgres::remove_data(state, progress).await?;
    Temporal::remove_data(state, progress).await?;
    match fs::remove_file(state.path().join(TRIGGERED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Notes in the state directory that the schedules were triggered once.
const TRIGGERED: &str = "schedules-triggered";

/// So that there is something to look at within a minute.
async fn trigger_on_first_start(
    client: &Client,
    state: &StateDir,
    progress: &Progress,
) -> anyhow::Result<()> {
    let marker = state.path().join(TRIGGERED);
    if !marker.exists() {
        progress.step("first start: every schedule runs once now");
        worker::schedules::trigger_all(client).await?;
        fs::write(&marker, "")?;
    }
    Ok(())
}

fn announce(
    instance: &Instance,
    ready_file: Option<&Path>,
    state: &StateDir,
    log: &Path,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "API:         {}", instance.api_url)?;
    let ui = instance
        .temporal_ui_url
        .as_deref()
        .unwrap_or("that of your Temporal server");
    writeln!(out, "Temporal UI: {ui}")?;
    writeln!(out, "Database:    {}", instance.database_url)?;
    writeln!(out, "Admin token: {}", instance.admin_token)?;
    if let Some(url) = &instance.metrics_url {
        writeln!(out, "Metrics:     {url}")?;
    }
    writeln!(out, "Log:         {}", log.display())?;
    writeln!(out, "For the temporal CLI, in another shell:")?;
    let address = quoted(&instance.temporal_address);
    writeln!(out, "export TEMPORAL_ADDRESS={address}")?;
    let which = match StateDir::default_path() {
        Ok(path) if path.canonicalize().unwrap_or(path.clone()) == state.path() => String::new(),
        _ => format!(" --state-dir {}", quoted(&state.path().to_string_lossy())),
    };
    writeln!(
        out,
        "All variables: eval \"$(arcadia dev --print-env{which})\""
    )?;
    out.flush()?;
    if let Some(path) = ready_file {
        let json = serde_json::to_string_pretty(instance)?;
        configuration::write_private(path, &json)
            .with_context(|| format!("the ready file cannot be written to {}", path.display()))?;
    }
    Ok(())
}

/// Prints the variables of the running instance, and nothing else.
fn print_env(directory: &Path) -> anyhow::Result<()> {
    let instance = Instance::read(directory)?;
    let directory = directory
        .canonicalize()
        .with_context(|| format!("cannot read {}", directory.display()))?;
    write!(std::io::stdout(), "{}", instance.exports(&directory))?;
    Ok(())
}
