//! Routing on its own: seven members, thirteen kinds of questions that nobody has told the gateway
//! of, three writers a round. What a round teaches is what a judged round really shows.

use std::collections::BTreeMap;

use rand::seq::IndexedRandom as _;
use shoal_proto::{
    generate::{ChatMessage, Sampling},
    hello::Model,
    syllabus::{self, Family, Question, Split},
};

use super::*;
use crate::{
    ask::{Limits, Mode},
    reputation::{
        CrowdObservation, KindModel, Observation, Record, Settings as Reputation, learn,
        routing::Lesson,
    },
};

/// Members of the swarm to begin with.
const MEMBERS: u8 = 7;
const WRITERS: usize = 3;
/// P(right) of those who know a kind, and of the rest.
const KNOWS: f64 = 0.95;
const GUESSES: f64 = 0.2;
/// P(the judges pick a right answer when there is one).
const JUDGED: f64 = 0.9;
/// P(best) that a judged round claims.
const CLAIMED: f64 = 0.9;

/// How writers are chosen.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    /// Any three.
    Uniform,
    /// As the gateway chooses, without the words of the ask.
    Standing,
    /// As the gateway chooses.
    Routed,
}

struct Swarm {
    choice: Choice,
    records: BTreeMap<NodeId, Record>,
    standing: Standing,
    members: Vec<MemberView>,
    /// Kinds that each member knows.
    known: BTreeMap<NodeId, Vec<Family>>,
    settings: Reputation,
    questions: syllabus::Questions,
    rng: ChaCha8Rng,
    rounds: u64,
}

fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

impl Swarm {
    /// Every kind but the last is known by one or two of the seven.
    fn new(choice: Choice, seed: u64) -> Self {
        let mut settings = Reputation::default();
        if choice == Choice::Standing {
            settings.routing.variance = 0.0;
        }
        let mut swarm = Self {
            choice,
            records: BTreeMap::new(),
            standing: Standing::empty(),
            members: Vec::new(),
            known: BTreeMap::new(),
            settings,
            questions: syllabus::questions(&[], Split::Test, seed),
            rng: ChaCha8Rng::seed_from_u64(seed),
            rounds: 0,
        };
        for n in 0..MEMBERS {
            let knows = |at: &usize| {
                at % usize::from(MEMBERS) == usize::from(n) || at * 3 % 11 == usize::from(n)
            };
            let last = Family::ALL.len() - 1;
            swarm.join(n, (0..last).filter(knows).map(|at| Family::ALL[at]).collect());
        }
        swarm
    }

    fn join(&mut self, n: u8, knows: Vec<Family>) {
        let model = Model {
            name: format!("model-{n}"),
            digest: format!("{n:064}"),
            context: 512,
            likelihood: true,
            ..Model::default()
        };
        self.members.push(MemberView {
            id: node(n),
            model,
            operator: String::new(),
            slots: 4,
            running: 0,
            tokens_per_second: 100.0,
            first_token_seconds: 0.1,
            probation: false,
        });
        self.known.insert(node(n), knows);
        self.records.insert(node(n), Record::default());
    }

    /// One round: who wrote, and whether the answer that was sent is right.
    fn round(&mut self, question: &Question) -> (Vec<NodeId>, bool) {
        if self.rounds.is_multiple_of(5) {
            // The gateway fits once a second, not after each round.
            let (records, settings) = (self.records.clone(), self.settings.clone());
            self.standing = Standing::new(records, KindModel::default(), settings);
        }
        self.rounds += 1;
        let writers = self.writers(question);
        let right: Vec<bool> = writers
            .iter()
            .map(|writer| {
                let knows = self.known.get(writer).is_some_and(|k| k.contains(&question.family));
                self.rng.random_bool(if knows { KNOWS } else { GUESSES })
            })
            .collect();
        let picked_right = right.contains(&true) && self.rng.random_bool(JUDGED);
        // Wrong answers differ, so that of the wrong ones at most one is picked.
        let wrong = right.iter().position(|right| !right);
        for (at, (writer, right)) in writers.iter().zip(&right).enumerate() {
            let agreed = if picked_right { *right } else { Some(at) == wrong };
            self.learn(*writer, question, agreed);
        }
        (writers, picked_right)
    }

