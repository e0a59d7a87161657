//! What a person sees who waits: what is running, and how far it has come. On standard error, so that
//! the results alone are on standard output.

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Says what begins.
pub fn say(what: Arguments<'_>) {
    let mut out = io::stderr().lock();
    // Nobody may be listening.
    let _ = writeln!(out, "{}{what}", if io::stderr().is_terminal() { "\r\x1b[K" } else { "" });
}

/// A long list of steps of known number.
#[derive(Debug)]
pub struct Progress {
    steps: usize,
    done: usize,
    began: Instant,
    terminal: bool,
}

impl Progress {
    /// Of so many steps.
    #[must_use]
    pub fn new(steps: usize) -> Self {
        Self { steps, done: 0, began: Instant::now(), terminal: io::stderr().is_terminal() }
    }

    /// Shows the step that begins now. On a terminal one line is overwritten again and again.
    pub fn step(&mut self, what: Arguments<'_>) {
        if self.terminal {
            let left = self.left().map_or_else(String::new, |left| format!(", {} left", minutes(left)));
            let mut out = io::stderr().lock();
            let _ = write!(out, "\r\x1b[K  {}/{}{left}: {what}", self.done + 1, self.steps);
            let _ = out.flush();
        }
        self.done += 1;
    }

    /// Says something between two steps, with how far it is.
    pub fn say(&self, what: Arguments<'_>) {
        let percent = 100 * self.done / self.steps.max(1);
        say(format_args!("[{percent:>3} %] {what}"));
    }

    fn left(&self) -> Option<Duration> {
        // The first steps say little.
        let done = u32::try_from(self.done).ok().filter(|done| *done >= 5)?;
        let left = u32::try_from(self.steps - self.done).ok()?;
        Some(self.began.elapsed() / done * left)
    }
}

/// A time for people.
#[must_use]
pub fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}
