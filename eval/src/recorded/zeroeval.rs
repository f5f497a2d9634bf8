//! ZeroEval (B. Y. Lin, 2024): final answers of many models to GSM8K and CRUX. The set has no judgments,
//! so judges are simulated with the rates of 2,185 recorded peer reviews: a judge with the right answer
//! finds more mistakes, and the judges' errors are correlated.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{
    adversary::Adversary,
    files,
    round::{Candidate, Line, OrderedVerdict},
};

/// One of the two sets.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// Name in the tables.
    pub title: &'static str,
    name: &'static str,
}

/// Both sets.
pub const SETS: [Set; 2] =
    [Set { title: "ZeroEval GSM8K", name: "gsm" }, Set { title: "ZeroEval CRUX", name: "crux" }];

/// The members of a round.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    pub name: &'static str,
    writers: usize,
    judges: usize,
}

impl Panel {
    /// Whether every member writes and judges.
    pub fn is_full(&self) -> bool {
        self.writers == usize::MAX
    }
}

/// The gateway's defaults.
pub const DEFAULT: Panel = Panel { name: "5 write, 3 judge", writers: 5, judges: 3 };

/// The defaults, and all members.
pub const PANELS: [Panel; 2] =
    [DEFAULT, Panel { name: "all write, all judge", writers: usize::MAX, judges: usize::MAX }];

/// Maximum number of pairs for one judge, as in the gateway.
const PAIRS_MAX: usize = 12;

/// Correlation of the judges' errors about one candidate (recorded raters: .25 to .53).
const CORRELATION: f64 = 0.3;

/// An answer that no model gives to any question of the sets.
const CONSTANT: &str = "constant";

/// The answers of all models.
#[derive(Clone, Debug)]
pub struct Answers {
    models: Vec<String>,
    questions: Vec<Question>,
}

#[derive(Clone, Debug)]
struct Question {
    id: String,
    gold: String,
    /// Each model's own answer; None if it was not asked.
    answers: Vec<Option<String>>,
    /// Answers that bad models write instead of their own.
    replacements: BTreeMap<usize, String>,
    /// Judges approve these replacements like right answers.
    deceptive: bool,
}

/// The answers of the models whose whole texts were recorded too: a dozen models from weak to strong.
///
/// # Errors
/// If the files are missing or have another format.
pub fn read(folder: &Path, set: Set) -> Result<Answers> {
    let folder = folder.join("zeroeval");
    let texts = files::text(&folder.join(format!("{}_replay400.jsonl.gz", set.name)))?;
    let first: serde_json::Value =
        serde_json::from_str(texts.lines().next().context("no texts")?).context("texts")?;
    let answers = first.get("answers").and_then(|answers| answers.as_object());
    let mut models: Vec<String> = answers.context("no answers")?.keys().cloned().collect();
    models.sort();
    let rows = files::table(&folder.join(format!("{}_preds.csv.gz", set.name)))?;
    let questions = rows
        .into_iter()
        .map(|row| Question {
            id: row.get("id").cloned().unwrap_or_default(),
            gold: row.get("gold").cloned().unwrap_or_default(),
            answers: models
                .iter()
                .map(|model| row.get(model).filter(|answer| *answer != "<missing>").cloned())
                .collect(),
            replacements: BTreeMap::new(),
            deceptive: false,
        })
        .collect();
    Ok(Answers { models, questions })
}

impl Answers {
    /// Names of the models, sorted.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// The answers with those of bad members. Their behaviour as judges is applied to the rounds
    /// ([`Adversary::judge`]), because a bad writer may judge honestly.
    #[must_use]
    pub fn with_adversary(&self, adversary: Adversary, bad: &BTreeSet<String>, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut answers = self.clone();
        let bad_seats: BTreeSet<usize> = (self.models.iter().enumerate())
            .filter(|(_, name)| bad.contains(*name))
            .map(|(seat, _)| seat)
            .collect();
        for question in &mut answers.questions {
            let honest: Vec<String> = (question.answers.iter().enumerate())
                .filter(|(seat, _)| !bad_seats.contains(seat))
                .filter_map(|(_, answer)| answer.clone())
                .collect();
            question.deceptive = adversary == Adversary::Null;
            for seat in &bad_seats {
                let index = rng.random_range(0..honest.len().max(1));
                let replacement = match adversary {
                    Adversary::Inverted | Adversary::Position => None,
                    Adversary::Copied => honest.get(index).cloned(),
                    _ => Some(CONSTANT.to_owned()),
                };
                question.replacements.extend(replacement.map(|answer| (*seat, answer)));
            }
        }
        answers
    }

