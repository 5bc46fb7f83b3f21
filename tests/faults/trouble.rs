//! What befalls a run: which faults, when, and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use devstack::testing::Stop;
use simulator::{Fault, FaultKind};
use tokio::sync::watch;

use super::dice::Dice;
use super::site::{Servers, Site, terminate_connections};

/// Which of the parts fail in a run. The seed decides.
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

    /// Five seeds in a row are of five families.
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
                Injected::WireCut,
                Injected::WireSlow,
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

    /// How many in one chapter.
    fn count(self, dice: &mut Dice) -> u64 {
        match self {
            Self::Worker => dice.between(5, 14),
            Self::Servers => dice.between(3, 5),
            Self::TwoWorkers => dice.between(2, 4),
            Self::DigitalOcean => dice.between(3, 6),
            Self::All => dice.between(4, 7),
        }
    }
}

/// One fault, by what the report calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Injected {
    WorkerKilled,
    WorkerTerminated,
    WorkerFrozen,
    PostgresCrashed,
    PostgresRestarted,
    ConnectionsEnded,
    WireCut,
    WireSlow,
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
}

impl Injected {
    /// Those that happen at a moment. A clock is wrong all the time.
    const ALL: [Self; 18] = [
        Self::WorkerKilled,
        Self::WorkerTerminated,
        Self::WorkerFrozen,
        Self::PostgresCrashed,
        Self::PostgresRestarted,
        Self::ConnectionsEnded,
        Self::WireCut,
        Self::WireSlow,
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
            Self::WireCut => "wire to PostgreSQL cut",
            Self::WireSlow => "wire to PostgreSQL slow",
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
        })
    }
}

/// How often each was injected.
pub(crate) type Tally = BTreeMap<Injected, u64>;

/// The faults of one run.
pub(crate) struct Trouble {
    family: Family,
    dice: Dice,
    pub(crate) tally: Tally,
    /// What was done, for whoever wants to see it again.
    pub(crate) log: Vec<String>,
}

impl Trouble {
    pub(crate) fn new(family: Family, dice: Dice) -> Self {
        Self {
            family,
            dice,
            tally: Tally::new(),
            log: Vec::new(),
        }
    }

    /// Injects the faults of a chapter, one after the other, unless it is over before. What it stops it has started again.
    pub(crate) async fn rage(
        &mut self,
        site: &Site,
        chapter: usize,
        mut over: watch::Receiver<bool>,
    ) {
        for _ in 0..self.family.count(&mut self.dice) {
            let pause = self.dice.milliseconds(30, 1_500);
            let fault = self.dice.pick(self.family.faults());
            if tokio::time::timeout(pause, over.wait_for(|over| *over))
                .await
                .is_ok()
            {
                return;
            }
            let what = self.inject(site, fault).await;
            *self.tally.entry(fault).or_default() += 1;
            self.log.push(format!(
                "chapter {chapter}, {} ms later: {fault}{what}",
                pause.as_millis()
            ));
        }
    }

    pub(crate) async fn inject(&mut self, site: &Site, fault: Injected) -> String {
        let dice = &mut self.dice;
        let worker = usize::try_from(dice.between(1, site.workers.len() as u64)).unwrap_or(1) - 1;
        let outage = dice.milliseconds(100, 2_500);
        match fault {
            Injected::WorkerKilled => {
                site.workers[worker].kill().await;
                return format!(", number {worker}");
            }
            Injected::WorkerTerminated => {
                let took = site.workers[worker].restart_in_order().await;
                return format!(", number {worker}, which took {} ms", took.as_millis());
            }
            Injected::WorkerFrozen => {
                // Longer than Temporal waits for a heartbeat, now and then: then both workers do the same work.
                let pause = if dice.once_in(3) {
                    Duration::from_secs(33)
                } else {
                    dice.milliseconds(500, 5_000)
                };
                site.workers[worker].freeze(pause).await;
                return format!(", number {worker}, for {} ms", pause.as_millis());
            }
            Injected::PostgresCrashed | Injected::PostgresRestarted => {
                let how = if fault == Injected::PostgresCrashed {
                    Stop::AtOnce
                } else {
                    Stop::InOrder
                };
                let own = site.own.as_ref().unwrap();
                let mut postgres = own.postgres.lock().await;
                postgres.stop(how).await;
                tokio::time::sleep(outage).await;
                postgres.start_again().await;
            }
            Injected::TemporalKilled | Injected::TemporalRestarted => {
                let how = if fault == Injected::TemporalKilled {
                    Stop::AtOnce
                } else {
                    Stop::InOrder
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
            Injected::WireCut => site.wire.cut(),
            Injected::WireSlow => {
                let delay = dice.milliseconds(2, 40);
                site.wire.delay(delay);
                tokio::time::sleep(outage).await;
                site.wire.delay(Duration::ZERO);
                return format!(
                    ", each piece by {} ms, for {} ms",
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
                let fault = digitalocean_fault(fault, dice);
                let text = fault.to_string();
                site.simulator.fail(fault);
                return format!(", {text}");
            }
            // Since the worker was started.
            Injected::ClockSkewed => return String::new(),
        }
        format!(", away for {} ms", outage.as_millis())
    }
}

fn digitalocean_fault(fault: Injected, dice: &mut Dice) -> Fault {
    let kind = match fault {
        Injected::TooManyRequests => FaultKind::RateLimited { retry_after: 1 },
        Injected::ErrorPages => FaultKind::HtmlError {
            status: dice.pick(&[500, 502, 503, 504, 520, 524]),
        },
        Injected::Resets => FaultKind::Reset,
        Injected::Drips => FaultKind::Drip {
            delay: dice.milliseconds(300, 2_000),
        },
        Injected::CutBodies => FaultKind::CutOff,
        Injected::ShortPages => FaultKind::ShortPage,
        Injected::MovedItems => FaultKind::ItemMovesBetweenPages,
        _ => FaultKind::Unauthorized,
    };
    let path = match kind {
        // Of lists that say how many they are: of another nobody can tell.
        FaultKind::ShortPage | FaultKind::ItemMovesBetweenPages => dice.pick(&[
            "/v2/droplets",
            "/v2/volumes",
            "/v2/domains",
            "/v2/projects*",
            "/v2/customers/my/invoices*",
        ]),
        _ => dice.pick(&[
            "/v2/*",
            "/v2/*",
            "/v2/projects*",
            "/v2/droplets*",
            "/v2/customers/*",
            "/v2/customers/my/invoices/*/csv",
        ]),
    };
    let times = u32::try_from(dice.between(1, 6)).unwrap_or(1);
    Fault::new(kind, path).times(times)
}
