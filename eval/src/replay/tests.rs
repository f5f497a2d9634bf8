//! Properties of a replay, and a simulated swarm for other tests.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::record::{Ballot, Candidate, Round, Score};

pub(crate) const GOLD: Gold = Gold { folds: 4, per_family: 12 };

/// Words that distinguish the kinds; numbers carry no information.
const FRUIT: [&str; 7] = ["apples", "pears", "plums", "cherries", "grapes", "figs", "dates"];

fn name(member: usize) -> String {
    format!("{:064x}", member + 1)
}

/// `members` specialists and as many families. Each member knows one family and guesses in the others.
/// Likelihoods distinguish knowledge from guesses, with noise. There are `mistakes` different wrong
/// answers; if there are few, many members often give the same one.
pub(crate) fn swarm(
    questions: usize,
    members: usize,
    mistakes: i32,
    seed: u64,
) -> Vec<QuestionRecord> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..questions)
        .map(|at| {
            let family = at % members;
            let rights: Vec<bool> =
                (0..members).map(|m| m == family || rng.random_bool(0.2)).collect();
            let texts: Vec<String> = rights
                .iter()
                .map(|right| if *right { 1 } else { 2 + rng.random_range(0..mistakes) })
                .map(|answer| format!("Answer: {answer}"))
                .collect();
            let candidates: Vec<Candidate> = (0..members)
                .map(|m| Candidate {
                    writer: name(m),
                    model: format!("model-{m}"),
                    text: texts[m].clone(),
                    logprob: Some(likelihood(&mut rng, m == family, rights[m])),
                    ..Candidate::default()
                })
                .collect();
            let ballots = (0..members)
                .map(|judge| Ballot {
                    judge: name(judge),
                    scores: (0..members)
                        .filter(|writer| *writer != judge)
                        .map(|writer| Score {
                            candidate: writer,
                            logprob: likelihood(&mut rng, judge == family, rights[writer]),
                            tokens: 4,
                        })
                        .collect(),
                    ..Ballot::default()
                })
                .collect();
            QuestionRecord {
                family: format!("family-{family}"),
                question: format!("ask of {} in {}", FRUIT[family], ["red", "green"][at % 2]),
                rights,
                round: Some(Round { candidates, ballots, ..Round::default() }),
                ..QuestionRecord::default()
            }
        })
        .collect()
}

fn likelihood(rng: &mut ChaCha8Rng, knows: bool, right: bool) -> f64 {
    let level: f64 = match (knows, right) {
        (true, true) => 0.2,
        (true, false) => 20.0,
        (false, _) => 8.0,
    };
    -level * rng.random_range(0.5..2.0)
}

fn settings_with(changes: &[&str]) -> Settings {
    changes
        .iter()
        .fold(Settings::default(), |settings, change| settings.with(change).expect("a setting"))
}

#[test]
fn the_swarm_is_better_than_the_majority_and_near_the_oracle() {
    let records = swarm(300, 5, 2, 1);
    let summary = replay(&records, GOLD, &Settings::default());
    let majority = crate::methods::Methods::new(&records).majority.correct() as f64 / 300.0;
    assert!(summary.accuracy.value > 0.95, "{summary:?}");
    assert!(summary.accuracy.value > majority + 0.08, "{majority} {summary:?}");
}

#[test]
fn ballots_are_enough_without_certainty() {
    let records = swarm(300, 5, 20, 2);
    let summary = replay(
        &records,
        GOLD,
        &settings_with(&["evidence.certainty=off", "reputation.kinds=false"]),
    );
    let majority = crate::methods::Methods::new(&records).majority.correct() as f64 / 300.0;
    assert!(summary.accuracy.value > majority + 0.1, "{majority} {summary:?}");
}

#[test]
fn a_liar_that_claims_certainty_for_one_wrong_answer_does_not_win() {
    let mut records = swarm(300, 5, 2, 3);
    for record in &mut records {
        record.rights[4] = false;
        let round = record.round.as_mut().expect("a round");
        round.candidates[4].text = "Answer: 666".into();
        round.candidates[4].logprob = Some(0.0);
    }
    let honest: Vec<QuestionRecord> =
        records.iter().filter(|record| record.family != "family-4").cloned().collect();
    let summary = replay(&honest, GOLD, &Settings::default());
    assert!(summary.accuracy.value > 0.8, "{summary:?}");
}

#[test]
fn a_replay_without_gold_or_records_works() {
    let records = swarm(4, 3, 2, 4);
    let summary = replay(&records, Gold { folds: 4, per_family: 0 }, &Settings::default());
    assert!(summary.accuracy.value >= 0.0);
    assert!(replay(&[], GOLD, &Settings::default()).accuracy.value.abs() < 1e-12);
}

#[test]
fn settings_are_changed_by_name_and_wrong_names_are_refused() {
    let settings = Settings::default().with("rank.lambda=0.75").expect("a setting");
    assert!((settings.rank.lambda - 0.75).abs() < 1e-12);
    assert!(Settings::default().with("rank.lambada=1").is_err());
    assert!(Settings::default().with("rank.lambda=much").is_err());
    assert!(Settings::default().with("rank.lambda").is_err());
}
