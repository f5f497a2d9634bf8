//! Who has been asked to judge what, and who is asked next. Pure.
//!
//! Judges come on in waves, the best first. Once all have been asked, those that compare pairs are
//! given a few more, the most telling ones, until their budget is spent.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use shoal_proto::{NodeId, judge::Kind};

use crate::judging::{
    JudgeTask,
    pairs::{self, Beliefs, PoolPair, Voice},
    task::pools_for,
};
use crate::{candidate::Candidate, reputation::ComparisonMode, settings};

/// A judge of this round.
#[derive(Clone, Copy, Debug)]
pub struct Able {
    pub judge: NodeId,
    /// It gives likelihoods; else it compares pairs.
    pub likelihood: bool,
    /// It can say why before it says which.
    pub reasoned: bool,
    pub voice: Voice,
}

/// The judges of one round, in the order in which they are asked.
#[derive(Debug)]
pub struct JudgeQueue<'a> {
    candidates: &'a [Candidate],
    settings: &'a settings::JudgeSettings,
    waiting: std::collections::VecDeque<Able>,
    comparing: Vec<Comparing>,
    rng: ChaCha8Rng,
    asked: usize,
}

/// A judge that compares pairs and has been given some.
#[derive(Debug)]
struct Comparing {
    able: Able,
    given: BTreeSet<PoolPair>,
    /// It has answered what it was asked.
    free: bool,
}

impl<'a> JudgeQueue<'a> {
    pub fn new(
        candidates: &'a [Candidate],
        judges: impl Iterator<Item = Able>,
        settings: &'a settings::JudgeSettings,
        seed: u64,
    ) -> Self {
        Self {
            candidates,
            settings,
            waiting: judges.collect(),
            comparing: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            asked: 0,
        }
    }

    /// Judges that were asked so far.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Who is asked what now; empty when there is nothing to ask of anybody who is free.
    pub fn wave(&mut self, beliefs: Beliefs<'_>) -> Vec<(NodeId, JudgeTask)> {
        let mut wave = Vec::new();
        while wave.len() < self.settings.wave.max(1) {
            let Some(able) = self.waiting.pop_front() else { break };
            wave.extend(self.first(able).map(|sheet| (able.judge, sheet)));
        }
        self.asked += wave.len();
        if wave.is_empty() { self.more(beliefs) } else { wave }
    }

    /// There may be something to ask later.
    pub fn has_more(&self) -> bool {
        let left = |one: &Comparing| !self.open(one).is_empty();
        !self.waiting.is_empty() || self.comparing.iter().any(left)
    }

    /// A judge has answered; one that could not is asked no more.
    pub fn heard(&mut self, judge: NodeId, answered: bool) {
        if answered {
            let of_it = self.comparing.iter_mut().filter(|one| one.able.judge == judge);
            of_it.for_each(|one| one.free = true);
        } else {
            self.comparing.retain(|one| one.able.judge != judge);
        }
    }

    /// What a judge is shown that is asked for the first time; None when it may see too little.
    fn first(&mut self, able: Able) -> Option<JudgeTask> {
        if able.likelihood && !self.reasons(able) {
            return JudgeTask::scores(self.candidates, able.judge, &mut self.rng);
        }
        let mut pairs = pairs::cycle(&pools_for(self.candidates, able.judge), &mut self.rng);
        pairs.truncate(self.settings.pairs_max);
        let kind = self.kind(able);
        let sheet = JudgeTask::pairs(self.candidates, able.judge, &pairs, kind, &mut self.rng)?;
        let given = pairs.into_iter().collect();
        self.comparing.push(Comparing { able, given, free: false });
        Some(sheet)
    }

    /// The most telling pairs for every judge that compares and is free.
    fn more(&mut self, beliefs: Beliefs<'_>) -> Vec<(NodeId, JudgeTask)> {
        let mut wave = Vec::new();
        for at in 0..self.comparing.len() {
            let Some(one) = self.comparing.get(at).filter(|one| one.free) else { continue };
            let open = self.open(one);
            let left = self.settings.pairs_max.saturating_sub(one.given.len());
            let count = self.settings.pairs_wave.min(left);
            let able = one.able;
            let pairs = pairs::telling(beliefs, able.voice, &open, count);
            let kind = self.kind(able);
            let sheet = JudgeTask::pairs(self.candidates, able.judge, &pairs, kind, &mut self.rng);
            if let (Some(sheet), Some(one)) = (sheet, self.comparing.get_mut(at)) {
                one.given.extend(pairs);
                one.free = false;
                wave.push((able.judge, sheet));
            }
        }
        wave
    }

    fn reasons(&self, able: Able) -> bool {
        self.settings.way(able.reasoned) == ComparisonMode::Reasoned
    }

    /// How this judge compares.
    fn kind(&self, able: Able) -> Kind {
        if self.reasons(able) { Kind::Reasoned } else { Kind::Pairwise }
    }

    /// Pairs that this judge may still be given; none once its budget is spent.
    fn open(&self, one: &Comparing) -> Vec<PoolPair> {
        if one.given.len() >= self.settings.pairs_max || self.settings.pairs_wave == 0 {
            return Vec::new();
        }
        let mut open = pairs::all(&pools_for(self.candidates, one.able.judge));
        open.retain(|pair| !one.given.contains(pair));
        open
    }
}
