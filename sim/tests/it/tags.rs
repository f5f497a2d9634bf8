//! What members say of themselves: who is good at something is asked for it from the start, and who
//! only says so not for long.

use shoal_proto::NodeId;
use shoal_sim::{Character, Sim};

/// Of no kind that the exam knows; one more specialist or impostor is the last of eight.
const LAST: usize = 7;

async fn swarm(seed: u64, last: Character) -> Sim {
    Sim::builder(seed)
        .nodes(LAST, Character::honest(0.6))
        .node(last)
        .panel(3, 8)
        .exam(3)
        .audited()
        .round(|round| round.agree.share = 1.1)
        .start()
        .await
}

/// In how many of these rounds a member writes.
async fn writes(sim: &Sim, who: NodeId, rounds: std::ops::Range<usize>) -> usize {
    let mut asked = 0;
    for n in rounds {
        let question = format!("Name the boat that brought herrings home from trip {n}.");
        let outcome = sim.ask(&question).await.expect("an answer");
        asked += usize::from(outcome.candidates.iter().any(|one| one.writer == who));
        // Settling is off the road.
        sim.until_idle().await;
    }
    asked
}

/// Knows nothing of the exam and nearly everything outside of it.
fn fisher() -> Character {
    Character::specialist(&[""])
}

#[tokio::test(start_paused = true)]
async fn a_fresh_specialist_is_asked_more_often_for_what_it_says_it_knows() {
    let (mut tagged, mut silent, mut elsewhere) = (0, 0, 0);
    for seed in 0..6 {
        let last = |sim: &Sim| sim.node(LAST);
        let sim = swarm(seed, fisher().tagged(&["herrings"])).await;
        tagged += writes(&sim, last(&sim), 0..10).await;
        let sim = swarm(seed, fisher()).await;
        silent += writes(&sim, last(&sim), 0..10).await;
        let sim = swarm(seed, fisher().tagged(&["poems"])).await;
        elsewhere += writes(&sim, last(&sim), 0..10).await;
    }
    println!("of 60 rounds of its kind: tagged {tagged}, silent {silent}, another tag {elsewhere}");
    // It failed the whole exam, so that only its tag speaks for it.
    assert!(tagged >= 2 * silent && tagged >= 2 * elsewhere, "{tagged} {silent} {elsewhere}");
    assert!(tagged >= 15, "{tagged} of 60");
}

#[tokio::test(start_paused = true)]
async fn who_lies_in_what_it_says_it_knows_is_soon_not_asked() {
    let (mut first, mut later, mut silent) = (0, 0, 0);
    for seed in 0..6 {
        let liar = Character::sleeper(0.6);
        let sim = swarm(seed, liar.clone().tagged(&["herrings", "math", "code", "letters"])).await;
        first += writes(&sim, sim.node(LAST), 0..10).await;
        later += writes(&sim, sim.node(LAST), 10..30).await;
        let sim = swarm(seed, liar).await;
        writes(&sim, sim.node(LAST), 0..10).await;
        silent += writes(&sim, sim.node(LAST), 10..30).await;
    }
    println!("first 10 rounds {first} of 60, next 20 rounds {later} of 120, without tags {silent}");
    // Chance alone would ask it in three of eight.
    assert!(later * 8 < 120 * 3, "{later} of 120");
    assert!(later <= silent + 12, "{later} with tags, {silent} without");
}
