//! Who joins a swarm never makes it worse: specialists that abstain, fast members that know nothing, a
//! slow member that knows.

use std::time::Duration;

use shoal_consensus::outcome::Decision;
use shoal_sim::{Behaviour, Sim};

const QUESTION: &str = "Which gas do plants take in?";

fn abstainer() -> Behaviour {
    Behaviour::specialist(&["add"]).with_tags(&["addition"]).with_abstention()
}

/// The share of right answers to `count` questions of no kind that an exam knows.
async fn accuracy(sim: &Sim, count: usize) -> f64 {
    let mut right = 0;
    for number in 0..count {
        let question = format!("{QUESTION} ({number})");
        let outcome = sim.ask(&question).await.expect("an answer");
        right += usize::from(sim.is_right(&question, &outcome));
    }
    right as f64 / count as f64
}

#[tokio::test(start_paused = true)]
async fn an_abstention_is_no_candidate() {
    let sim = Sim::builder(1).nodes(4, abstainer()).node(Behaviour::honest(1.0)).start().await;
    let outcome = sim.ask(QUESTION).await.expect("one member knows");
    assert_eq!(outcome.candidates.len(), 1);
    assert!(sim.is_right(QUESTION, &outcome));
}

#[tokio::test(start_paused = true)]
async fn where_all_abstain_the_answer_says_what_the_swarm_can_do() {
    let sim = Sim::builder(2).nodes(3, abstainer()).start().await;
    let outcome = sim.ask(QUESTION).await.expect("a statement");
    assert_eq!(outcome.decided, Decision::Abstained);
    assert_eq!(outcome.confidence(), Some(0.0));
    let text = &outcome.winner().expect("a text").text;
    assert!(text.contains("addition") && text.contains("node-0"), "{text}");
    // By name the same member says the same.
    let outcome = sim.ask_model("node-1", QUESTION).await.expect("a statement");
    let text = &outcome.winner().expect("a text").text;
    assert_eq!(text, "node-1 does not know the answer. It knows: addition.");
}

#[tokio::test(start_paused = true)]
async fn a_slow_member_that_knows_beats_fast_ones_that_do_not() {
    for seconds in [1, 3, 9] {
        let strong = Behaviour::honest(0.95).with_delay(Duration::from_secs(seconds));
        let sim = Sim::builder(3)
            .nodes(5, Behaviour::honest(0.2))
            .node(strong)
            .panel(6, 3)
            .exam(1)
            .start()
            .await;
        let share = accuracy(&sim, 40).await;
        // The slow member alone is right in 95 %, each of the others in 20 %.
        assert!(share >= 0.75, "{seconds} s: {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn specialists_that_abstain_change_nothing_for_the_rest() {
    let generalists = [0.9, 0.7, 0.6].map(Behaviour::honest);
    let mut builder = Sim::builder(4).exam(6);
    for generalist in &generalists {
        builder = builder.node(generalist.clone());
    }
    let alone = accuracy(&builder.start().await, 100).await;
    let mut builder = Sim::builder(4).nodes(6, abstainer()).exam(6);
    for generalist in &generalists {
        builder = builder.node(generalist.clone());
    }
    let joined = accuracy(&builder.start().await, 100).await;
    assert!(joined >= alone - 0.05, "{joined} with them, {alone} without");
}
