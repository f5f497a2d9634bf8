//! The transcript of a round, which `GET /v1/rounds/{id}` returns: everything that led to the answer.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use shoal_consensus::{Candidate, CastBallot, Outcome, Verdicts};

use crate::chat::wire::{ToolCall, finish_reason};

/// The transcript of a round. `model` is the name that the client sent, `unix_seconds` is its
/// time.
pub fn transcript(model: &str, outcome: &Outcome, unix_seconds: u64) -> Value {
    let ranking = &outcome.ranking;
    let timings = &outcome.timings;
    json!({
        "id": outcome.round,
        "object": "round",
        "created": unix_seconds,
        "model": model,
        "decided": outcome.decided,
        "winner": outcome.winner,
        "confidence": outcome.confidence(),
        "kinds": outcome.kind.iter().map(|(kind, p)| (&kind.0, p)).collect::<BTreeMap<_, _>>(),
        "writers": outcome.candidates.iter().map(writer).collect::<Vec<_>>(),
        "candidates": candidates(outcome),
        "fused": outcome.fused.as_ref().map(fused_answer),
        "ballots": outcome.ballots.iter().map(ballot).collect::<Vec<_>>(),
        "ranking": {
            "order": ranking.order,
            "connected": ranking.connected,
            "cyclic": ranking.cyclic,
            "margin": ranking.margin,
        },
        "timings_ms": {
            "select": ms(timings.select),
            "generate": ms(timings.generate),
            "judge": ms(timings.judge),
            "rank": ms(timings.rank),
            "fuse": ms(timings.fuse),
            "total": ms(timings.total),
        },
        "tokens": tokens(outcome),
    })
}

fn writer(candidate: &Candidate) -> Value {
    json!({ "node": candidate.writer.to_string(), "model": candidate.model })
}

fn candidates(outcome: &Outcome) -> Vec<Value> {
    let candidates = outcome.candidates.iter().enumerate();
    candidates.map(|(index, candidate)| candidate_object(outcome, index, candidate)).collect()
}

fn candidate_object(outcome: &Outcome, index: usize, candidate: &Candidate) -> Value {
    json!({
        "index": index,
        "writer": candidate.writer.to_string(),
        "model": candidate.model,
        "text": candidate.text,
        "tool_calls": candidate.tool_calls.iter().map(ToolCall::from).collect::<Vec<_>>(),
        "finish_reason": finish_reason(candidate.finish),
        "prompt_tokens": candidate.prompt_tokens,
        "completion_tokens": candidate.completion_tokens,
        "logprob": candidate.logprob,
        "first_piece_ms": ms(candidate.first_piece),
        "took_ms": ms(candidate.took),
        "pool": candidate.pool,
        "evidence": outcome.ranking.evidence.get(index),
        "strength": outcome.ranking.strengths.get(index),
        "p_best": outcome.ranking.p_best.get(index),
        "p_right": outcome.ranking.p_right.get(index),
    })
}

/// The answer that a member wrote from the candidates. It takes the place of the winner's text.
fn fused_answer(candidate: &Candidate) -> Value {
    json!({
        "writer": candidate.writer.to_string(),
        "model": candidate.model,
        "text": candidate.text,
        "finish_reason": finish_reason(candidate.finish),
        "prompt_tokens": candidate.prompt_tokens,
        "completion_tokens": candidate.completion_tokens,
        "took_ms": ms(candidate.took),
        "pool": candidate.pool,
    })
}

/// A judge's ballot, with its verdicts by the candidates' indices.
pub(crate) fn ballot(ballot: &CastBallot) -> Value {
    let mut object = json!({
        "judge": ballot.judge.to_string(),
        "model": ballot.model,
        "prompt_tokens": ballot.prompt_tokens,
        "took_ms": ms(ballot.took),
    });
    let (name, verdicts) = match &ballot.verdicts {
        Verdicts::Scores(scores) => (
            "scores",
            scores
                .iter()
                .map(|score| {
                    json!({
                        "candidate": score.candidate,
                        "logprob": score.logprob,
                        "tokens": score.tokens,
                    })
                })
                .collect::<Vec<_>>(),
        ),
        Verdicts::Pairs(pairs) => (
            "pairs",
            pairs
                .iter()
                .map(|pair| json!({ "a": pair.a, "b": pair.b, "p": pair.p, "flipped": pair.flipped }))
                .collect(),
        ),
    };
    if let Some(object) = object.as_object_mut() {
        if ballot.reasoned {
            object.insert("reasoned".into(), true.into());
        }
        object.insert(name.into(), verdicts.into());
    }
    object
}

/// Tokens of the whole swarm, including those of the losers and the judges.
fn tokens(outcome: &Outcome) -> Value {
    let (mut prompt, mut completion) = (0_u64, 0_u64);
    for candidate in outcome.candidates.iter().chain(&outcome.fused) {
        prompt += u64::from(candidate.prompt_tokens);
        completion += u64::from(candidate.completion_tokens);
    }
    let judging: u64 = outcome.ballots.iter().map(|ballot| u64::from(ballot.prompt_tokens)).sum();
    json!({ "prompt": prompt, "completion": completion, "judging": judging })
}

/// Milliseconds, rounded to three places.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
