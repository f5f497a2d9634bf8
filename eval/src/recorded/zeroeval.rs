//! ZeroEval (B. Y. Lin, 2024): final answers of many models to GSM8K and CRUX. Nobody judged
//! them, so judges are simulated from rates seen in 2,185 recorded peer reviews: a judge that
//! knows better finds more mistakes, and judges err together.

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
    round::{Candidate, Line, Order},
};

/// One of the two sets.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    pub title: &'static str,
    name: &'static str,
}

pub const SETS: [Set; 2] =
    [Set { title: "ZeroEval GSM8K", name: "gsm" }, Set { title: "ZeroEval CRUX", name: "crux" }];

/// Who takes part in a round.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    pub name: &'static str,
    writers: usize,
    judges: usize,
}

impl Panel {
    pub fn is_everybody(&self) -> bool {
        self.writers == usize::MAX
    }
}

/// The gateway's defaults.
pub const DEFAULT: Panel = Panel { name: "5 write, 3 judge", writers: 5, judges: 3 };

/// The defaults, and everybody.
pub const PANELS: [Panel; 2] =
    [DEFAULT, Panel { name: "all write, all judge", writers: usize::MAX, judges: usize::MAX }];

/// Pairs that one judge compares at most, as in the gateway.
const PAIRS_MAX: usize = 12;

/// Correlation of the judges' errors about one candidate (recorded raters: .25 to .53).
const CORRELATION: f64 = 0.3;

/// No model's answer to any question of the sets.
const CONSTANT: &str = "constant";

/// What every model answered.
#[derive(Clone, Debug)]
pub struct Answers {
    models: Vec<String>,
    questions: Vec<Question>,
}

#[derive(Clone, Debug)]
struct Question {
    id: String,
    gold: String,
    /// What each model finds, by model; None when it was not asked.
    answers: Vec<Option<String>>,
    /// What it writes, where that is something else.
    written: BTreeMap<usize, String>,
    /// What it writes then, judges take for right.
    convinces: bool,
}

/// The answers of the models whose whole texts were recorded too: a swarm of a dozen that
/// spreads from weak to strong.
///
/// # Errors
/// When the files are not there or not as described.
pub fn read(folder: &Path, set: Set) -> Result<Answers> {
    let folder = folder.join("zeroeval");
    let texts = files::text(&folder.join(format!("{}_replay400.jsonl.gz", set.name)))?;
    let first: serde_json::Value =
        serde_json::from_str(texts.lines().next().context("no texts")?).context("texts")?;
    let answered = first.get("answers").and_then(|answers| answers.as_object());
    let mut models: Vec<String> = answered.context("no answers")?.keys().cloned().collect();
    models.sort();
    let rows = files::table(&folder.join(format!("{}_preds.csv.gz", set.name)))?;
    let questions = rows
        .into_iter()
        .map(|row| Question {
            id: row.get("id").cloned().unwrap_or_default(),
            gold: row.get("gold").cloned().unwrap_or_default(),
            answers: models
                .iter()
                .map(|model| row.get(model).filter(|said| *said != "<missing>").cloned())
                .collect(),
            written: BTreeMap::new(),
            convinces: false,
        })
        .collect();
    Ok(Answers { models, questions })
}

impl Answers {
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// The same with bad members' answers. What they do as judges is done to the rounds
    /// ([`Adversary::judges`]): a bad writer may judge as well as any.
    #[must_use]
    pub fn written_by(&self, adversary: Adversary, bad: &BTreeSet<String>, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut changed = self.clone();
        let is_bad = |seat: &usize| self.models.get(*seat).is_some_and(|name| bad.contains(name));
        for question in &mut changed.questions {
            let honest: Vec<String> = (question.answers.iter().enumerate())
                .filter(|(seat, _)| !is_bad(seat))
                .filter_map(|(_, answer)| answer.clone())
                .collect();
            question.convinces = adversary == Adversary::Null;
            for seat in (0..self.models.len()).filter(is_bad) {
                let any = rng.random_range(0..honest.len().max(1));
                let written = match adversary {
                    Adversary::Inverted | Adversary::Position => None,
                    Adversary::Copied => honest.get(any).cloned(),
                    _ => Some(CONSTANT.to_owned()),
                };
                question.written.extend(written.map(|answer| (seat, answer)));
            }
        }
        changed
    }

    /// For each question so many rounds, each with a panel and judges' moods of its own. What
    /// stands before " / " in a round's id names its question.
    pub fn rounds(&self, panel: Panel, panels: u64) -> Vec<Line> {
        (0..panels).flat_map(|draw| self.drawn(panel, draw)).collect()
    }

