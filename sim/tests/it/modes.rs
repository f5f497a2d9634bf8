//! The modes of a round: fast, balanced, deep, and fused answers.

use std::time::Duration;

use shoal_consensus::{Mode, outcome::Decision};
use shoal_sim::{Behaviour, Sim};

const QUESTION: &str = "How many lanterns are there?";

/// Has every round judged, even if the writers agree.
fn never_agreed(round: &mut shoal_consensus::RoundSettings) {
    round.agree.share = 2.0;
    round.fast.agree_share = 2.0;
}

#[tokio::test(start_paused = true)]
async fn judges_that_are_not_needed_are_not_asked() {
    let sim = Sim::builder(1)
        .nodes(8, Behaviour::honest(1.0))
        .panel(5, 6)
        .exam(2)
        .round(never_agreed)
        .start()
        .await;
    let before = sim.recorder().judge_calls().len();
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decision::Judged);
    assert_eq!(outcome.ballots.len(), 2);
    assert_eq!(sim.recorder().judge_calls().len() - before, 2);
    assert_eq!(sim.count("shoal_judging_waves_total", ""), 1);
}

#[tokio::test(start_paused = true)]
async fn a_contested_round_asks_one_wave_after_the_other() {
    let sim = Sim::builder(2)
        .nodes(8, Behaviour::honest(0.5))
        .panel(5, 6)
        .round(|round| {
            never_agreed(round);
            round.rank.tau = 2.0;
        })
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.ballots.len(), 6);
    assert_eq!(sim.count("shoal_judging_waves_total", ""), 3);
}

#[tokio::test(start_paused = true)]
async fn a_silent_wave_is_followed_by_the_next() {
    let sim = Sim::builder(3)
        .nodes(2, Behaviour::honest(0.5).with_silent_judging())
        .nodes(4, Behaviour::honest(0.5))
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
        .nodes(9, Behaviour::honest(0.1).without_judging())
        .node(Behaviour::honest(0.9).with_pair_judging().with_delay(Duration::from_millis(50)))
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
    let mut pair_set: Vec<(usize, usize)> =
        pairs.iter().map(|pair| (pair.a.min(pair.b), pair.a.max(pair.b))).collect();
    pair_set.sort_unstable();
    pair_set.dedup();
    assert_eq!(pair_set.len(), pairs.len(), "no pair is asked twice");
    assert!(sim.count("shoal_judging_waves_total", "") > 1);
}

#[tokio::test(start_paused = true)]
async fn a_fast_round_never_waits_for_pairs() {
    for (mode, comparing_judge) in [(Mode::Balanced, true), (Mode::Fast, false)] {
        let sim = Sim::builder(5)
            .nodes(3, Behaviour::honest(0.5))
            .nodes(3, Behaviour::honest(0.5).with_pair_judging())
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
        assert_eq!(sim.recorder().judge_calls().iter().any(|call| call.node >= 3), comparing_judge);
    }
}

