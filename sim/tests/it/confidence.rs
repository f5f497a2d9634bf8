//! The stated probability of being right: what is done when it is too small, and how it becomes honest.

use std::time::Duration;

use shoal_consensus::RoundError;
use shoal_sim::{Behaviour, Sim};

const QUESTION: &str = "Which gas do plants take in?";

#[tokio::test(start_paused = true)]
async fn a_doubtful_round_asks_more_writers_before_it_fails() {
    let builder = || Sim::builder(1).nodes(6, Behaviour::honest(0.5)).panel(2, 2);
    let sim = builder().min_confidence(0.999).start().await;
    let error = sim.ask(QUESTION).await.expect_err("nobody is so sure");
    assert!(matches!(error, RoundError::Doubtful { percent } if percent < 100), "{error:?}");
    let finished = sim.count("shoal_candidates_total", "finished");
    let sim = builder().start().await;
    sim.ask(QUESTION).await.expect("any answer will do");
    let finished_alone = sim.count("shoal_candidates_total", "finished");
    assert!(finished > finished_alone, "{finished} and {finished_alone}");
}

#[tokio::test(start_paused = true)]
async fn who_wants_certainty_gets_an_error_where_all_abstain() {
    let abstainer = Behaviour::specialist(&["add"]).with_tags(&["addition"]).with_abstention();
    let sim = Sim::builder(2).nodes(3, abstainer).min_confidence(0.1).start().await;
    assert_eq!(sim.ask(QUESTION).await.err(), Some(RoundError::Abstained { members: 3 }));
}

#[tokio::test(start_paused = true)]
async fn gold_rounds_make_the_stated_probability_honest() {
    // One candidate for each question, nearly always right: a swarm without a fit claims less.
    let families = ["add", "subtract", "multiply", "divide", "compare", "sort"];
    let mut builder = Sim::builder(3).exam(4);
    for family in families {
        builder = builder.node(Behaviour::specialist(&[family]).with_abstention());
    }
    let sim = builder.start().await;
    let before = mean_confidence_and_accuracy(&sim).await;
    sim.calibrate(Duration::from_secs(600)).await;
    let after = mean_confidence_and_accuracy(&sim).await;
    println!("confidence and accuracy before {before:?}, after {after:?}");
    assert!(gap(after) < 0.7 * gap(before), "{before:?} {after:?}");
}

fn gap((confidence, accuracy): (f64, f64)) -> f64 {
    (confidence - accuracy).abs()
}

/// Over fresh gold questions: the mean of what is stated, and the share that is right.
async fn mean_confidence_and_accuracy(sim: &Sim) -> (f64, f64) {
    const COUNT: usize = 100;
    let (mut confidence, mut right) = (0.0, 0);
    for _ in 0..COUNT {
        let item = sim.swarm().gold_question().expect("there are exams");
        let outcome = sim.ask(item.question.last_message()).await.expect("an answer");
        confidence += outcome.confidence().expect("a round");
        right += usize::from(item.is_right(&outcome.winner().expect("a winner").text));
    }
    (confidence / COUNT as f64, right as f64 / COUNT as f64)
}
