//! One member answers alone, by the name of its model.

use std::time::Duration;

use shoal_consensus::{
    RoundError,
    ask::Target,
    outcome::{Decided, RoundUpdate},
};
use shoal_sim::{Character, Sim};
use tokio::sync::mpsc;

const QUESTION: &str = "How deep is the sea?";

#[tokio::test(start_paused = true)]
async fn a_model_asked_by_name_answers_alone() {
    let sim = Sim::builder(1)
        .nodes(3, Character::honest(1.0))
        .node(Character::honest(1.0).serving("whale"))
        .start()
        .await;
    let outcome = sim.ask_model("whale", QUESTION).await.expect("an answer");
    assert_eq!(outcome.decided, Decided::Single);
    assert_eq!(outcome.winner().map(|one| one.writer), Some(sim.node(3)));
    assert_eq!(sim.witness().begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn its_pieces_are_its_text() {
    let sim = Sim::builder(2).node(Character::honest(1.0).serving("whale")).start().await;
    let (pieces, mut heard) = mpsc::channel(64);
    let target = Target::Model("whale".to_owned());
    let outcome = sim.answer(target, QUESTION, Some(pieces)).await.expect("an answer");
    let mut text = String::new();
    let mut count = 0;
    while let Some(news) = heard.recv().await {
        if let RoundUpdate::Piece { text: piece, .. } = news {
            text.push_str(&piece);
            count += 1;
        }
    }
    assert_eq!(outcome.winner().map(|one| one.text.clone()), Some(text));
    assert!(count > 1, "it came in {count}");
}

#[tokio::test(start_paused = true)]
async fn another_one_with_the_model_stands_in_before_the_first_piece() {
    for seed in 0..6 {
        let sim = Sim::builder(seed)
            .nodes(2, Character::silent().serving("whale"))
            .node(Character::honest(1.0).serving("whale"))
            .start()
            .await;
        let outcome = sim.ask_model("whale", QUESTION).await.expect("one speaks");
        assert_eq!(outcome.winner().map(|one| one.writer), Some(sim.node(2)));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(sim.witness().working(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_in_the_middle_is_a_named_error() {
    let sim = Sim::builder(3).node(Character::dying().serving("whale")).start().await;
    let asked = sim.ask_model("whale", QUESTION).await.map(|_| ());
    assert_eq!(asked, Err(RoundError::NoCandidate { asked: 1 }));
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_is_asked() {
    let sim = Sim::builder(4)
        .nodes(4, Character::honest(1.0).serving("whale").after(Duration::from_secs(1)))
        .start()
        .await;
    let ask = || sim.ask_model("whale", QUESTION);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let mut writers: Vec<_> = [a, b, c, d]
        .into_iter()
        .map(|outcome| outcome.expect("an answer").candidates[0].writer)
        .collect();
    writers.sort();
    writers.dedup();
    assert_eq!(writers.len(), 4);
}
