//! What the choice of pairs promises, and what stopping early costs: a measured curve.

use proptest::prelude::*;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

const VOICE: Voice = Voice { weight: 1.0, discrimination: 1.0 };

fn telling_of(mu: &[f64], comparisons: &[Comparison], count: usize) -> Vec<PoolPair> {
    let settings = rank::Settings::default();
    let beliefs = Beliefs { mu, comparisons, settings: &settings };
    let pools: Vec<usize> = (0..mu.len()).collect();
    telling(beliefs, VOICE, &all(&pools), count)
}

proptest! {
    #[test]
    fn a_cycle_holds_every_pool_twice_and_connects_all(count in 3usize..12, seed: u64) {
        let pools: Vec<usize> = (0..count).collect();
        let pairs = cycle(&pools, &mut ChaCha8Rng::seed_from_u64(seed));
        prop_assert_eq!(pairs.len(), count);
        for pool in pools {
            prop_assert_eq!(pairs.iter().filter(|(a, b)| *a == pool || *b == pool).count(), 2);
        }
        let mut reached = std::collections::BTreeSet::from([0]);
        for _ in 0..count {
            let near: Vec<usize> = pairs
                .iter()
                .filter(|(a, b)| reached.contains(a) || reached.contains(b))
                .flat_map(|(a, b)| [*a, *b])
                .collect();
            reached.extend(near);
        }
        prop_assert_eq!(reached.len(), count);
    }

    #[test]
    fn what_is_chosen_is_open_and_never_twice(
        mu in prop::collection::vec(-3.0f64..3.0, 2..7),
        count in 0usize..9,
    ) {
        let chosen = telling_of(&mu, &[], count);
        let pools: Vec<usize> = (0..mu.len()).collect();
        let open = all(&pools);
        prop_assert_eq!(chosen.len(), count.min(open.len()));
        prop_assert!(chosen.iter().all(|pair| open.contains(pair)));
        prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len());
    }
}

#[test]
fn two_pools_are_one_pair_and_one_is_none() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    assert_eq!(cycle(&[4, 2], &mut rng), [(2, 4)]);
    assert!(cycle(&[4], &mut rng).is_empty() && cycle(&[], &mut rng).is_empty());
    assert_eq!(all(&[3, 1, 2]), [(1, 3), (2, 3), (1, 2)]);
}

#[test]
fn the_next_pair_is_of_those_that_may_win() {
    // Two lead, three are out of the race.
    assert_eq!(telling_of(&[2.0, 2.2, -2.0, -2.1, -2.2], &[], 1), [(0, 1)]);
    assert_eq!(telling_of(&[-2.0, 1.0, -2.2, 1.1], &[], 1), [(1, 3)]);
}

#[test]
fn what_was_told_a_hundred_times_is_not_asked_again() {
    let told = Comparison { a: 0, b: 1, p: 0.5, weight: 1.0, discrimination: 1.0 };
    let asked = telling_of(&[0.0; 3], &vec![told; 100], 1);
    assert_ne!(asked, [(0, 1)]);
}

#[test]
fn a_judge_that_tells_nothing_is_given_the_likeliest_pools() {
    let settings = rank::Settings::default();
    let mu = [0.0, 3.0, 1.0, 2.0];
    let beliefs = Beliefs { mu: &mu, comparisons: &[], settings: &settings };
    let mute = Voice { weight: 0.0, discrimination: 1.0 };
    assert_eq!(telling(beliefs, mute, &all(&[0, 1, 2, 3]), 2), [(1, 3), (1, 2)]);
}

/// A made-up round of five pools: strengths, and what the evidence says of each before judging.
struct Made {
    truth: Vec<f64>,
    mu: Vec<f64>,
    rng: ChaCha8Rng,
}

