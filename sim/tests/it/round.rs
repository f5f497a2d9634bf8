//! A round always ends, with the candidates and ballots that it has.

use std::time::Duration;

use shoal_consensus::{RoundError, outcome::Decision};
use shoal_sim::{Behaviour, Sim};
use tokio::time::{sleep, timeout};

const QUESTION: &str = "How many boats are there?";

#[tokio::test(start_paused = true)]
async fn a_round_ends_at_its_deadline_with_what_it_has() {
    let deadline = Duration::from_secs(10);
    let sim = Sim::builder(1)
        .nodes(2, Behaviour::honest(1.0))
        .nodes(3, Behaviour::honest(1.0).endless().with_silent_judging())
        .deadline(deadline)
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("two have finished");
    assert_eq!(outcome.candidates.len(), 2);
    assert!(outcome.timings.total <= deadline, "{:?}", outcome.timings);
    assert!(sim.is_right(QUESTION, &outcome));
    assert_eq!(sim.count("shoal_candidates_total", "cut"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_writer_is_not_waited_for_once_the_others_agree() {
    let sim = Sim::builder(2)
        .nodes(4, Behaviour::honest(1.0))
        .node(Behaviour::honest(1.0).with_delay(Duration::from_secs(15)))
        .start()
        .await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.candidates.len(), 4);
    assert!(outcome.timings.generate < Duration::from_secs(4), "{:?}", outcome.timings);
}

#[tokio::test(start_paused = true)]
async fn the_best_writer_is_waited_for_longer_than_the_others() {
    let slow = Behaviour::honest(1.0).with_delay(Duration::from_millis(600));
    let weak = Behaviour::honest(0.1);
    let sim = Sim::builder(12).nodes(4, weak.clone()).node(slow.clone()).exam(6).start().await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.candidates.len(), 5);
    assert!(sim.is_right(QUESTION, &outcome));
    // Unless time is dear.
    let hasty = Sim::builder(12)
        .nodes(4, weak)
        .node(slow)
        .exam(6)
        .round(|round| round.generate.second_price = 10.0)
        .start()
        .await;
    assert_eq!(hasty.ask(QUESTION).await.expect("an answer").candidates.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_slow_swarm_is_waited_for() {
    let slow = Behaviour::honest(1.0).with_delay(Duration::from_secs(12));
    let sim = Sim::builder(3).nodes(5, slow).start().await;
    let outcome = sim.ask(QUESTION).await.expect("slow is not dead");
    assert!(sim.is_right(QUESTION, &outcome));
}

#[tokio::test(start_paused = true)]
async fn a_dead_writer_is_replaced() {
    for seed in 0..10 {
        let sim = Sim::builder(seed)
            .node(Behaviour::failing())
            .node(Behaviour::honest(1.0))
            .panel(1, 1)
            .start()
            .await;
        let outcome = sim.ask(QUESTION).await.expect("the other node works");
        assert_eq!(outcome.winner().map(|winner| winner.writer), Some(sim.node(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_stalls_gets_another_beside_it() {
    for seed in 0..10 {
        let sim = Sim::builder(seed)
            .nodes(2, Behaviour::silent())
            .node(Behaviour::honest(1.0))
            .panel(1, 1)
            .start()
            .await;
        let outcome = sim.ask(QUESTION).await.expect("one node answers");
        assert_eq!(outcome.winner().map(|winner| winner.writer), Some(sim.node(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_by_the_writing_deadline_is_tried_once_more_with_others() {
    let sim = Sim::builder(4)
        .nodes(5, Behaviour::honest(1.0).with_delay(Duration::from_secs(28)))
        .nodes(5, Behaviour::honest(1.0))
        // No writer counts as stalled, so only the retry can save the round.
        .round(|round| round.generate.stall_ms = 60_000)
        .start()
        .await;
    for n in 0..12 {
        let question = format!("{QUESTION} {n}");
        let outcome = sim.ask(&question).await.expect("the others answer");
        assert!(sim.is_right(&question, &outcome));
    }
}

/// Six members fail at once. The first two writers and four spares are asked, then two of the four that did
/// not begin the round and two spares, then the last two.
#[tokio::test(start_paused = true)]
async fn writers_that_failed_stay_left_out_when_the_round_selects_again() {
    let sim = Sim::builder(11).nodes(6, Behaviour::failing()).panel(2, 1).start().await;
    let calls = sim.recorder().total_calls();
    let result = sim.ask(QUESTION).await.map(|_| ());
    assert!(matches!(result, Err(RoundError::NoCandidate { .. })), "{result:?}");
    assert_eq!(sim.recorder().total_calls() - calls, 6 + 4 + 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_client_stops_every_engine() {
    let sim = Sim::builder(5).nodes(7, Behaviour::honest(1.0).endless()).start().await;
    let outcome = timeout(Duration::from_secs(2), sim.ask(QUESTION)).await;
    assert!(outcome.is_err(), "no writer ends");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(sim.recorder().total_calls(), 5);
    assert_eq!(sim.recorder().active_calls(), 0);
    assert!(sim.members().iter().all(|member| member.running == 0));
    assert_eq!(sim.count("shoal_rounds_total", "cancelled"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_round_stops_those_it_did_not_wait_for() {
    let sim = Sim::builder(6)
        .nodes(4, Behaviour::honest(1.0))
        .node(Behaviour::honest(1.0).endless())
        .start()
        .await;
    sim.ask(QUESTION).await.expect("an answer");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(sim.recorder().active_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_member_alive_is_a_named_error() {
    let sim = Sim::builder(7).start().await;
    assert_eq!(sim.ask(QUESTION).await.map(|_| ()), Err(RoundError::NoMember));
    let model = "nobody".to_owned();
    let result = sim.ask_model("nobody", QUESTION).await.map(|_| ());
    assert_eq!(result, Err(RoundError::NoSuchModel { model }));
}

#[tokio::test(start_paused = true)]
async fn a_swarm_that_says_nothing_is_a_named_error_in_time() {
    let sim = Sim::builder(8).nodes(6, Behaviour::silent()).start().await;
    let result = timeout(Duration::from_secs(30), sim.ask(QUESTION)).await.expect("in time");
    assert_eq!(result.map(|_| ()), Err(RoundError::NoCandidate { members: 6 }));
}

#[tokio::test(start_paused = true)]
async fn one_candidate_is_sent_without_a_vote() {
    let sim = Sim::builder(9).node(Behaviour::honest(1.0)).start().await;
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decision::Single);
    assert!(sim.recorder().judge_calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_busy_swarm_lets_the_next_ask_wait_for_a_full_panel() {
    let slow = Behaviour::honest(1.0).with_delay(Duration::from_secs(2)).with_slots(1);
    let sim = Sim::builder(10).nodes(5, slow).start().await;
    let (first, second) = tokio::join!(sim.ask("one"), sim.ask("two"));
    for outcome in [first.expect("an answer"), second.expect("an answer")] {
        assert!(outcome.candidates.len() >= 4, "{}", outcome.candidates.len());
    }
}
