//! What the replacement of members promises.

use super::*;
use crate::replay::tests::swarm;

fn first(asked: &[Asked], count: usize) -> BTreeSet<String> {
    writers(asked).into_iter().take(count).collect()
}

#[test]
fn colluders_say_the_likeliest_wrong_thing_and_are_found_as_likely_as_whoever_said_it() {
    let asked = swarm(20, 6, 20, 3);
    let bad = first(&asked, 2);
    for one in &asked {
        let cheated = collude(one, &bad, Cheat::Colluders);
        let (round, before) = (cheated.round.expect("a round"), one.round.as_ref().expect("one"));
        let lie = likeliest_wrong(one, before, &bad).expect("somebody is wrong");
        for (at, candidate) in round.candidates.iter().enumerate() {
            if bad.contains(&candidate.writer) {
                assert_eq!(candidate.text, before.candidates[lie].text);
                assert_eq!((candidate.logprob, cheated.rights[at]), (Some(0.0), false));
            } else {
                assert_eq!(*candidate, before.candidates[at]);
                assert_eq!(cheated.rights[at], one.rights[at]);
            }
        }
        for (ballot, old) in round.ballots.iter().zip(&before.ballots) {
            assert!(
                ballot.scores.iter().all(|s| round.candidates[s.candidate].writer != ballot.judge)
            );
            let of = |from: &Ballot, at| {
                from.scores.iter().find(|score| score.candidate == at).map(|score| score.logprob)
            };
            for (at, candidate) in round.candidates.iter().enumerate() {
                let is_bad = bad.contains(&candidate.writer);
                let expected = match (bad.contains(&ballot.judge), is_bad) {
                    _ if candidate.writer == ballot.judge => None,
                    (true, true) => Some(0.0),
                    (true, false) => Some(NEVER),
                    (false, true) => of(old, lie),
                    (false, false) => of(old, at),
                };
                assert_eq!(of(ballot, at), expected);
            }
        }
    }
}

#[test]
fn nobody_cheats_where_there_is_no_cheat_and_who_is_left_out_is_gone() {
    let asked = swarm(10, 6, 20, 3);
    let nobody = BTreeSet::new();
    for one in &asked {
        assert_eq!(collude(one, &nobody, Cheat::Sleepers), *one);
        assert_eq!(leave_out(one, &nobody), *one);
        let left = leave_out(one, &first(&asked, 2)).round.expect("a round");
        assert_eq!((left.candidates.len(), left.ballots.len()), (4, 4));
        let places = left.ballots.iter().flat_map(|ballot| &ballot.scores).map(|s| s.candidate);
        assert!(places.into_iter().all(|at| at < 4));
    }
}

#[test]
fn who_lies_in_its_exam_costs_less_than_who_waits_and_nothing_is_lost_without_cheats() {
    let asked = swarm(120, 6, 3, 5);
    let cost = |cheat, bad| row(&asked, cheat, Company::Everybody, bad);
    let none = cost(Cheat::Colluders, 0);
    assert_eq!((none.cost.value, none.lied), (0.0, 0.0));
    let (early, late) = (cost(Cheat::Colluders, 2), cost(Cheat::Unaudited, 2));
    assert!(early.with.value >= late.with.value, "{early:?} {late:?}");
    assert!(late.lied > 0.0, "unaudited claims of trusted members decide some rounds: {late:?}");
}
