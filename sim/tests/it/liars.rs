//! Members that lie, alone and together.

use shoal_consensus::outcome::RoundId;
use shoal_sim::{Behaviour, Sim};

/// Rounds of one swarm, and in how many of them the lie and the right answer won.
struct Tally {
    rounds: usize,
    lies: usize,
    right: usize,
}

async fn tally(sim: &Sim, rounds: usize) -> Tally {
    let mut tally = Tally { rounds, lies: 0, right: 0 };
    for n in 0..rounds {
        let question = format!("How many herrings are in net {n}?");
        let outcome = sim.ask(&question).await.expect("an answer");
        let winner = outcome.winner().expect("a winner");
        tally.lies += usize::from(winner.text.ends_with("666"));
        tally.right += usize::from(sim.is_right(&question, &outcome));
    }
    tally
}

#[tokio::test(start_paused = true)]
async fn with_two_liars_of_seven_the_honest_answer_wins() {
    let (mut right, mut rounds) = (0, 0);
    for seed in 0..12 {
        let sim = Sim::builder(seed)
            .nodes(5, Behaviour::honest(0.7))
            .nodes(2, Behaviour::liar())
            .panel(7, 5)
            .exam(3)
            .start()
            .await;
        let tally = tally(&sim, 10).await;
        assert_eq!(tally.lies, 0, "seed {seed}");
        right += tally.right;
        rounds += tally.rounds;
    }
    assert!(right * 10 >= rounds * 9, "{right} of {rounds}");
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_among_seven_members_seldom_wins() {
    let (mut lies, mut right, mut rounds) = (0, 0, 0);
    for seed in 0..4 {
        let sim = Sim::builder(seed)
            .nodes(6, Behaviour::honest(0.7))
            .node(Behaviour::sleeper(0.7))
            .panel(7, 7)
            .exam(3)
            .with_auditors()
            .start()
            .await;
        let tally = tally(&sim, 20).await;
        lies += tally.lies;
        right += tally.right;
        rounds += tally.rounds;
    }
    assert!(lies * 20 <= rounds, "the lie won {lies} of {rounds}");
    assert!(right * 10 >= rounds * 9, "right {right} of {rounds}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_members_with_thirty_liars_tell_the_truth() {
    let sim = Sim::builder(3)
        .nodes(70, Behaviour::honest(0.7))
        .nodes(30, Behaviour::liar())
        .exam(2)
        .swarm(|swarm| swarm.exam.scores_max = 24)
        .start()
        .await;
    let tally = tally(&sim, 20).await;
    assert_eq!(tally.lies, 0);
    assert!(tally.right >= 18, "{} of {}", tally.right, tally.rounds);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_swarm() {
    assert_eq!(winners().await, winners().await);
}

/// The id and the winning text of each round of one swarm.
async fn winners() -> Vec<(RoundId, Option<String>)> {
    let sim = Sim::builder(11)
        .nodes(5, Behaviour::honest(0.5))
        .nodes(2, Behaviour::liar())
        .exam(1)
        .start()
        .await;
    let mut winners = Vec::new();
    for n in 0..5 {
        let question = format!("Which way does stream {n} run?");
        let outcome = sim.ask(&question).await.expect("an answer");
        let text = outcome.winner().map(|winner| winner.text.clone());
        winners.push((outcome.round, text));
    }
    winners
}
