//! What a replay promises, on rounds made up here.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::*;
use crate::{ballot::Verdicts, stats};

fn parse_line(line: &Value) -> Round {
    read(&line.to_string()).expect("a round").remove(0)
}

fn line_error(line: &Value) -> String {
    read(&format!("\n{line}\n")).expect_err("no round").to_string()
}

fn only_pair(round: &Round) -> (f64, bool) {
    match &round.ballots[0].verdicts {
        Verdicts::Pairs(pairs) => (pairs[0].p, pairs[0].flipped),
        Verdicts::Scores(_) => panic!("scores"),
    }
}

/// Two candidates without writers, each judge heard in both orders. A judge is right with its
/// probability, and then it is right in both orders.
fn pairs_judged(count: usize, rights: &[(&str, f64)], seed: u64) -> Vec<Round> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let lines = (0..count).map(|n| {
        let gold = usize::from(rng.random_bool(0.5));
        let ballots = rights.iter().flat_map(|(judge, right)| {
            let choice = if rng.random_bool(*right) { gold } else { 1 - gold };
            [(0, 1), (1, 0)].map(|(first, second)| {
                let p = if choice == first { 1.0 } else { 0.0 };
                json!({"judge": judge, "first": first, "second": second, "p": p})
            })
        });
        let ballots: Vec<Value> = ballots.collect();
        json!({"id": n.to_string(), "candidates": [{}, {}], "ballots": ballots, "gold": gold})
    });
    lines.map(|line| parse_line(&line)).collect()
}

fn accuracy(rounds: &[Round], plan: Plan) -> f64 {
    Summary::from_rounds(&run(rounds, &plan, &Settings::default()), 0).accuracy.value
}

fn both_orders(first: f64, second: f64) -> Round {
    parse_line(&json!({"candidates": [{}, {}], "ballots": [
        {"judge": "j", "first": 0, "second": 1, "p": first},
        {"judge": "j", "first": 1, "second": 0, "p": second},
    ]}))
}

#[test]
fn both_orders_become_one_verdict() {
    assert_eq!(only_pair(&both_orders(1.0, 0.0)), (1.0, false));
    assert_eq!(only_pair(&both_orders(1.0, 1.0)), (0.5, true));
    assert_eq!(only_pair(&both_orders(0.75, 0.5)), (0.625, false));
    assert!(both_orders(1.0, 0.0).one_sided.is_empty());
}

#[test]
fn of_one_order_alone_half_is_believed_and_no_steadiness_is_seen_in_it() {
    let round = parse_line(&json!({"candidates": [{}, {}],
        "ballots": [{"judge": "j", "first": 1, "second": 0, "p": 1.0}]}));
    assert_eq!(only_pair(&round), (0.25, false));
    assert_eq!(round.one_sided.len(), 1);
}

fn pools(candidates: &Value) -> Vec<usize> {
    let round = parse_line(&json!({"candidates": candidates}));
    round.candidates.iter().map(|candidate| candidate.pool).collect()
}

#[test]
fn equal_keys_are_one_pool_and_what_says_nothing_stands_alone() {
    assert_eq!(pools(&json!([{"answer": "7"}, {"answer": "8"}, {"answer": "7"}])), [0, 1, 0]);
    assert_eq!(pools(&json!([{"text": "so \\boxed{7}"}, {"text": "Answer: 7"}])), [0, 0]);
    assert_eq!(pools(&json!([{}, {}, {"text": " "}])), [0, 1, 2]);
}

