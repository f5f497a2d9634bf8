//! Which audits a finished round gives cause for: newcomers and suspects often, others seldom.

use rand::{Rng, RngExt as _};

use shoal_proto::{NodeId, generate::Sampling};

use crate::round::learn::Settled;
use crate::swarm::audit::{Cast, Claim, Task};
use shoal_consensus::{
    Candidate, Outcome,
    reputation::{
        Standing,
        audit::{Audits, Hidden},
    },
};

/// The audits to be made: by lot, and always of claims that may have decided the round.
pub(super) fn drawn(settled: &Settled, standing: &Standing, rng: &mut impl Rng) -> Vec<Task> {
    let rules = &standing.settings().audit;
    let contested = contested(&settled.outcome);
    let claims = settled.outcome.candidates.iter().filter_map(|candidate| {
        let record = standing.record(&candidate.writer)?;
        let claim = claim(candidate, settled)?;
        let drawn = rng.random::<f64>() < record.audits.claim_probability(rules);
        (drawn || contested == Some(candidate.pool)).then_some(Task::Claim(claim))
    });
    let mut tasks: Vec<Task> = claims.collect();
    let mut lot = |member: &NodeId, role: fn(&Audits) -> Hidden| {
        let record = standing.record(member);
        record.is_some_and(|it| rng.random::<f64>() < role(&it.audits).probability(rules))
    };
    let writers = settled.outcome.candidates.iter().map(|candidate| candidate.writer);
    let members: Vec<NodeId> =
        writers.filter(|member| lot(member, |audits| audits.writer)).collect();
    let judges: Vec<(NodeId, Cast)> = (settled.outcome.ballots.iter())
        .map(|ballot| (ballot.judge, Cast::of(ballot)))
        .filter(|(member, _)| lot(member, |audits| audits.judge))
        .collect();
    if !members.is_empty() && settled.plain && is_fair(&settled.sampling) {
        tasks.push(Task::Writers { members, sampling: settled.sampling.clone() });
    }
    let judged = |(member, cast)| Task::Judge { member, cast, draw: rng.random() };
    tasks.extend(judges.into_iter().map(judged));
    tasks
}

/// The pool that won although another one has as many writers: what each of them claimed may have
/// decided that, and a lie which wins is looked at each time, so that it hardly does so twice. It
/// costs one pass over an answer; judging the round has taken a pass for each judge and answer.
fn contested(outcome: &Outcome) -> Option<usize> {
    let won = outcome.winner()?.pool;
    let size = |pool| outcome.candidates.iter().filter(|one| one.pool == pool).count();
    let others = outcome.candidates.iter().map(|one| one.pool).filter(|pool| *pool != won);
    others.map(size).max().is_some_and(|most| most >= size(won)).then_some(won)
}

/// Hidden questions are sampled as a client's were, so that nobody can tell them apart; but not
/// where that would make honest members fail.
fn is_fair(sampling: &Sampling) -> bool {
    /// The longest worked answer of the syllabus, and some.
    const TOKENS: u32 = 512;
    /// Above this a model begins to say what it does not believe.
    const TEMPERATURE: f32 = 0.7;
    sampling.stop.is_empty()
        && sampling.logit_bias.is_empty()
        && sampling.max_tokens.is_none_or(|max| max >= TOKENS)
        && sampling.temperature.is_none_or(|heat| heat <= TEMPERATURE)
}

fn claim(candidate: &Candidate, settled: &Settled) -> Option<Claim> {
    if !settled.plain || settled.audited.contains(&candidate.writer) {
        // Without what else its writer was given, nobody comes to the same number.
        return None;
    }
    Some(Claim {
        writer: candidate.writer,
        messages: settled.messages.clone(),
        text: candidate.text.clone(),
        logprob: candidate.logprob?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_examined_under_settings_that_spoil_an_honest_answer() {
        let fair = Sampling::default();
        assert!(is_fair(&fair));
        assert!(is_fair(&Sampling {
            temperature: Some(0.0),
            max_tokens: Some(1_000),
            ..fair.clone()
        }));
        for spoilt in [
            Sampling { max_tokens: Some(5), ..fair.clone() },
            Sampling { temperature: Some(1.5), ..fair.clone() },
            Sampling { stop: vec!["4".to_owned()], ..fair },
        ] {
            assert!(!is_fair(&spoilt), "{spoilt:?}");
        }
    }
}