    /// `panels` rounds for each question, each with its own panel and judges' moods. The part of a round's id
    /// before " / " names its question.
    pub fn rounds(&self, panel: Panel, panels: u64) -> Vec<Line> {
        (0..panels).flat_map(|draw| self.draw(panel, draw)).collect()
    }

    /// One round for each question.
    pub fn draw(&self, panel: Panel, draw: u64) -> impl Iterator<Item = Line> {
        self.questions.iter().zip(0u64..).map(move |(question, at)| {
            let mut rng = ChaCha8Rng::seed_from_u64((draw << 32) | at);
            self.round(question, panel, draw, &mut rng)
        })
    }

    fn round(&self, question: &Question, panel: Panel, draw: u64, rng: &mut ChaCha8Rng) -> Line {
        let mut seats: Vec<usize> = (0..self.models.len()).collect();
        seats.retain(|seat| question.answers.get(*seat).is_some_and(Option::is_some));
        seats.shuffle(rng);
        let writers: Vec<usize> = seats.iter().copied().take(panel.writers).collect();
        // Judges that did not write are first, as in the gateway.
        let judges: Vec<usize> = seats.iter().rev().copied().take(panel.judges).collect();
        let candidates: Vec<Candidate> = writers
            .iter()
            .map(|seat| Candidate {
                writer: self.models.get(*seat).cloned(),
                answer: Some(match question.answer(*seat) {
                    // Two models without an answer do not agree.
                    "<none>" => format!("<none> of {seat}"),
                    answer => answer.to_owned(),
                }),
            })
            .collect();
        let shown_candidates: Vec<ShownCandidate> = first_of_each(&candidates)
            .into_iter()
            .filter_map(|at| writers.get(at).map(|writer| (at, *writer)))
            .map(|(at, writer)| ShownCandidate {
                at,
                writer,
                right: question.is_right(writer),
                deceptive: question.deceptive && question.replacements.contains_key(&writer),
                mood: normal(rng),
            })
            .collect();
        let mut ballots = Vec::new();
        for judge in judges {
            let own = writers.contains(&judge).then(|| question.answer(judge));
            let belief = question.honest_answer(judge);
            let opinions: Vec<(usize, bool)> = (shown_candidates.iter())
                .filter(|candidate| own != Some(question.answer(candidate.writer)))
                .map(|candidate| {
                    let same_answer = belief == question.answer(candidate.writer);
                    let approval =
                        candidate.draw_approval(same_answer, belief == question.gold, rng);
                    (candidate.at, approval)
                })
                .collect();
            let name = self.models.get(judge).map(String::as_str).unwrap_or_default();
            ballots.extend(compare(name, &opinions, rng));
        }
        let gold = writers.iter().enumerate().filter(|(_, seat)| question.is_right(**seat));
        Line {
            id: format!("{} / {draw}", question.id),
            gold: Some(gold.map(|(at, _)| at).collect()),
            candidates,
            ballots,
            ..Line::default()
        }
    }
}

impl Question {
    /// The answer that a model believes in.
    fn honest_answer(&self, seat: usize) -> &str {
        self.answers.get(seat).and_then(Option::as_deref).unwrap_or_default()
    }

    /// The answer that a model writes.
    fn answer(&self, seat: usize) -> &str {
        self.replacements.get(&seat).map_or_else(|| self.honest_answer(seat), String::as_str)
    }

    fn is_right(&self, seat: usize) -> bool {
        self.answer(seat) == self.gold
    }
}

/// The first candidate of each pool, which stands for the pool as in the gateway.
fn first_of_each(candidates: &[Candidate]) -> Vec<usize> {
    let mut answers = BTreeSet::new();
    (candidates.iter().enumerate())
        .filter(|(_, candidate)| answers.insert(&candidate.answer))
        .map(|(index, _)| index)
        .collect()
}

/// A candidate that is shown to judges.
struct ShownCandidate {
    at: usize,
    writer: usize,
    right: bool,
    deceptive: bool,
    /// The common part of all judges' impressions.
    mood: f64,
}

