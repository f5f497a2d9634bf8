//! What a ranking promises.

mod whole_ballots;

use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;
use shoal_proto::{NodeId, generate::Finish};

use super::*;
use crate::{
    ballot::{CandidateScore, CastBallot, PairVerdict},
    reputation::{
        Beta, ComparisonMode, GoldPair, KindModel, KindPosterior, Provenance, Record,
        Settings as Reputation, Standing, calibration::sigmoid,
    },
    settings::RoundSettings,
};

fn settings() -> RankSettings {
    RankSettings::default()
}

fn verdict(a: usize, b: usize, p: f64) -> Comparison {
    Comparison { a, b, p, weight: 1.0, discrimination: 1.0 }
}

/// P(a is better) from P(shown first) in each order.
fn both_orders(a_shown_first: f64, b_shown_first: f64) -> f64 {
    0.5 * (a_shown_first + 1.0 - b_shown_first)
}

/// The first of the greatest.
fn winner(strengths: &[f64]) -> usize {
    (0..strengths.len()).rev().max_by(|x, y| strengths[*x].total_cmp(&strengths[*y])).unwrap()
}

fn gradient_norm(mu: &[f64], comparisons: &[Comparison], theta: &[f64], lambda: f64) -> f64 {
    let mut gradient: Vec<f64> = mu.iter().zip(theta).map(|(m, t)| lambda * (m - t)).collect();
    for c in comparisons {
        let z = c.discrimination * (theta[c.a] - theta[c.b]);
        let pull = c.weight * c.discrimination * (c.p - sigmoid(z));
        gradient[c.a] += pull;
        gradient[c.b] -= pull;
    }
    gradient.iter().fold(0.0, |most, g| f64::max(most, g.abs()))
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    lambda: f64,
    items: usize,
    wins: Vec<(usize, usize)>,
    strengths: Vec<f64>,
}

#[test]
fn strengths_agree_with_choix_where_the_models_coincide() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../tests/vectors/choix.json")).expect("vectors");
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let wins: Vec<_> =
            vector.wins.iter().map(|(winner, loser)| verdict(*winner, *loser, 1.0)).collect();
        let settings = RankSettings { lambda: vector.lambda, ..settings() };
        let fit = fit(&vec![0.0; vector.items], &wins, &settings);
        for (got, strength) in fit.strengths.iter().zip(&vector.strengths) {
            assert!((got - strength).abs() < 1e-8, "{}: {got} {strength}", vector.name);
        }
    }
}

fn comparison(pools: usize) -> impl Strategy<Value = Comparison> {
    (0..pools, 0..pools, 0.0..=1.0, 0.0..=1.0, -3.0..3.0).prop_map(
        |(a, b, p, weight, discrimination)| Comparison { a, b, p, weight, discrimination },
    )
}

