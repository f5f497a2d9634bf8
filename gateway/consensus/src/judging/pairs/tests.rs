//! What the choice of pairs promises, and what stopping early costs: a measured curve.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;

const VOICE: VerdictWeight = VerdictWeight { weight: 1.0, discrimination: 1.0 };

fn best_pairs(mu: &[f64], comparisons: &[Comparison], count: usize) -> Vec<PoolPair> {
    let settings = crate::settings::RankSettings::default();
    let beliefs = Beliefs { mu, comparisons, settings: &settings };
    let pools: Vec<usize> = (0..mu.len()).collect();
    most_informative(beliefs, VOICE, &every_pair(&pools), count)
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
        let chosen = best_pairs(&mu, &[], count);
        let pools: Vec<usize> = (0..mu.len()).collect();
        let open = every_pair(&pools);
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
    assert_eq!(every_pair(&[3, 1, 2]), [(1, 3), (2, 3), (1, 2)]);
}

#[test]
fn the_next_pair_is_of_those_that_may_win() {
    // Two lead, three are out of the race.
    assert_eq!(best_pairs(&[2.0, 2.2, -2.0, -2.1, -2.2], &[], 1), [(0, 1)]);
    assert_eq!(best_pairs(&[-2.0, 1.0, -2.2, 1.1], &[], 1), [(1, 3)]);
}

#[test]
fn what_was_told_a_hundred_times_is_not_asked_again() {
    let verdict = Comparison { a: 0, b: 1, p: 0.5, weight: 1.0, discrimination: 1.0 };
    let next_pairs = best_pairs(&[0.0; 3], &vec![verdict; 100], 1);
    assert_ne!(next_pairs, [(0, 1)]);
}

#[test]
fn a_judge_that_tells_nothing_is_given_the_likeliest_pools() {
    let settings = crate::settings::RankSettings::default();
    let mu = [0.0, 3.0, 1.0, 2.0];
    let beliefs = Beliefs { mu: &mu, comparisons: &[], settings: &settings };
    let mute = VerdictWeight { weight: 0.0, discrimination: 1.0 };
    assert_eq!(most_informative(beliefs, mute, &every_pair(&[0, 1, 2, 3]), 2), [(1, 3), (1, 2)]);
}

/// A made-up round of five pools: strengths, and what the evidence says of each before judging.
struct Question {
    truth: Vec<f64>,
    mu: Vec<f64>,
    rng: ChaCha8Rng,
}

impl Question {
    const POOLS: usize = 5;

    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let deviation = 1.0 / crate::settings::RankSettings::default().lambda.sqrt();
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

    /// Judges pair by pair: what is known after each of `budget` verdicts.
    fn judge(mut self, policy: Policy, budget: usize) -> Vec<Step> {
        let settings = crate::settings::RankSettings::default();
        let pools: Vec<usize> = (0..Self::POOLS).collect();
        let mut comparisons = Vec::new();
        let mut queue = match policy {
            Policy::Telling => cycle(&pools, &mut self.rng),
            Policy::Shuffled => Vec::new(),
        };
        let mut steps = Vec::new();
        while steps.len() < budget {
            if queue.is_empty() {
                let mut open = every_pair(&pools);
                let beliefs =
                    Beliefs { mu: &self.mu, comparisons: &comparisons, settings: &settings };
                match policy {
                    Policy::Telling => queue = most_informative(beliefs, VOICE, &open, 2),
                    Policy::Shuffled => {
                        open.shuffle(&mut self.rng);
                        queue = open;
                    }
                }
            }
            let pair = queue.pop().expect("a pair");
            let verdict = self.verdict(pair);
            comparisons.push(verdict);
            let strengths = fit(&self.mu, &comparisons, &settings);
            steps.push(Step {
                right: Self::best(&strengths.strengths) == Self::best(&self.truth),
                p_best: strengths.p_best.into_iter().fold(0.0, f64::max),
                wave_over: queue.is_empty(),
            });
        }
        steps
    }
}

/// What is known after a verdict.
struct Step {
    right: bool,
    p_best: f64,
    wave_over: bool,
}

#[derive(Clone, Copy)]
enum Policy {
    /// As the gateway does: a cycle, then what tells most.
    Telling,
    /// All pairs in random order, again and again.
    Shuffled,
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Rounds of the curve; those of the page in docs/ are given by the environment.
fn rounds() -> u64 {
    std::env::var("SHOAL_CURVE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(30)
}

fn share(count: usize) -> f64 {
    count as f64 / rounds() as f64
}

/// Share of right rounds and mean number of pairs, where each round ends with the first wave whose P(best) is
/// at least `tau`.
fn stop_at(rounds: &[Vec<Step>], tau: f64) -> (f64, f64) {
    let ends = rounds.iter().map(|steps| {
        let end = steps.iter().position(|step| step.wave_over && step.p_best >= tau);
        end.unwrap_or(steps.len() - 1)
    });
    let ends: Vec<usize> = ends.collect();
    let right = rounds.iter().zip(&ends).filter(|(steps, end)| steps[**end].right).count();
    (share(right), share(ends.iter().map(|end| end + 1).sum()))
}

/// Prints the first tables of eval/results/consensus-adaptive.md, and holds what they say.
#[test]
fn telling_pairs_find_the_best_with_fewer_ballots() {
    const BUDGET: usize = 30;
    let [shuffled_rounds, telling_rounds] =
        [Policy::Shuffled, Policy::Telling].map(|policy| -> Vec<Vec<Step>> {
            (0..rounds()).map(|seed| Question::new(seed).judge(policy, BUDGET)).collect()
        });
    println!("| pairs spent | in random order | most telling first |\n|---|---|---|");
    let mut gain = 0.0;
    for pairs in [5, 7, 9, 11, 15, 19, 25, 29] {
        let [random, by_information] = [&shuffled_rounds, &telling_rounds]
            .map(|rounds| share(rounds.iter().filter(|steps| steps[pairs - 1].right).count()));
        gain += by_information - random;
        println!("| {pairs} | {random:.3} | {by_information:.3} |");
    }
    println!("\n| stop at P(best) | accuracy | pairs spent of at most {BUDGET} |\n|---|---|---|");
    for tau in [0.7, 0.8, 0.9, 0.95, 0.99] {
        let (right, pairs) = stop_at(&telling_rounds, tau);
        println!("| {tau} | {right:.3} | {pairs:.1} |");
    }
    let (all_right, all_pairs) = stop_at(&telling_rounds, 2.0);
    println!("| never | {all_right:.3} | {all_pairs:.1} |");
    assert!(gain > 0.0, "over all budgets telling pairs were no better: {gain}");
    let (right, pairs) = stop_at(&telling_rounds, 0.8);
    assert!(pairs < 0.9 * all_pairs, "stopping saved next to nothing: {pairs} of {all_pairs}");
    assert!(right > all_right - 0.06, "stopping cost too much: {right} against {all_right}");
}
