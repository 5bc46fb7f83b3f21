//! Starting a server again that has ended by itself.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::log::Log;
use crate::{Error, Progress};

/// After so many ends in a row it is not started again.
pub(crate) const MOST_FAILURES: u32 = 5;
/// A server that has run so long since its last end begins a new row.
const RUNS_WELL_AFTER: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A server that can be started again where it was.
pub(crate) trait Supervised {
    const NAME: &'static str;

    /// How it ended, if it has.
    fn ended(&mut self) -> Result<Option<ExitStatus>, Error>;

    /// Starts it on the same port with the same data, and waits until it answers.
    fn start_again(&mut self) -> impl Future<Output = Result<(), Error>>;

    fn port(&self) -> u16;

    fn log(&self) -> &Log;
}

/// The ends of one server.
#[derive(Debug)]
pub(crate) struct Failures {
    in_a_row: u32,
    /// When it last began to answer.
    up_since: Instant,
}

impl Failures {
    pub(crate) fn none() -> Self {
        Self {
            in_a_row: 0,
            up_since: Instant::now(),
        }
    }

    /// Counts an end of a server that had answered.
    fn ended(&mut self) {
        if self.up_since.elapsed() >= RUNS_WELL_AFTER {
            self.in_a_row = 0;
        }
        self.in_a_row += 1;
    }

    /// Counts a start that failed.
    fn not_started(&mut self) {
        self.in_a_row += 1;
    }

    fn are_too_many(&self) -> bool {
        self.in_a_row >= MOST_FAILURES
    }

    /// How long to wait before the next start: the first one is at once.
    fn pause(&self) -> Duration {
        match self.in_a_row {
            0 | 1 => Duration::ZERO,
            failures => FIRST_PAUSE * 2_u32.pow(failures - 2),
        }
    }
}

/// Waits until the server ends by itself, starts it again, and reports that in one line. Returns
/// when it answers again. Fails when it has ended [`MOST_FAILURES`] times in a row.
pub(crate) async fn restarted<S: Supervised>(
    server: &mut S,
    failures: &mut Failures,
    progress: &Progress,
) -> Result<(), Error> {
    let status = loop {
        if let Some(status) = server.ended()? {
            break status;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let ended_at = Instant::now();
    let ended = format!("{} ended ({})", S::NAME, words(status));
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
                    "{ended}: it answers again on port {port} after {seconds:.1} s"
                ));
                return Ok(());
            }
            Err(error) => {
                failures.not_started();
                last = first_line(&error);
            }
        }
    }
    Err(Error::KeepsEnding {
        server: S::NAME,
        times: failures.in_a_row,
        last,
        log: server.log().path().to_owned(),
    })
}

/// The rest is the end of the log, which is named beside it.
fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split("; ").next().unwrap_or_default().to_owned()
}

/// The guardian ends with its server's status, as shells do: 128 and the signal's number.
fn words(status: ExitStatus) -> String {
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
    fn five_ends_in_a_row_are_too_many_and_pauses_grow() {
        let mut failures = Failures::none();
        let mut pauses = Vec::new();
        while !failures.are_too_many() {
            failures.ended();
            pauses.push(failures.pause().as_secs());
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8]);
    }

    #[test]
    fn an_end_after_a_minute_begins_a_new_row() {
        let mut failures = Failures::none();
        for _ in 1..MOST_FAILURES {
            failures.not_started();
        }
        let Some(earlier) = Instant::now().checked_sub(RUNS_WELL_AFTER) else {
            return;
        };
        failures.up_since = earlier;
        failures.ended();
        assert_eq!(failures.in_a_row, 1);
    }

    #[test]
    fn a_status_is_told_by_its_signal() {
        for (raw, expected) in [
            (137 << 8, "signal 9"),
            (9, "signal 9"),
            (1 << 8, "exit status 1"),
            (0, "exit status 0"),
        ] {
            assert_eq!(words(ExitStatus::from_raw(raw)), expected);
        }
    }
}
