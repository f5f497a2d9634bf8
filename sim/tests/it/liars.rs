//! Members that lie, alone and together.

use shoal_sim::{Character, Sim};

/// Rounds of one swarm, and in how many of them the lie won and the truth did.
struct Tally {
    asked: usize,
    lies: usize,
    right: usize,
}

async fn tally(sim: &Sim, asked: usize) -> Tally {
    let mut tally = Tally { asked, lies: 0, right: 0 };
    for n in 0..asked {
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
    let (mut right, mut asked) = (0, 0);
    for seed in 0..12 {
        let sim = Sim::builder(seed)
            .nodes(5, Character::honest(0.7))
            .nodes(2, Character::liar())
            .panel(7, 5)
            .exam(3)
            .start()
            .await;
        let tally = tally(&sim, 10).await;
        assert_eq!(tally.lies, 0, "seed {seed}");
        right += tally.right;
        asked += tally.asked;
    }
    assert!(right * 10 >= asked * 9, "{right} of {asked}");
}

#[tokio::test(start_paused = true)]
async fn one_of_seven_that_passes_the_exam_and_lies_later_seldom_wins() {
    let (mut lies, mut right, mut asked) = (0, 0, 0);
    for seed in 0..4 {
        let sim = Sim::builder(seed)
            .nodes(6, Character::honest(0.7))
            .node(Character::sleeper(0.7))
            .panel(7, 7)
            .exam(3)
            .audited()
            .start()
            .await;
        let tally = tally(&sim, 20).await;
        lies += tally.lies;
        right += tally.right;
        asked += tally.asked;
    }
    assert!(lies * 20 <= asked, "the lie won {lies} of {asked}");
    assert!(right * 10 >= asked * 9, "right {right} of {asked}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_members_with_thirty_liars_tell_the_truth() {
    let sim = Sim::builder(3)
        .nodes(70, Character::honest(0.7))
        .nodes(30, Character::liar())
        .exam(2)
        .swarm(|swarm| swarm.exam.scores_max = 24)
        .start()
        .await;
    let tally = tally(&sim, 20).await;
    assert_eq!(tally.lies, 0);
    assert!(tally.right >= 18, "{} of {}", tally.right, tally.asked);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_swarm() {
    let told = || async {
        let sim = Sim::builder(11)
            .nodes(5, Character::honest(0.5))
            .nodes(2, Character::liar())
            .exam(1)
            .start()
            .await;
        let mut told = Vec::new();
        for n in 0..5 {
            let outcome =
                sim.ask(&format!("Which way does stream {n} run?")).await.expect("an answer");
            told.push((outcome.round.clone(), outcome.winner().map(|one| one.text.clone())));
        }
        told
    };
    assert_eq!(told().await, told().await);
}
