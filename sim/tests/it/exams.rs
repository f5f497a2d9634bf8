//! A judge is examined in every way that rounds ask of it, and each way counts for itself.

use std::time::Duration;

use shoal_consensus::{
    Mode,
    reputation::{ComparisonMode, KindPosterior, Likelihood, Record},
};
use shoal_sim::{Builder, Character, Sim};

const REASONED_MAX: usize = 14;

fn swarm(seed: u64) -> Builder {
    Sim::builder(seed)
        .nodes(4, Character::honest(0.6))
        .node(Character::honest(0.8).reasoning())
        .node(Character::honest(0.8).reasoning_backwards())
        .node(Character::honest(0.8).comparing().reasoning_backwards())
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
async fn likelihoods_and_pairs_and_reasons_each_have_their_own_gold() {
    let sim = swarm(3).start().await;
    let standing = sim.swarm().standing();
    for (number, scores, at_once, reasoned) in [
        (0, true, false, false),
        (4, true, false, true),
        (5, true, false, true),
        (6, false, true, true),
    ] {
        let record = record(&sim, number);
        assert_eq!(!record.scores.is_empty(), scores, "{number}");
        assert_eq!(record.pairs_when(ComparisonMode::Direct).count() > 10, at_once, "{number}");
        let with_reasons = record.pairs_when(ComparisonMode::Reasoned).count();
        assert_eq!(with_reasons, if reasoned { REASONED_MAX } else { 0 }, "{number}");
    }
    let weighed =
        |number, way| standing.discrimination(&sim.node(number), way, &KindPosterior::default());
    assert!(weighed(4, ComparisonMode::Reasoned) > 0.5);
    // Its likelihoods are as good as the other's, whatever its reasons are worth.
    assert!(weighed(5, ComparisonMode::Reasoned) < 0.0);
    assert!(standing.score_log_odds(&sim.node(5), Likelihood { logprob: -0.5, bytes: 9 }) > 0.5);
    assert!(weighed(6, ComparisonMode::Direct) > 0.5 && weighed(6, ComparisonMode::Reasoned) < 0.0);
}

#[tokio::test(start_paused = true)]
async fn hidden_audits_ask_for_the_ballots_that_rounds_ask_for() {
    for (mode, reasons) in [(Mode::Balanced, false), (Mode::Deep, true)] {
        let sim = swarm(5).mode(mode).start().await;
        let audited = |sim: &Sim, way| record(sim, 6).pairs_when(way).count();
        let before =
            (audited(&sim, ComparisonMode::Direct), audited(&sim, ComparisonMode::Reasoned));
        for n in 0..20 {
            sim.ask(&format!("How many oars has boat {n}?")).await.expect("an answer");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let after =
            (audited(&sim, ComparisonMode::Direct), audited(&sim, ComparisonMode::Reasoned));
        assert_eq!(after.0 > before.0, !reasons, "{mode:?}: {before:?} {after:?}");
        assert_eq!(after.1 > before.1, reasons, "{mode:?}: {before:?} {after:?}");
    }
}
