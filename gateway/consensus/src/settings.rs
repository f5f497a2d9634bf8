//! Every setting of a round, with its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ask::Mode, reputation::ComparisonMode};

/// How rounds are run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoundSettings {
    /// Share of the round's time that it waits for members when too few are free.
    pub wait_share: f64,
    /// Most asks that wait for a free member of one model, or of the swarm.
    pub queue_max: usize,
    /// Share of the time that rounds with gold questions may take, which P(right) is fitted to; 0: none.
    pub calibration_share: f64,
    pub select: SelectSettings,
    pub generate: GenerateSettings,
    pub agree: AgreeSettings,
    pub judge: JudgeSettings,
    pub evidence: EvidenceSettings,
    pub rank: RankSettings,
    pub fusion: FusionSettings,
    /// The settings that `shoal-fast` overrides.
    pub fast: ModeSettings,
    /// The settings that `shoal-deep` overrides.
    pub deep: ModeSettings,
}

impl Default for RoundSettings {
    fn default() -> Self {
        Self {
            wait_share: 0.25,
            queue_max: 256,
            calibration_share: 0.05,
            select: SelectSettings::default(),
            generate: GenerateSettings::default(),
            agree: AgreeSettings::default(),
            judge: JudgeSettings::default(),
            evidence: EvidenceSettings::default(),
            rank: RankSettings::default(),
            fusion: FusionSettings::default(),
            fast: ModeSettings {
                tau: 0.9,
                agree_share: 0.6,
                agree_writers_min: 2,
                wave: 2,
                pairs: false,
                reasoned: false,
                second_price: 0.3,
            },
            deep: ModeSettings {
                tau: 0.99,
                agree_share: 0.8,
                agree_writers_min: 5,
                wave: 4,
                pairs: true,
                reasoned: true,
                second_price: 0.004,
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
        config.generate.second_price = pace.second_price;
        config
    }
}

/// The settings that a mode overrides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeSettings {
    /// In the place of [`RankSettings::tau`].
    pub tau: f64,
    /// In the place of [`AgreeSettings::share`].
    pub agree_share: f64,
    /// In the place of [`AgreeSettings::writers_min`].
    pub agree_writers_min: usize,
    /// In the place of [`JudgeSettings::wave`].
    pub wave: usize,
    /// In the place of [`SelectSettings::pairs`].
    pub pairs: bool,
    /// In the place of [`JudgeSettings::reasoned`].
    pub reasoned: bool,
    /// In the place of [`GenerateSettings::second_price`].
    pub second_price: f64,
}

/// How candidates are gathered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateSettings {
    /// Share of the round's time in which writing must be done; judging reads, which is quicker.
    pub share_of_deadline: f64,
    /// What a second of waiting costs at the beginning, in P(right); after t seconds it costs 1 / (1 + t) of that.
    /// A writer is waited for while its answer is expected to gain more ([`crate::waiting`]).
    pub second_price: f64,
    /// Milliseconds without a piece after which a spare member starts beside a writer, at most: a writer
    /// whose own times are known is stalled after three times what it seldom needs to begin. The writer may
    /// go on: on a busy machine the first piece takes as long.
    pub stall_ms: u64,
}

impl Default for GenerateSettings {
    fn default() -> Self {
        Self { share_of_deadline: 0.7, second_price: 0.02, stall_ms: 5_000 }
    }
}

impl GenerateSettings {
    /// `stall_ms` as a duration.
    pub fn stall(&self) -> Duration {
        Duration::from_millis(self.stall_ms)
    }
}

/// How ballots are gathered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeSettings {
    /// Pairs of pools that one pairwise judge compares at most, each in both orders: all pairs of
    /// five pools and some more.
    pub pairs_max: usize,
    /// Share of the judges asked whose ballots must be there before P(best) may end the judging.
    pub quorum: f64,
    /// Judges that are asked at the same time; the next ones are asked only if these have not
    /// decided the round. Two, because one judge alone must not end a round.
    pub wave: usize,
    /// More pairs in each wave for a judge that has compared its first ones.
    pub pairs_wave: usize,
    /// Whether a judge that can write a critique before its verdict on a pair is asked for one instead of
    /// any other ballot: up to a hundred tokens for each order of each pair.
    pub reasoned: bool,
    /// Time for the other judges of a wave after its first ballot, as a multiple of that ballot's time; then
    /// the next wave starts too.
    pub grace: f64,
    /// Share of the time left for judging after which the next wave starts although no ballot of this one
    /// has arrived. Late ballots still count.
    pub wave_share: f64,
}

