//! What a judge is shown, and what its ballot is taken to say.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::Sampling,
    judge::{Ballot, BallotKind, Score},
};

use super::{
    pairs::{Beliefs, VerdictWeight},
    *,
};
use crate::judging::{JudgeTask, task::pools_for};
use crate::{
    ask::{Ask, Limits, Mode, Target},
    candidate::Candidate,
    settings::{JudgeSettings, RankSettings, RoundSettings},
    testing::{candidate, node},
};

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(7)
}

/// Every pair that a judge may see.
fn pairs(candidates: &[Candidate], judge: NodeId, rng: &mut ChaCha8Rng) -> Option<JudgeTask> {
    let pairs = pairs::every_pair(&pools_for(candidates, judge));
    JudgeTask::pairs(candidates, judge, &pairs, BallotKind::Pairwise, rng)
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
        let scores = JudgeTask::scores(&candidates, node(judge), &mut rng);
        let shown: BTreeSet<usize> = scores.iter().flat_map(|s| s.candidates_by_text.iter().flatten().copied()).collect();
        let others: BTreeSet<usize> =
            (0..candidates.len()).filter(|at| candidates[*at].writer != node(judge)).collect();
        prop_assert_eq!(shown, others);
        // Not even when it is told to.
        let some = [(0, 1), (0, 2), (1, 2)];
        let pair_task = JudgeTask::pairs(&candidates, node(judge), &some, BallotKind::Pairwise, &mut rng);
        for task in pair_task.iter().chain(&pairs(&candidates, node(judge), &mut rng)) {
            let own: Vec<usize> =
                candidates.iter().filter(|c| c.writer == node(judge)).map(|c| c.pool).collect();
            for at in task.candidates_by_text.iter().flatten() {
                prop_assert!(candidates[*at].writer != node(judge));
                prop_assert!(!own.contains(&candidates[*at].pool));
            }
        }
    }

    #[test]
    fn every_score_goes_to_the_text_it_was_given_for(seed: u64) {
        let candidates: Vec<Candidate> =
            (0u8..5).map(|n| candidate(n, &"x".repeat(usize::from(n % 3) + 1), usize::from(n % 3))).collect();
        let task = JudgeTask::scores(&candidates, node(9), &mut ChaCha8Rng::seed_from_u64(seed)).expect("a task");
        prop_assert_eq!(task.texts.len(), 3);
        let scores = task.texts.iter()
            .map(|text| Score { logprob: -(text.len() as f64), tokens: text.len() as u32 }).collect();
        let Verdicts::Scores(scores) = task.verdicts(&Ballot { scores, ..Ballot::default() }) else {
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
    let task = pairs(&candidates, node(9), &mut rng()).expect("a task");
    let ask = task.ask(&plain_ask(), None);
    assert_eq!(ask.pairs.len(), 6);
    let ballot = Ballot { verdicts: vec![1.0; 6], ..Ballot::default() };
    let Verdicts::Pairs(pairs) = task.verdicts(&ballot) else { panic!("pairs were asked for") };
    assert_eq!(pairs.len(), 3);
    assert!(pairs.iter().all(|pair| pair.p == 0.5 && pair.flipped));
}

#[test]
fn a_steady_verdict_is_turned_to_the_right_candidates() {
    let candidates = [candidate(0, "bad", 0), candidate(1, "good", 1)];
    let task = pairs(&candidates, node(9), &mut rng()).expect("a task");
    let ask = task.ask(&plain_ask(), None);
    let is_good = ask.pairs.iter().map(|pair| ask.candidates[pair.first as usize] == "good");
    let verdicts = is_good.map(|is_good| if is_good { 0.9 } else { 0.2 }).collect();
    let Verdicts::Pairs(pairs) = task.verdicts(&Ballot { verdicts, ..Ballot::default() }) else {
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
    assert!(JudgeTask::scores(&candidates, node(3), &mut rng()).is_none());
    assert!(pairs(&candidates, node(3), &mut rng()).is_none());
    assert!(pairs(&candidates, node(4), &mut rng()).is_none());
}

fn able(judge: u8, likelihood: bool) -> AbleJudge {
    let voice = VerdictWeight { weight: 1.0, discrimination: 1.0 };
    AbleJudge { judge: node(judge), likelihood, reasoned: false, voice }
}

/// Who is asked how much in each wave, when everybody answers and nothing is ever settled.
fn waves(
    candidates: &[Candidate],
    judges: Vec<AbleJudge>,
    settings: &JudgeSettings,
) -> Vec<Vec<(NodeId, usize, usize)>> {
    let mut queue = JudgeQueue::new(candidates, judges.into_iter(), settings, 7);
    let mu = vec![0.0; candidates.len()];
    let beliefs = Beliefs { mu: &mu, comparisons: &[], settings: &RankSettings::default() };
    let mut waves = Vec::new();
    while queue.has_more() {
        let wave = queue.wave(beliefs);
        wave.iter().for_each(|(judge, _)| queue.finish(*judge, true));
        let sizes = wave.iter().map(|(judge, task)| (*judge, task.texts.len(), task.pairs.len()));
        waves.push(sizes.collect());
    }
    waves
}

fn five() -> Vec<Candidate> {
    (0..5).map(|n| candidate(n, &n.to_string(), usize::from(n))).collect()
}

#[test]
fn the_next_judges_are_asked_only_after_the_first() {
    let settings = JudgeSettings::default();
    let judges = (10..15).map(|n| able(n, true)).collect();
    let judges_of_waves: Vec<Vec<NodeId>> = waves(&five(), judges, &settings)
        .into_iter()
        .map(|wave| wave.into_iter().map(|(judge, ..)| judge).collect())
        .collect();
    assert_eq!(
        judges_of_waves,
        [vec![node(10), node(11)], vec![node(12), node(13)], vec![node(14)]]
    );
}

#[test]
fn pairs_come_as_a_cycle_first_and_never_exceed_the_budget() {
    let settings = JudgeSettings { pairs_max: 8, ..Default::default() };
    let waves_of_ten = waves(&five(), vec![able(10, false)], &settings);
    assert_eq!(waves_of_ten.iter().map(|wave| wave[0].2).collect::<Vec<_>>(), [5, 2, 1]);
    // One of the five is its own: four pools have six pairs, then there is nothing left to ask.
    let waves_of_ten = waves(&five(), vec![able(0, false)], &settings);
    assert_eq!(waves_of_ten.iter().map(|wave| wave[0].2).collect::<Vec<_>>(), [4, 2]);
}

#[test]
fn who_can_say_why_is_asked_to_where_the_mode_has_time_for_it() {
    let candidates = five();
    let kinds = |settings: JudgeSettings| -> Vec<BallotKind> {
        let judges = [able(10, true), AbleJudge { reasoned: true, ..able(11, true) }];
        let settings = JudgeSettings { wave: 2, ..settings };
        let mut queue = JudgeQueue::new(&candidates, judges.into_iter(), &settings, 7);
        let mu = [0.0; 5];
        let beliefs = Beliefs { mu: &mu, comparisons: &[], settings: &RankSettings::default() };
        let wave = queue.wave(beliefs);
        wave.iter().map(|(_, task)| task.ask(&plain_ask(), None).kind()).collect()
    };
    let config = RoundSettings::default();
    let balanced_settings = config.of_mode(crate::ask::Mode::Balanced).judge;
    assert_eq!(kinds(balanced_settings), [BallotKind::Likelihood, BallotKind::Likelihood]);
    let deep = config.of_mode(crate::ask::Mode::Deep).judge;
    assert_eq!(kinds(deep), [BallotKind::Likelihood, BallotKind::Reasoned]);
}

#[test]
fn who_could_not_answer_is_asked_no_more() {
    let settings = JudgeSettings::default();
    let candidates = five();
    let mut queue = JudgeQueue::new(&candidates, [able(10, false)].into_iter(), &settings, 7);
    let mu = [0.0; 5];
    let beliefs = Beliefs { mu: &mu, comparisons: &[], settings: &RankSettings::default() };
    assert_eq!(queue.wave(beliefs).len(), 1);
    assert!(queue.wave(beliefs).is_empty(), "it has not answered yet");
    queue.finish(node(10), false);
    assert!(!queue.has_more());
}

fn ballot(a: usize, b: usize) -> CastBallot {
    CastBallot {
        judge: node(1),
        model: String::new(),
        reasoned: false,
        prompt_tokens: 3,
        took: std::time::Duration::from_secs(1),
        verdicts: Verdicts::Pairs(vec![crate::ballot::PairVerdict {
            a,
            b,
            p: 0.7,
            flipped: false,
        }]),
    }
}

#[test]
fn pairs_of_several_waves_are_one_ballot() {
    let mut ballots = Vec::new();
    count(&mut ballots, ballot(0, 1));
    count(&mut ballots, ballot(1, 2));
    let [ballot] = ballots.as_slice() else { panic!("one ballot") };
    assert_eq!(ballot.prompt_tokens, 6);
    assert!(matches!(&ballot.verdicts, Verdicts::Pairs(pairs) if pairs.len() == 2));
}

#[test]
fn two_thirds_are_rounded_up() {
    let quorums = [1, 2, 3, 4, 5, 6, 7].map(|n| quorum(n, 2.0 / 3.0));
    assert_eq!(quorums, [1, 2, 2, 3, 4, 4, 5]);
}

fn plain_ask() -> Ask {
    let effort = Limits::default().effort(Mode::Balanced);
    Ask::plain(Target::Swarm, Vec::new(), Sampling::default(), effort)
}
