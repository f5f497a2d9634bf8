//! Of whole ballots: their order does not matter, and those of members that were caught change nothing.

use super::*;

prop_compose! {
    fn any_ballots()(
        verdicts in prop::collection::vec((10u8..16, 0usize..4, 0usize..4, 0.0..=1.0), 0..40),
    ) -> Vec<CastBallot> {
        let mut ballots: std::collections::BTreeMap<u8, Vec<(usize, usize, f64)>> =
            std::collections::BTreeMap::new();
        for (judge, a, b, p) in verdicts {
            ballots.entry(judge).or_default().push((a, b, p));
        }
        ballots.into_iter().map(|(judge, verdicts)| pairs(judge, &verdicts)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Of whole ballots, judges that share errors included: neither their order nor that of their
    /// pairs matters, and that of a member that was caught changes nothing.
    #[test]
    fn ballots_count_whatever_their_order_and_those_of_the_caught_not_at_all(ballots in any_ballots()) {
        let judge = |n: u8| (n, judge_record(30.0, 20.0 + 3.0 * f64::from(n - 10)));
        let caught = Record { caught: 1, ..Record::default() };
        let standing = standing((10..16).map(judge).chain([(99, caught)]));
        let candidates: Vec<_> = (0..4u8).map(|n| candidate(n, usize::from(n), 1)).collect();
        let mu = [0.5, 0.0, -0.5, 0.2];
        let here = rank(&mu, &candidates, &ballots, &standing, &settings()).strengths;
        let mut reversal: Vec<CastBallot> = ballots.iter().rev().cloned().collect();
        for ballot in &mut reversal {
            if let Verdicts::Pairs(pairs) = &mut ballot.verdicts {
                pairs.reverse();
                for pair in pairs {
                    *pair = PairVerdict { a: pair.b, b: pair.a, p: 1.0 - pair.p, ..*pair };
                }
            }
        }
        for _ in 0..2 {
            let there = rank(&mu, &candidates, &reversal, &standing, &settings()).strengths;
            prop_assert!(here.iter().zip(&there).all(|(x, y)| (x - y).abs() < 1e-6));
            reversal.push(pairs(99, &[(0, 1, 1.0), (2, 3, 0.0)]));
        }
    }
}
