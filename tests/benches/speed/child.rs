//! Processes beside this one, so that the memory and the work of each can be told apart: this program, started again in a role.
//! They end with their standard input, and so with this process.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use digitalocean::Tokens;
use simulator::{Account, DEMO_TOKEN, Simulator};
use store::Store;
use store::inventory::{Guard, Rules};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

/// What the program does when it is started again.
pub(crate) enum Role {
    Simulator(Contents),
    Worker,
}

/// What a simulated account holds.
#[derive(Clone, Copy)]
pub(crate) enum Contents {
    Demo,
    Droplets(usize),
    /// Ten kinds, as many of each.
    TenKinds(usize),
    /// One invoice of so many lines.
    OneInvoice(usize),
}

impl Contents {
    fn account(self) -> Account {
        match self {
            Self::Demo => Account::demo(),
            Self::Droplets(count) => Account::with_droplets(count),
            Self::TenKinds(count) => Account::with_resources(count),
            Self::OneInvoice(lines) => crate::invoice::account(lines),
        }
    }

    fn arguments(self) -> Vec<String> {
        match self {
            Self::Demo => vec!["demo".to_owned()],
            Self::Droplets(count) => vec!["droplets".to_owned(), count.to_string()],
            Self::TenKinds(count) => vec!["ten-kinds".to_owned(), count.to_string()],
            Self::OneInvoice(lines) => vec!["one-invoice".to_owned(), lines.to_string()],
        }
    }

    fn of(arguments: &[String]) -> Self {
        let count = || arguments.get(1).and_then(|count| count.parse().ok());
        match (arguments.first().map(String::as_str), count()) {
            (Some("droplets"), Some(count)) => Self::Droplets(count),
            (Some("ten-kinds"), Some(count)) => Self::TenKinds(count),
            (Some("one-invoice"), Some(lines)) => Self::OneInvoice(lines),
            _ => Self::Demo,
        }
    }
}

impl Role {
    pub(crate) fn of(arguments: &[String]) -> Option<Self> {
        match arguments.first()?.as_str() {
            "serve-simulator" => Some(Self::Simulator(Contents::of(&arguments[1..]))),
            "serve-worker" => Some(Self::Worker),
            _ => None,
        }
    }

    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Simulator(contents) => serve_account(contents.account()).await,
            Self::Worker => serve_worker().await,
        }
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// The next line on standard input; none at its end.
async fn hear() -> anyhow::Result<Option<String>> {
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await?;
    Ok(line.transpose()?)
}

/// Each line on standard input is a number of droplets to resize, spread evenly over the account.
async fn serve_account(account: Account) -> anyhow::Result<()> {
    let simulator = Simulator::start(account).await?;
    say(&simulator.url())?;
    while let Some(order) = hear().await? {
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
        say("done")?;
    }
    Ok(())
}

/// What a worker has unless it is told otherwise.
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

/// What `arcadia worker` does, on the servers it is given.
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
        renew_after: worker::RENEW_AFTER,
    };
    say("ready")?;
    let mut terminated = signal(SignalKind::terminate())?;
    let input_ended = async { while let Ok(Some(_)) = hear().await {} };
    let told_to_stop = async {
        tokio::select! {
            () = input_ended => {}
            _ = terminated.recv() => {}
        }
    };
    worker::run(client, settings, told_to_stop).await?;
    // The thread that hears never ends by itself.
    std::process::exit(0);
}

/// In what `/proc` counts: the same on every Linux that Rust knows.
const TICKS_A_SECOND: f64 = 100.0;

/// A running process of ours.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
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
        let orders = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        Ok(Self {
            child,
            orders,
            answers: BufReader::new(answers).lines(),
        })
    }

    async fn answer(&mut self) -> anyhow::Result<String> {
        let answer = self.answers.next_line().await?;
        answer.context("the process ended: its errors stand above")
    }

    /// The most memory it has had so far, in MB of 10^6 bytes; none where the system does not tell.
    pub(crate) fn peak_memory(&self) -> Option<f64> {
        self.megabytes("VmHWM:")
    }

    /// The memory it has now.
    pub(crate) fn memory(&self) -> Option<f64> {
        self.megabytes("VmRSS:")
    }

    fn megabytes(&self, name: &str) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    }

    /// How long it has had a core so far.
    pub(crate) fn seconds_of_cpu(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The name of the program, in brackets, may hold spaces.
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let user: f64 = fields.get(11)?.parse().ok()?;
        let system: f64 = fields.get(12)?.parse().ok()?;
        Some((user + system) / TICKS_A_SECOND)
    }

    /// Sends SIGTERM and waits for its end.
    pub(crate) async fn terminate(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("the process has ended")?;
        let sent = Command::new("kill").arg(id.to_string()).status().await?;
        anyhow::ensure!(sent.success(), "SIGTERM could not be sent");
        let status = self.child.wait().await?;
        anyhow::ensure!(status.success(), "the process ended with {status}");
        Ok(())
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.orders);
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("the process ended with {status}");
        }
        Ok(())
    }
}

/// A simulated account in a process of its own.
pub(crate) struct SimulatorProcess {
    process: Process,
    pub(crate) url: String,
}

impl SimulatorProcess {
    pub(crate) async fn start(contents: Contents) -> anyhow::Result<Self> {
        let of_contents = contents.arguments();
        let arguments =
            std::iter::once("serve-simulator").chain(of_contents.iter().map(String::as_str));
        let mut process = Process::start(&arguments.collect::<Vec<_>>(), &[])?;
        let url = process.answer().await?;
        Ok(Self { process, url })
    }

    pub(crate) fn client(&self) -> anyhow::Result<digitalocean::Client> {
        Ok(digitalocean::Client::new(
            &self.url,
            DEMO_TOKEN.to_owned().into(),
        )?)
    }

    /// Asks for a fault, as the simulator writes them.
    pub(crate) async fn fail(&self, fault: &str) -> anyhow::Result<()> {
        let faults = format!("{}/simulator/faults", self.url);
        let request = http_client()?.post(faults).body(fault.to_owned());
        request.send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn fail_no_more(&self) -> anyhow::Result<()> {
        let faults = format!("{}/simulator/faults", self.url);
        let request = http_client()?.delete(faults);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn resize(&mut self, count: usize) -> anyhow::Result<()> {
        let order = format!("{count}\n");
        self.process.orders.write_all(order.as_bytes()).await?;
        self.process.answer().await?;
        Ok(())
    }
}

/// A worker in a process of its own.
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
    process.answer().await?;
    Ok(process)
}

/// A client for a simulator on this machine.
pub(crate) fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
}
