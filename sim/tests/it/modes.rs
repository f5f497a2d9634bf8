//! What it means to ask for `shoal-fast`, `shoal-deep` or a fused answer.

use std::time::Duration;

use shoal_consensus::{Mode, outcome::Decided};
use shoal_sim::{Character, Sim};

const QUESTION: &str = "How many lanterns are there?";

/// Whatever writers agree on is judged all the same.
fn never_agreed(round: &mut shoal_consensus::RoundSettings) {
    round.agree.share = 2.0;
    round.fast.agree_share = 2.0;
}

#[tokio::test(start_paused = true)]
async fn judges_that_are_not_needed_are_not_asked() {
    let sim = Sim::builder(1)
        .nodes(8, Character::honest(1.0))
        .panel(5, 6)
        .exam(2)
        .round(never_agreed)
        .start()
        .await;
    let before = sim.witness().judged().len();
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decided::Judged);
    assert_eq!(outcome.ballots.len(), 2);
    assert_eq!(sim.witness().judged().len() - before, 2);
    assert_eq!(sim.count("shoal_judging_waves_total", ""), 1);
}

#[tokio::test(start_paused = true)]
async fn a_contested_round_asks_one_wave_after_the_other() {
    let contested = |round: &mut shoal_consensus::RoundSettings| {
        never_agreed(round);
        round.rank.tau = 2.0;
    };
    let sim =
        Sim::builder(2).nodes(8, Character::honest(0.5)).panel(5, 6).round(contested).start().await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.ballots.len(), 6);
    assert_eq!(sim.count("shoal_judging_waves_total", ""), 3);
}

#[tokio::test(start_paused = true)]
async fn a_silent_wave_is_followed_by_the_next() {
    let sim = Sim::builder(3)
        .nodes(2, Character::honest(0.5).silent_as_a_judge())
        .nodes(4, Character::honest(0.5))
        .panel(6, 6)
        .round(|round| {
            never_agreed(round);
            round.judge.wave = 1;
            round.rank.tau = 2.0;
        })
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.ballots.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn pairs_come_in_several_waves_and_are_one_ballot() {
    let sim = Sim::builder(4)
        .nodes(9, Character::honest(0.1).without_judging())
        .node(Character::honest(0.9).comparing().after(Duration::from_millis(50)))
        .panel(9, 1)
        .round(|round| {
            never_agreed(round);
            round.rank.tau = 2.0;
        })
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    let [ballot] = outcome.ballots.as_slice() else { panic!("{:?}", outcome.ballots) };
    let shoal_consensus::Verdicts::Pairs(pairs) = &ballot.verdicts else { panic!("pairs") };
    let mut known: Vec<(usize, usize)> =
        pairs.iter().map(|pair| (pair.a.min(pair.b), pair.a.max(pair.b))).collect();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), pairs.len(), "no pair is asked twice");
    assert!(sim.count("shoal_judging_waves_total", "") > 1);
}