impl JudgeSettings {
    /// The comparison mode for a judge that can or cannot write a critique.
    pub fn mode(&self, can_reason: bool) -> ComparisonMode {
        if self.reasoned && can_reason { ComparisonMode::Reasoned } else { ComparisonMode::Direct }
    }
}

impl Default for JudgeSettings {
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

/// How members are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectSettings {
    /// What a member's score is multiplied with for each one already chosen of the same operator
    /// or the same weights: copies make the same mistakes.
    pub doubling: f64,
    /// What a judge's score is multiplied with if it writes as well: it has one candidate less to
    /// judge, and one to defend.
    pub writing_judge: f64,
    /// Seconds for [`SelectSettings::typical_tokens`] at which a member's score is halved.
    pub patience_seconds: f64,
    /// Tokens of an ordinary answer, to turn a member's speed into seconds.
    pub typical_tokens: f64,
    /// Most observations that count when a member's accuracy is sampled, so that some exploration remains
    /// however long the record is.
    pub confidence_max: f64,
    /// Whether members that can only compare pairs are selected as judges.
    pub pairs: bool,
    /// P(the ask is of a kind on which a specialist answered gold correctly) from which it is asked although
    /// none of its tags fits.
    pub kind_share: f64,
}

impl Default for SelectSettings {
    fn default() -> Self {
        Self {
            doubling: 0.5,
            writing_judge: 0.7,
            patience_seconds: 20.0,
            typical_tokens: 64.0,
            confidence_max: 50.0,
            pairs: true,
            kind_share: 0.2,
        }
    }
}

/// When agreement alone decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgreeSettings {
    /// Share of the writers asked, and of their weight, that must give the same answer. 1 or more never
    /// ends a round early. At two thirds, four of six ended a round and were wrong in one of
    /// twelve; at .75 the swarm was right 1.2 points more often (520 gold questions).
    pub share: f64,
    /// Writers at least: two that agree may have learned the same mistake.
    pub writers_min: usize,
    /// How often an agreement is judged nevertheless, which measures how often agreements are right.
    pub audit: f64,
}

impl Default for AgreeSettings {
    fn default() -> Self {
        Self { share: 0.75, writers_min: 3, audit: 0.05 }
    }
}

/// What counts as evidence, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvidenceSettings {
    /// Whether a writer's own certainty counts.
    pub certainty: Certainty,
    /// Log-odds for each writer of a pool: the logarithm of the number of plausible wrong answers to an
    /// open question, because two wrong writers agree in one of so many cases. A choice has its options
    /// less one. Five: recorded sets of numbers and names fit between three and eight.
    pub agreement: f64,
    /// Correlation of two judges' errors (measured .25 to .53): K judges are believed like
    /// K / (1 + correlation (K - 1)) independent ones.
    pub correlation: f64,
    /// Bound of each source's log-odds for one pool, so that no source outvotes the rest.
    pub clip: f64,
}

/// Whether a writer's own certainty counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// For members whose claims can be recomputed, once calibrated on gold.
    Calibrated,
    /// For no member: the judges' likelihoods of a candidate are nearly as good.
    Off,
}

impl Default for EvidenceSettings {
    fn default() -> Self {
        Self { certainty: Certainty::Calibrated, agreement: 1.6, correlation: 0.25, clip: 6.0 }
    }
}

/// How ballots become strengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankSettings {
    /// Weight of a judge that wrote a candidate too: its own answer already counts as a vote.
    pub writing_judge: f64,
    /// λ: the weight of the evidence about each pool alone against pair verdicts. It is also the precision of
    /// that evidence, which P(best) is computed from: .2 had an expected calibration error of .016 on 520 gold
    /// questions, .15 one of .023.
    pub lambda: f64,
    /// P(best) from which no more ballots are asked for.
    pub tau: f64,
    /// Newton ends when no strength moves by more than this.
    pub tolerance: f64,
}

impl Default for RankSettings {
    fn default() -> Self {
        Self { writing_judge: 0.25, lambda: 0.2, tau: 0.95, tolerance: 1e-9 }
    }
}

/// How answers are fused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FusionSettings {
    /// Candidates that the fusing member reads at most, one of each pool, the best first.
    pub candidates_max: usize,
    /// Share of the whole time that must be left: with less, no text would be finished.
    pub time_share: f64,
}

impl Default for FusionSettings {
    fn default() -> Self {
        Self { candidates_max: 3, time_share: 0.15 }
    }
}