    fn writers(&mut self, question: &Question) -> Vec<NodeId> {
        if self.choice == Choice::Uniform {
            let ids: Vec<NodeId> = self.members.iter().map(|member| member.id).collect();
            return ids.sample(&mut self.rng, WRITERS).copied().collect();
        }
        let effort = crate::ask::Effort {
            writers: WRITERS,
            judges: 0,
            ..Limits::default().effort(Mode::Balanced)
        };
        let messages = vec![ChatMessage::new("user", question.text.clone())];
        let ask = Ask::plain(Target::Swarm, messages, Sampling::default(), effort);
        let seed = self.rng.random();
        let panel = panel(&ask, &self.members, &self.standing, &Settings::default(), seed);
        panel.expect("a panel").writers
    }

    fn learn(&mut self, writer: NodeId, question: &Question, agreed: bool) {
        let offset = self.standing.writer_log_odds(&writer, &KindPosterior::default());
        let ask = Features::of(&question.text);
        let lesson = Lesson { ask, offset, right: agreed, weight: CLAIMED };
        let seen =
            [Observation::Crowd(CrowdObservation::Wrote { agreed }), Observation::Routed(lesson)];
        if let Some(record) = self.records.get_mut(&writer) {
            *record = learn(record, &seen, 1, &self.settings);
        }
    }

    /// Share of right answers in each of these spans of rounds.
    fn accuracies(&mut self, spans: &[usize]) -> Vec<f64> {
        spans
            .iter()
            .map(|span| {
                let right = (0..*span).filter(|_| {
                    let question = self.questions.next().expect("without end");
                    self.round(&question).1
                });
                right.count() as f64 / *span as f64
            })
            .collect()
    }

    /// Rounds of its kind until a newcomer that alone knows it was asked in 8 of 10 of them.
    fn finding_a_newcomer(&mut self) -> usize {
        let kind = Family::ALL[Family::ALL.len() - 1];
        self.join(MEMBERS, vec![kind]);
        let mut asked = Vec::new();
        while asked.len() < 200 {
            let question = self.questions.next().expect("without end");
            let (writers, _) = self.round(&question);
            if question.family == kind {
                asked.push(writers.contains(&node(MEMBERS)));
                let lately = asked.iter().rev().take(10).filter(|asked| **asked).count();
                if asked.len() >= 10 && lately >= 8 {
                    break;
                }
            }
        }
        asked.len()
    }
}

const SPANS: [usize; 5] = [100, 200, 300, 400, 500];

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Prints the table of docs/consensus-routing.md, and holds what it says.
#[test]
fn routing_beats_uniform_selection_and_finds_a_newcomer() {
    let swarms: u64 =
        std::env::var("SHOAL_ROUTING_SWARMS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    println!("| rounds | uniform | standing alone | routed |\n|---|---|---|---|");
    let table = [Choice::Uniform, Choice::Standing, Choice::Routed].map(|choice| {
        let runs: Vec<Vec<f64>> =
            (0..swarms).map(|seed| Swarm::new(choice, seed).accuracies(&SPANS)).collect();
        (0..SPANS.len()).map(|at| mean(runs.iter().map(|run| run[at]))).collect::<Vec<f64>>()
    });
    let mut begun = 0;
    for (at, span) in SPANS.iter().enumerate() {
        let [uniform, standing, routed] = [0, 1, 2].map(|choice| table[choice][at]);
        println!("| {begun}-{} | {uniform:.3} | {standing:.3} | {routed:.3} |", begun + span);
        begun += span;
    }
    let found: Vec<usize> = (0..swarms)
        .map(|seed| {
            let mut swarm = Swarm::new(Choice::Routed, 100 + seed);
            swarm.accuracies(&[600]);
            swarm.finding_a_newcomer()
        })
        .collect();
    println!("\nrounds of its kind until a newcomer is asked in 8 of 10: {found:?}");
    let [uniform, _, routed] = [0, 1, 2].map(|choice| table[choice][SPANS.len() - 1]);
    assert!(routed > uniform + 0.1, "{routed} against {uniform}");
    let mean = found.iter().sum::<usize>() as f64 / found.len() as f64;
    assert!(mean <= 50.0, "{found:?}");
}