#[test]
fn a_transcript_is_a_round() {
    let round = parse_line(&json!({
        "id": "00ff", "object": "round", "created": 1_700_000_000, "decided": "judged", "winner": 0,
        "candidates": [
            {"index": 0, "writer": "11".repeat(32), "model": "a", "text": "Answer: 4",
             "finish_reason": "stop", "logprob": -0.5, "took_ms": 12.5, "pool": 0, "p_best": 0.9},
            {"index": 1, "writer": "22".repeat(32), "model": "b", "text": "Answer: 5", "pool": 1},
        ],
        "ballots": [
            {"judge": "33".repeat(32), "model": "c", "scores": [
                {"candidate": 0, "logprob": -1.5, "tokens": 4}]},
            {"judge": "44".repeat(32), "model": "d", "pairs": [
                {"a": 0, "b": 1, "p": 0.8, "flipped": false}]},
        ],
    }));
    assert_eq!((round.id.as_str(), round.created_seconds), ("00ff", 1_700_000_000));
    assert_eq!(round.candidates[1].writer, shoal_proto::NodeId([0x22; 32]));
    assert_eq!(round.candidates[0].logprob, Some(-0.5));
    assert_eq!(round.ballots.len(), 2);
    assert_eq!(round.right, None);
}

#[test]
fn a_record_of_the_evaluation_is_a_round() {
    let round = parse_line(&json!({
        "family": "dates", "question": "When?", "answer": "1990", "right": true,
        "rights": [false, true], "alone": [],
        "round": {"id": "ab", "decided": "judged", "winner": 1, "ballots": [], "candidates": [
            {"writer": "x", "text": "Answer: 1989"}, {"writer": "y", "text": "Answer: 1990"}]},
    }));
    assert_eq!(round.right, Some(vec![false, true]));
    assert_eq!((round.kind.as_deref(), round.question.as_str()), (Some("dates"), "When?"));
}

#[test]
fn a_bad_line_is_named_with_what_is_wrong() {
    for (line, reason) in [
        (json!({"id": "x"}), "no `candidates`"),
        (json!({"candidates": [{}], "gold": 1}), "candidate 1 of 1"),
        (json!({"candidates": "none"}), "invalid type"),
        (
            json!({"candidates": [{}, {}], "ballots": [{"judge": "j"}, {"judge": "j", "first": 0}]}),
            "neither",
        ),
        (
            json!({"candidates": [{}, {}],
                "ballots": [{"judge": "j", "first": 0, "second": 2, "p": 1.0}]}),
            "candidate 2",
        ),
        (
            json!({"candidates": [{}, {}],
                "ballots": [{"judge": "j", "first": 0, "second": 1, "p": 1.5}]}),
            "p = 1.5",
        ),
        (
            json!({"candidates": [{}, {}],
                "ballots": [{"judge": "j", "first": 1, "second": 1, "p": 0.5}]}),
            "with itself",
        ),
    ] {
        let message = line_error(&line);
        assert!(message.starts_with("line 2: ") && message.contains(reason), "{message}");
        assert_eq!(message.lines().count(), 1);
    }
}

fn plan(gold: Gold, seed: u64) -> Plan {
    Plan { gold, seed, ..Plan::default() }
}

#[test]
fn gold_is_what_says_so_or_what_is_drawn_among_what_may() {
    let rounds: Vec<Round> = [json!(true), json!(false), Value::Null, Value::Null]
        .map(|canary| json!({"candidates": [{}, {}], "gold": 0, "canary": canary}))
        .into_iter()
        .chain([json!({"candidates": [{}]})])
        .map(|line| parse_line(&line))
        .collect();
    assert_eq!(plan(Gold::Canaries, 0).gold(&rounds), [true, false, false, false, false]);
    assert_eq!(plan(Gold::Share(1.0), 0).gold(&rounds), [true, false, true, true, false]);
    let draws: Vec<_> = (0..20).map(|seed| plan(Gold::Count(1), seed).gold(&rounds)).collect();
    assert!(draws.iter().all(|gold| gold.iter().filter(|gold| **gold).count() == 1));
    assert!(draws.iter().any(|gold| *gold != draws[0]));
    assert_eq!(draws[3], plan(Gold::Count(1), 3).gold(&rounds));
}