impl Made {
    const POOLS: usize = 5;

    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let deviation = 1.0 / rank::Settings::default().lambda.sqrt();
        let truth: Vec<f64> = (0..Self::POOLS).map(|_| deviation * normal(&mut rng)).collect();
        // The evidence is worth what λ says of it: strengths deviate from it by that much.
        let mu = vec![0.0; Self::POOLS];
        Self { truth, mu, rng }
    }

    /// A verdict of a judge as the model has them: right with the odds of the difference, and
    /// firm in one order of four verdicts only.
    fn verdict(&mut self, (a, b): PoolPair) -> Comparison {
        let p_first = sigmoid(self.truth[a] - self.truth[b]);
        let p = if self.rng.random_bool(p_first) { FIRM } else { 1.0 - FIRM };
        Comparison { a, b, p, weight: 1.0, discrimination: 1.0 }
    }

    fn best(strengths: &[f64]) -> usize {
        (0..strengths.len()).max_by(|x, y| strengths[*x].total_cmp(&strengths[*y])).unwrap_or(0)
    }

    /// Judges pair by pair, at most `budget` of them, until P(best) reaches `tau`: whether the
    /// best was found, and the pairs that it took.
    fn judge(mut self, policy: Policy, budget: usize, tau: f64) -> (bool, usize) {
        let settings = rank::Settings::default();
        let pools: Vec<usize> = (0..Self::POOLS).collect();
        let mut comparisons = Vec::new();
        let mut queue = match policy {
            Policy::Telling => cycle(&pools, &mut self.rng),
            Policy::Shuffled => Vec::new(),
        };
        loop {
            let fitted = fit(&self.mu, &comparisons, &settings);
            let clear = fitted.p_best.iter().any(|p| *p >= tau) && queue.is_empty();
            if clear || comparisons.len() >= budget {
                return (
                    Self::best(&fitted.strengths) == Self::best(&self.truth),
                    comparisons.len(),
                );
            }
            if queue.is_empty() {
                let beliefs =
                    Beliefs { mu: &self.mu, comparisons: &comparisons, settings: &settings };
                let mut open = all(&pools);
                queue = match policy {
                    Policy::Telling => telling(beliefs, VOICE, &open, 2),
                    Policy::Shuffled => {
                        open.shuffle(&mut self.rng);
                        open
                    }
                };
            }
            let pair = queue.pop().expect("a pair");
            let verdict = self.verdict(pair);
            comparisons.push(verdict);
        }
    }
}

#[derive(Clone, Copy)]
enum Policy {
    /// As the gateway does: a cycle, then what tells most.
    Telling,
    /// All pairs in random order, again and again.
    Shuffled,
}

/// Share of rounds whose best was found, and pairs spent on average.
fn measured(policy: Policy, budget: usize, tau: f64, rounds: u64) -> (f64, f64) {
    let ended: Vec<(bool, usize)> =
        (0..rounds).map(|seed| Made::new(seed).judge(policy, budget, tau)).collect();
    let share = |count: usize| count as f64 / rounds as f64;
    (
        share(ended.iter().filter(|(right, _)| *right).count()),
        share(ended.iter().map(|(_, pairs)| pairs).sum()),
    )
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Rounds of the curve. The page in docs/ is made with 2000.
fn rounds() -> u64 {
    std::env::var("SHOAL_CURVE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
}

/// Prints the table of docs/consensus-adaptive.md, and holds what it says.
#[test]
fn telling_pairs_find_the_best_with_fewer_ballots() {
    const NEVER: f64 = 2.0;
    let rounds = rounds();
    println!("| pairs spent | in random order | most telling first |\n|---|---|---|");
    let mut gained = 0.0;
    for budget in [5, 7, 9, 12, 16, 20, 30] {
        let (shuffled, _) = measured(Policy::Shuffled, budget, NEVER, rounds);
        let (telling, _) = measured(Policy::Telling, budget, NEVER, rounds);
        gained += telling - shuffled;
        println!("| {budget} | {shuffled:.3} | {telling:.3} |");
    }
    println!("\n| stop at P(best) | accuracy | pairs spent of at most 30 |\n|---|---|---|");
    let mut spent = Vec::new();
    for tau in [0.7, 0.8, 0.9, 0.95, 0.99, NEVER] {
        let (right, pairs) = measured(Policy::Telling, 30, tau, rounds);
        println!(
            "| {} | {right:.3} | {pairs:.1} |",
            if tau > 1.0 { "never".into() } else { tau.to_string() }
        );
        spent.push((tau, right, pairs));
    }
    assert!(gained > 0.0, "over all budgets telling pairs were no better: {gained}");
    let at = |tau: f64| *spent.iter().find(|(t, ..)| *t == tau).expect("measured");
    let ((_, right, pairs), (_, all_right, all_pairs)) = (at(0.95), at(NEVER));
    assert!(pairs < 0.75 * all_pairs, "stopping saved next to nothing: {pairs} of {all_pairs}");
    assert!(right > all_right - 0.06, "stopping cost too much: {right} against {all_right}");
}
