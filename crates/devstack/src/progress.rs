//! The one place through which this crate speaks to people, always on stderr: stdout belongs to
//! what a command answers.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Says what is being done, as it is done.
#[derive(Debug, Clone)]
pub struct Progress {
    voice: Voice,
}

#[derive(Debug, Clone)]
enum Voice {
    Bars(MultiProgress),
    Lines,
    Quiet,
}

impl Progress {
    /// Bars and spinners when stderr is a terminal, plain lines when it is not.
    pub fn terminal() -> Self {
        let voice = if stderr().is_terminal() {
            Voice::Bars(MultiProgress::new())
        } else {
            Voice::Lines
        };
        Self { voice }
    }

    /// Says nothing; for tests.
    pub fn quiet() -> Self {
        Self {
            voice: Voice::Quiet,
        }
    }

    /// One thing done or about to be done, as one line.
    pub fn step(&self, text: impl AsRef<str>) {
        match &self.voice {
            Voice::Bars(bars) => bars.suspend(|| eprintln!("{}", text.as_ref())),
            Voice::Lines => eprintln!("{}", text.as_ref()),
            Voice::Quiet => {}
        }
    }

    /// Something that takes a while and whose end is not known: a spinner with the elapsed time.
    pub fn spinner(&self, text: impl Into<String>) -> Task {
        self.task(text.into(), || {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar
        })
    }

    /// A download of `total` bytes, where the sender said how many: a bar in bytes.
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
        let bar = if let Voice::Bars(bars) = &self.voice {
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
            begun: Instant::now(),
        }
    }
}

/// Something under way. Dropped without [`Task::done`], it failed: its bar vanishes and the error
/// that follows speaks for it.
#[derive(Debug)]
pub struct Task {
    progress: Progress,
    text: String,
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl Task {
    /// So many more bytes have arrived.
    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// It is done: leaves one line with the time it took.
    pub fn done(self) {
        self.clear();
        let seconds = self.begun.elapsed().as_secs_f64();
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
