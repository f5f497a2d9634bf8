//! Judges never see their own candidates, and only their verdicts count.

use shoal_consensus::{CastBallot, Outcome, Verdicts, outcome::Decision};
use shoal_sim::{Behaviour, Sim};

const QUESTION: &str = "How many gulls are there?";

/// Has every round judged, even if the writers agree.
fn always_judged(round: &mut shoal_consensus::RoundSettings) {
    round.agree.share = 2.0;
    round.rank.tau = 2.0;
}

#[tokio::test(start_paused = true)]
async fn a_judge_never_sees_its_own_candidate() {
    let mut candidates = 0;
    for seed in 0..10 {
        let sim = Sim::builder(seed)
            .nodes(3, Behaviour::honest(0.5))
            .nodes(3, Behaviour::honest(0.5).with_pair_judging())
            .panel(5, 6)
            .round(always_judged)
            .start()
            .await;
        for n in 0..5 {
            sim.ask(&format!("{QUESTION} {n}")).await.expect("an answer");
        }
        for call in sim.recorder().judge_calls() {
            let own = format!("As node-{} works", call.node);
            assert!(call.candidates.iter().all(|text| !text.starts_with(&own)), "{call:?}");
            candidates += call.candidates.len();
        }
    }
    assert!(candidates > 500, "{candidates}");
}

#[tokio::test(start_paused = true)]
async fn partial_ballots_count() {
    let sim = Sim::builder(1)
        .node(Behaviour::honest(0.5))
        .node(Behaviour::honest(0.5).with_silent_judging())
        .node(Behaviour::honest(0.5).with_failing_judging())
        .panel(3, 3)
        .round(always_judged)
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decision::Judged);
    let judges: Vec<_> = outcome.ballots.iter().map(|ballot| ballot.judge).collect();
    assert_eq!(judges, [sim.node(0)]);
    assert_eq!(sim.count("shoal_ballots_total", "counted"), 1);
    assert_eq!(sim.count("shoal_ballots_total", "failed"), 1);
    assert_eq!(sim.count("shoal_ballots_total", "late"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_any_ballot_the_documented_fallback_decides() {
    let sim = Sim::builder(2)
        .nodes(5, Behaviour::honest(1.0).with_failing_judging())
        .round(always_judged)
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decision::Fallback);
    assert!(sim.is_right(QUESTION, &outcome));
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_always_prefers_the_first_changes_nothing() {
    let mut neutral_ballots = 0;
    for seed in 0..10 {
        let with = round_beside(seed, Behaviour::honest(0.5).with_first_preference()).await;
        let without = round_beside(seed, Behaviour::honest(0.5).with_failing_judging()).await;
        neutral_ballots += with.ballots.iter().filter(|ballot| is_neutral(ballot)).count();
        let text = with.winner().map(|winner| &winner.text);
        assert_eq!(text, without.winner().map(|winner| &winner.text), "seed {seed}");
    }
    assert!(neutral_ballots >= 5, "the judge cast only {neutral_ballots} ballots");
}

/// Whether a ballot prefers neither candidate of any pair. Each pair is shown in both orders, so a
/// judge that always prefers the first casts such ballots.
fn is_neutral(ballot: &CastBallot) -> bool {
    match &ballot.verdicts {
        Verdicts::Pairs(pairs) => pairs.iter().all(|pair| pair.p == 0.5),
        _ => false,
    }
}

/// One round of five honest judges and one with this behaviour.
async fn round_beside(seed: u64, behaviour: Behaviour) -> Outcome {
    let sim = Sim::builder(seed)
        .nodes(5, Behaviour::honest(0.5))
        .node(behaviour)
        .panel(6, 6)
        .exam(2)
        .round(always_judged)
        .start()
        .await;
    sim.ask(QUESTION).await.expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn members_that_know_the_answer_are_believed_once_their_claims_are_audited() {
    let mut right = 0;
    let mut by_majority = 0;
    for seed in 0..5 {
        // Each member knows a third of the answers; together they know most of them.
        let sim = Sim::builder(seed)
            .nodes(6, Behaviour::honest(0.35))
            .panel(6, 6)
            .exam(3)
            .with_auditors()
            .round(always_judged)
            .start()
            .await;
        for n in 0..20 {
            let question = format!("{QUESTION} {n}");
            let outcome = sim.ask(&question).await.expect("an answer");
            right += usize::from(sim.is_right(&question, &outcome));
            by_majority += usize::from(sim.is_right(&question, &majority(&outcome)));
        }
    }
    assert!(right >= by_majority + 10, "{right} against {by_majority} of 100");
}

/// The outcome of the same round under a majority vote.
fn majority(outcome: &Outcome) -> Outcome {
    let pools: Vec<usize> = outcome.candidates.iter().map(|candidate| candidate.pool).collect();
    let winner = (0..pools.len())
        .rev()
        .max_by_key(|&index| pools.iter().filter(|&&pool| pool == pools[index]).count())
        .expect("a candidate");
    Outcome { winner, ..outcome.clone() }
}
