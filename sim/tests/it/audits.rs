//! Auditors recompute the claims of members, and hidden questions repeat the exam.

use std::time::Duration;

use shoal_consensus::{
    Outcome,
    reputation::{Likelihood, Standing},
};
use shoal_proto::NodeId;
use shoal_sim::{Behaviour, Sim};

fn is_lie(outcome: &Outcome) -> bool {
    outcome.winner().is_some_and(|winner| winner.text.ends_with("666"))
}

/// Runs rounds with a pause after each. Returns how often the lie won, and how often the truth.
async fn rounds(sim: &Sim, numbers: std::ops::Range<usize>) -> (usize, usize) {
    let (mut lies, mut right) = (0, 0);
    for n in numbers {
        let question = format!("How many eels are in basket {n}?");
        let outcome = sim.ask(&question).await.expect("an answer");
        lies += usize::from(is_lie(&outcome));
        right += usize::from(sim.is_right(&question, &outcome));
        // Audits run during the pauses of the clients.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    (lies, right)
}

#[tokio::test(start_paused = true)]
async fn the_claims_of_honest_members_count_in_the_end_and_no_audit_catches_them() {
    let sim = Sim::builder(4)
        .nodes(6, Behaviour::honest(0.7))
        .exam(3)
        .with_auditors()
        .panel(6, 6)
        .start()
        .await;
    rounds(&sim, 0..20).await;
    let standing = sim.swarm().standing();
    for number in 0..6 {
        assert_eq!(sim.times_caught(number), 0);
        assert!(claims_count(&standing, sim.node(number)), "{number}");
    }
    assert_eq!(sim.count("shoal_audits_total", "refuted"), 0);
    assert!(sim.count("shoal_audits_total", "confirmed") > 20);
}

#[tokio::test(start_paused = true)]
async fn without_an_auditor_no_claim_counts() {
    let sim = Sim::builder(4).nodes(4, Behaviour::honest(0.7)).exam(3).panel(4, 4).start().await;
    rounds(&sim, 0..10).await;
    let standing = sim.swarm().standing();
    assert!(!(0..4).any(|number| claims_count(&standing, sim.node(number))));
    assert!(sim.count("shoal_audits_total", "nobody") > 0);
}

/// Whether the certainty that a member claims is evidence.
fn claims_count(standing: &Standing, member: NodeId) -> bool {
    let claim = Likelihood { logprob: -0.1, bytes: 9 };
    standing.certainty_log_odds(&member, claim).is_some()
}

#[tokio::test(start_paused = true)]
async fn an_auditor_takes_part_in_nothing_else() {
    let sim = Sim::builder(1).nodes(3, Behaviour::honest(0.7)).with_auditors().start().await;
    assert_eq!(sim.count("shoal_members", "auditing"), 3);
    assert_eq!(sim.members().len(), 3);
    let members: Vec<_> = (0..3).map(|number| sim.node(number)).collect();
    for n in 0..5 {
        let outcome = sim.ask(&format!("Who is there, {n}?")).await.expect("an answer");
        assert!(outcome.candidates.iter().all(|candidate| members.contains(&candidate.writer)));
        assert!(outcome.ballots.iter().all(|ballot| members.contains(&ballot.judge)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_false_claim_is_caught_within_a_few_rounds() {
    let sim = Sim::builder(2)
        .nodes(6, Behaviour::honest(0.7))
        .node(Behaviour::sleeper(0.7))
        .exam(3)
        .with_auditors()
        .panel(7, 7)
        .start()
        .await;
    assert_eq!(sim.times_caught(6), 0, "it recognised the exam");
    rounds(&sim, 0..12).await;
    assert!(sim.times_caught(6) >= 1);
    assert!(sim.count("shoal_audits_total", "refuted") >= 1);
    assert!(sim.members().iter().any(|member| member.id == sim.node(6) && member.probation));
}

#[tokio::test(start_paused = true)]
async fn hidden_questions_alone_catch_a_member_that_is_honest_until_it_is_trusted() {
    // There is no auditor: its claims do not count, and they cannot reveal it either.
    let sim = Sim::builder(3)
        .nodes(5, Behaviour::honest(0.9))
        .node(Behaviour::turncoat(0.9))
        .exam(3)
        .panel(6, 6)
        .start()
        .await;
    rounds(&sim, 0..15).await;
    assert!((0..6).all(|number| sim.times_caught(number) == 0), "all were honest");
    sim.betray();
    let mut next = 15;
    while sim.times_caught(5) == 0 && next < 300 {
        rounds(&sim, next..next + 5).await;
        next += 5;
    }
    assert!(sim.times_caught(5) > 0, "not in {} rounds", next - 15);
    assert!((0..5).all(|number| sim.times_caught(number) == 0), "the others stayed honest");
}

#[tokio::test(start_paused = true)]
async fn liars_that_win_against_as_many_other_members_are_audited_and_caught() {
    let sim = Sim::builder(5)
        .nodes(3, Behaviour::honest(0.7))
        .nodes(2, Behaviour::turncoat(0.7))
        .exam(3)
        .with_auditors()
        // No random audit meets a member that is trusted.
        .reputation(|reputation| {
            reputation.audit.probability = 1.0;
            reputation.audit.probability_least = 0.0;
            reputation.audit.halving = 0.001;
        })
        .panel(5, 5)
        .start()
        .await;
    rounds(&sim, 0..10).await;
    sim.betray();
    let (lies, _) = rounds(&sim, 10..30).await;
    // With random audits alone the lie would win all 20.
    assert!(lies <= 5, "the lie won {lies} of 20");
    assert!(sim.times_caught(3) > 0 && sim.times_caught(4) > 0);
}
