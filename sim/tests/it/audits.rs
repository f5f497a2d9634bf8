//! Members are held to their word, and to what they did when they were examined.

use std::time::Duration;

use shoal_consensus::{Outcome, reputation::Likelihood};
use shoal_sim::{Character, Sim};

fn lied(outcome: &Outcome) -> bool {
    outcome.winner().is_some_and(|winner| winner.text.ends_with("666"))
}

/// Rounds of one swarm, each with time to settle: how often the lie won, and the truth.
async fn rounds(sim: &Sim, numbers: std::ops::Range<usize>) -> (usize, usize) {
    let (mut lies, mut right) = (0, 0);
    for n in numbers {
        let question = format!("How many eels are in basket {n}?");
        let outcome = sim.ask(&question).await.expect("an answer");
        lies += usize::from(lied(&outcome));
        right += usize::from(sim.is_right(&question, &outcome));
        // Clients do not ask without a pause, and audits go on meanwhile.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    (lies, right)
}

#[tokio::test(start_paused = true)]
async fn an_honest_members_claims_come_to_count_and_nobody_honest_is_caught() {
    let sim = Sim::builder(4)
        .nodes(6, Character::honest(0.7))
        .exam(3)
        .audited()
        .panel(6, 6)
        .start()
        .await;
    rounds(&sim, 0..20).await;
    let standing = sim.swarm().standing();
    for number in 0..6 {
        assert_eq!(sim.caught(number), 0);
        assert!(
            standing
                .certainty_log_odds(&sim.node(number), Likelihood { logprob: -0.1, bytes: 9 })
                .is_some(),
            "{number}"
        );
    }
    assert_eq!(sim.count("shoal_audits_total", "refuted"), 0);
    assert!(sim.count("shoal_audits_total", "confirmed") > 20);
}

#[tokio::test(start_paused = true)]
async fn without_an_auditor_no_claim_counts() {
    let sim = Sim::builder(4).nodes(4, Character::honest(0.7)).exam(3).panel(4, 4).start().await;
    rounds(&sim, 0..10).await;
    let standing = sim.swarm().standing();
    let counts = |number| {
        standing
            .certainty_log_odds(&sim.node(number), Likelihood { logprob: -0.1, bytes: 9 })
            .is_some()
    };
    assert!(!(0..4).any(counts));
    assert!(sim.count("shoal_audits_total", "nobody") > 0);
}

#[tokio::test(start_paused = true)]
async fn an_auditor_takes_part_in_nothing_else() {
    let sim = Sim::builder(1).nodes(3, Character::honest(0.7)).audited().start().await;
    assert_eq!(sim.count("shoal_members", "auditing"), 3);
    assert_eq!(sim.members().len(), 3);
    let members: Vec<_> = (0..3).map(|number| sim.node(number)).collect();
    for n in 0..5 {
        let outcome = sim.ask(&format!("Who is there, {n}?")).await.expect("an answer");
        assert!(outcome.candidates.iter().all(|one| members.contains(&one.writer)));
        assert!(outcome.ballots.iter().all(|one| members.contains(&one.judge)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_refuted_is_caught_within_a_few_rounds() {
    let sim = Sim::builder(2)
        .nodes(6, Character::honest(0.7))
        .node(Character::sleeper(0.7))
        .exam(3)
        .audited()
        .panel(7, 7)
        .start()
        .await;
    assert_eq!(sim.caught(6), 0, "it knew the exam for one");
    rounds(&sim, 0..12).await;
    assert!(sim.caught(6) >= 1);
    assert!(sim.count("shoal_audits_total", "refuted") >= 1);
    assert!(sim.members().iter().any(|member| member.id == sim.node(6) && member.probation));
}

#[tokio::test(start_paused = true)]
async fn one_that_behaves_until_it_is_trusted_is_found_by_hidden_questions_alone() {
    // No auditor: nothing of what it claims counts, and nothing that it claims gives it away.
    let sim = Sim::builder(3)
        .nodes(5, Character::honest(0.9))
        .node(Character::turncoat(0.9))
        .exam(3)
        .panel(6, 6)
        .start()
        .await;
    rounds(&sim, 0..15).await;
    let caught: u32 = (0..6).map(|number| sim.caught(number)).sum();
    assert_eq!(caught, 0, "all were honest");
    sim.betray();
    let mut until = 15;
    while sim.caught(5) == 0 && until < 300 {
        rounds(&sim, until..until + 5).await;
        until += 5;
    }
    assert!(sim.caught(5) > 0, "not in {} rounds", until - 15);
    let caught: u32 = (0..5).map(|number| sim.caught(number)).sum();
    assert_eq!(caught, 0, "the others stayed honest");
}

#[tokio::test(start_paused = true)]
async fn liars_that_win_against_as_many_others_are_caught_by_it() {
    // By lot nobody is audited any more once it is trusted.
    let seldom = |reputation: &mut shoal_consensus::reputation::Settings| {
        reputation.audit.probability = 1.0;
        reputation.audit.probability_least = 0.0;
        reputation.audit.halving = 0.001;
    };
    let sim = Sim::builder(5)
        .nodes(3, Character::honest(0.7))
        .nodes(2, Character::turncoat(0.7))
        .exam(3)
        .audited()
        .reputation(seldom)
        .panel(5, 5)
        .start()
        .await;
    rounds(&sim, 0..10).await;
    sim.betray();
    let (lies, _) = rounds(&sim, 10..30).await;
    // All 20, were only those audited whom the lot falls on.
    assert!(lies <= 5, "the lie won {lies} of 20");
    assert!(sim.caught(3) > 0 && sim.caught(4) > 0);
}
