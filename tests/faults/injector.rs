//! Injects faults into a run. The seed determines kind, time and number of the faults.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use devstack::testing::Stop;
use simulator::{Fault, FaultKind};
use tokio::sync::watch;

use super::rng::Rng;
use super::scenario::PHASES;
use super::site::{Servers, Site, terminate_connections};

/// The parts that fail in a run, selected by the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Worker,
    /// PostgreSQL and Temporal.
    Servers,
    DigitalOcean,
    TwoWorkers,
    All,
}

impl Family {
    pub(crate) const ALL: [Self; 5] = [
        Self::Worker,
        Self::Servers,
        Self::DigitalOcean,
        Self::TwoWorkers,
        Self::All,
    ];

    /// Returns the family of a seed. Five consecutive seeds cover all families.
    pub(crate) fn of(seed: u64) -> Self {
        let count = u64::try_from(Self::ALL.len()).unwrap_or(1);
        Self::ALL[usize::try_from(seed % count).unwrap_or_default()]
    }

    pub(crate) fn servers(self) -> Servers {
        match self {
            Self::Servers | Self::All => Servers::Own,
            Self::Worker | Self::DigitalOcean | Self::TwoWorkers => Servers::Shared,
        }
    }

    pub(crate) fn workers(self) -> usize {
        match self {
            Self::TwoWorkers | Self::All => 2,
            _ => 1,
        }
    }

    fn faults(self) -> &'static [Injected] {
        match self {
            Self::Worker => &[Injected::WorkerKilled],
            Self::Servers => &[
                Injected::PostgresCrashed,
                Injected::PostgresRestarted,
                Injected::ConnectionsEnded,
                Injected::ConnectionCut,
                Injected::ConnectionSlow,
                Injected::TemporalKilled,
                Injected::TemporalRestarted,
            ],
            Self::DigitalOcean => &[
                Injected::TooManyRequests,
                Injected::ErrorPages,
                Injected::Resets,
                Injected::Drips,
                Injected::CutBodies,
                Injected::Unauthorized,
                Injected::ShortPages,
                Injected::MovedItems,
            ],
            Self::TwoWorkers => &[
                Injected::WorkerKilled,
                Injected::WorkerFrozen,
                Injected::WorkerTerminated,
            ],
            Self::All => &Injected::ALL,
        }
    }

    /// Returns the number of faults in one phase.
    fn count(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Worker => rng.between(5, 14),
            Self::Servers => rng.between(3, 5),
            Self::TwoWorkers => rng.between(2, 4),
            Self::DigitalOcean => rng.between(3, 6),
            Self::All => rng.between(4, 7),
        }
    }
}

/// A kind of fault, as named in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Injected {
    WorkerKilled,
    WorkerTerminated,
    WorkerFrozen,
    PostgresCrashed,
    PostgresRestarted,
    ConnectionsEnded,
    ConnectionCut,
    ConnectionSlow,
    TemporalKilled,
    TemporalRestarted,
    TooManyRequests,
    ErrorPages,
    Resets,
    Drips,
    CutBodies,
    Unauthorized,
    ShortPages,
    MovedItems,
    ClockSkewed,
    ChangedWhileFrozen,
}

impl Injected {
    /// The faults that occur at a random time during a phase. A clock is wrong throughout, and all
    /// workers are suspended between two phases.
    const ALL: [Self; 18] = [
        Self::WorkerKilled,
        Self::WorkerTerminated,
        Self::WorkerFrozen,
        Self::PostgresCrashed,
        Self::PostgresRestarted,
        Self::ConnectionsEnded,
        Self::ConnectionCut,
        Self::ConnectionSlow,
        Self::TemporalKilled,
        Self::TemporalRestarted,
        Self::TooManyRequests,
        Self::ErrorPages,
        Self::Resets,
        Self::Drips,
        Self::CutBodies,
        Self::Unauthorized,
        Self::ShortPages,
        Self::MovedItems,
    ];
}

