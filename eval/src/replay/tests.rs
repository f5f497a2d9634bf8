//! What a replay promises.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::record::{Ballot, Candidate, Round, Score};

pub(crate) const GOLD: Gold = Gold { folds: 4, per_family: 12 };

/// Kinds are told apart by words; numbers say nothing.
const FRUIT: [&str; 7] = ["apples", "pears", "plums", "cherries", "grapes", "figs", "dates"];

fn name(member: usize) -> String {
    format!("{:064x}", member + 1)
}

/// `members` specialists, each of which knows one family of as many and guesses in the rest.
/// Likelihoods tell those that know from those that guess, with noise.
/// Guesses fall into `wrong` wrong answers: with few the majority is often wrong together.
pub(crate) fn swarm(questions: usize, members: usize, wrong: i32, seed: u64) -> Vec<Asked> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..questions)
        .map(|at| {
            let family = at % members;
            let rights: Vec<bool> =
                (0..members).map(|m| m == family || rng.random_bool(0.2)).collect();
            let texts: Vec<String> = rights
                .iter()
                .map(|right| if *right { 1 } else { 2 + rng.random_range(0..wrong) })
                .map(|answer| format!("Answer: {answer}"))
                .collect();
            let mut likelihood = |knows: bool, right: bool| -> f64 {
                let level: f64 = match (knows, right) {
                    (true, true) => 0.2,
                    (true, false) => 20.0,
                    (false, _) => 8.0,
                };
                -level * rng.random_range(0.5..2.0)
            };
            let candidates: Vec<Candidate> = (0..members)
                .map(|m| Candidate {
                    writer: name(m),
                    model: format!("model-{m}"),
                    text: texts[m].clone(),
                    logprob: Some(likelihood(m == family, rights[m])),
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
                            logprob: likelihood(judge == family, rights[writer]),
                            tokens: 4,
                        })
                        .collect(),
                    ..Ballot::default()
                })
                .collect();
            Asked {
                family: format!("family-{family}"),
                question: format!("ask of {} in {}", FRUIT[family], ["red", "green"][at % 2]),
                rights,
                round: Some(Round { candidates, ballots, ..Round::default() }),
                ..Asked::default()
            }
        })
        .collect()
}

fn without(change: &[&str]) -> Settings {
    change.iter().fold(Settings::default(), |all, one| all.with(one).expect("a setting"))
}

#[test]
fn the_swarm_is_better_than_the_majority_and_near_the_oracle() {
    let asked = swarm(300, 5, 2, 1);
    let replayed = replay(&asked, GOLD, &Settings::default());
    let majority = crate::methods::Methods::of(&asked).majority.correct() as f64 / 300.0;
    assert!(replayed.accuracy.value > 0.95, "{replayed:?}");
    assert!(replayed.accuracy.value > majority + 0.08, "{majority} {replayed:?}");
}

#[test]
fn what_others_say_is_enough_when_certainty_counts_for_nobody() {
    let asked = swarm(300, 5, 20, 2);
    let others =
        replay(&asked, GOLD, &without(&["evidence.certainty=off", "reputation.kinds=false"]));
    let majority = crate::methods::Methods::of(&asked).majority.correct() as f64 / 300.0;
    assert!(others.accuracy.value > majority + 0.1, "{majority} {others:?}");
}

#[test]
fn a_liar_that_claims_certainty_for_one_wrong_answer_does_not_win() {
    let mut asked = swarm(300, 5, 2, 3);
    for one in &mut asked {
        one.rights[4] = false;
        let round = one.round.as_mut().expect("a round");
        round.candidates[4].text = "Answer: 666".into();
        round.candidates[4].logprob = Some(0.0);
    }
    let honest: Vec<Asked> = asked.iter().filter(|one| one.family != "family-4").cloned().collect();
    let replayed = replay(&honest, GOLD, &Settings::default());
    assert!(replayed.accuracy.value > 0.93, "{replayed:?}");
}

#[test]
fn nothing_to_learn_from_is_no_disaster() {
    let asked = swarm(4, 3, 2, 4);
    let replayed = replay(&asked, Gold { folds: 4, per_family: 0 }, &Settings::default());
    assert!(replayed.accuracy.value >= 0.0);
    assert!(replay(&[], GOLD, &Settings::default()).accuracy.value.abs() < 1e-12);
}

#[test]
fn settings_are_changed_by_name_and_wrong_names_are_refused() {
    let changed = Settings::default().with("rank.lambda=0.75").expect("a setting");
    assert!((changed.rank.lambda - 0.75).abs() < 1e-12);
    assert!(Settings::default().with("rank.lambada=1").is_err());
    assert!(Settings::default().with("rank.lambda=much").is_err());
    assert!(Settings::default().with("rank.lambda").is_err());
}