#[test]
fn a_judge_that_is_always_wrong_is_turned_around_by_gold() {
    let judges = [("wrong", 0.05), ("also wrong", 0.1), ("right", 0.7)];
    let rounds = pairs_judged(200, &judges, 1);
    let without_gold = accuracy(&rounds, Plan::default());
    let with_gold = accuracy(&rounds, Plan { gold: Gold::Count(20), ..Plan::default() });
    assert!(without_gold < 0.5 && with_gold > 0.85, "{without_gold} {with_gold}");
}

#[test]
fn gold_rounds_are_not_counted_and_may_be_learned_in_their_turn() {
    let rounds = pairs_judged(60, &[("a", 0.9), ("b", 0.2), ("c", 0.3)], 2);
    let plan = Plan { gold: Gold::Share(0.25), ..Plan::default() };
    let results = run(&rounds, &plan, &Settings::default());
    let summary = Summary::from_rounds(&results, 0);
    assert_eq!((summary.rounds, summary.gold, summary.accuracy.count), (60, 15, 45));
    let in_turn = run(&rounds, &Plan { gold_first: false, ..plan }, &Settings::default());
    let [first, later] = [&results, &in_turn]
        .map(|results| results[0].judges.iter().map(|judge| judge.weight).sum::<f64>());
    assert!((first - later).abs() > 0.1);
}

#[test]
fn the_same_replay_says_the_same_whatever_the_order_of_ballots() {
    let rounds = pairs_judged(40, &[("a", 0.8), ("b", 0.6), ("c", 0.3)], 3);
    let mut inverted_rounds = rounds.clone();
    inverted_rounds.iter_mut().for_each(|round| round.ballots.reverse());
    let plan = Plan { gold: Gold::Count(10), ..Plan::default() };
    let (here, there) = (
        run(&rounds, &plan, &Settings::default()),
        run(&inverted_rounds, &plan, &Settings::default()),
    );
    for (x, y) in here.iter().zip(&there) {
        assert_eq!(x.order, y.order);
        assert!((x.p - y.p).abs() < 1e-9);
    }
}

#[test]
fn what_was_learned_can_be_kept_and_taken_up_again() {
    let rounds = pairs_judged(40, &[("a", 0.9), ("b", 0.1)], 4);
    let mut replay = Replay::new(Settings::default(), Memory::default());
    run_with(&mut replay, &rounds, &Plan { gold: Gold::Share(1.0), ..Plan::default() });
    let json = serde_json::to_string(&replay.memory()).expect("JSON");
    let memory: Memory = serde_json::from_str(&json).expect("read");
    assert_eq!(memory.members.keys().collect::<Vec<_>>(), ["a", "b"]);
    let again =
        run_with(&mut Replay::new(Settings::default(), memory), &rounds[..1], &Plan::default());
    let weights: Vec<f64> = again[0].judges.iter().map(|parse_line| parse_line.weight).collect();
    assert!(weights[0] > 0.5 && weights[1] < -0.2, "{weights:?}");
}

#[test]
fn settings_are_changed_by_their_names_in_the_file() {
    let settings = Settings::default().with("round.rank.lambda=0.5").expect("a setting");
    assert!((settings.round.rank.lambda - 0.5).abs() < 1e-12);
    for wrong in ["round.rank.lambda", "round.rank.lamda=1", "reputation.keep=much"] {
        let message = Settings::default().with(wrong).expect_err("none").to_string();
        assert!(message.contains(wrong.split('=').next().unwrap_or("")), "{message}");
    }
}

#[test]
fn an_interval_holds_its_mean_and_is_the_same_every_time() {
    let values: Vec<f64> = (0..400).map(|n| f64::from(u8::from(n % 4 != 0))).collect();
    let estimate = stats::mean(&values, 7);
    assert!((estimate.value - 0.75).abs() < 1e-12);
    // Two standard errors of .0217 to each side.
    assert!(
        (estimate.low - 0.7075).abs() < 0.01 && (estimate.high - 0.7925).abs() < 0.01,
        "{estimate:?}"
    );
    assert_eq!(estimate, stats::mean(&values, 7));
    assert!(!stats::mean(&[], 7).is_positive());
}