impl ShownCandidate {
    /// Whether a judge approves the candidate, by a Gaussian copula over the judges. The thresholds are the
    /// normal quantiles of the rates: .98 if it is right and the judge has the same answer, .80 if it is
    /// right and the judge has another answer, .88 if both have the same wrong answer, .64 if both are wrong
    /// with different answers, .52 if it is wrong and the judge is right.
    fn draw_approval(&self, same_answer: bool, judge_right: bool, rng: &mut ChaCha8Rng) -> bool {
        let (right, same_answer) = (self.right || self.deceptive, same_answer || self.deceptive);
        let threshold = match (right, same_answer, judge_right) {
            (true, true, _) => 2.053_748_910_631_823,
            (true, false, _) => 0.841_621_233_572_914_3,
            (false, true, _) => 1.174_986_792_066_090_4,
            (false, false, false) => 0.358_458_793_251_193_7,
            (false, false, true) => 0.050_153_583_464_733_67,
        };
        let own = normal(rng);
        CORRELATION.sqrt() * self.mood + (1.0 - CORRELATION).sqrt() * own < threshold
    }
}

/// Verdicts on both orders of each pair: the approved candidate is better; if both or neither are approved,
/// each order is random. `opinions`: candidate, and whether the judge approves it.
fn compare(judge: &str, opinions: &[(usize, bool)], rng: &mut ChaCha8Rng) -> Vec<OrderedVerdict> {
    let mut pairs: Vec<(usize, usize)> =
        (0..opinions.len()).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
    pairs.shuffle(rng);
    pairs.truncate(PAIRS_MAX);
    let mut orders = Vec::with_capacity(2 * pairs.len());
    for (a, b) in pairs {
        let (Some((a, a_good)), Some((b, b_good))) = (opinions.get(a), opinions.get(b)) else {
            continue;
        };
        for (first, second, lead) in [(*a, *b, (a_good, b_good)), (*b, *a, (b_good, a_good))] {
            let first_is_better = match lead {
                (true, false) => true,
                (false, true) => false,
                _ => rng.random_bool(0.5),
            };
            let p = f64::from(u8::from(first_is_better));
            orders.push(OrderedVerdict { judge: judge.to_owned(), first, second, p });
        }
    }
    orders
}

/// A standard normal number (G. Box and M. Muller, 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four_models() -> Answers {
        let answers = ["1", "1", "2", "3"].map(|answer| Some(answer.to_owned())).to_vec();
        Answers {
            models: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            questions: vec![Question {
                id: "q".into(),
                gold: "1".into(),
                answers,
                replacements: BTreeMap::new(),
                deceptive: false,
            }],
        }
    }

    fn approval_rate(right: bool, same_answer: bool, judge_right: bool) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let count = 20_000;
        let approvals = (0..count)
            .filter(|_| {
                let mood = normal(&mut rng);
                let candidate = ShownCandidate { at: 0, writer: 0, right, deceptive: false, mood };
                candidate.draw_approval(same_answer, judge_right, &mut rng)
            })
            .count();
        approvals as f64 / f64::from(count)
    }

    #[test]
    fn simulated_judges_approve_at_the_recorded_rates() {
        for (right, same_answer, judge_right, rate) in [
            (true, true, true, 0.98),
            (true, false, false, 0.80),
            (false, true, false, 0.88),
            (false, false, false, 0.64),
            (false, false, true, 0.52),
        ] {
            let share = approval_rate(right, same_answer, judge_right);
            assert!((share - rate).abs() < 0.012, "{rate}: {share}");
        }
    }

    #[test]
    fn nonsense_is_wrong_and_a_copy_is_as_right_as_its_source() {
        let answers = four_models();
        let bad = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let [inversion, constant] = [Adversary::Inverted, Adversary::Constant].map(|adversary| {
            let rounds = answers.with_adversary(adversary, &bad, 1).rounds(PANELS[1], 1);
            rounds[0].gold.clone().expect("a label").len()
        });
        assert_eq!((inversion, constant), (2, 0));
        let bad = BTreeSet::from(["c".to_owned()]);
        let copies = answers.with_adversary(Adversary::Copied, &bad, 1).rounds(PANELS[1], 1);
        assert!(
            copies[0].candidates.iter().all(|candidate| candidate.answer.as_deref() != Some("2"))
        );
    }

    #[test]
    fn a_simulated_judge_never_sees_its_own_pool() {
        let answers = four_models();
        let rounds = answers.rounds(PANELS[1], 5);
        assert_eq!(rounds.len(), 5);
        for line in rounds {
            for order in &line.ballots {
                let own = line
                    .candidates
                    .iter()
                    .find(|candidate| candidate.writer.as_ref() == Some(&order.judge));
                let own = &own.expect("every model wrote").answer;
                let [first, second] =
                    [order.first, order.second].map(|at| &line.candidates[at].answer);
                assert!(first != own && second != own);
            }
        }
    }
}
