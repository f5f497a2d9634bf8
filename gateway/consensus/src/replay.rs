//! Ranks recorded rounds with the code that ranks live rounds, and learns from them in order.
//!
//! ```text
//! line       a recorded round, a line of JSON Lines      -> Round, the input of the ranking
//! plan       which rounds are gold                       (canaries, a share, a number)
//! teach      observations of a gold round                -> reputation
//! output     the ranking, a line for each round          -> summary, with labels and intervals
//! ```
//!
//! A replay tries a change of settings on last week's traffic, and makes the tables of the recorded
//! sets. docs/REPLAY.md has the format and the commands.

pub mod line;
mod pairing;
mod format;
mod plan;
mod settings;
mod teach;
mod output;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

use crate::{
    outcome::{Decision, Outcome, RoundId, Timings},
    reputation::{
        Confidence, KindId, KindModel, KindPosterior, LabelledPools, Observation, Record, Standing,
        learn,
    },
    tally::Tally,
};
pub use line::{LineError, Round, read};
pub use output::RankedRound;
pub use plan::{Gold, Plan};
pub use settings::{SettingError, Settings};
pub use summary::Summary;

/// The records of all members by name, as `--standing` reads them and `--standing-out` writes them. A
/// name is the hex of a node's key, or any other name in the rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Records by name.
    pub members: BTreeMap<String, Record>,
    /// The model of kinds of questions.
    pub kinds: KindModel,
    /// Rounds with known answers, behind P(right).
    pub confidence: Confidence,
}

/// Ranks all rounds in order. From gold rounds it learns with the label, from the rest without. The
/// result has one entry for each round, gold included.
pub fn run(rounds: &[Round], plan: &Plan, settings: &Settings) -> Vec<RankedRound> {
    run_with(&mut Replay::new(settings.clone(), Memory::default()), rounds, plan)
}

/// As [`run`], with a replay that keeps its memory.
pub fn run_with(replay: &mut Replay, rounds: &[Round], plan: &Plan) -> Vec<RankedRound> {
    let gold = plan.gold(rounds);
    if plan.gold_first {
        let gold_rounds = rounds.iter().zip(&gold).filter(|(_, gold)| **gold);
        let gold_rounds: Vec<&Round> = gold_rounds.map(|(round, _)| round).collect();
        gold_rounds.iter().for_each(|round| replay.teach(round));
        replay.fit_confidence(&gold_rounds);
    }
    let mut results = Vec::with_capacity(rounds.len());
    for (round, gold) in rounds.iter().zip(gold) {
        replay.introduce(round);
        let outcome = replay.rank(round);
        results.push(RankedRound::new(round, gold, &outcome, &replay.tally(&outcome)));
        if !gold {
            replay.learn_unlabelled(round, &outcome);
        } else if !plan.gold_first {
            replay.teach(round);
        }
    }
    results
}

/// The memory and the decisions of a gateway, without its network.
#[derive(Debug)]
pub struct Replay {
    settings: Settings,
    names: BTreeMap<NodeId, String>,
    records: BTreeMap<NodeId, Record>,
    kinds: KindModel,
    confidence: Confidence,
    standing: Standing,
    /// Unix time of the newest round; 1 while no round has a time.
    now_seconds: u64,
}

impl Replay {
    /// A replay that starts with this memory.
    pub fn new(settings: Settings, memory: Memory) -> Self {
        let Memory { members, kinds, confidence } = memory;
        let names = members.keys().map(|name| (format::node(name), name.clone())).collect();
        let records: BTreeMap<NodeId, Record> =
            members.into_iter().map(|(name, record)| (format::node(&name), record)).collect();
        let standing = Standing::new(records.clone(), kinds.clone(), settings.reputation.clone())
            .with_confidence(confidence.clone());
        Self { settings, names, records, kinds, confidence, standing, now_seconds: 1 }
    }

    /// The present memory.
    #[expect(clippy::indexing_slicing, reason = "a record is created together with its name")]
    pub fn memory(&self) -> Memory {
        let members =
            self.records.iter().map(|(id, record)| (self.names[id].clone(), record.clone()));
        Memory {
            members: members.collect(),
            kinds: self.kinds.clone(),
            confidence: self.confidence.clone(),
        }
    }

    /// Learns from a round with its label, as from a hidden audit.
    pub fn teach(&mut self, round: &Round) {
        self.introduce(round);
        // Ranked before its answer is known, as other rounds are.
        if let Some(pools) = self.labelled_pools(round, &self.kind(round)) {
            self.confidence.learn(pools);
        }
        if let (Some(kind), false) = (&round.kind, round.question.is_empty()) {
            self.kinds.learn(&round.question, &KindId::new(kind.as_str()));
        }
        self.learn(round, teach::observations(round));
    }