impl fmt::Display for Injected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::WorkerKilled => "worker killed (SIGKILL)",
            Self::WorkerTerminated => "worker restarted (SIGTERM)",
            Self::WorkerFrozen => "worker frozen (SIGSTOP), one of two",
            Self::PostgresCrashed => "PostgreSQL crashed (immediate)",
            Self::PostgresRestarted => "PostgreSQL restarted",
            Self::ConnectionsEnded => "database connections ended",
            Self::ConnectionCut => "connection to PostgreSQL cut",
            Self::ConnectionSlow => "connection to PostgreSQL slow",
            Self::TemporalKilled => "Temporal killed (SIGKILL)",
            Self::TemporalRestarted => "Temporal restarted",
            Self::TooManyRequests => "DigitalOcean: storm of 429",
            Self::ErrorPages => "DigitalOcean: 5xx as HTML",
            Self::Resets => "DigitalOcean: resets",
            Self::Drips => "DigitalOcean: slow drips",
            Self::CutBodies => "DigitalOcean: cut bodies",
            Self::Unauthorized => "DigitalOcean: 401 in the middle",
            Self::ShortPages => "DigitalOcean: pages that lack an item",
            Self::MovedItems => "DigitalOcean: items that change pages",
            Self::ClockSkewed => "clock hours wrong, one of two workers",
            Self::ChangedWhileFrozen => "account changed while all workers were frozen",
        })
    }
}

/// The number of injections of each fault.
pub(crate) type Tally = BTreeMap<Injected, u64>;

/// The faults of one run.
pub(crate) struct Injector {
    family: Family,
    rng: Rng,
    /// The phase with changes of the account that happen while all workers are suspended: a phase
    /// with many changes.
    pub(crate) frozen_before: usize,
    pub(crate) tally: Tally,
    /// The injected faults in order, for the report.
    pub(crate) log: Vec<String>,
}

impl Injector {
    pub(crate) fn new(family: Family, mut rng: Rng) -> Self {
        let frozen_before = rng.pick(&[1, PHASES - 1]);
        Self {
            family,
            rng,
            frozen_before,
            tally: Tally::new(),
            log: Vec::new(),
        }
    }

    /// Counts a suspension of all workers, during which the account changes.
    pub(crate) fn note_frozen(&mut self) {
        let fault = Injected::ChangedWhileFrozen;
        *self.tally.entry(fault).or_default() += 1;
        self.log
            .push(format!("before phase {}: {fault}", self.frozen_before));
    }

    /// Injects the faults of a phase, one after the other, until the phase is over. Restarts each
    /// server that it stopped.
    pub(crate) async fn inject_all(
        &mut self,
        site: &Site,
        phase: usize,
        mut over: watch::Receiver<bool>,
    ) {
        for _ in 0..self.family.count(&mut self.rng) {
            let pause = self.rng.milliseconds(30, 1_500);
            let fault = self.rng.pick(self.family.faults());
            if tokio::time::timeout(pause, over.wait_for(|over| *over))
                .await
                .is_ok()
            {
                return;
            }
            let details = self.inject(site, fault).await;
            *self.tally.entry(fault).or_default() += 1;
            self.log.push(format!(
                "phase {phase}, {} ms later: {fault}{details}",
                pause.as_millis()
            ));
        }
    }