#[tokio::test(start_paused = true)]
async fn two_writers_that_agree_end_a_fast_round() {
    for (mode, decision) in [(Mode::Fast, Decision::Agreement), (Mode::Balanced, Decision::Judged)]
    {
        let sim = Sim::builder(6)
            .nodes(2, Behaviour::honest(1.0))
            .node(Behaviour::honest(0.0))
            .panel(3, 3)
            .exam(3)
            .mode(mode)
            .round(|round| round.agree.audit = 0.0)
            .start()
            .await;
        let outcome = sim.ask(QUESTION).await.expect("an answer");
        assert!(sim.is_right(QUESTION, &outcome));
        assert_eq!(outcome.decided, decision, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_is_judged_as_an_audit_is_counted() {
    let sim = Sim::builder(7)
        .nodes(5, Behaviour::honest(1.0))
        .exam(2)
        .round(|round| round.agree.audit = 1.0)
        .start()
        .await;
    for n in 0..3 {
        let outcome = sim.ask(&format!("{QUESTION} {n}")).await.expect("an answer");
        assert_eq!(outcome.decided, Decision::Judged);
    }
    assert_eq!(sim.count("shoal_agreement_audits_total", "right"), 3);
    assert_eq!(sim.count("shoal_agreement_audits_total", "wrong"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fused_answer_is_written_by_a_member_and_marked() {
    let sim = Sim::builder(8)
        .nodes(5, Behaviour::honest(0.5))
        .with_fusion()
        .round(never_agreed)
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decision::Fused);
    let fusion = outcome.fused.as_ref().expect("a fused answer");
    assert!(sim.members().iter().any(|member| member.id == fusion.writer));
    assert_eq!(outcome.winner().map(|winner| &winner.text), Some(&fusion.text));
    assert_eq!(sim.count("shoal_fusions_total", "fused"), 1);
    assert!(outcome.timings.fuse > Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn near_the_deadline_the_winner_is_sent_unfused() {
    let sim = Sim::builder(9)
        .nodes(5, Behaviour::honest(0.5).with_delay(Duration::from_millis(4_500)))
        .with_fusion()
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

/// Measures rounds of six members, each a writer and a judge that knows a third of all answers.
/// Returns the share of right answers and the ballots of a round.
async fn measure_waves(tau: f64, wave: usize, seeds: u64) -> (f64, f64) {
    let (mut rounds, mut right, mut ballots) = (0_usize, 0_usize, 0_usize);
    for seed in 0..seeds {
        let sim = Sim::builder(seed)
            .nodes(6, Behaviour::honest(0.35))
            .panel(6, 6)
            .exam(3)
            .with_auditors()
            .round(|round| {
                never_agreed(round);
                round.rank.tau = tau;
                round.judge.wave = wave;
            })
            .start()
            .await;
        // A claim of certainty counts after three confirmed claims; the exam alone is not enough.
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
    (right as f64 / rounds as f64, ballots as f64 / rounds as f64)
}

/// Prints the second table of eval/results/consensus-adaptive.md and checks its conclusion.
#[tokio::test(start_paused = true)]
async fn judging_in_waves_saves_ballots_and_costs_few_answers() {
    let seeds = std::env::var("SHOAL_WAVES_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    println!("| stop at P(best) | judges a wave | right | ballots a round |\n|---|---|---|---|");
    let (mut in_waves, mut at_once) = (None, None);
    for (tau, wave) in [(0.8, 2), (0.9, 2), (0.95, 1), (0.95, 2), (0.95, 6), (0.99, 2), (2.0, 6)] {
        let (right, ballots) = measure_waves(tau, wave, seeds).await;
        let name = if tau > 1.0 { "never".to_owned() } else { tau.to_string() };
        println!("| {name} | {wave} | {right:.3} | {ballots:.2} |");
        match (tau, wave) {
            (0.95, 2) => in_waves = Some((right, ballots)),
            (2.0, 6) => at_once = Some((right, ballots)),
            _ => {}
        }
    }
    let (right, ballots) = in_waves.expect("a measurement");
    let (right_at_once, ballots_at_once) = at_once.expect("a measurement");
    assert!(ballots < 0.8 * ballots_at_once, "{ballots} of {ballots_at_once}");
    assert!(right > right_at_once - 0.07, "{right} against {right_at_once}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_judge_delays_a_round_only_a_little() {
    let sim = Sim::builder(10)
        .nodes(5, Behaviour::honest(1.0))
        .node(Behaviour::honest(1.0).with_silent_judging())
        .panel(5, 6)
        .round(never_agreed)
        .start()
        .await;
    for n in 0..10 {
        let outcome = sim.ask(&format!("{QUESTION} {n}")).await.expect("an answer");
        assert!(outcome.timings.judge < Duration::from_secs(2), "{:?}", outcome.timings);
    }
}
