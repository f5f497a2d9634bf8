//! Every number of a round, with its reason; those of the pure chapters stand with them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{agree, evidence, rank, select};

/// How rounds are run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share of the round's time that it waits for members when too few are free.
    pub wait_share: f64,
    pub select: select::Settings,
    pub generate: Generate,
    pub agree: agree::Settings,
    pub judge: Judge,
    pub evidence: evidence::Settings,
    pub rank: rank::Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wait_share: 0.25,
            select: select::Settings::default(),
            generate: Generate::default(),
            agree: agree::Settings::default(),
            judge: Judge::default(),
            evidence: evidence::Settings::default(),
            rank: rank::Settings::default(),
        }
    }
}

/// How candidates are gathered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generate {
    /// Share of the round's time in which writing must be done; judging reads, which is quicker.
    pub share_of_deadline: f64,
    /// Share of the writers whose candidates are enough to stop waiting for the slowest.
    pub quorum: f64,
    /// What the rest get after the quorum, in medians of the finished writers' times.
    pub grace: f64,
    /// The same while a favourite is among them: cutting the one that knows costs more than
    /// waiting for it (measured: 5 of 52 weekdays and as many conversions were lost).
    pub grace_favourite: f64,
    /// Log-odds that make a favourite: so much likelier right than all who have finished.
    pub favourite_lead: f64,
    /// Milliseconds without a piece after which a spare member starts beside a writer. The writer
    /// may go on: on a busy machine the first piece takes as long.
    pub stall_ms: u64,
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            share_of_deadline: 0.7,
            quorum: 2.0 / 3.0,
            grace: 0.5,
            grace_favourite: 4.0,
            favourite_lead: 1.0,
            stall_ms: 5_000,
        }
    }
}

impl Generate {
    pub(super) fn stall(&self) -> Duration {
        Duration::from_millis(self.stall_ms)
    }
}

/// How ballots are gathered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Judge {
    /// Pairs of pools that one pairwise judge compares at most, each in both orders: all pairs of
    /// five pools and some more.
    pub pairs_max: usize,
    /// Share of the judges that must have spoken before P(best) may end the judging.
    pub quorum: f64,
}

impl Default for Judge {
    fn default() -> Self {
        Self { pairs_max: 12, quorum: 2.0 / 3.0 }
    }
}
