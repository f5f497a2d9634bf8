//! What dishonest members can do to a swarm, and what it costs.

use shoal_sim::{Builder, Character, Sim};

/// Of `asked` rounds, in how many the truth won, and the lie.
struct Tally {
    right: usize,
    lies: usize,
}

async fn tally(swarm: impl Fn(u64) -> Builder, seeds: u64, asked: usize) -> Tally {
    let mut tally = Tally { right: 0, lies: 0 };
    for seed in 0..seeds {
        let sim = swarm(seed).start().await;
        for n in 0..asked {
            let question = format!("How many knots are in rope {n}?");
            let outcome = sim.ask(&question).await.expect("an answer");
            tally.right += usize::from(sim.is_right(&question, &outcome));
            let winner = outcome.winner().expect("a winner");
            tally.lies += usize::from(winner.text.ends_with("666"));
        }
    }
    tally
}

/// Nine members, of which three are like `cheat`: nearly as often right as the other six alone, who
/// are 40 times of 40.
async fn a_third_costs_little(cheat: Character) {
    let swarm = |seed| {
        let honest = Sim::builder(seed).nodes(6, Character::honest(0.7));
        honest.nodes(3, cheat.clone()).exam(2).panel(9, 9).audited()
    };
    let with = tally(swarm, 2, 20).await;
    assert!(with.right >= 38, "{} of 40 right, {} lies", with.right, with.lies);
}

#[tokio::test(start_paused = true)]
async fn a_third_that_colludes_from_the_start_costs_little() {
    a_third_costs_little(Character::liar()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_passes_the_exam_and_colludes_later_costs_little() {
    a_third_costs_little(Character::sleeper(0.7)).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_votes_against_what_it_believes_costs_little() {
    a_third_costs_little(Character::honest(0.7).inverted()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_prefers_what_is_shown_first_costs_little() {
    a_third_costs_little(Character::honest(0.7).preferring_the_first()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_praises_itself_instead_of_answering_costs_little() {
    a_third_costs_little(Character::null()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_gives_orders_to_judges_costs_little() {
    a_third_costs_little(Character::injecting()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_copies_one_member_costs_little() {
    a_third_costs_little(Character::honest(0.7).copy_of(0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_obeys_a_candidate_is_outvoted() {
    let swarm = |seed| {
        Sim::builder(seed)
            .nodes(5, Character::honest(0.7).comparing())
            .node(Character::honest(0.7).comparing().gullible(1.0))
            .node(Character::injecting())
            .exam(2)
            .panel(7, 7)
    };
    let with = tally(swarm, 3, 20).await;
    // Where nobody is right, one voice of seven can still tip a round.
    assert!(with.lies <= 1, "the lie won {} of 60", with.lies);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_keys_of_one_operator_weigh_like_one() {
    let fleet = |keys: usize| {
        move |seed| {
            let honest = Sim::builder(seed).nodes(7, Character::honest(0.8));
            honest.nodes(keys, Character::liar().of("ada")).panel(12, 7)
        }
    };
    let (one, hundred) = (tally(fleet(1), 2, 10).await, tally(fleet(100), 2, 10).await);
    assert!(hundred.right + 1 >= one.right, "{} against {} of 20", hundred.right, one.right);
    assert_eq!(hundred.lies, 0);
}
