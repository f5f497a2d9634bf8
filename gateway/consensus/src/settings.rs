//! Every number of a round, with its reason; those of the pure chapters stand with them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{agree, evidence, fusion, rank, select};
use crate::{ask::Mode, reputation::Way};

/// How rounds are run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoundSettings {
    /// Share of the round's time that it waits for members when too few are free.
    pub wait_share: f64,
    pub select: select::Settings,
    pub generate: Generate,
    pub agree: agree::Settings,
    pub judge: Judge,
    pub evidence: evidence::Settings,
    pub rank: rank::Settings,
    pub fusion: fusion::Settings,
    /// What `shoal-fast` does otherwise.
    pub fast: Pace,
    /// What `shoal-deep` does otherwise.
    pub deep: Pace,
}

impl Default for RoundSettings {
    fn default() -> Self {
        Self {
            wait_share: 0.25,
            select: select::Settings::default(),
            generate: Generate::default(),
            agree: agree::Settings::default(),
            judge: Judge::default(),
            evidence: evidence::Settings::default(),
            rank: rank::Settings::default(),
            fusion: fusion::Settings::default(),
            fast: Pace {
                tau: 0.9,
                agree_share: 0.6,
                agree_writers_min: 2,
                wave: 2,
                pairs: false,
                reasoned: false,
            },
            deep: Pace {
                tau: 0.99,
                agree_share: 0.8,
                agree_writers_min: 5,
                wave: 4,
                pairs: true,
                reasoned: true,
            },
        }
    }
}

impl RoundSettings {
    /// The settings of a round in this mode.
    pub fn of_mode(&self, mode: Mode) -> Self {
        let mut config = self.clone();
        let pace = match mode {
            Mode::Balanced => return config,
            Mode::Fast => &self.fast,
            Mode::Deep => &self.deep,
        };
        config.rank.tau = pace.tau;
        config.agree.share = pace.agree_share;
        config.agree.writers_min = pace.agree_writers_min;
        config.judge.wave = pace.wave;
        config.select.pairs = pace.pairs;
        config.judge.reasoned = pace.reasoned;
        config
    }
}

/// What a mode says of when enough is known; all else is as in every round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// In the place of [`rank::Settings::tau`].
    pub tau: f64,
    /// In the place of [`agree::Settings::share`].
    pub agree_share: f64,
    /// In the place of [`agree::Settings::writers_min`].
    pub agree_writers_min: usize,
    /// In the place of [`Judge::wave`].
    pub wave: usize,
    /// In the place of [`select::Settings::pairs`].
    pub pairs: bool,
    /// In the place of [`Judge::reasoned`].
    pub reasoned: bool,
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
    pub fn stall(&self) -> Duration {
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
    /// Share of the judges asked that must have spoken before P(best) may end the judging.
    pub quorum: f64,
    /// Judges that are asked at the same time; the next ones are asked only when these have not
    /// settled it. Two, because one judge alone must not end a round.
    pub wave: usize,
    /// Pairs that a judge which has compared some is given more, in each wave.
    pub pairs_wave: usize,
    /// Whether a judge that can write a critique before its verdict on a pair is asked to, in the
    /// place of any other ballot: up to a hundred tokens for each order of each pair.
    pub reasoned: bool,
    /// What the rest of a wave gets once one of it has spoken, in times of that one; then the next
    /// wave is asked beside it.
    pub grace: f64,
    /// Share of the time left for judging after which a wave that has not spoken is followed by
    /// the next one: it may still speak.
    pub wave_share: f64,
}

impl Judge {
    /// How a judge compares, that can say why or cannot.
    pub fn way(&self, can_reason: bool) -> Way {
        if self.reasoned && can_reason { Way::Reasoned } else { Way::AtOnce }
    }
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            pairs_max: 12,
            quorum: 2.0 / 3.0,
            wave: 2,
            pairs_wave: 2,
            reasoned: false,
            grace: 2.0,
            wave_share: 0.3,
        }
    }
}
