//! The answer when every member that was asked says that it does not know: what the swarm can do.

use std::collections::BTreeMap;

use shoal_proto::{NodeId, generate::Finish};

use super::Round;
use shoal_consensus::{
    Candidate, MemberView, Outcome, RoundError,
    outcome::{Decision, Ranking, Timings},
};

/// The outcome of a round in which everybody abstained.
///
/// # Errors
/// [`RoundError::Abstained`] if the request wants a form that a sentence does not have.
pub(super) fn outcome(
    round: &Round<'_>,
    abstained: &[NodeId],
    timings: Timings,
) -> Result<Outcome, RoundError> {
    let took = round.clock.elapsed();
    let error = RoundError::Abstained { members: abstained.len() };
    let writer = *abstained.first().ok_or(RoundError::NoMember)?;
    if round.ask.form.is_json() {
        return Err(error);
    }
    let answer = Candidate {
        writer,
        model: round.model(writer),
        text: statement(&round.members),
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        finish: Finish::Stop,
        prompt_tokens: 0,
        completion_tokens: 0,
        cached_tokens: 0,
        logprob: None,
        took,
        first_piece: took,
        pool: 0,
    };
    Ok(Outcome {
        round: round.id.clone(),
        winner: 0,
        decided: Decision::Abstained,
        candidates: Vec::new(),
        ballots: Vec::new(),
        ranking: Ranking::default(),
        fused: Some(answer),
        timings: Timings { total: took, ..timings },
    })
}

/// What the members can do, by the tags of those that are specialists.
pub(super) fn statement(members: &[MemberView]) -> String {
    let mut skills: BTreeMap<&str, &str> = BTreeMap::new();
    for member in members.iter().filter(|member| member.model.specialist) {
        for tag in &member.model.tags {
            skills.entry(tag).or_insert(&member.model.name);
        }
    }
    let skills: Vec<String> =
        skills.iter().map(|(tag, model)| format!("{} ({model})", tag.replace('-', " "))).collect();
    if skills.is_empty() {
        return "No member of this swarm knows the answer.".to_owned();
    }
    format!(
        "No member of this swarm knows the answer. Its specialists know: {}.",
        skills.join(", ")
    )
}
