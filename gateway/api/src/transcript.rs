//! The transcript of a round: everything that led to the answer, as `GET /v1/rounds/{id}` shows it.

use std::time::Duration;

use serde_json::{Value, json};
use shoal_consensus::{Candidate, CastBallot, Outcome, Verdicts};

use crate::chat::wire::{ToolCall, finish_reason};

/// The transcript of a round. `created` is in Unix seconds.
pub fn transcript(model: &str, outcome: &Outcome, created: u64) -> Value {
    let candidates = outcome.candidates.iter().enumerate();
    let ranking = &outcome.ranking;
    let timings = &outcome.timings;
    json!({
        "id": outcome.round,
        "object": "round",
        "created": created,
        "model": model,
        "decided": outcome.decided,
        "winner": outcome.winner,
        "writers": outcome.candidates.iter().map(writer).collect::<Vec<_>>(),
        "candidates": candidates.map(|(index, one)| candidate(outcome, index, one)).collect::<Vec<_>>(),
        "fused": outcome.fused.as_ref().map(fused),
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

fn candidate(outcome: &Outcome, index: usize, candidate: &Candidate) -> Value {
    json!({
        "index": index,
        "writer": candidate.writer.to_string(),
        "model": candidate.model,
        "text": candidate.text,
        "tool_calls": candidate.tool_calls.iter().map(ToolCall::of).collect::<Vec<_>>(),
        "finish_reason": finish_reason(candidate.finish),
        "prompt_tokens": candidate.prompt_tokens,
        "completion_tokens": candidate.completion_tokens,
        "logprob": candidate.logprob,
        "first_piece_ms": ms(candidate.first_piece),
        "took_ms": ms(candidate.took),
        "pool": candidate.pool,
        "strength": outcome.ranking.strengths.get(index),
        "p_best": outcome.ranking.p_best.get(index),
    })
}

/// The answer that was written from the candidates, in the place of the winner's.
fn fused(fused: &Candidate) -> Value {
    json!({
        "writer": fused.writer.to_string(),
        "model": fused.model,
        "text": fused.text,
        "finish_reason": finish_reason(fused.finish),
        "prompt_tokens": fused.prompt_tokens,
        "completion_tokens": fused.completion_tokens,
        "took_ms": ms(fused.took),
        "pool": fused.pool,
    })
}

pub fn ballot(ballot: &CastBallot) -> Value {
    let mut shown = json!({
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
    if let Some(shown) = shown.as_object_mut() {
        if ballot.reasoned {
            shown.insert("reasoned".into(), true.into());
        }
        shown.insert(name.into(), verdicts.into());
    }
    shown
}

/// What the whole swarm spent, the losers and the judges included.
fn tokens(outcome: &Outcome) -> Value {
    let sum = |of: fn(&Candidate) -> u32| -> u64 {
        outcome.candidates.iter().chain(&outcome.fused).map(|one| u64::from(of(one))).sum()
    };
    let judged: u64 = outcome.ballots.iter().map(|ballot| u64::from(ballot.prompt_tokens)).sum();
    json!({
        "prompt": sum(|candidate| candidate.prompt_tokens),
        "completion": sum(|candidate| candidate.completion_tokens),
        "judging": judged,
    })
}

/// Milliseconds to three places.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
