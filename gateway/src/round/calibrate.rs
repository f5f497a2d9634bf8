//! Keeps P(right) honest: asks the swarm gold questions as whole rounds, and fits the stated
//! probability to what was right.
//!
//! A member cannot tell such a round from another. It is not learned from otherwise and has no
//! transcript. Calibration takes a small share of the time, so it costs a slow swarm no more than a
//! quick one.

use std::{convert::Infallible, time::Duration};

use shoal_proto::generate::Sampling;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::Instrument as _;

use super::{Client, Rounds};
use shoal_consensus::{
    Ask,
    ask::{Effort, Target},
    tally::Tally,
};

/// Rounds after which the fit moves little, and calibration goes on slowly.
const ROUNDS_ENOUGH: usize = 200;
/// The least time between two rounds until then.
const PAUSE: Duration = Duration::from_millis(500);
/// The time between two rounds after that: members change.
const PAUSE_LATER: Duration = Duration::from_secs(600);
/// Enough for every worked answer of the gold questions.
const ANSWER_TOKENS_MAX: u32 = 512;

/// Calibrates one swarm.
#[derive(Debug)]
pub struct Calibrator {
    rounds: Rounds,
    effort: Effort,
}

impl Calibrator {
    /// A calibrator whose rounds have this effort.
    pub fn new(rounds: Rounds, effort: Effort) -> Self {
        Self { rounds, effort }
    }

    /// Calibrates for as long as it is awaited; without gold or with a share of 0, never.
    pub async fn run(self) -> Infallible {
        let share = self.rounds.0.calibration_share();
        if share <= 0.0 {
            return std::future::pending().await;
        }
        let mut count = 0;
        let mut pause = PAUSE;
        loop {
            sleep(pause).await;
            let start = Instant::now();
            count += usize::from(self.calibrate().await);
            let least = if count < ROUNDS_ENOUGH { PAUSE } else { PAUSE_LATER };
            pause = start.elapsed().div_f64(share).max(least);
        }
    }

    /// One round; false if it had no result.
    async fn calibrate(&self) -> bool {
        let swarm = self.rounds.swarm();
        let is_idle = swarm.members().iter().all(|member| member.running == 0);
        let Some(item) = swarm.gold_question().filter(|_| is_idle) else { return false };
        let max_tokens = Some(ANSWER_TOKENS_MAX);
        let sampling = Sampling { temperature: Some(0.0), max_tokens, ..Sampling::default() };
        let ask = Ask::plain(Target::Swarm, item.messages(), sampling, self.effort);
        // Nobody listens for updates.
        let (updates, _) = mpsc::channel(1);
        let mut round = self.rounds.begin(&ask, Client::default(), &updates);
        let span = round.span();
        let result = Box::pin(self.rounds.decide(&mut round)).instrument(span).await;
        let Ok(result) = result else { return false };
        let outcome = &result.outcome;
        let tally = Tally::from_outcome(outcome, &round.standing, round.config);
        let rights = outcome.candidates.iter().map(|candidate| item.is_right(&candidate.text));
        let pools = tally.labelled(Some(item.kind().clone()), &outcome.ranking, rights);
        let is_usable = pools.is_some();
        pools.into_iter().for_each(|pools| swarm.reputation().learn_labelled(pools));
        is_usable
    }
}
