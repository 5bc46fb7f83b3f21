//! Runs simulator and worker in separate processes, so that their memory and CPU time can be
//! measured separately. The processes are this program in another role. They exit at the end of
//! their standard input, and therefore with this process.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use digitalocean::Tokens;
use simulator::{Account, DEMO_TOKEN, Simulator};
use store::Store;
use store::inventory::{Guard, Rules};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

/// The role of a child process.
pub(crate) enum Role {
    Simulator(Contents),
    Worker,
    Api,
}

/// The contents of a simulated account.
#[derive(Clone, Copy)]
pub(crate) enum Contents {
    Demo,
    Droplets(usize),
    /// This number of resources, equally of ten kinds.
    TenKinds(usize),
    /// One invoice with this number of lines.
    OneInvoice(usize),
    /// 34,000 resources and 150 invoices with 30,000 lines.
    Large,
}

impl Contents {
    fn account(self) -> Account {
        match self {
            Self::Demo => Account::demo(),
            Self::Droplets(count) => Account::with_droplets(count),
            Self::TenKinds(count) => Account::with_resources(count),
            Self::OneInvoice(lines) => crate::invoice::account(lines),
            Self::Large => Account::large(),
        }
    }

    fn arguments(self) -> Vec<String> {
        match self {
            Self::Demo => vec!["demo".to_owned()],
            Self::Droplets(count) => vec!["droplets".to_owned(), count.to_string()],
            Self::TenKinds(count) => vec!["ten-kinds".to_owned(), count.to_string()],
            Self::OneInvoice(lines) => vec!["one-invoice".to_owned(), lines.to_string()],
            Self::Large => vec!["large".to_owned()],
        }
    }

    fn of(arguments: &[String]) -> Self {
        let count = || arguments.get(1).and_then(|count| count.parse().ok());
        match (arguments.first().map(String::as_str), count()) {
            (Some("droplets"), Some(count)) => Self::Droplets(count),
            (Some("ten-kinds"), Some(count)) => Self::TenKinds(count),
            (Some("one-invoice"), Some(lines)) => Self::OneInvoice(lines),
            (Some("large"), None) => Self::Large,
            _ => Self::Demo,
        }
    }
}

impl Role {
    pub(crate) fn of(arguments: &[String]) -> Option<Self> {
        match arguments.first()?.as_str() {
            "serve-simulator" => Some(Self::Simulator(Contents::of(&arguments[1..]))),
            "serve-worker" => Some(Self::Worker),
            "serve-api" => Some(Self::Api),
            _ => None,
        }
    }

    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Simulator(contents) => serve_account(contents.account()).await,
            Self::Worker => serve_worker().await,
            Self::Api => serve_api().await,
        }
    }
}

