//! Restarts a server that ends unexpectedly.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::log::Log;
use crate::{Error, Progress};

/// After this number of failures in a row, the server is not restarted.
pub(crate) const MAX_FAILURES: u32 = 5;
/// After this time of running, the count of failures restarts at zero.
const STABLE_AFTER: Duration = Duration::from_mins(1);
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A server that can be restarted with the same port and data.
pub(crate) trait Supervised {
    const NAME: &'static str;

    /// Returns its exit status if it has ended.
    fn ended(&mut self) -> Result<Option<ExitStatus>, Error>;

    /// Starts it on the same port with the same data, and waits until it is ready.
    fn start_again(&mut self) -> impl Future<Output = Result<(), Error>>;

    fn port(&self) -> u16;

    fn log(&self) -> &Log;
}

/// The failures of one server in a row.
#[derive(Debug)]
pub(crate) struct Failures {
    in_a_row: u32,
    /// The time when it last became ready.
    up_since: Instant,
}

impl Failures {
    pub(crate) fn none() -> Self {
        Self {
            in_a_row: 0,
            up_since: Instant::now(),
        }
    }

    /// Counts an end of a server that was ready.
    fn ended(&mut self) {
        if self.up_since.elapsed() >= STABLE_AFTER {
            self.in_a_row = 0;
        }
        self.in_a_row += 1;
    }

    /// Counts a start that failed.
    fn not_started(&mut self) {
        self.in_a_row += 1;
    }

    fn are_too_many(&self) -> bool {
        self.in_a_row >= MAX_FAILURES
    }

    /// Returns the pause before the next start, which is zero after the first failure.
    fn pause(&self) -> Duration {
        match self.in_a_row {
            0 | 1 => Duration::ZERO,
            failures => FIRST_PAUSE * 2_u32.pow(failures - 2),
        }
    }
}

/// Waits until the server ends, restarts it, and reports the restart in one line. Returns when the
/// server is ready. Fails after [`MAX_FAILURES`] failures in a row.
pub(crate) async fn restarted<S: Supervised>(
    server: &mut S,
    failures: &mut Failures,
    progress: &Progress,
) -> Result<(), Error> {
    let status = loop {
        if let Some(status) = server.ended()? {
            break status;
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    };
    let ended_at = Instant::now();
    let ended = format!("{} ended ({})", S::NAME, describe(status));
    failures.ended();
    let mut last = ended.clone();
    while !failures.are_too_many() {
        tokio::time::sleep(failures.pause()).await;
        match server.start_again().await {
            Ok(()) => {
                failures.up_since = Instant::now();
                let seconds = ended_at.elapsed().as_secs_f64();
                let port = server.port();
                progress.step(format!(
                    "{ended}: restarted on port {port} after {seconds:.1} s"
                ));
                return Ok(());
            }
            Err(error) => {
                failures.not_started();
                last = first_line(&error);
            }
        }
    }
    Err(Error::RestartsExhausted {
        server: S::NAME,
        times: failures.in_a_row,
        last,
        log: server.log().path().to_owned(),
    })
}

/// Returns an error without the last lines of the log, since the error that includes it names the
/// log file.
fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split("; ").next().unwrap_or_default().to_owned()
}

/// Describes an exit status. The guardian exits with its server's status, as shells do: 128 plus
/// the signal's number for a signal.
fn describe(status: ExitStatus) -> String {
    let signal = status.signal().or(status.code().map(|code| code - 128));
    match signal {
        Some(signal @ 1..) => format!("signal {signal}"),
        _ => format!("exit status {}", status.code().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_five_failures_in_a_row() {
        let mut failures = Failures::none();
        let mut pauses = Vec::new();
        while !failures.are_too_many() {
            failures.ended();
            pauses.push(failures.pause().as_secs());
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8]);
    }

    #[test]
    fn an_end_after_a_minute_is_the_first_of_a_new_series() {
        let mut failures = Failures::none();
        for _ in 1..MAX_FAILURES {
            failures.not_started();
        }
        let Some(earlier) = Instant::now().checked_sub(STABLE_AFTER) else {
            return;
        };
        failures.up_since = earlier;
        failures.ended();
        assert_eq!(failures.in_a_row, 1);
    }

    #[test]
    fn a_status_is_described_by_its_signal() {
        for (raw, expected) in [
            (137 << 8, "signal 9"),
            (9, "signal 9"),
            (1 << 8, "exit status 1"),
            (0, "exit status 0"),
        ] {
            assert_eq!(describe(ExitStatus::from_raw(raw)), expected);
        }
    }
}
