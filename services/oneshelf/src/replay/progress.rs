//! What a waiting person sees: a bar on a terminal, else a line every ten seconds.

use std::{
    fmt::Write as _,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(10);
const TEMPLATE: &str = "{msg:10} [{bar:30}] {human_pos}/{human_len} lines, {rate}, {left} left";

pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
    began: OnceLock<Instant>,
    total: u64,
    /// Lines that an earlier run has done: no part of this run's rate.
    skipped: AtomicU64,
    next_line: AtomicU64,
}

impl Progress {
    pub fn new(lines: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(lines as u64), ProgressDrawTarget::stderr_with_hz(5));
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let seconds = state.eta().as_secs();
            let _ = write!(out, "{}:{:02}", seconds / 60, seconds % 60);
        };
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("rate", rate).with_key("left", left).progress_chars("=> "));
        Self {
            terminal: !bar.is_hidden(),
            bar,
            began: OnceLock::new(),
            total: lines as u64,
            skipped: AtomicU64::new(0),
            next_line: AtomicU64::new(0),
        }
    }

    /// What is being done besides lines.
    pub fn say(&self, what: &str) {
        if self.terminal { self.bar.println(what) } else { eprintln!("{what}") }
    }

    /// The lines begin; some need not be done.
    pub fn begin(&self, skipped: usize) {
        self.began.get_or_init(Instant::now);
        self.skipped.store(skipped as u64, Ordering::Relaxed);
        self.bar.inc(skipped as u64);
        self.bar.reset_eta();
    }

    /// Lines that were done, of a month.
    pub fn done(&self, lines: usize, month: &str) {
        self.bar.inc(lines as u64);
        if self.terminal {
            if self.bar.message() != month {
                self.bar.set_message(month.to_owned());
            }
            return;
        }
        let elapsed = self.began.get_or_init(Instant::now).elapsed();
        let due = self.next_line.load(Ordering::Relaxed);
        if elapsed.as_secs() < due {
            return;
        }
        self.next_line.store(elapsed.as_secs() + LINE_EVERY.as_secs(), Ordering::Relaxed);
        let mut line = format!("{month}  {}/{} lines", self.bar.position(), self.total);
        let here = self.bar.position().saturating_sub(self.skipped.load(Ordering::Relaxed));
        let rate = here as f64 / elapsed.as_secs_f64().max(0.001);
        if rate >= 1.0 && due > 0 {
            let left = (self.total - self.bar.position().min(self.total)) as f64 / rate;
            let _ = write!(line, ", {rate:.0}/s, {:.0} s left", left.ceil());
        }
        eprintln!("{line}");
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
