//! The harm that dishonest members can do to a swarm.

use shoal_sim::{Behaviour, Builder, Sim};

/// The rounds in which the right answer won, and those in which the lie won.
struct Tally {
    right: usize,
    lies: usize,
}

async fn tally(swarm: impl Fn(u64) -> Builder, seeds: u64, rounds: usize) -> Tally {
    let mut tally = Tally { right: 0, lies: 0 };
    for seed in 0..seeds {
        let sim = swarm(seed).start().await;
        for n in 0..rounds {
            let question = format!("How many knots are in rope {n}?");
            let outcome = sim.ask(&question).await.expect("an answer");
            tally.right += usize::from(sim.is_right(&question, &outcome));
            let winner = outcome.winner().expect("a winner");
            tally.lies += usize::from(winner.text.ends_with("666"));
        }
    }
    tally
}

/// Nine members of which three behave as `cheat` are right at least 38 times of 40. The six honest
/// members alone are right 40 times of 40.
async fn a_third_costs_little(cheat: Behaviour) {
    let tally = tally(
        |seed| {
            let honest = Sim::builder(seed).nodes(6, Behaviour::honest(0.7));
            honest.nodes(3, cheat.clone()).exam(2).panel(9, 9).with_auditors()
        },
        2,
        20,
    );
    let Tally { right, lies } = tally.await;
    assert!(right >= 38, "{right} of 40 right, {lies} lies");
}

#[tokio::test(start_paused = true)]
async fn a_third_that_colludes_from_the_start_costs_little() {
    a_third_costs_little(Behaviour::liar()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_passes_the_exam_and_colludes_later_costs_little() {
    a_third_costs_little(Behaviour::sleeper(0.7)).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_votes_against_what_it_believes_costs_little() {
    a_third_costs_little(Behaviour::honest(0.7).with_inverted_judging()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_prefers_what_is_shown_first_costs_little() {
    a_third_costs_little(Behaviour::honest(0.7).with_first_preference()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_praises_itself_instead_of_answering_costs_little() {
    a_third_costs_little(Behaviour::null()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_gives_orders_to_judges_costs_little() {
    a_third_costs_little(Behaviour::injector()).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_that_copies_one_member_costs_little() {
    a_third_costs_little(Behaviour::honest(0.7).copy_of(0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_obeys_a_candidate_is_outvoted() {
    let Tally { lies, .. } = tally(swarm_with_gullible_judge, 3, 20).await;
    // Where no candidate is right, one vote of seven can still decide a round.
    assert!(lies <= 1, "the lie won {lies} of 60");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_keys_of_one_operator_count_as_one() {
    let single_key = tally(|seed| swarm_with_fleet(seed, 1), 2, 10).await;
    let fleet = tally(|seed| swarm_with_fleet(seed, 100), 2, 10).await;
    let (right, right_with_single_key) = (fleet.right, single_key.right);
    assert!(right + 1 >= right_with_single_key, "{right} against {right_with_single_key} of 20");
    assert_eq!(fleet.lies, 0);
}

/// Seven honest members and so many liars of one operator.
fn swarm_with_fleet(seed: u64, keys: usize) -> Builder {
    let honest = Sim::builder(seed).nodes(7, Behaviour::honest(0.8));
    honest.nodes(keys, Behaviour::liar().with_operator("ada")).panel(12, 7)
}

/// Six honest judges, one of which obeys every order of the seventh member's candidates.
fn swarm_with_gullible_judge(seed: u64) -> Builder {
    Sim::builder(seed)
        .nodes(5, Behaviour::honest(0.7).with_pair_judging())
        .node(Behaviour::honest(0.7).with_pair_judging().with_gullibility(1.0))
        .node(Behaviour::injector())
        .exam(2)
        .panel(7, 7)
}
