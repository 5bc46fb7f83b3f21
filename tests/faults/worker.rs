//! Runs `arcadia worker` in a separate process, with a supervisor that restarts it like Kubernetes
//! and systemd.

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

/// The supervisor's delay before a restart.
const RESTART_DELAY: Duration = Duration::from_millis(200);

/// A worker that is restarted until it is dropped.
pub(crate) struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    supervisor: JoinHandle<()>,
    /// The process id; 0 while no process runs.
    pid: Arc<AtomicU32>,
    log: PathBuf,
}

enum Order {
    Kill(oneshot::Sender<()>),
    Terminate(oneshot::Sender<Duration>),
    Stop(oneshot::Sender<()>),
    Start,
}

/// Arguments and environment of the worker.
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
    /// Starts a worker that appends its log to the file `log`.
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

    /// Sends SIGKILL, waits for the end of the process, and starts a new one at once.
    pub(crate) async fn kill(&self) {
        self.order(Order::Kill).await;
    }

    /// Sends SIGTERM, waits for the end of the process, and starts a new one. Returns the duration
    /// of the shutdown.
    pub(crate) async fn restart_gracefully(&self) -> Duration {
        self.order(Order::Terminate).await
    }

    /// Sends SIGKILL without a restart.
    pub(crate) async fn stop(&self) {
        self.order(Order::Stop).await;
    }

    /// Suspends the process for the given time.
    pub(crate) async fn freeze(&self, pause: Duration) {
        let Some(process) = self.freeze_forever() else {
            return;
        };
        tokio::time::sleep(pause).await;
        Self::resume(process);
    }

    /// Suspends the process (SIGSTOP) and returns its id; none while no process runs.
    pub(crate) fn freeze_forever(&self) -> Option<Pid> {
        let process = i32::try_from(self.pid.load(Ordering::SeqCst)).unwrap_or_default();
        let process = Pid::from_raw(process)?;
        // Fails if the process has just ended.
        let _ = kill_process(process, Signal::STOP);
        Some(process)
    }

    /// Continues a suspended process.
    pub(crate) fn resume(process: Pid) {
        // Fails if the process was killed meanwhile.
        let _ = kill_process(process, Signal::CONT);
    }

    /// Returns the resident memory in bytes; none on systems without `/proc`, or while no process
    /// runs.
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
        // Dropping the supervisor kills the process.
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
                    // The worker ended by itself, since it could not reach its servers. Its log has
                    // the reason.
                    self.pid.store(0, Ordering::SeqCst);
                    process = None;
                    tokio::select! {
                        order = self.orders.recv() => order,
                        () = tokio::time::sleep(RESTART_DELAY) => Some(Order::Start),
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
                Some(Order::Stop(done)) => {
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