    /// Ranks all gold rounds again with the standing that they led to, because the scale of strengths grew
    /// with it. Each round is a small part of the standing that ranks it.
    fn fit_confidence(&mut self, gold_rounds: &[&Round]) {
        if gold_rounds.is_empty() {
            return;
        }
        let pools = gold_rounds
            .iter()
            .filter_map(|round| self.labelled_pools(round, &self.kind_if_new(round)));
        self.confidence = Confidence::from(pools.collect::<VecDeque<_>>());
        self.fit();
    }

    /// The pools of a round with its label, as this memory ranks them; None without a label.
    fn labelled_pools(&self, round: &Round, kind: &KindPosterior) -> Option<LabelledPools> {
        let rights = round.right.as_ref()?;
        let outcome = self.rank_as(round, kind);
        let kind = round.kind.as_deref().map(KindId::new);
        self.tally(&outcome).labelled(kind, &outcome.ranking, rights.iter().copied())
    }

    /// The outcome that a gateway with this memory decides.
    pub fn rank(&self, round: &Round) -> Outcome {
        self.rank_as(round, &self.kind(round))
    }

    fn rank_as(&self, round: &Round, kind: &KindPosterior) -> Outcome {
        let candidates = round.candidates.clone();
        let tally = Tally {
            candidates: &candidates,
            ballots: &round.ballots,
            standing: &self.standing,
            kind,
            config: &self.settings.round,
        };
        // A live gateway judges a random share of agreements all the same; a replay judges none.
        let agreement = tally.agreed_pool(candidates.len());
        let ballots = if agreement.is_some() { Vec::new() } else { round.ballots.clone() };
        let tally = Tally { ballots: &ballots, ..tally };
        let ranking = tally.ranking();
        // A recorded round without candidates has no winner; index 0 is then out of range.
        let (winner, decision) =
            tally.winner(&ranking, agreement).unwrap_or((0, Decision::Fallback));
        Outcome {
            round: RoundId(round.id.clone()),
            winner,
            decided: decision,
            kind: kind.clone(),
            candidates,
            ballots,
            ranking,
            fused: None,
            timings: Timings::default(),
        }
    }

    /// Learns from a round without its label, as a live gateway does.
    pub(crate) fn learn_unlabelled(&mut self, round: &Round, outcome: &Outcome) {
        let observations = self.tally(outcome).observations(outcome.decided, &outcome.ranking);
        self.learn(round, teach::without_one_sided_flips(observations, round));
    }

    fn tally<'a>(&'a self, outcome: &'a Outcome) -> Tally<'a> {
        Tally::from_outcome(outcome, &self.standing, &self.settings.round)
    }

    /// Creates the records of the round's new members, as their admission does.
    pub fn introduce(&mut self, round: &Round) {
        let mut must_fit = false;
        for (node, name) in &round.members {
            must_fit |= !self.records.contains_key(node);
            self.names.entry(*node).or_insert_with(|| name.clone());
            let claims_count = self.settings.claims_count;
            let record = self
                .records
                .entry(*node)
                .or_insert_with(|| Record { claims_count, ..Record::default() });
            let provenance = round.provenance.get(node);
            if let Some(provenance) = provenance.filter(|new| **new != record.provenance) {
                record.provenance = provenance.clone();
                must_fit = true;
            }
        }
        if must_fit {
            self.fit();
        }
    }

    fn learn(&mut self, round: &Round, observations: Vec<(NodeId, Vec<Observation>)>) {
        self.introduce(round);
        self.now_seconds = self.now_seconds.max(round.created_seconds);
        for (node, observations) in observations {
            // A member without a name does not occur in another round.
            if let Some(record) = self.records.get_mut(&node) {
                *record = learn(record, &observations, self.now_seconds, &self.settings.reputation);
            }
        }
        self.fit();
    }

    /// A gateway fits at most once a second; a replay fits after each round, so that the next round
    /// uses all earlier observations.
    fn fit(&mut self) {
        let (records, kinds) = (self.records.clone(), self.kinds.clone());
        self.standing = Standing::new(records, kinds, self.settings.reputation.clone())
            .with_confidence(self.confidence.clone());
    }

    /// The kind that a gateway guesses from the question; without a question, the recorded kind.
    fn kind(&self, round: &Round) -> KindPosterior {
        match &round.kind {
            Some(kind) if round.question.is_empty() => KindPosterior::certain(KindId::new(kind)),
            _ => self.standing.kind_of(&round.question),
        }
    }

    /// The kind that would be guessed if this gold question were new.
    fn kind_if_new(&self, round: &Round) -> KindPosterior {
        match &round.kind {
            Some(kind) if !round.question.is_empty() && self.settings.reputation.kinds => {
                let kind = KindId::new(kind.as_str());
                self.kinds.without(&round.question, &kind).posterior(&round.question)
            }
            _ => self.kind(round),
        }
    }
}
