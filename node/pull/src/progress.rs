//! The progress of a pull on stderr: a bar on a terminal, else a line for each tenth.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicU64, Ordering},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of one model, over all its files.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    total: u64,
    bytes: AtomicU64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    pub(super) fn new(name: &str, total: u64, shows: bool) -> Self {
        let form = match (shows, std::io::stderr().is_terminal()) {
            (false, _) => Form::Nothing,
            (true, false) => Form::Lines,
            (true, true) => Form::Bar(bar(name, total)),
        };
        Self { name: name.to_owned(), total, bytes: AtomicU64::new(0), form }
    }

    /// Counts bytes that arrived.
    pub(super) fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.show(before, before.saturating_add(bytes));
    }

    /// Takes back bytes that are fetched again.
    pub(super) fn back(&self, bytes: u64) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.show(before, before.saturating_sub(bytes));
    }

    fn show(&self, before: u64, now: u64) {
        match &self.form {
            Form::Bar(bar) => bar.set_position(now),
            Form::Lines => {
                if let Some(line) = self.line(before, now) {
                    eprintln!("{line}");
                }
            }
            Form::Nothing => {}
        }
    }

    /// A line when a tenth is complete.
    fn line(&self, before: u64, now: u64) -> Option<String> {
        (self.tenths(now) > self.tenths(before)).then(|| {
            let percent = self.tenths(now) * 10;
            format!("{}: {percent} % of {}", self.name, megabytes(self.total))
        })
    }

    fn tenths(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(10).checked_div(self.total).unwrap_or(10)
    }

    /// Prints a message: above the bar, or as a line.
    pub(super) fn say(&self, words: &str) {
        match &self.form {
            Form::Bar(bar) => bar.suspend(|| eprintln!("{words}")),
            Form::Lines => eprintln!("{words}"),
            Form::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix} {bar:24} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
    );
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(name.to_owned());
    bar
}

/// A size for people; rounded up below a megabyte, so that it is never 0.
pub(super) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_at_each_tenth_and_only_then() {
        let progress = Progress::new("m", 2_000_000, false);
        assert_eq!(progress.line(0, 199_999), None);
        assert_eq!(progress.line(199_999, 200_000).unwrap(), "m: 10 % of 2 MB");
        assert_eq!(progress.line(200_000, 2_000_000).unwrap(), "m: 100 % of 2 MB");
        assert_eq!(progress.line(200_000, 0), None);
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        assert_eq!(megabytes(1), "1 kB");
        assert_eq!(megabytes(98_362_432), "98 MB");
        assert_eq!(megabytes(1_117_320_768), "1.12 GB");
    }
}
