//! What a judge is shown, and what its ballot is taken to say.

use std::collections::BTreeSet;

use proptest::prelude::*;
use shoal_proto::judge::Score;

use super::*;
use crate::round::fixtures::{candidate, node};

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(7)
}

proptest! {
    #[test]
    fn a_judge_never_gets_its_own_candidate(
        candidates in prop::collection::vec((0u8..6, 0u8..4, 0usize..3), 0..9),
        judge in 0u8..6,
        seed: u64,
    ) {
        let candidates: Vec<Candidate> =
            candidates.iter().map(|(w, text, pool)| candidate(*w, &text.to_string(), *pool)).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let scores = Sheet::scores(&candidates, node(judge), &mut rng);
        let shown: BTreeSet<usize> = scores.iter().flat_map(|s| s.stand_for.iter().flatten().copied()).collect();
        let others: BTreeSet<usize> =
            (0..candidates.len()).filter(|at| candidates[*at].writer != node(judge)).collect();
        prop_assert_eq!(shown, others);
        if let Some(pairs) = Sheet::pairs(&candidates, node(judge), 12, &mut rng) {
            let own: Vec<usize> =
                candidates.iter().filter(|c| c.writer == node(judge)).map(|c| c.pool).collect();
            for at in pairs.stand_for.iter().flatten() {
                prop_assert!(candidates[*at].writer != node(judge));
                prop_assert!(!own.contains(&candidates[*at].pool));
            }
        }
    }

    #[test]
    fn every_score_goes_to_the_text_it_was_given_for(seed: u64) {
        let candidates: Vec<Candidate> =
            (0u8..5).map(|n| candidate(n, &"x".repeat(usize::from(n % 3) + 1), usize::from(n % 3))).collect();
        let sheet = Sheet::scores(&candidates, node(9), &mut ChaCha8Rng::seed_from_u64(seed)).expect("a sheet");
        prop_assert_eq!(sheet.texts.len(), 3);
        let scores = sheet.texts.iter()
            .map(|text| Score { logprob: -(text.len() as f64), tokens: text.len() as u32 }).collect();
        let Verdicts::Scores(scores) = sheet.verdicts(&Ballot { scores, ..Ballot::default() }) else {
            panic!("scores were asked for");
        };
        prop_assert_eq!(scores.len(), 5);
        for score in scores {
            prop_assert_eq!(score.logprob, -(candidates[score.candidate].text.len() as f64));
        }
    }
}

#[test]
fn who_always_prefers_the_first_says_nothing() {
    let candidates = [candidate(0, "a", 0), candidate(1, "b", 1), candidate(2, "c", 2)];
    let sheet = Sheet::pairs(&candidates, node(9), 12, &mut rng()).expect("a sheet");
    let ask = sheet.ask(Vec::new());
    assert_eq!(ask.pairs.len(), 6);
    let ballot = Ballot { verdicts: vec![1.0; 6], ..Ballot::default() };
    let Verdicts::Pairs(pairs) = sheet.verdicts(&ballot) else { panic!("pairs were asked for") };
    assert_eq!(pairs.len(), 3);
    assert!(pairs.iter().all(|pair| pair.p == 0.5 && pair.flipped));
}

#[test]
fn a_steady_verdict_is_turned_to_the_right_candidates() {
    let candidates = [candidate(0, "bad", 0), candidate(1, "good", 1)];
    let sheet = Sheet::pairs(&candidates, node(9), 12, &mut rng()).expect("a sheet");
    let ask = sheet.ask(Vec::new());
    let good = |at: u32| ask.candidates[at as usize] == "good";
    let verdicts = ask.pairs.iter().map(|pair| if good(pair.first) { 0.9 } else { 0.2 }).collect();
    let Verdicts::Pairs(pairs) = sheet.verdicts(&Ballot { verdicts, ..Ballot::default() }) else {
        panic!("pairs were asked for")
    };
    let [pair] = pairs.as_slice() else { panic!("one pair") };
    let p_good = if candidates[pair.a].text == "good" { pair.p } else { 1.0 - pair.p };
    assert!((p_good - 0.85).abs() < 1e-12);
    assert!(!pair.flipped);
}

#[test]
fn who_wrote_all_there_is_judges_nothing() {
    let candidates = [candidate(3, "a", 0)];
    assert!(Sheet::scores(&candidates, node(3), &mut rng()).is_none());
    assert!(Sheet::pairs(&candidates, node(3), 12, &mut rng()).is_none());
    assert!(Sheet::pairs(&candidates, node(4), 12, &mut rng()).is_none());
}

#[test]
fn two_thirds_are_rounded_up() {
    let quorums = [1, 2, 3, 4, 5, 6, 7].map(|n| quorum(n, 2.0 / 3.0));
    assert_eq!(quorums, [1, 2, 2, 3, 4, 4, 5]);
}
