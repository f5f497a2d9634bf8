//! Judges see what they may see, and no more than their verdicts counts.

use shoal_consensus::{Outcome, Verdicts, outcome::Decided};
use shoal_sim::{Character, Sim};

const QUESTION: &str = "How many gulls are there?";

/// Whatever writers agree on is judged all the same.
fn always_judged(round: &mut shoal_consensus::RoundSettings) {
    round.agree.share = 2.0;
    round.rank.tau = 2.0;
}

#[tokio::test(start_paused = true)]
async fn a_judge_never_sees_its_own_candidate() {
    let mut shown = 0;
    for seed in 0..10 {
        let sim = Sim::builder(seed)
            .nodes(3, Character::honest(0.5))
            .nodes(3, Character::honest(0.5).comparing())
            .panel(5, 6)
            .round(always_judged)
            .start()
            .await;
        for n in 0..5 {
            sim.ask(&format!("{QUESTION} {n}")).await.expect("an answer");
        }
        for judged in sim.witness().judged() {
            let own = format!("As node-{} works", judged.node);
            assert!(judged.candidates.iter().all(|text| !text.starts_with(&own)), "{judged:?}");
            shown += judged.candidates.len();
        }
    }
    assert!(shown > 500, "{shown}");
}

#[tokio::test(start_paused = true)]
async fn partial_ballots_count() {
    let sim = Sim::builder(1)
        .node(Character::honest(0.5))
        .node(Character::honest(0.5).silent_as_a_judge())
        .node(Character::honest(0.5).dying_as_a_judge())
        .panel(3, 3)
        .round(always_judged)
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decided::Judged);
    let judges: Vec<_> = outcome.ballots.iter().map(|ballot| ballot.judge).collect();
    assert_eq!(judges, [sim.node(0)]);
    assert_eq!(sim.count("shoal_ballots_total", "counted"), 1);
    assert_eq!(sim.count("shoal_ballots_total", "failed"), 1);
    assert_eq!(sim.count("shoal_ballots_total", "late"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_any_ballot_the_stated_fallback_decides() {
    let sim = Sim::builder(2)
        .nodes(5, Character::honest(1.0).dying_as_a_judge())
        .round(always_judged)
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decided::Fallback);
    assert!(sim.is_right(QUESTION, &outcome));
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_always_says_first_changes_nothing() {
    let mut heard = 0;
    for seed in 0..10 {
        let with = round_beside(seed, Character::honest(0.5).preferring_the_first()).await;
        let without = round_beside(seed, Character::honest(0.5).dying_as_a_judge()).await;
        let first = |ballot: &&shoal_consensus::CastBallot| matches!(&ballot.verdicts, Verdicts::Pairs(pairs) if pairs.iter().all(|pair| pair.p == 0.5));
        heard += with.ballots.iter().filter(first).count();
        let text = |outcome: &Outcome| outcome.winner().map(|winner| winner.text.clone());
        assert_eq!(text(&with), text(&without), "seed {seed}");
    }
    assert!(heard >= 5, "it was hardly heard: {heard}");
}

/// One round of five whose judging is honest, and one of another kind.
async fn round_beside(seed: u64, other: Character) -> Outcome {
    let sim = Sim::builder(seed)
        .nodes(5, Character::honest(0.5))
        .node(other)
        .panel(6, 6)
        .exam(2)
        .round(always_judged)
        .start()
        .await;
    sim.ask(QUESTION).await.expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn those_who_know_are_believed_once_their_claims_were_audited() {
    let mut right = 0;
    let mut by_majority = 0;
    for seed in 0..5 {
        // Each knows a third; together they know most.
        let sim = Sim::builder(seed)
            .nodes(6, Character::honest(0.35))
            .panel(6, 6)
            .exam(3)
            .audited()
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

/// The same round as a majority vote decides it.
fn majority(outcome: &Outcome) -> Outcome {
    let votes = |pool: usize| outcome.candidates.iter().filter(|one| one.pool == pool).count();
    let winner = (0..outcome.candidates.len())
        .rev()
        .max_by_key(|at| votes(outcome.candidates[*at].pool))
        .unwrap_or(0);
    Outcome { winner, ..outcome.clone() }
}
