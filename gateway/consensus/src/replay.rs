//! Recorded rounds, ranked again by the code that ranks live ones, learning as it goes.
//!
//! ```text
//! line       a recorded round, as JSON Lines hold it     -> Round, what the ranking is given
//! plan       which rounds are gold                       (canaries, a share, a number)
//! teach      what a gold round shows of each member      -> reputation
//! ranked     what the ranking said, a line each          -> summary, with labels and intervals
//! ```
//!
//! This is how a change of settings is tried on last week's traffic, and how the tables of the
//! recorded sets are made. docs/REPLAY.md has the format and the commands.

pub mod line;
mod pairing;
mod recorded;
pub mod plan;
pub mod settings;
pub mod interval;
mod teach;
pub mod ranked;
pub mod summary;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

use crate::{
    outcome::{Decided, Outcome, RoundId, Timings},
    reputation::{KindId, KindModel, KindPosterior, Observation, Record, Standing, learn},
    tally::Tally,
};
pub use interval::Estimate;
pub use line::{LineError, Round, read};
pub use plan::{Gold, Plan};
pub use ranked::Ranked;
pub use settings::{SettingError, Settings};
pub use summary::Summary;

/// Everybody's record by name, as `--standing` reads it and `--standing-out` writes it. A name is
/// the hex of a node's key, or any other that the rounds use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    pub members: BTreeMap<String, Record>,
    pub kinds: KindModel,
}

/// Ranks all rounds in their order. Gold rounds are learned from and not learned of; what is
/// returned has one entry for each round, gold included.
pub fn run(rounds: &[Round], plan: &Plan, settings: &Settings) -> Vec<Ranked> {
    run_with(&mut Replay::new(settings.clone(), Memory::default()), rounds, plan)
}

/// The same with a memory that goes on.
pub fn run_with(replay: &mut Replay, rounds: &[Round], plan: &Plan) -> Vec<Ranked> {
    let gold = plan.gold(rounds);
    if plan.gold_first {
        rounds.iter().zip(&gold).filter(|(_, gold)| **gold).for_each(|(one, _)| replay.teach(one));
    }
    let mut ranked = Vec::with_capacity(rounds.len());
    for (round, gold) in rounds.iter().zip(gold) {
        replay.introduce(round);
        let found = replay.rank(round);
        ranked.push(Ranked::new(round, gold, &found, &replay.tally(&found, &replay.kind(round))));
        if !gold {
            replay.settle(round, &found);
        } else if !plan.gold_first {
            replay.teach(round);
        }
    }
    ranked
}

/// A gateway's memory and its decisions, without the gateway.
#[derive(Debug)]
pub struct Replay {
    settings: Settings,
    names: BTreeMap<NodeId, String>,
    records: BTreeMap<NodeId, Record>,
    kinds: KindModel,
    standing: Standing,
    /// Unix time of the newest round; 1 while none says when it was.
    now_seconds: u64,
}

impl Replay {
    pub fn new(settings: Settings, memory: Memory) -> Self {
        let Memory { members, kinds } = memory;
        let names = members.keys().map(|name| (recorded::node(name), name.clone())).collect();
        let records: BTreeMap<NodeId, Record> =
            members.into_iter().map(|(name, record)| (recorded::node(&name), record)).collect();
        let standing = Standing::new(records.clone(), kinds.clone(), settings.reputation.clone());
        Self { settings, names, records, kinds, standing, now_seconds: 1 }
    }

    /// What is remembered by now.
    pub fn memory(&self) -> Memory {
        let name = |id: &NodeId| self.names.get(id).cloned().unwrap_or_else(|| id.to_string());
        let members = self.records.iter().map(|(id, record)| (name(id), record.clone()));
        Memory { members: members.collect(), kinds: self.kinds.clone() }
    }

    /// Learns from a round as from a hidden audit: its label is known.
    pub fn teach(&mut self, round: &Round) {
        if let (Some(kind), false) = (&round.kind, round.question.is_empty()) {
            self.kinds.learn(&round.question, &KindId::new(kind.as_str()));
        }
        self.learn(round, teach::observations(round));
    }

    /// What a gateway of this memory decides.
    pub fn rank(&self, round: &Round) -> Outcome {
        let kind = self.kind(round);
        let candidates = round.candidates.clone();
        let tally = Tally {
            candidates: &candidates,
            ballots: &round.ballots,
            standing: &self.standing,
            kind: &kind,
            config: &self.settings.round,
        };
        // The draw that would have it judged all the same is a matter of chance: never drawn here.
        let agreed = tally.agreed_pool(candidates.len());
        let ballots = if agreed.is_some() { Vec::new() } else { round.ballots.clone() };
        let tally = Tally { ballots: &ballots, ..tally };
        let ranking = tally.ranking();
        // A recorded round without candidates has no winner: index 0 names none.
        let (winner, decided) = tally.winner(&ranking, agreed).unwrap_or((0, Decided::Fallback));
        let timings = Timings { total: Duration::ZERO, ..Timings::default() };
        let round = RoundId(round.id.clone());
        Outcome { round, winner, decided, candidates, ballots, ranking, fused: None, timings }
    }

    /// Learns from a round as a live gateway does afterwards, without its label.
    pub fn settle(&mut self, round: &Round, outcome: &Outcome) {
        let kind = self.kind(round);
        let observations =
            self.tally(outcome, &kind).observations(outcome.decided, &outcome.ranking);
        self.learn(round, teach::only_what_was_shown(observations, round));
    }

    fn tally<'a>(&'a self, outcome: &'a Outcome, kind: &'a KindPosterior) -> Tally<'a> {
        Tally::from_outcome(outcome, &self.standing, kind, &self.settings.round)
    }

    /// Everybody here has a record from now on, as a member has from its admission.
    pub fn introduce(&mut self, round: &Round) {
        let mut changed = false;
        for (node, name) in &round.members {
            changed |= !self.records.contains_key(node);
            self.names.entry(*node).or_insert_with(|| name.clone());
            let claims_count = self.settings.claims_count;
            let newcomer = || Record { claims_count, ..Record::default() };
            let record = self.records.entry(*node).or_insert_with(newcomer);
            if let Some(kin) = round.kin.get(node).filter(|kin| **kin != record.kin) {
                record.kin = kin.clone();
                changed = true;
            }
        }
        if changed {
            self.fit();
        }
    }

    fn learn(&mut self, round: &Round, seen: Vec<(NodeId, Vec<Observation>)>) {
        self.introduce(round);
        self.now_seconds = self.now_seconds.max(round.created_seconds);
        for (node, seen) in seen {
            // Whose name was not kept is nobody who could be met again.
            if let Some(record) = self.records.get_mut(&node) {
                *record = learn(record, &seen, self.now_seconds, &self.settings.reputation);
            }
        }
        self.fit();
    }

    /// A gateway fits at most once a second; here every round sees all that was learned before.
    fn fit(&mut self) {
        let (records, kinds) = (self.records.clone(), self.kinds.clone());
        self.standing = Standing::new(records, kinds, self.settings.reputation.clone());
    }

    /// As a gateway guesses it from the question; where none was kept, as the round says.
    fn kind(&self, round: &Round) -> KindPosterior {
        match &round.kind {
            Some(kind) if round.question.is_empty() => KindPosterior::certain(KindId::new(kind)),
            _ => self.standing.kind_of(&round.question),
        }
    }
}
