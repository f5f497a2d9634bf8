//! Routing on its own: seven members, thirteen kinds of questions that nobody has told the gateway
//! of, three writers a round. What a round teaches is what a judged round really shows.

use std::collections::BTreeMap;

use rand::seq::IndexedRandom as _;
use shoal_proto::{
    generate::{ChatMessage, Sampling},
    hello::Model,
};
use shoal_syllabus::{self, Family, Question, Split};

use super::super::*;
use crate::{
    ask::{Limits, Mode},
    reputation::{
        CrowdObservation, KindModel, Lesson, Observation, Record, Settings as Reputation, learn,
    },
};

/// Members of the swarm to begin with.
const MEMBERS: u8 = 7;
const WRITERS: usize = 3;
/// P(right) of those who know a kind, and of the rest.
const KNOWS: f64 = 0.95;
const GUESSES: f64 = 0.2;
/// P(the judges pick a right answer when there is one).
const JUDGE_ACCURACY: f64 = 0.9;
/// P(best) that a judged round claims.
const CLAIM: f64 = 0.9;

/// How writers are chosen.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    /// Any three.
    Uniform,
    /// As the gateway chooses, without the words of the ask.
    Standing,
    /// As the gateway chooses.
    Routed,
    /// As the gateway chooses, and every member says what it knows.
    Tagged,
}

