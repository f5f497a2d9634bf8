//! Processes that ended and are started again, each after a wait that doubles.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::children::{Exit, Program};

/// The first wait: a node is back before most clients have noticed.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait.
const CAP: Duration = Duration::from_secs(30);

/// A process that ran this long was healthy, so that its next wait is the first one again.
const STEADY: Duration = Duration::from_secs(60);

/// What is to be started again, and when.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    failures: BTreeMap<String, u32>,
    due: Vec<(Instant, Program)>,
}

impl Restarts {
    /// Plans the restart of a process that has ended; returns the wait.
    pub(crate) fn plan(&mut self, exit: Exit) -> Duration {
        let failures = self.failures.entry(exit.program.name().to_owned()).or_default();
        if exit.uptime >= STEADY {
            *failures = 0;
        }
        // 2^6 halves of a second are over the cap.
        let wait = FIRST.saturating_mul(1 << (*failures).min(6)).min(CAP);
        *failures = failures.saturating_add(1);
        self.due.push((Instant::now() + wait, exit.program));
        wait
    }

    /// Resolves with the next program when its time has come; never if there is none.
    pub(crate) async fn next(&mut self) -> Program {
        let first = self.due.iter().enumerate().min_by_key(|(_, (time, _))| *time);
        let Some((at, (time, _))) = first else { return std::future::pending().await };
        tokio::time::sleep_until((*time).into()).await;
        self.due.swap_remove(at).1
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn waits_double_and_begin_anew_after_a_long_life() {
        let mut restarts = Restarts::default();
        let mut wait = |seconds| {
            let program = Program::beside_this_one(&this_program(), "cod").expect("this program");
            let uptime = Duration::from_secs(seconds);
            restarts.plan(Exit { program, why: anyhow!("killed"), uptime })
        };
        let waits: Vec<u128> = (0..8).map(|_| wait(1).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(wait(61), FIRST);
        assert_eq!(restarts.next().await.name(), "cod");
    }

    fn this_program() -> String {
        let path = std::env::current_exe().expect("a path");
        path.file_name().expect("a name").to_string_lossy().into_owned()
    }
}