fn write_line(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Returns the next line of standard input; none at its end.
async fn read_line() -> anyhow::Result<Option<String>> {
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await?;
    Ok(line.transpose()?)
}

/// Serves a simulated account. Each line of standard input is a number of droplets to resize,
/// evenly distributed over the account.
async fn serve_account(account: Account) -> anyhow::Result<()> {
    let simulator = Simulator::start(account).await?;
    write_line(&simulator.url())?;
    while let Some(order) = read_line().await? {
        let count: usize = order.trim().parse()?;
        simulator.change(|account| {
            let every = (account.droplets().len() / count).max(1);
            let chosen: Vec<_> = account
                .droplets()
                .iter()
                .step_by(every)
                .map(|droplet| (droplet.id, droplet.size == "s-1vcpu-1gb"))
                .collect();
            for (id, is_small) in chosen {
                account.resize_droplet(
                    id,
                    if is_small {
                        "s-2vcpu-4gb"
                    } else {
                        "s-1vcpu-1gb"
                    },
                );
            }
        });
        write_line("done")?;
    }
    Ok(())
}

/// The default rules of a worker.
pub(crate) const RULES: Rules = Rules {
    strike_interval: Duration::from_mins(10),
    guard: Guard {
        percent: 20,
        rows: 10,
    },
};

const DATABASE: &str = "SPEED_DATABASE_URL";
const TEMPORAL: &str = "SPEED_TEMPORAL_ADDRESS";
const DIGITALOCEAN: &str = "SPEED_DIGITALOCEAN_URL";

/// Runs a worker like `arcadia worker`, on the servers in the environment.
async fn serve_worker() -> anyhow::Result<()> {
    let store = Store::connect(&std::env::var(DATABASE)?, worker::CONNECTIONS).await?;
    let client = worker::temporal::connect_to(&std::env::var(TEMPORAL)?).await?;
    let settings = worker::Settings {
        store,
        digitalocean_url: std::env::var(DIGITALOCEAN)?,
        tokens: Tokens::one(DEMO_TOKEN.to_owned().into()),
        request_limits: store::rate_limit::Limits::NONE,
        internal_project: "skyai-internal".to_owned(),
        rules: RULES,
        dns_records: false,
        look_back_months: 3,
        spaces: None,
        signing_key: None,
        renew_after: worker::RENEW_AFTER,
    };
    write_line("ready")?;
    let mut terminated = signal(SignalKind::terminate())?;
    let input_ended = async { while let Ok(Some(_)) = read_line().await {} };
    let shutdown = async {
        tokio::select! {
            () = input_ended => {}
            _ = terminated.recv() => {}
        }
    };
    worker::run(client, settings, shutdown).await?;
    // The thread that reads standard input does not end by itself.
    std::process::exit(0);
}

/// Serves the API, without Temporal.
async fn serve_api() -> anyhow::Result<()> {
    let store = Store::connect(&std::env::var(DATABASE)?, 8).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    write_line(&format!("http://{}", listener.local_addr()?))?;
    let input_ended = async { while let Ok(Some(_)) = read_line().await {} };
    let settings = api::Settings {
        rate_limits: api::RateLimits::local(),
        ..api::Settings::from(store)
    };
    api::serve(listener, settings, input_ended).await?;
    std::process::exit(0);
}

/// The unit of CPU times in `/proc`, the same on every Linux platform that Rust supports.
const TICKS_A_SECOND: f64 = 100.0;

/// A running child process.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    async fn next_line(&mut self) -> anyhow::Result<String> {
        let line = self.output.next_line().await?;
        line.context("the process ended: see its errors above")
    }

    /// Returns the peak memory so far, in MB of 10^6 bytes; none on systems without `/proc`.
    pub(crate) fn peak_memory(&self) -> Option<f64> {
        self.megabytes("VmHWM:")
    }

    /// Returns the current memory in MB.
    pub(crate) fn memory(&self) -> Option<f64> {
        self.megabytes("VmRSS:")
    }

    fn megabytes(&self, name: &str) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    }

    /// Returns the CPU time so far in seconds.
    pub(crate) fn seconds_of_cpu(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The program's name, in parentheses, may contain spaces.
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let user: f64 = fields.get(11)?.parse().ok()?;
        let system: f64 = fields.get(12)?.parse().ok()?;
        Some((user + system) / TICKS_A_SECOND)
    }

    /// Sends SIGTERM and waits for the end of the process.
    pub(crate) async fn terminate(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("the process has ended")?;
        let sent = Command::new("kill").arg(id.to_string()).status().await?;
        anyhow::ensure!(sent.success(), "could not send SIGTERM");
        let status = self.child.wait().await?;
        anyhow::ensure!(status.success(), "the process ended with {status}");
        Ok(())
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input);
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("the process ended with {status}");
        }
        Ok(())
    }
}

/// A simulated account in a separate process.
pub(crate) struct SimulatorProcess {
    process: Process,
    pub(crate) url: String,
}

impl SimulatorProcess {
    pub(crate) async fn start(contents: Contents) -> anyhow::Result<Self> {
        let contents = contents.arguments();
        let arguments =
            std::iter::once("serve-simulator").chain(contents.iter().map(String::as_str));
        let mut process = Process::start(&arguments.collect::<Vec<_>>(), &[])?;
        let url = process.next_line().await?;
        Ok(Self { process, url })
    }

    pub(crate) fn client(&self) -> anyhow::Result<digitalocean::Client> {
        Ok(digitalocean::Client::new(
            &self.url,
            DEMO_TOKEN.to_owned().into(),
        )?)
    }

    /// Injects a fault, in the simulator's syntax.
    pub(crate) async fn fail(&self, fault: &str) -> anyhow::Result<()> {
        let faults = format!("{}/simulator/faults", self.url);
        let request = http_client()?.post(faults).body(fault.to_owned());
        request.send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn clear_faults(&self) -> anyhow::Result<()> {
        let faults = format!("{}/simulator/faults", self.url);
        let request = http_client()?.delete(faults);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn resize(&mut self, count: usize) -> anyhow::Result<()> {
        let order = format!("{count}\n");
        self.process.input.write_all(order.as_bytes()).await?;
        self.process.next_line().await?;
        Ok(())
    }
}

/// Starts a worker in a separate process.
pub(crate) async fn worker(
    database_url: &str,
    temporal_address: &str,
    digitalocean_url: &str,
) -> anyhow::Result<Process> {
    let environment = [
        (DATABASE, database_url),
        (TEMPORAL, temporal_address),
        (DIGITALOCEAN, digitalocean_url),
    ];
    let mut process = Process::start(&["serve-worker"], &environment)?;
    process.next_line().await?;
    Ok(process)
}

/// Starts the API in a separate process, and returns its address.
pub(crate) async fn api(database_url: &str) -> anyhow::Result<(String, Process)> {
    let mut process = Process::start(&["serve-api"], &[(DATABASE, database_url)])?;
    Ok((process.next_line().await?, process))
}

/// Returns a client for servers on this machine, which requests uncompressed answers.
pub(crate) fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .no_gzip()
        .tls_certs_only([])
        .build()
}