struct Swarm {
    choice: Choice,
    records: BTreeMap<NodeId, Record>,
    standing: Standing,
    members: Vec<MemberView>,
    /// Kinds that each member knows.
    families: BTreeMap<NodeId, Vec<Family>>,
    settings: Reputation,
    questions: shoal_syllabus::Questions,
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
            families: BTreeMap::new(),
            settings,
            questions: shoal_syllabus::questions(&[], Split::Test, seed),
            rng: ChaCha8Rng::seed_from_u64(seed),
            rounds: 0,
        };
        for n in 0..MEMBERS {
            let knows = |at: &usize| {
                at % usize::from(MEMBERS) == usize::from(n) || at * 3 % 11 == usize::from(n)
            };
            let last = Family::ALL.len() - 1;
            let knows: Vec<Family> = (0..last).filter(knows).map(|at| Family::ALL[at]).collect();
            let tags = if choice == Choice::Tagged { tags(&knows) } else { Vec::new() };
            swarm.join(n, knows, tags);
        }
        swarm
    }

    fn join(&mut self, n: u8, knows: Vec<Family>, tags: Vec<String>) {
        let model = Model {
            name: format!("model-{n}"),
            digest: format!("{n:064}"),
            context: 512,
            likelihood: true,
            tags,
            ..Model::default()
        };
        self.members.push(MemberView {
            id: node(n),
            model,
            operator: String::new(),
            slots: 4,
            running: 0,
            tokens_per_second: 100.0,
            bytes_per_second: 0.0,
            first_token_seconds: 0.1,
            first_token_late: 0.0,
            is_silent: false,
            probation: false,
            is_proven: true,
            owns_name: true,
        });
        self.families.insert(node(n), knows);
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
                let knows = self.families.get(writer).is_some_and(|k| k.contains(&question.family));
                self.rng.random_bool(if knows { KNOWS } else { GUESSES })
            })
            .collect();
        let picked_right = right.contains(&true) && self.rng.random_bool(JUDGE_ACCURACY);
        // Wrong answers differ, so that of the wrong ones at most one is picked.
        let wrong = right.iter().position(|right| !right);
        for (at, (writer, right)) in writers.iter().zip(&right).enumerate() {
            let is_agreement = if picked_right { *right } else { Some(at) == wrong };
            self.learn(*writer, question, is_agreement);
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
        let panel = panel(&ask, &self.members, &self.standing, &SelectSettings::default(), seed);
        panel.expect("a panel").writers
    }

    fn learn(&mut self, writer: NodeId, question: &Question, is_agreement: bool) {
        let offset = self.standing.writer_log_odds(&writer, &KindPosterior::default());
        let ask = Features::extract(&question.text);
        let member = self.members.iter().find(|member| member.id == writer);
        let tags = member.map_or(&[][..], |member| &member.model.tags);
        let claims = self.standing.claims(&writer, tags, &ask, &KindPosterior::default());
        let lesson = Lesson { ask, claims, offset, right: is_agreement, weight: CLAIM };
        let observations = [
            Observation::Crowd(CrowdObservation::Wrote { agreement: is_agreement }),
            Observation::Routed(lesson),
        ];
        if let Some(record) = self.records.get_mut(&writer) {
            *record = learn(record, &observations, 1, &self.settings);
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

    /// Rounds of its kind until a newcomer that alone knows it, and says so in these tags, was
    /// asked in 8 of 10 of them.
    fn finding_a_newcomer(&mut self, tags: Vec<String>) -> usize {
        let kind = Family::ALL[Family::ALL.len() - 1];
        self.join(MEMBERS, vec![kind], tags);
        let mut requests = Vec::new();
        while requests.len() < 200 {
            let question = self.questions.next().expect("without end");
            let (writers, _) = self.round(&question);
            if question.family == kind {
                requests.push(writers.contains(&node(MEMBERS)));
                let lately = requests.iter().rev().take(10).filter(|requests| **requests).count();
                if requests.len() >= 10 && lately >= 8 {
                    break;
                }
            }
        }
        requests.len()
    }

    /// How often a newcomer that knows nothing is asked in each of these spans of rounds.
    fn asking_an_impostor(&mut self, tags: Vec<String>, spans: &[usize]) -> Vec<f64> {
        self.join(MEMBERS, Vec::new(), tags);
        let share = |span: &usize| {
            let share = (0..*span).filter(|_| {
                let question = self.questions.next().expect("without end");
                self.round(&question).0.contains(&node(MEMBERS))
            });
            share.count() as f64 / *span as f64
        };
        spans.iter().map(share).collect()
    }
}

/// What those who know these kinds say of themselves.
fn tags(knows: &[Family]) -> Vec<String> {
    knows.iter().map(|family| family.tag().to_owned()).collect()
}

const SPANS: [usize; 5] = [100, 200, 300, 400, 500];

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn swarms() -> u64 {
    std::env::var("SHOAL_ROUTING_SWARMS").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

/// A swarm with 600 rounds behind it.
fn grow_swarm(choice: Choice, seed: u64) -> Swarm {
    let mut swarm = Swarm::new(choice, 100 + seed);
    swarm.accuracies(&[600]);
    swarm
}

/// Prints the table of eval/results/consensus-routing.md, and holds what it says.
#[test]
fn routing_beats_uniform_selection() {
    const CHOICES: [Choice; 4] =
        [Choice::Uniform, Choice::Standing, Choice::Routed, Choice::Tagged];
    println!("| rounds | uniform | standing alone | routed | with tags |\n|---|---|---|---|---|");
    let table = CHOICES.map(|choice| {
        let runs: Vec<Vec<f64>> =
            (0..swarms()).map(|seed| Swarm::new(choice, seed).accuracies(&SPANS)).collect();
        (0..SPANS.len()).map(|at| mean(runs.iter().map(|run| run[at]))).collect::<Vec<f64>>()
    });
    let mut start = 0;
    for (at, span) in SPANS.iter().enumerate() {
        let row = [0, 1, 2, 3].map(|choice| format!("{:.3}", table[choice][at]));
        println!("| {start}-{} | {} |", start + span, row.join(" | "));
        start += span;
    }
    let [uniform, _, routed_share, _] = [0, 1, 2, 3].map(|choice| table[choice][SPANS.len() - 1]);
    assert!(routed_share > uniform + 0.1, "{routed_share} against {uniform}");
    let [_, _, routed_share, tagged_share] = [0, 1, 2, 3].map(|choice| table[choice][0]);
    assert!(
        tagged_share > routed_share + 0.03,
        "{tagged_share} against {routed_share} to begin with"
    );
}

#[test]
fn a_newcomer_is_found_and_sooner_by_its_tag() {
    let kind = Family::ALL[Family::ALL.len() - 1];
    let rounds_until_found = |tags: &[String]| -> Vec<usize> {
        let rounds_for = |seed| grow_swarm(Choice::Routed, seed).finding_a_newcomer(tags.to_vec());
        (0..swarms()).map(rounds_for).collect()
    };
    let (silent, with_tags) = (rounds_until_found(&[]), rounds_until_found(&tags(&[kind])));
    println!("rounds of its kind until a newcomer is asked in 8 of 10: {silent:?}");
    println!("the same, with a tag: {with_tags:?}");
    let mean = |rounds_until_found: &[usize]| {
        rounds_until_found.iter().sum::<usize>() as f64 / rounds_until_found.len() as f64
    };
    assert!(mean(&silent) <= 50.0, "{silent:?}");
    assert!(mean(&with_tags) <= 15.0 && mean(&with_tags) <= mean(&silent), "{with_tags:?}");
}

/// It claims every kind and knows none. Prints how often it is asked, with and without tags.
#[test]
fn who_claims_everything_and_knows_nothing_is_soon_asked_no_more_than_who_claims_nothing() {
    const SPAN_SIZES: [usize; 5] = [25, 25, 50, 100, 300];
    let shares = |tags: &[String]| -> Vec<f64> {
        let shares_of =
            |seed| grow_swarm(Choice::Routed, seed).asking_an_impostor(tags.to_vec(), &SPAN_SIZES);
        let runs: Vec<Vec<f64>> = (0..swarms()).map(shares_of).collect();
        (0..SPAN_SIZES.len()).map(|at| mean(runs.iter().map(|run| run[at]))).collect()
    };
    let (silent, with_claims) = (shares(&[]), shares(&tags(&Family::ALL)));
    println!("asked without tags {silent:.3?}, claiming every kind {with_claims:.3?}");
    let last = SPAN_SIZES.len() - 1;
    assert!(with_claims[last] < 0.2 && with_claims[last] < silent[last] + 0.08, "{with_claims:?}");
}
