//! The tags of members: a member that is good at a subject is asked about it from the start, and a
//! member that only claims to be good at it is soon not asked any more.

use shoal_proto::NodeId;
use shoal_sim::{Behaviour, Sim};

/// Number of the last of eight members, which is a specialist or an impostor.
const LAST: usize = 7;

async fn swarm(seed: u64, last: Behaviour) -> Sim {
    Sim::builder(seed)
        .nodes(LAST, Behaviour::honest(0.6))
        .node(last)
        .panel(3, 8)
        .exam(3)
        .with_auditors()
        .round(|round| round.agree.share = 1.1)
        .start()
        .await
}

/// The number of these rounds in which a member writes.
async fn rounds_as_writer(sim: &Sim, member: NodeId, rounds: std::ops::Range<usize>) -> usize {
    let mut count = 0;
    for n in rounds {
        let question = format!("Name the boat that brought herrings home from trip {n}.");
        let outcome = sim.ask(&question).await.expect("an answer");
        let candidates = &outcome.candidates;
        count += usize::from(candidates.iter().any(|candidate| candidate.writer == member));
        // The swarm learns from a round after it has answered.
        sim.until_idle().await;
    }
    count
}

/// Knows few answers of the exam and nearly every answer outside it.
fn fisher() -> Behaviour {
    Behaviour::specialist(&[""])
}

#[tokio::test(start_paused = true)]
async fn a_new_specialist_is_asked_more_often_about_its_tags() {
    let (mut with_tag, mut without_tag, mut with_wrong_tag) = (0, 0, 0);
    for seed in 0..6 {
        let sim = swarm(seed, fisher().with_tags(&["herrings"])).await;
        with_tag += rounds_as_writer(&sim, sim.node(LAST), 0..10).await;
        let sim = swarm(seed, fisher()).await;
        without_tag += rounds_as_writer(&sim, sim.node(LAST), 0..10).await;
        let sim = swarm(seed, fisher().with_tags(&["poems"])).await;
        with_wrong_tag += rounds_as_writer(&sim, sim.node(LAST), 0..10).await;
    }
    println!(
        "of 60 rounds: with the tag {with_tag}, without a tag {without_tag}, with a wrong tag {with_wrong_tag}"
    );
    // It failed the whole exam, so its tag is the only reason to ask it.
    assert!(with_tag >= 2 * without_tag, "{with_tag} {without_tag}");
    assert!(with_tag >= 2 * with_wrong_tag, "{with_tag} {with_wrong_tag}");
    assert!(with_tag >= 15, "{with_tag} of 60");
}

#[tokio::test(start_paused = true)]
async fn a_member_with_false_tags_is_soon_not_asked() {
    let (mut first, mut later, mut without_tags) = (0, 0, 0);
    for seed in 0..6 {
        let liar = Behaviour::sleeper(0.6);
        let sim =
            swarm(seed, liar.clone().with_tags(&["herrings", "math", "code", "letters"])).await;
        first += rounds_as_writer(&sim, sim.node(LAST), 0..10).await;
        later += rounds_as_writer(&sim, sim.node(LAST), 10..30).await;
        let sim = swarm(seed, liar).await;
        rounds_as_writer(&sim, sim.node(LAST), 0..10).await;
        without_tags += rounds_as_writer(&sim, sim.node(LAST), 10..30).await;
    }
    println!(
        "first 10 rounds {first} of 60, next 20 rounds {later} of 120, without tags {without_tags}"
    );
    // A random choice would ask it in three of eight rounds.
    assert!(later * 8 < 120 * 3, "{later} of 120");
    assert!(later <= without_tags + 12, "{later} with tags, {without_tags} without");
}