    /// One of these for each question.
    pub fn drawn(&self, panel: Panel, draw: u64) -> impl Iterator<Item = Line> {
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
        // Judges that did not write come first, as in the gateway.
        let judges: Vec<usize> = seats.iter().rev().copied().take(panel.judges).collect();
        let name = |seat: usize| self.models.get(seat).cloned().unwrap_or_default();
        let candidates: Vec<Candidate> = writers
            .iter()
            .map(|seat| Candidate {
                writer: Some(name(*seat)),
                answer: Some(match question.written(*seat) {
                    // Where nothing was found two have not said the same.
                    "<none>" => format!("<none> of {seat}"),
                    said => said.to_owned(),
                }),
            })
            .collect();
        let right = |seat: usize| question.written(seat) == question.gold;
        let shown: Vec<Shown> = first_of_each(&candidates)
            .into_iter()
            .filter_map(|at| writers.get(at).map(|writer| (at, *writer)))
            .map(|(at, writer)| {
                let convinces = question.convinces && question.written.contains_key(&writer);
                Shown { at, writer, right: right(writer), convinces, mood: normal(rng) }
            })
            .collect();
        let mut ballots = Vec::new();
        for judge in judges {
            let own = writers.contains(&judge).then(|| question.written(judge));
            let found = question.found(judge);
            let looks: Vec<(usize, bool)> = (shown.iter())
                .filter(|one| own != Some(question.written(one.writer)))
                .map(|one| {
                    let same = found == question.written(one.writer);
                    (one.at, one.approved(same, found == question.gold, rng))
                })
                .collect();
            ballots.extend(compare(&name(judge), &looks, rng));
        }
        let gold = writers.iter().enumerate().filter(|(_, seat)| right(**seat));
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
    fn found(&self, seat: usize) -> &str {
        self.answers.get(seat).and_then(Option::as_deref).unwrap_or_default()
    }

    fn written(&self, seat: usize) -> &str {
        self.written.get(&seat).map_or_else(|| self.found(seat), String::as_str)
    }
}

/// The first candidate of each pool stands for it, as in the gateway.
fn first_of_each(candidates: &[Candidate]) -> Vec<usize> {
    let earlier = |at: usize| candidates.iter().take(at).map(|one| &one.answer);
    (0..candidates.len())
        .filter(|at| candidates.get(*at).is_some_and(|one| !earlier(*at).any(|a| *a == one.answer)))
        .collect()
}

/// A candidate that is shown to judges.
struct Shown {
    at: usize,
    writer: usize,
    right: bool,
    convinces: bool,
    /// What all judges' impressions of it share.
    mood: f64,
}

impl Shown {
    /// Whether a judge approves it, by a Gaussian copula over the judges. The thresholds are the
    /// normal quantiles of the rates: .98 when it is right and the judge says the same, .80 when
    /// it is right and the judge said otherwise, .88 when both are wrong alike, .64 when both are
    /// wrong differently, .52 when it is wrong and the judge right.
    fn approved(&self, same: bool, judge_right: bool, rng: &mut ChaCha8Rng) -> bool {
        let (right, same) = (self.right || self.convinces, same || self.convinces);
        let threshold = match (right, same, judge_right) {
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

/// Both orders of each pair: the one that was approved, a coin for each order where both or
/// neither were.
fn compare(judge: &str, looks: &[(usize, bool)], rng: &mut ChaCha8Rng) -> Vec<Order> {
    let mut pairs: Vec<(usize, usize)> =
        (0..looks.len()).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
    pairs.shuffle(rng);
    pairs.truncate(PAIRS_MAX);
    let mut orders = Vec::with_capacity(2 * pairs.len());
    for (a, b) in pairs {
        let (Some((a, a_good)), Some((b, b_good))) = (looks.get(a), looks.get(b)) else { continue };
        for (first, second, lead) in [(*a, *b, (a_good, b_good)), (*b, *a, (b_good, a_good))] {
            let first_is_better = match lead {
                (true, false) => true,
                (false, true) => false,
                _ => rng.random_bool(0.5),
            };
            let p = f64::from(u8::from(first_is_better));
            orders.push(Order { judge: judge.to_owned(), first, second, p });
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

    fn four() -> Answers {
        let answers = ["1", "1", "2", "3"].map(|one| Some(one.to_owned())).to_vec();
        let (written, convinces) = (BTreeMap::new(), false);
        Answers {
            models: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            questions: vec![Question {
                id: "q".into(),
                gold: "1".into(),
                answers,
                written,
                convinces,
            }],
        }
    }

    fn approvals(right: bool, same: bool, judge_right: bool) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let count = 20_000;
        let yes = (0..count)
            .filter(|_| {
                let shown =
                    Shown { at: 0, writer: 0, right, convinces: false, mood: normal(&mut rng) };
                shown.approved(same, judge_right, &mut rng)
            })
            .count();
        yes as f64 / f64::from(count)
    }

    #[test]
    fn simulated_judges_approve_at_the_recorded_rates() {
        for (right, same, judge_right, rate) in [
            (true, true, true, 0.98),
            (true, false, false, 0.80),
            (false, true, false, 0.88),
            (false, false, false, 0.64),
            (false, false, true, 0.52),
        ] {
            let found = approvals(right, same, judge_right);
            assert!((found - rate).abs() < 0.012, "{rate}: {found}");
        }
    }

    #[test]
    fn who_writes_nonsense_is_wrong_and_who_copies_is_as_right_as_another() {
        let answers = four();
        let bad = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let right = |adversary: Adversary, seed: u64| {
            let rounds = answers.written_by(adversary, &bad, seed).rounds(PANELS[1], 1);
            rounds[0].gold.clone().expect("a label").len()
        };
        assert_eq!(right(Adversary::Inverted, 1), 2);
        assert_eq!(right(Adversary::Constant, 1), 0);
        let bad = BTreeSet::from(["c".to_owned()]);
        let copied = answers.written_by(Adversary::Copied, &bad, 1).rounds(PANELS[1], 1);
        assert!(copied[0].candidates.iter().all(|one| one.answer.as_deref() != Some("2")));
    }

    #[test]
    fn a_simulated_judge_never_sees_the_pool_that_it_wrote_for() {
        let answers = four();
        let all = answers.rounds(PANELS[1], 5);
        assert_eq!(all.len(), 5);
        for line in all {
            for order in &line.ballots {
                let own =
                    line.candidates.iter().find(|one| one.writer.as_ref() == Some(&order.judge));
                let answer = |at: usize| &line.candidates[at].answer;
                let own = &own.expect("everybody wrote").answer;
                assert!(answer(order.first) != own && answer(order.second) != own);
            }
        }
    }
}
