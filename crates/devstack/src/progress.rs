//! Prints the progress of this crate's operations on stderr; stdout is for a command's result.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Prints each step when it happens.
#[derive(Debug, Clone)]
pub struct Progress {
    output: Output,
}

#[derive(Debug, Clone)]
enum Output {
    Bars(MultiProgress),
    Lines,
    None,
}

impl Progress {
    /// Prints bars and spinners if stderr is a terminal, else plain lines.
    pub fn terminal() -> Self {
        let output = if stderr().is_terminal() {
            Output::Bars(MultiProgress::new())
        } else {
            Output::Lines
        };
        Self { output }
    }

    /// Prints nothing; for tests.
    pub fn quiet() -> Self {
        Self {
            output: Output::None,
        }
    }

    /// Prints a completed or an imminent step as one line.
    pub fn step(&self, text: impl AsRef<str>) {
        match &self.output {
            Output::Bars(bars) => bars.suspend(|| eprintln!("{}", text.as_ref())),
            Output::Lines => eprintln!("{}", text.as_ref()),
            Output::None => {}
        }
    }

    /// Starts a task of unknown duration: a spinner with the elapsed time.
    pub fn spinner(&self, text: impl Into<String>) -> Task {
        self.task(text.into(), || {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar
        })
    }

    /// Starts a download: a bar in bytes if the total is known, else a spinner.
    pub fn download(&self, text: impl Into<String>, total: Option<u64>) -> Task {
        let Some(total) = total else {
            return self.spinner(text);
        };
        self.task(text.into(), || {
            let bar = ProgressBar::new(total);
            let template = "{msg} [{bar:30}] {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        })
    }

    fn task(&self, text: String, bar: impl FnOnce() -> ProgressBar) -> Task {
        let bar = if let Output::Bars(bars) = &self.output {
            let bar = bars.add(bar());
            bar.set_message(text.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            Some(bar)
        } else {
            self.step(format!("{text} ..."));
            None
        };
        Task {
            progress: self.clone(),
            text,
            bar,
            started: Instant::now(),
        }
    }
}

/// A task in progress. Dropping it without [`Task::done`] means failure: its bar disappears, and
/// the caller reports the error.
#[derive(Debug)]
pub struct Task {
    progress: Progress,
    text: String,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Task {
    /// Advances the bar by received bytes.
    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Completes the task and prints one line with its duration.
    pub fn done(self) {
        self.clear();
        let seconds = self.started.elapsed().as_secs_f64();
        self.progress
            .step(format!("{}: done in {seconds:.1} s", self.text));
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.clear();
    }
}
