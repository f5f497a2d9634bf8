//! A judge is examined in every way of judging that rounds use, and each way counts for itself.

use std::time::Duration;

use shoal_consensus::{
    Mode,
    reputation::{ComparisonMode, KindPosterior, Likelihood, Record},
};
use shoal_sim::{Behaviour, Builder, Sim};

const REASONED_MAX: usize = 14;

fn swarm(seed: u64) -> Builder {
    Sim::builder(seed)
        .nodes(4, Behaviour::honest(0.6))
        .node(Behaviour::honest(0.8).with_reasons())
        .node(Behaviour::honest(0.8).with_inverted_reasons())
        .node(Behaviour::honest(0.8).with_pair_judging().with_inverted_reasons())
        .exam(4)
        .swarm(|swarm| swarm.exam.reasoned_max = REASONED_MAX)
        // Every judge of every round is asked.
        .round(|round| {
            round.agree.share = 2.0;
            round.rank.tau = 2.0;
        })
        .panel(7, 7)
}

fn record(sim: &Sim, number: usize) -> Record {
    sim.swarm().standing().record(&sim.node(number)).expect("a member").clone()
}

#[tokio::test(start_paused = true)]
async fn likelihoods_and_pairs_and_reasons_have_gold_of_their_own() {
    let sim = swarm(3).start().await;
    let standing = sim.swarm().standing();
    for (number, scores, at_once, with_reasons) in [
        (0, true, false, false),
        (4, true, false, true),
        (5, true, false, true),
        (6, false, true, true),
    ] {
        let record = record(&sim, number);
        assert_eq!(!record.scores.is_empty(), scores, "{number}");
        assert_eq!(record.pairs_when(ComparisonMode::Direct).count() > 10, at_once, "{number}");
        let count = record.pairs_when(ComparisonMode::Reasoned).count();
        assert_eq!(count, if with_reasons { REASONED_MAX } else { 0 }, "{number}");
    }
    assert!(discrimination(&sim, 4, ComparisonMode::Reasoned) > 0.5);
    // Its likelihoods are as good as those of node 4, although its reasons are inverted.
    assert!(discrimination(&sim, 5, ComparisonMode::Reasoned) < 0.0);
    let likelihood = Likelihood { logprob: -0.5, bytes: 9 };
    let opinions = standing.opinions(&sim.node(5), &[vec![likelihood]]);
    assert!(opinions[0].is_some_and(|opinion| opinion.gold > 0.5), "{opinions:?}");
    assert!(discrimination(&sim, 6, ComparisonMode::Direct) > 0.5);
    assert!(discrimination(&sim, 6, ComparisonMode::Reasoned) < 0.0);
}

fn discrimination(sim: &Sim, number: usize, mode: ComparisonMode) -> f64 {
    sim.swarm().standing().discrimination(&sim.node(number), mode, &KindPosterior::default())
}

#[tokio::test(start_paused = true)]
async fn hidden_audits_ask_for_the_ballots_that_rounds_ask_for() {
    for (mode, reasons) in [(Mode::Balanced, false), (Mode::Deep, true)] {
        let sim = swarm(5).mode(mode).start().await;
        let before = pair_counts(&sim);
        for n in 0..40 {
            sim.ask(&format!("How many oars has boat {n}?")).await.expect("an answer");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let after = pair_counts(&sim);
        assert_eq!(after.0 > before.0, !reasons, "{mode:?}: {before:?} {after:?}");
        assert_eq!(after.1 > before.1, reasons, "{mode:?}: {before:?} {after:?}");
    }
}

/// The pairs in the record of node 6: those judged at once, and those judged with reasons.
fn pair_counts(sim: &Sim) -> (usize, usize) {
    let record = record(sim, 6);
    (
        record.pairs_when(ComparisonMode::Direct).count(),
        record.pairs_when(ComparisonMode::Reasoned).count(),
    )
}
