//! `arcadia worker` in a process of its own, and a supervisor that starts it again whenever it ends, as Kubernetes and systemd do.

use std::env;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long a supervisor waits before it starts a worker again.
const BEFORE_RESTART: Duration = Duration::from_millis(200);

/// A worker that runs until it is dropped, however often it dies.
pub(crate) struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    supervisor: JoinHandle<()>,
    /// The process's id; 0 while there is none.
    pid: Arc<AtomicU32>,
    log: PathBuf,
}

enum Order {
    Kill(oneshot::Sender<()>),
    Terminate(oneshot::Sender<Duration>),
    Rest(oneshot::Sender<()>),
    Start,
}

/// What a worker is started with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Settings {
    fn command(&self, log: File) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_arcadia-under-test"));
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let prefixes = ["ARCADIA_", "DO_API_TOKEN", "SPACES_", "TEMPORAL_", "VAULT_"];
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
            .arg("worker")
            .args(&self.arguments)
            .env("TEMPORAL_CONFIG_FILE", "/dev/null")
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("ENDS_WITH_STANDARD_INPUT", "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        command
    }
}

impl Worker {
    /// Starts one; what it writes goes to the end of the file `log`.
    pub(crate) fn start(settings: Settings, log: &Path) -> Self {
        let (orders, received) = mpsc::unbounded_channel();
        let pid = Arc::new(AtomicU32::new(0));
        let supervisor = Supervisor {
            settings,
            log: log.to_owned(),
            pid: Arc::clone(&pid),
            orders: received,
        };
        Self {
            orders,
            supervisor: tokio::spawn(supervisor.run()),
            pid,
            log: log.to_owned(),
        }
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// SIGKILL, and a new one at once. Waits for its death.
    pub(crate) async fn kill(&self) {
        self.order(Order::Kill).await;
    }

    /// SIGTERM, and a new one when it has ended; says how long that took.
    pub(crate) async fn restart_in_order(&self) -> Duration {
        self.order(Order::Terminate).await
    }

    /// SIGKILL, and no new one.
    pub(crate) async fn rest(&self) {
        self.order(Order::Rest).await;
    }

    /// Stops its clock, so to speak: it does nothing for so long, and then goes on as if nothing had been.
    pub(crate) async fn freeze(&self, pause: Duration) {
        let Some(process) = self.freeze_for_ever() else {
            return;
        };
        tokio::time::sleep(pause).await;
        let _ = kill_process(process, Signal::CONT);
    }

    /// Nothing more is heard of it, though it is there. None while there is no process.
    pub(crate) fn freeze_for_ever(&self) -> Option<Pid> {
        let process = i32::try_from(self.pid.load(Ordering::SeqCst)).unwrap_or_default();
        let process = Pid::from_raw(process)?;
        // It may just have died: then there is nothing to freeze.
        let _ = kill_process(process, Signal::STOP);
        Some(process)
    }

    /// The memory it has now, in bytes; none where the system does not tell, or while there is no process.
    pub(crate) fn resident_memory(&self) -> Option<u64> {
        let pid = self.pid.load(Ordering::SeqCst);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> T {
        let (done, is_done) = oneshot::channel();
        assert!(self.orders.send(order(done)).is_ok(), "no supervisor");
        is_done.await.unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The process goes with the supervisor that holds it.
        self.supervisor.abort();
    }
}

struct Process {
    child: Child,
    /// It ends with this, and so with us.
    _lifeline: Option<ChildStdin>,
}

struct Supervisor {
    settings: Settings,
    log: PathBuf,
    pid: Arc<AtomicU32>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Supervisor {
    async fn run(mut self) {
        let mut process = Some(self.spawn());
        loop {
            let ended = async {
                match &mut process {
                    Some(process) => drop(process.child.wait().await),
                    None => std::future::pending().await,
                }
            };
            let order = tokio::select! {
                order = self.orders.recv() => order,
                () = ended => {
                    // By itself: it could not reach its servers. Its log says so.
                    self.pid.store(0, Ordering::SeqCst);
                    process = None;
                    tokio::select! {
                        order = self.orders.recv() => order,
                        () = tokio::time::sleep(BEFORE_RESTART) => Some(Order::Start),
                    }
                }
            };
            match order {
                None => return,
                Some(Order::Start) => {
                    if process.is_none() {
                        process = Some(self.spawn());
                    }
                }
                Some(Order::Kill(done)) => {
                    self.kill(&mut process).await;
                    process = Some(self.spawn());
                    let _ = done.send(());
                }
                Some(Order::Rest(done)) => {
                    self.kill(&mut process).await;
                    let _ = done.send(());
                }
                Some(Order::Terminate(done)) => {
                    let took = self.terminate(&mut process).await;
                    process = Some(self.spawn());
                    let _ = done.send(took);
                }
            }
        }
    }

    fn spawn(&self) -> Process {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let mut child = self.settings.command(log.unwrap()).spawn().unwrap();
        self.pid
            .store(child.id().unwrap_or_default(), Ordering::SeqCst);
        let lifeline = child.stdin.take();
        Process {
            child,
            _lifeline: lifeline,
        }
    }

    async fn kill(&self, process: &mut Option<Process>) {
        self.pid.store(0, Ordering::SeqCst);
        if let Some(mut process) = process.take() {
            process.child.kill().await.unwrap();
        }
    }

    async fn terminate(&self, process: &mut Option<Process>) -> Duration {
        let started = std::time::Instant::now();
        if let Some(mut running) = process.take() {
            let process = running.child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(process) = process.and_then(Pid::from_raw) {
                let _ = kill_process(process, Signal::TERM);
            }
            running.child.wait().await.unwrap();
        }
        self.pid.store(0, Ordering::SeqCst);
        started.elapsed()
    }
}
