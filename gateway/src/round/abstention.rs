//! The answer when every member abstains: a statement of what the swarm can do.

use std::collections::BTreeMap;

use shoal_proto::{NodeId, generate::Finish};

use super::Round;
use shoal_consensus::{
    Candidate, MemberView, Outcome, RoundError,
    ask::Target,
    outcome::{Decision, Ranking, Timings},
};

/// The outcome of a round in which everybody abstains.
///
/// # Errors
/// [`RoundError::Abstained`] if the request wants a form that a sentence does not have, or certainty.
pub(super) fn outcome(
    round: &Round<'_>,
    abstainers: &[NodeId],
    timings: Timings,
) -> Result<Outcome, RoundError> {
    let took = round.clock.elapsed();
    let error = RoundError::Abstained { members: abstainers.len() };
    let writer = *abstainers.first().ok_or(RoundError::NoMember)?;
    // A client that wants certainty wants an error, and not a statement with a confidence of 0.
    if round.ask.constraint.is_json() || round.ask.effort.min_confidence > 0.0 {
        return Err(error);
    }
    let answer = Candidate {
        writer,
        model: round.model(writer),
        text: statement(&round.ask.target, &round.members),
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        finish: Finish::Stop,
        prompt_tokens: 0,
        completion_tokens: 0,
        cached_tokens: 0,
        reasoning_tokens: 0,
        logprob: None,
        took,
        first_piece: took,
        pool: 0,
    };
    Ok(Outcome {
        round: round.id.clone(),
        kind: round.kind.clone(),
        winner: 0,
        decided: Decision::Abstained,
        candidates: Vec::new(),
        ballots: Vec::new(),
        ranking: Ranking::default(),
        fused: Some(answer),
        timings: Timings { total: took, ..timings },
    })
}

/// What the members can do that could be asked: those of one model, or all. Specialists name their tags.
pub(super) fn statement(target: &Target, members: &[MemberView]) -> String {
    let mut skills: BTreeMap<String, &str> = BTreeMap::new();
    for member in members.iter().filter(|member| member.model.specialist) {
        if target.name().is_some_and(|name| *name != member.model.name) {
            continue;
        }
        for tag in &member.model.tags {
            skills.entry(tag.replace('-', " ")).or_insert(&member.model.name);
        }
    }
    match target {
        Target::Model(name) if skills.is_empty() => format!("{name} does not know the answer."),
        Target::Model(name) => {
            let skills: Vec<String> = skills.into_keys().collect();
            format!("{name} does not know the answer. It knows: {}.", skills.join(", "))
        }
        Target::Swarm if skills.is_empty() => {
            "No member of this swarm knows the answer.".to_owned()
        }
        Target::Swarm => {
            let skills: Vec<String> =
                skills.iter().map(|(skill, model)| format!("{skill} ({model})")).collect();
            format!(
                "No member of this swarm knows the answer. Its specialists know: {}.",
                skills.join(", ")
            )
        }
    }
}