prop_compose! {
    fn problem()(pools in 1usize..9)(
        mu in prop::collection::vec(-12.0..12.0, pools),
        comparisons in prop::collection::vec(comparison(pools), 0..60),
    ) -> (Vec<f64>, Vec<Comparison>) {
        (mu, comparisons)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn it_always_converges((mu, comparisons) in problem()) {
        let fit = fit(&mu, &comparisons, &settings());
        prop_assert!(fit.steps < 100, "{} steps", fit.steps);
        let norm = gradient_norm(&mu, &comparisons, &fit.strengths, settings().lambda);
        prop_assert!(norm < 1e-6, "gradient {norm}");
        let sum: f64 = fit.p_best.iter().sum();
        prop_assert!((sum - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_order_of_pools_and_ballots_does_not_matter(
        (mu, comparisons) in problem(), shift in 0usize..9, swap in any::<bool>(),
    ) {
        let n = mu.len();
        let moved = |i: usize| (i + shift) % n;
        let mut mu_moved = vec![0.0; n];
        (0..n).for_each(|i| mu_moved[moved(i)] = mu[i]);
        let mut comparisons_moved: Vec<_> = comparisons
            .iter()
            .map(|c| {
                let c = Comparison { a: moved(c.a), b: moved(c.b), ..*c };
                if swap { Comparison { a: c.b, b: c.a, p: 1.0 - c.p, ..c } } else { c }
            })
            .collect();
        comparisons_moved.reverse();
        let here = fit(&mu, &comparisons, &settings());
        let there = fit(&mu_moved, &comparisons_moved, &settings());
        for i in 0..n {
            prop_assert!((here.strengths[i] - there.strengths[moved(i)]).abs() < 1e-7);
            prop_assert!((here.p_best[i] - there.p_best[moved(i)]).abs() < 0.01);
        }
    }

    #[test]
    fn a_judge_of_weight_zero_changes_nothing((mu, comparisons) in problem()) {
        let ignored = comparisons.iter().map(|c| Comparison { weight: 0.0, p: 1.0 - c.p, ..*c });
        let with: Vec<_> = comparisons.iter().copied().chain(ignored).collect();
        let (alone, with) = (fit(&mu, &comparisons, &settings()), fit(&mu, &with, &settings()));
        prop_assert!(alone.strengths.iter().zip(&with.strengths).all(|(x, y)| (x - y).abs() < 1e-7));
    }

    /// Doubling everything, the prior's weight included, is the same problem.
    #[test]
    fn doubling_all_weights_changes_no_strength((mu, comparisons) in problem()) {
        let doubled: Vec<_> =
            comparisons.iter().map(|c| Comparison { weight: 2.0 * c.weight, ..*c }).collect();
        let lambda = settings().lambda * 2.0;
        let once = fit(&mu, &comparisons, &settings());
        let twice = fit(&mu, &doubled, &RankSettings { lambda, ..settings() });
        prop_assert!(once.strengths.iter().zip(&twice.strengths).all(|(x, y)| (x - y).abs() < 1e-6));
    }

    /// Doubling the judges only: where every pair was compared alike and nothing else speaks,
    /// the winner stays.
    #[test]
    fn doubling_the_judges_of_a_round_robin_changes_no_winner(
        n in 2usize..7, draws in prop::collection::vec(0.0..=1.0, 21), weight in 0.1..1.0,
    ) {
        let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let robin: Vec<_> = pairs
            .zip(&draws)
            .map(|((a, b), p)| Comparison { a, b, p: *p, weight, discrimination: 1.0 })
            .collect();
        let doubled: Vec<_> = robin.iter().map(|c| Comparison { weight: 2.0 * weight, ..*c }).collect();
        let mu = vec![0.0; n];
        let (once, twice) = (fit(&mu, &robin, &settings()), fit(&mu, &doubled, &settings()));
        prop_assume!(margin(&once.strengths) > 1e-6);
        prop_assert_eq!(winner(&once.strengths), winner(&twice.strengths));
    }

    /// Doubling the judges only, of two pools that nothing else tells apart, however often and by
    /// whomever they were compared: the sign of the sum of the votes decides, whatever it weighs.
    #[test]
    fn doubling_the_judges_of_two_equals_changes_no_winner(
        (_, comparisons) in problem(), times in 1.0..50.0,
    ) {
        let two: Vec<_> = comparisons.iter().map(|c| Comparison { a: 0, b: 1, ..*c }).collect();
        let more: Vec<_> =
            two.iter().map(|c| Comparison { weight: times * c.weight, ..*c }).collect();
        let lead = |found: &Fit| found.strengths[0] - found.strengths[1];
        let (once, many) = (
            fit(&[0.0; 2], &two, &settings()), fit(&[0.0; 2], &more, &settings()),
        );
        prop_assume!(lead(&once).abs() > 1e-6);
        prop_assert!(lead(&once) * lead(&many) > 0.0);
    }

    /// A judge that always says "first" gives 1/2 to every pair once both orders are averaged:
    /// it pulls equals nowhere, and no ranking changes its order.
    #[test]
    fn position_bias_cancels((mu, _) in problem(), weight in 0.0..1.0) {
        let biased: Vec<_> = (0..mu.len())
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| Comparison { weight, ..verdict(a, b, both_orders(1.0, 1.0)) })
            .collect();
        let fit = fit(&mu, &biased, &settings());
        for i in 0..mu.len() {
            for j in 0..mu.len() {
                prop_assert!(mu[i] - mu[j] < 1e-9 || fit.strengths[i] > fit.strengths[j] - 1e-9);
            }
        }
    }

    #[test]
    fn numbers_that_are_none_are_left_out(p in prop::num::f64::ANY, w in prop::num::f64::ANY, g in prop::num::f64::ANY) {
        let odd = Comparison { a: 0, b: 1, p, weight: w.min(1e3), discrimination: g.clamp(-1e3, 1e3) };
        let fit = fit(&[0.5, 0.0], &[odd, verdict(7, 1, 0.9)], &settings());
        prop_assert!(fit.strengths.iter().all(|t| t.is_finite()));
    }
}

#[test]
fn separable_ballots_have_finite_strengths_in_their_order() {
    let wins: Vec<_> = (0..6)
        .flat_map(|a| (a + 1..6).map(move |b| verdict(a, b, 1.0)))
        .cycle()
        .take(3_000)
        .collect();
    let fit = fit(&[0.0; 6], &wins, &settings());
    assert!(fit.strengths.windows(2).all(|pair| pair[0] > pair[1]), "{:?}", fit.strengths);
    assert!(fit.strengths.iter().all(|t| t.abs() < 50.0));
}

#[test]
fn a_judge_known_to_be_wrong_helps_by_saying_the_opposite() {
    let wrong = Comparison { discrimination: -1.0, ..verdict(0, 1, 0.1) };
    assert_eq!(winner(&fit(&[0.0, 0.0], &[wrong], &settings()).strengths), 0);
}

#[test]
fn without_ballots_the_evidence_decides_alone() {
    let fit = fit(&[-1.0, 2.0, 0.5], &[], &settings());
    assert_eq!(fit.strengths, [-1.0, 2.0, 0.5]);
    assert!(fit.p_best[1] > fit.p_best[2] && fit.p_best[2] > fit.p_best[0]);
}

fn id(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn candidate(writer: u8, pool: usize, took_ms: u64) -> Candidate {
    Candidate {
        writer: id(writer),
        model: format!("model-{writer}"),
        text: format!("Answer: {pool}"),
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        finish: Finish::Stop,
        prompt_tokens: 1,
        completion_tokens: 1,
        cached_tokens: 0,
        reasoning_tokens: 0,
        logprob: None,
        took: Duration::from_millis(took_ms),
        first_piece: Duration::ZERO,
        pool,
    }
}

fn standing(records: impl IntoIterator<Item = (u8, Record)>) -> Standing {
    let records = records.into_iter().map(|(n, record)| (id(n), record)).collect();
    Standing::new(records, KindModel::default(), Reputation::default())
}

/// A member that gold showed to be right `right` times of 40, and `judge_right` times as a judge.
fn judge_record(right: f64, judge_right: f64) -> Record {
    let pairs = (0..40).map(|n| GoldPair {
        p: f64::from(u8::from(f64::from(n) < judge_right)),
        item: 0,
        kind: None,
        mode: ComparisonMode::Direct,
    });
    Record {
        writer: Beta { a: 1.0 + right, b: 41.0 - right },
        pairs: pairs.collect(),
        gold_seen: 40,
        ..Record::default()
    }
}

fn pairs(judge: u8, pairs: &[(usize, usize, f64)]) -> CastBallot {
    let verdicts =
        pairs.iter().map(|(a, b, p)| PairVerdict { a: *a, b: *b, p: *p, flipped: false });
    CastBallot {
        judge: id(judge),
        model: String::new(),
        reasoned: false,
        verdicts: Verdicts::Pairs(verdicts.collect()),
        prompt_tokens: 0,
        took: Duration::ZERO,
    }
}

fn with_tally<T>(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
    settings: &RankSettings,
    ask: impl FnOnce(Tally<'_>) -> T,
) -> T {
    let kind = KindPosterior::default();
    let config = RoundSettings { rank: settings.clone(), ..RoundSettings::default() };
    ask(Tally { candidates, ballots, standing, kind: &kind, config: &config })
}

fn rank(
    mu: &[f64],
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
    settings: &RankSettings,
) -> Ranking {
    with_tally(candidates, ballots, standing, settings, |tally| tally.ranking_from(mu))
}

fn comparisons(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
    settings: &RankSettings,
) -> Vec<Comparison> {
    with_tally(candidates, ballots, standing, settings, |tally| tally.comparisons())
}

fn is_connected(candidates: &[Candidate], ballots: &[CastBallot]) -> bool {
    let (standing, settings) = (Standing::empty(), settings());
    with_tally(candidates, ballots, &standing, &settings, |tally| tally.is_connected())
}

#[test]
fn equals_are_ordered_by_standing_then_by_time_then_by_place() {
    let standing = standing([
        (1, judge_record(10.0, 20.0)),
        (2, judge_record(30.0, 20.0)),
        (3, judge_record(10.0, 20.0)),
    ]);
    let candidates = [candidate(1, 0, 9), candidate(2, 0, 9), candidate(3, 0, 5)];
    let ranking = rank(&[0.0], &candidates, &[], &standing, &settings());
    assert_eq!(ranking.order, [1, 2, 0]);
    assert_eq!(ranking.p_best, [1.0; 3]);
    assert!(ranking.margin.abs() < 1e-12);
}

#[test]
fn a_judge_never_speaks_for_itself() {
    let standing = standing([
        (1, judge_record(20.0, 40.0)),
        (2, judge_record(20.0, 40.0)),
        (3, judge_record(20.0, 40.0)),
    ]);
    let candidates = [candidate(1, 0, 1), candidate(2, 1, 1)];
    assert!(
        comparisons(&candidates, &[pairs(1, &[(0, 1, 1.0)])], &standing, &settings()).is_empty()
    );
    assert_eq!(
        comparisons(&candidates, &[pairs(3, &[(0, 1, 1.0)])], &standing, &settings()).len(),
        1
    );
}

#[test]
fn where_nobody_has_a_record_ballots_decide_and_say_less() {
    let candidates = [candidate(1, 0, 1), candidate(2, 1, 1)];
    let ballots = [pairs(9, &[(0, 1, 1.0)])];
    let standings = [Standing::empty(), standing([(9, judge_record(30.0, 36.0))])];
    let [stranger, examined_record] = standings.map(|standing| {
        let ranking = rank(&[0.0, 0.1], &candidates, &ballots, &standing, &settings());
        ranking.strengths[0] - ranking.strengths[1]
    });
    assert!(stranger > 0.0 && stranger < 0.5 * examined_record, "{stranger} {examined_record}");
}

#[test]
fn strangers_do_not_outvote_members_that_passed_their_exam() {
    let members = (3..6).map(|n| (n, judge_record(30.0, 36.0)));
    let standing = standing(members);
    let candidates = [candidate(20, 0, 1), candidate(21, 1, 1)];
    let honest = (3..6).map(|judge| pairs(judge, &[(0, 1, 0.8)]));
    let ballots: Vec<_> =
        honest.chain((50..90).map(|judge| pairs(judge, &[(0, 1, 0.0)]))).collect();
    let ranking = rank(&[0.0; 2], &candidates, &ballots, &standing, &settings());
    assert_eq!(ranking.order[0], 0, "{ranking:?}");
}

#[test]
fn two_colluding_judges_of_seven_do_not_carry_their_candidate() {
    let honest = (3..8).map(|n| (n, judge_record(30.0, 36.0)));
    let liars = [(1, judge_record(20.0, 8.0)), (2, judge_record(20.0, 8.0))];
    let standing = standing(honest.chain(liars));
    let candidates = [candidate(20, 0, 1), candidate(21, 1, 1), candidate(22, 2, 1)];
    let ballots: Vec<_> = (1..8)
        .map(|judge| {
            let p = if judge < 3 { 0.0 } else { 0.8 };
            pairs(judge, &[(0, 1, p), (0, 2, p), (1, 2, 0.5)])
        })
        .collect();
    let ranking = rank(&[0.0; 3], &candidates, &ballots, &standing, &settings());
    assert_eq!(ranking.order[0], 0, "{ranking:?}");
}

fn relative(family: &str) -> Record {
    let provenance = Provenance { family: family.into(), ..Provenance::default() };
    Record { provenance, ..judge_record(30.0, 34.0) }
}

#[test]
fn twenty_judges_of_one_family_do_not_outvote_two_strangers() {
    let clones = (1..21).map(|n| (n, relative("clone")));
    let standing = standing(clones.chain([(30, relative("one")), (31, relative("two"))]));
    let candidates = [candidate(40, 0, 1), candidate(41, 1, 1)];
    let ballots: Vec<_> = (1..21)
        .map(|judge| pairs(judge, &[(0, 1, 0.0)]))
        .chain([30, 31].map(|judge| pairs(judge, &[(0, 1, 1.0)])))
        .collect();
    let ranking = rank(&[0.0; 2], &candidates, &ballots, &standing, &settings());
    assert_eq!(ranking.order[0], 0, "{ranking:?}");
}

#[test]
fn disconnected_and_cyclic_ballots_have_one_answer() {
    let apart = [verdict(0, 1, 0.9), verdict(2, 3, 0.9)];
    let result = fit(&[0.0, 0.0, 0.5, 0.0], &apart, &settings());
    assert!(result.strengths[0] > result.strengths[1] && result.strengths[2] > result.strengths[3]);
    assert_eq!(winner(&result.strengths), 2);
    let round = [verdict(0, 1, 0.9), verdict(1, 2, 0.9), verdict(2, 0, 0.9)];
    let result = fit(&[0.0; 3], &round, &settings());
    assert!(result.strengths.iter().all(|t| t.abs() < 1e-9), "{result:?}");
    assert!(result.p_best.iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-3), "{result:?}");
}

#[test]
fn cycles_are_seen_and_so_are_their_absence() {
    let round = [verdict(0, 1, 0.9), verdict(1, 2, 0.9), verdict(2, 0, 0.9)];
    assert!(cyclic(3, &round));
    assert!(cyclic(5, &round));
    assert!(!cyclic(3, &[verdict(0, 1, 0.9), verdict(1, 2, 0.9), verdict(0, 2, 0.9)]));
    assert!(!cyclic(3, &[verdict(0, 1, 0.5), verdict(1, 2, 0.5), verdict(2, 0, 0.5)]));
    assert!(!cyclic(0, &[]));
}

#[test]
fn pools_are_connected_by_pairs_and_by_scores() {
    let candidates = [candidate(1, 0, 1), candidate(2, 1, 1), candidate(3, 2, 1)];
    let scores = [0, 2].map(|candidate| CandidateScore { candidate, logprob: -1.0, tokens: 3 });
    let scores = CastBallot { verdicts: Verdicts::Scores(scores.into()), ..pairs(9, &[]) };
    let one_pair = pairs(8, &[(0, 1, 0.7)]);
    assert!(!is_connected(&candidates, &[]));
    assert!(!is_connected(&candidates, std::slice::from_ref(&one_pair)));
    assert!(is_connected(&candidates, &[one_pair, scores]));
    assert!(is_connected(&candidates[..1], &[]));
}

#[test]
fn a_clear_lead_settles_the_round() {
    for (p, expectation) in [(0.97, true), (0.9, false)] {
        let ranking = Ranking { p_best: vec![p, 1.0 - p], ..Ranking::default() };
        assert_eq!(is_clear(&ranking, &settings()), expectation);
    }
}

/// Judge 9, which is heard, alone: its log-odds of being right.
fn word(standing: &Standing) -> f64 {
    standing.voices(&[(id(9), ComparisonMode::Direct)], &KindPosterior::default())[0].log_odds()
}

#[test]
fn a_verdict_outweighs_as_much_evidence_as_its_judges_word_is_worth() {
    let standing = standing([(9, judge_record(30.0, 36.0))]);
    let candidates = [candidate(1, 0, 1), candidate(2, 1, 1)];
    let against = [pairs(9, &[(0, 1, 0.0)])];
    for lambda in [0.05, 0.2, 0.5, 1.0] {
        let settings = RankSettings { lambda, ..settings() };
        for (share, first) in [(1.02, 0), (0.98, 1)] {
            let mu = [share * word(&standing), 0.0];
            let ranking = rank(&mu, &candidates, &against, &standing, &settings);
            assert_eq!(ranking.order[0], first, "at {lambda}");
        }
    }
}

#[test]
fn a_judge_that_compares_everything_says_one_thing_of_each() {
    let standing = standing([(9, judge_record(30.0, 36.0))]);
    for n in 2..8_usize {
        let candidates: Vec<_> =
            (0..n).map(|pool| candidate(u8::try_from(pool).expect("few"), pool, 1)).collect();
        // It likes the first and tells the others not apart.
        let index_pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let verdicts: Vec<_> =
            index_pairs.map(|(a, b)| (a, b, if a == 0 { 1.0 } else { 0.5 })).collect();
        let table = comparisons(&candidates, &[pairs(9, &verdicts)], &standing, &settings());
        let weight: f64 = table.iter().map(|comparison| comparison.weight).sum();
        assert!(weight < n as f64 - 1.0 + 1e-9, "{n}: {weight}");
        let result = fit(&vec![0.0; n], &table, &settings());
        let lead = result.strengths[0] - result.strengths[1];
        assert!(lead < word(&standing) + 1e-9, "{n}: {lead}");
        assert!(lead > 0.5 * word(&standing), "{n}: {lead}");
    }
}
