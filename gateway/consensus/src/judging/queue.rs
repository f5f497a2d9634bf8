//! The queue of judges: which judge gets which task next. Pure.
//!
//! Judges start in waves, the best first. After the last of them has started, judges that compare
//! pairs get a few more pairs, the most informative ones, until their budget is spent.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use shoal_proto::{NodeId, judge::BallotKind};

use super::{
    JudgeTask,
    pairs::{self, Beliefs, PoolPair, VerdictWeight},
    task::pools_for,
};
use crate::{candidate::Candidate, reputation::ComparisonMode, settings::JudgeSettings};

/// A judge of this round.
#[derive(Clone, Copy, Debug)]
pub struct AbleJudge {
    /// Its id.
    pub judge: NodeId,
    /// It gives likelihoods; otherwise it compares pairs.
    pub likelihood: bool,
    /// It can write reasons before its verdict.
    pub reasoned: bool,
    /// The weight of its verdicts.
    pub voice: VerdictWeight,
}

/// The judges of one round, in the order in which they start.
#[derive(Debug)]
pub struct JudgeQueue<'a> {
    candidates: &'a [Candidate],
    settings: &'a JudgeSettings,
    backlog: std::collections::VecDeque<AbleJudge>,
    comparers: Vec<Comparer>,
    rng: ChaCha8Rng,
    requests: usize,
}

/// A judge that compares pairs, after its first task.
#[derive(Debug)]
struct Comparer {
    able: AbleJudge,
    /// The pairs of its tasks.
    pairs: BTreeSet<PoolPair>,
    /// It has answered its last task.
    free: bool,
}

impl<'a> JudgeQueue<'a> {
    /// A queue of these judges, best first. The seed shuffles the tasks.
    pub fn new(
        candidates: &'a [Candidate],
        judges: impl Iterator<Item = AbleJudge>,
        settings: &'a JudgeSettings,
        seed: u64,
    ) -> Self {
        Self {
            candidates,
            settings,
            backlog: judges.collect(),
            comparers: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            requests: 0,
        }
    }

    /// Number of judges that have a first task.
    pub fn judge_count(&self) -> usize {
        self.requests
    }

    /// The next tasks; empty if there is no task for a free judge.
    pub fn wave(&mut self, beliefs: Beliefs<'_>) -> Vec<(NodeId, JudgeTask)> {
        let mut wave = Vec::new();
        while wave.len() < self.settings.wave.max(1) {
            let Some(able) = self.backlog.pop_front() else { break };
            wave.extend(self.first_task(able).map(|task| (able.judge, task)));
        }
        self.requests += wave.len();
        if wave.is_empty() { self.more(beliefs) } else { wave }
    }

    /// Whether there may be more tasks later.
    pub fn has_more(&self) -> bool {
        !self.backlog.is_empty()
            || self.comparers.iter().any(|comparer| !self.open_pairs(comparer).is_empty())
    }

    /// Records that a judge has finished its task; after a failure it gets no more tasks.
    pub fn finish(&mut self, judge: NodeId, success: bool) {
        if !success {
            self.comparers.retain(|comparer| comparer.able.judge != judge);
        }
        let own = self.comparers.iter_mut().filter(|comparer| comparer.able.judge == judge);
        own.for_each(|comparer| comparer.free = true);
    }

    /// The first task of a judge; None if it may see too few candidates.
    fn first_task(&mut self, able: AbleJudge) -> Option<JudgeTask> {
        if able.likelihood && !self.reasons(able) {
            return JudgeTask::scores(self.candidates, able.judge, &mut self.rng);
        }
        let mut pairs = pairs::cycle(&pools_for(self.candidates, able.judge), &mut self.rng);
        pairs.truncate(self.settings.pairs_max);
        let kind = self.kind(able);
        let task = JudgeTask::pairs(self.candidates, able.judge, &pairs, kind, &mut self.rng)?;
        let pairs = pairs.into_iter().collect();
        self.comparers.push(Comparer { able, pairs, free: false });
        Some(task)
    }

    /// The most informative pairs for each free judge that compares.
    fn more(&mut self, beliefs: Beliefs<'_>) -> Vec<(NodeId, JudgeTask)> {
        let mut wave = Vec::new();
        for at in 0..self.comparers.len() {
            let comparer = self.comparers.get(at).filter(|comparer| comparer.free);
            let Some(comparer) = comparer else { continue };
            let open = self.open_pairs(comparer);
            let budget = self.settings.pairs_max.saturating_sub(comparer.pairs.len());
            let count = self.settings.pairs_wave.min(budget);
            let able = comparer.able;
            let pairs = pairs::most_informative(beliefs, able.voice, &open, count);
            let kind = self.kind(able);
            let task = JudgeTask::pairs(self.candidates, able.judge, &pairs, kind, &mut self.rng);
            if let (Some(task), Some(comparer)) = (task, self.comparers.get_mut(at)) {
                comparer.pairs.extend(pairs);
                comparer.free = false;
                wave.push((able.judge, task));
            }
        }
        wave
    }

    fn reasons(&self, able: AbleJudge) -> bool {
        self.settings.mode(able.reasoned) == ComparisonMode::Reasoned
    }

    /// The kind of this judge's pair tasks.
    fn kind(&self, able: AbleJudge) -> BallotKind {
        if self.reasons(able) { BallotKind::Reasoned } else { BallotKind::Pairwise }
    }

    /// Pairs that this judge may still get; empty once its budget is spent.
    fn open_pairs(&self, comparer: &Comparer) -> Vec<PoolPair> {
        if comparer.pairs.len() >= self.settings.pairs_max || self.settings.pairs_wave == 0 {
            return Vec::new();
        }
        let mut open = pairs::every_pair(&pools_for(self.candidates, comparer.able.judge));
        open.retain(|pair| !comparer.pairs.contains(pair));
        open
    }
}