#[tokio::test(start_paused = true)]
async fn a_fast_round_never_waits_for_pairs() {
    for (mode, comparing_judge) in [(Mode::Balanced, true), (Mode::Fast, false)] {
        let sim = Sim::builder(5)
            .nodes(3, Character::honest(0.5))
            .nodes(3, Character::honest(0.5).comparing())
            .panel(3, 6)
            .mode(mode)
            .round(|round| {
                never_agreed(round);
                round.rank.tau = 2.0;
                round.fast.tau = 2.0;
            })
            .start()
            .await;
        for n in 0..6 {
            sim.ask(&format!("{QUESTION} {n}")).await.expect("an answer");
        }
        assert_eq!(sim.witness().judged().iter().any(|one| one.node >= 3), comparing_judge);
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_agree_end_a_fast_round() {
    let ended = async |mode| {
        let sim = Sim::builder(6)
            .nodes(2, Character::honest(1.0))
            .node(Character::honest(0.0))
            .panel(3, 3)
            .exam(3)
            .mode(mode)
            .round(|round| round.agree.audit = 0.0)
            .start()
            .await;
        let outcome = sim.ask(QUESTION).await.expect("an answer");
        assert!(sim.is_right(QUESTION, &outcome));
        outcome.decided
    };
    assert_eq!(ended(Mode::Fast).await, Decided::Agreement);
    assert_eq!(ended(Mode::Balanced).await, Decided::Judged);
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_is_judged_all_the_same_is_counted() {
    let sim = Sim::builder(7)
        .nodes(5, Character::honest(1.0))
        .exam(2)
        .round(|round| round.agree.audit = 1.0)
        .start()
        .await;
    for n in 0..3 {
        let outcome = sim.ask(&format!("{QUESTION} {n}")).await.expect("an answer");
        assert_eq!(outcome.decided, Decided::Judged);
    }
    assert_eq!(sim.count("shoal_agreement_audits_total", "right"), 3);
    assert_eq!(sim.count("shoal_agreement_audits_total", "wrong"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fused_answer_is_written_by_a_member_and_marked() {
    let sim =
        Sim::builder(8).nodes(5, Character::honest(0.5)).fused().round(never_agreed).start().await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decided::Fused);
    let fused = outcome.fused.as_ref().expect("a fused answer");
    assert!(sim.members().iter().any(|member| member.id == fused.writer));
    assert_eq!(outcome.winner().map(|one| &one.text), Some(&fused.text));
    assert_eq!(sim.count("shoal_fusions_total", "fused"), 1);
    assert!(outcome.timings.fuse > Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn near_the_deadline_the_winner_is_sent_unfused() {
    let sim = Sim::builder(9)
        .nodes(5, Character::honest(0.5).after(Duration::from_millis(4_500)))
        .fused()
        .deadline(Duration::from_secs(10))
        .round(|round| {
            never_agreed(round);
            round.rank.tau = 2.0;
        })
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert!(outcome.fused.is_none());
    assert_eq!(sim.count("shoal_fusions_total", "late"), 1);
    assert!(outcome.timings.total <= Duration::from_secs(10), "{:?}", outcome.timings);
}

/// Rounds of six writers and six judges of whom each knows a third of all answers: how many were
/// right, and how many ballots were cast.
async fn judged_until(tau: f64, wave: usize, seeds: u64) -> (usize, usize, usize) {
    let (mut rounds, mut right, mut ballots) = (0, 0, 0);
    for seed in 0..seeds {
        let sim = Sim::builder(seed)
            .nodes(6, Character::honest(0.35))
            .panel(6, 6)
            .exam(3)
            .audited()
            .round(|round| {
                never_agreed(round);
                round.rank.tau = tau;
                round.judge.wave = wave;
            })
            .start()
            .await;
        // A claim of certainty counts once three have held, not all of them in the exam.
        for n in 0..12 {
            sim.ask(&format!("{QUESTION} before {n}")).await.expect("an answer");
            sim.until_idle().await;
        }
        for n in 0..20 {
            let question = format!("{QUESTION} {n}");
            let outcome = sim.ask(&question).await.expect("an answer");
            rounds += 1;
            right += usize::from(sim.is_right(&question, &outcome));
            ballots += outcome.ballots.len();
        }
    }
    (rounds, right, ballots)
}

/// Prints the second table of eval/results/consensus-adaptive.md, and holds what it says.
#[tokio::test(start_paused = true)]
async fn judging_in_waves_costs_fewer_ballots_and_hardly_an_answer() {
    let seeds = std::env::var("SHOAL_WAVES_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    println!("| stop at P(best) | judges a wave | right | ballots a round |\n|---|---|---|---|");
    let mut told = Vec::new();
    for (tau, wave) in [(0.8, 2), (0.9, 2), (0.95, 1), (0.95, 2), (0.95, 6), (0.99, 2), (2.0, 6)] {
        let (rounds, right, ballots) = judged_until(tau, wave, seeds).await;
        let share = |count: usize| count as f64 / rounds as f64;
        let name = if tau > 1.0 { "never".to_owned() } else { tau.to_string() };
        println!("| {name} | {wave} | {:.3} | {:.2} |", share(right), share(ballots));
        told.push((tau, wave, share(right), share(ballots)));
    }
    let at = |tau: f64, wave: usize| {
        let found = told.iter().find(|one| (one.0, one.1) == (tau, wave));
        found.map(|one| (one.2, one.3)).expect("measured")
    };
    let ((right, ballots), (all_right, all_ballots)) = (at(0.95, 2), at(2.0, 6));
    assert!(ballots < 0.8 * all_ballots, "{ballots} of {all_ballots}");
    assert!(right > all_right - 0.07, "{right} against {all_right}");
}

#[tokio::test(start_paused = true)]
async fn one_silent_judge_holds_nobody_up_for_long() {
    let sim = Sim::builder(10)
        .nodes(5, Character::honest(1.0))
        .node(Character::honest(1.0).silent_as_a_judge())
        .panel(5, 6)
        .round(never_agreed)
        .start()
        .await;
    for n in 0..10 {
        let outcome = sim.ask(&format!("{QUESTION} {n}")).await.expect("an answer");
        assert!(outcome.timings.judge < Duration::from_secs(2), "{:?}", outcome.timings);
    }
}
