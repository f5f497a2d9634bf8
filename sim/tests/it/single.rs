//! A member that is asked by the name of its model answers alone.

use std::time::Duration;

use shoal_consensus::{
    RoundError,
    ask::Target,
    outcome::{Decision, RoundUpdate},
};
use shoal_sim::{Behaviour, Sim};
use tokio::sync::mpsc;

const QUESTION: &str = "How deep is the sea?";

#[tokio::test(start_paused = true)]
async fn a_model_asked_by_name_answers_alone() {
    let sim = Sim::builder(1)
        .nodes(3, Behaviour::honest(1.0))
        .node(Behaviour::honest(1.0).with_model("whale"))
        .start()
        .await;
    let outcome = sim.ask_model("whale", QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decision::Single);
    assert_eq!(outcome.winner().map(|winner| winner.writer), Some(sim.node(3)));
    assert_eq!(sim.recorder().total_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn its_pieces_are_its_text() {
    let sim = Sim::builder(2).node(Behaviour::honest(1.0).with_model("whale")).start().await;
    let (sender, mut updates) = mpsc::channel(64);
    let target = Target::Model("whale".to_owned());
    let outcome = sim.answer(target, QUESTION, Some(sender)).await.expect("an answer");
    let mut text = String::new();
    let mut count = 0;
    while let Some(update) = updates.recv().await {
        if let RoundUpdate::Piece { text: piece, .. } = update {
            text.push_str(&piece);
            count += 1;
        }
    }
    assert_eq!(outcome.winner().map(|winner| winner.text.clone()), Some(text));
    assert!(count > 1, "{count} pieces");
}

#[tokio::test(start_paused = true)]
async fn another_node_with_the_model_takes_over_before_the_first_piece() {
    for seed in 0..6 {
        let sim = Sim::builder(seed)
            .nodes(2, Behaviour::silent().with_model("whale"))
            .node(Behaviour::honest(1.0).with_model("whale"))
            .start()
            .await;
        let outcome = sim.ask_model("whale", QUESTION).await.expect("one node answers");
        assert_eq!(outcome.winner().map(|winner| winner.writer), Some(sim.node(2)));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(sim.recorder().active_calls(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_in_the_middle_is_a_named_error() {
    let sim = Sim::builder(3).node(Behaviour::failing().with_model("whale")).start().await;
    let result = sim.ask_model("whale", QUESTION).await.map(|_| ());
    assert_eq!(result, Err(RoundError::NoCandidate { members: 1 }));
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_member_is_asked() {
    let sim = Sim::builder(4)
        .nodes(4, Behaviour::honest(1.0).with_model("whale").with_delay(Duration::from_secs(1)))
        .start()
        .await;
    let asks = (0..4).map(|_| sim.ask_model("whale", QUESTION));
    let outcomes = futures_util::future::join_all(asks).await;
    let mut writers: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.expect("an answer").candidates[0].writer)
        .collect();
    writers.sort();
    writers.dedup();
    assert_eq!(writers.len(), 4);
}
