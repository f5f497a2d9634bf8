//! Properties of the replacement of members.

use super::*;
use crate::replay::tests::swarm;

fn first(records: &[QuestionRecord], count: usize) -> BTreeSet<String> {
    writers(records).into_iter().take(count).collect()
}

#[test]
fn colluders_copy_the_likeliest_mistake_and_its_scores() {
    let records = swarm(20, 6, 20, 3);
    let bad = first(&records, 2);
    for record in &records {
        let attack = collude(record, &bad, Cheat::Colluders);
        let round = attack.round.expect("a round");
        let before = record.round.as_ref().expect("a round");
        let lie = likeliest_mistake(record, before, &bad).expect("some member is wrong");
        for (at, candidate) in round.candidates.iter().enumerate() {
            if bad.contains(&candidate.writer) {
                assert_eq!(candidate.text, before.candidates[lie].text);
                assert_eq!((candidate.logprob, attack.rights[at]), (Some(0.0), false));
            } else {
                assert_eq!(*candidate, before.candidates[at]);
                assert_eq!(attack.rights[at], record.rights[at]);
            }
        }
        for (ballot, old) in round.ballots.iter().zip(&before.ballots) {
            assert!(
                ballot.scores.iter().all(|s| round.candidates[s.candidate].writer != ballot.judge)
            );
            for (at, candidate) in round.candidates.iter().enumerate() {
                let is_bad = bad.contains(&candidate.writer);
                let expected = match (bad.contains(&ballot.judge), is_bad) {
                    _ if candidate.writer == ballot.judge => None,
                    (true, true) => Some(0.0),
                    (true, false) => Some(NEVER),
                    (false, true) => logprob(old, lie),
                    (false, false) => logprob(old, at),
                };
                assert_eq!(logprob(ballot, at), expected);
            }
        }
    }
}

fn logprob(ballot: &Ballot, candidate: usize) -> Option<f64> {
    ballot.scores.iter().find(|score| score.candidate == candidate).map(|score| score.logprob)
}

#[test]
fn without_cheats_nothing_changes_and_a_member_left_out_is_gone() {
    let records = swarm(10, 6, 20, 3);
    let empty = BTreeSet::new();
    for record in &records {
        assert_eq!(collude(record, &empty, Cheat::Sleepers), *record);
        assert_eq!(leave_out(record, &empty), *record);
        let rest = leave_out(record, &first(&records, 2)).round.expect("a round");
        assert_eq!((rest.candidates.len(), rest.ballots.len()), (4, 4));
        let places = rest.ballots.iter().flat_map(|ballot| &ballot.scores).map(|s| s.candidate);
        assert!(places.into_iter().all(|at| at < 4));
    }
}

#[test]
fn a_lie_in_the_exam_costs_less_than_a_later_one_and_no_cheat_costs_nothing() {
    let records = swarm(120, 6, 3, 5);
    let [honest, early, late] =
        [(Cheat::Colluders, 0), (Cheat::Colluders, 2), (Cheat::Unaudited, 2)]
            .map(|(cheat, bad)| row(&records, cheat, Participation::Full, bad));
    assert_eq!((honest.cost.value, honest.lies), (0.0, 0.0));
    assert!(early.with.value >= late.with.value, "{early:?} {late:?}");
    assert!(late.lies > 0.0, "unaudited claims of trusted members decide some rounds: {late:?}");
}