    /// Injects a fault, and returns its details for the log.
    pub(crate) async fn inject(&mut self, site: &Site, fault: Injected) -> String {
        let rng = &mut self.rng;
        let worker = usize::try_from(rng.between(1, site.workers.len() as u64)).unwrap_or(1) - 1;
        let outage = rng.milliseconds(100, 2_500);
        match fault {
            Injected::WorkerKilled => {
                site.workers[worker].kill().await;
                return format!(", number {worker}");
            }
            Injected::WorkerTerminated => {
                let took = site.workers[worker].restart_gracefully().await;
                return format!(", number {worker}, which took {} ms", took.as_millis());
            }
            Injected::WorkerFrozen => {
                // Sometimes longer than the heartbeat timeout, so that both workers run the same
                // activity.
                let pause = if rng.once_in(3) {
                    Duration::from_secs(33)
                } else {
                    rng.milliseconds(500, 5_000)
                };
                site.workers[worker].freeze(pause).await;
                return format!(", number {worker}, for {} ms", pause.as_millis());
            }
            Injected::PostgresCrashed | Injected::PostgresRestarted => {
                let how = if fault == Injected::PostgresCrashed {
                    Stop::Immediate
                } else {
                    Stop::Graceful
                };
                let own = site.own.as_ref().unwrap();
                let mut postgres = own.postgres.lock().await;
                postgres.stop(how).await;
                tokio::time::sleep(outage).await;
                postgres.start_again().await;
            }
            Injected::TemporalKilled | Injected::TemporalRestarted => {
                let how = if fault == Injected::TemporalKilled {
                    Stop::Immediate
                } else {
                    Stop::Graceful
                };
                let own = site.own.as_ref().unwrap();
                let mut temporal = own.temporal.lock().await;
                temporal.stop(how).await;
                tokio::time::sleep(outage).await;
                temporal.start_again().await;
            }
            Injected::ConnectionsEnded => {
                let ended = terminate_connections(site).await;
                return format!(", {ended} of them");
            }
            Injected::ConnectionCut => site.proxy.cut(),
            Injected::ConnectionSlow => {
                let delay = rng.milliseconds(2, 40);
                site.proxy.delay(delay);
                tokio::time::sleep(outage).await;
                site.proxy.delay(Duration::ZERO);
                return format!(
                    ", each chunk by {} ms, for {} ms",
                    delay.as_millis(),
                    outage.as_millis()
                );
            }
            Injected::TooManyRequests
            | Injected::ErrorPages
            | Injected::Resets
            | Injected::Drips
            | Injected::CutBodies
            | Injected::Unauthorized
            | Injected::ShortPages
            | Injected::MovedItems => {
                let fault = digitalocean_fault(fault, rng);
                let text = fault.to_string();
                site.simulator.fail(fault);
                return format!(", {text}");
            }
            // Set when the worker is started, and injected between phases.
            Injected::ClockSkewed | Injected::ChangedWhileFrozen => return String::new(),
        }
        format!(", down for {} ms", outage.as_millis())
    }
}

fn digitalocean_fault(fault: Injected, rng: &mut Rng) -> Fault {
    let kind = match fault {
        Injected::TooManyRequests => FaultKind::RateLimited { retry_after: 1 },
        Injected::ErrorPages => FaultKind::HtmlError {
            status: rng.pick(&[500, 502, 503, 504, 520, 524]),
        },
        Injected::Resets => FaultKind::Reset,
        Injected::Drips => FaultKind::Drip {
            delay: rng.milliseconds(300, 2_000),
        },
        Injected::CutBodies => FaultKind::CutOff,
        Injected::ShortPages => FaultKind::ShortPage,
        Injected::MovedItems => FaultKind::ItemMovesBetweenPages,
        _ => FaultKind::Unauthorized,
    };
    let path = match kind {
        // Lists with a total; without one the fault would be undetectable.
        FaultKind::ShortPage | FaultKind::ItemMovesBetweenPages => rng.pick(&[
            "/v2/droplets",
            "/v2/volumes",
            "/v2/domains",
            "/v2/projects*",
            "/v2/customers/my/invoices*",
        ]),
        _ => rng.pick(&[
            "/v2/*",
            "/v2/*",
            "/v2/projects*",
            "/v2/droplets*",
            "/v2/customers/*",
            "/v2/customers/my/invoices/*/csv",
        ]),
    };
    let times = u32::try_from(rng.between(1, 6)).unwrap_or(1);
    Fault::new(kind, path).times(times)
}
