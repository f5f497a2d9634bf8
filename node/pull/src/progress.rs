//! How far a pull is, on stderr: one bar, or a line for each tenth where there is no terminal.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicU64, Ordering},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Of one model, whatever number of files it has.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    total: u64,
    done: AtomicU64,
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
        Self { name: name.to_owned(), total, done: AtomicU64::new(0), form }
    }

    /// So many bytes more are there.
    pub(super) fn add(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        self.show(before, before.saturating_add(bytes));
    }

    /// What counted before does not count any more.
    pub(super) fn back(&self, bytes: u64) {
        let before = self.done.fetch_sub(bytes, Ordering::Relaxed);
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

    /// A line when another tenth is there.
    fn line(&self, before: u64, now: u64) -> Option<String> {
        let tenth = |bytes: u64| bytes.saturating_mul(10).checked_div(self.total).unwrap_or(10);
        (tenth(now) > tenth(before)).then(|| {
            let percent = tenth(now) * 10;
            format!("{}: {percent} % of {}", self.name, megabytes(self.total))
        })
    }

    /// Words between: above the bar, or a line of their own.
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

/// As people say it; what is small is never nothing.
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
