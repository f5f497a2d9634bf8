//! The audits that a finished round gives cause for: of newcomers and suspects often, of other members
//! seldom.

use std::collections::BTreeMap;

use rand::{Rng, RngExt as _};

use shoal_proto::{NodeId, generate::Sampling};

use super::FinishedRound;
use shoal_consensus::{
    Candidate, CastBallot, Outcome,
    reputation::{
        Standing,
        audit::{Audits, HiddenAudits},
    },
};
use shoal_swarm::audit::{Claim, Task};

/// Draws the audits of a round at random. Claims that may have decided the round are always audited.
pub(super) fn draw(round: &FinishedRound, standing: &Standing, rng: &mut impl Rng) -> Vec<Task> {
    let rules = &standing.settings().audit;
    let contested_pool = contested_pool(&round.outcome);
    let claims = round.outcome.candidates.iter().filter_map(|candidate| {
        let record = standing.record(&candidate.writer)?;
        let claim = claim(candidate, round)?;
        let is_drawn = rng.random::<f64>() < record.audits.claim_probability(rules);
        (is_drawn || contested_pool == Some(candidate.pool)).then_some(Task::Claim(claim))
    });
    let mut tasks: Vec<Task> = claims.collect();
    let mut members: Vec<NodeId> =
        round.outcome.candidates.iter().map(|candidate| candidate.writer).collect();
    members.retain(|member| is_drawn(standing, member, |audits| audits.writer, rng));
    let mut ballots: Vec<&CastBallot> = round.outcome.ballots.iter().collect();
    ballots.retain(|ballot| is_drawn(standing, &ballot.judge, |audits| audits.judge, rng));
    if !members.is_empty() && round.is_plain && is_fair(&round.sampling) {
        tasks.push(Task::Writers { members, sampling: round.sampling.clone() });
    }
    tasks.extend(ballots.into_iter().map(|ballot| Task::Judge {
        member: ballot.judge,
        ballot: ballot.into(),
        draw: rng.random(),
    }));
    tasks
}

/// Draws whether a member gets a secret audit in this role.
fn is_drawn(
    standing: &Standing,
    member: &NodeId,
    role: fn(&Audits) -> HiddenAudits,
    rng: &mut impl Rng,
) -> bool {
    let rules = &standing.settings().audit;
    standing
        .record(member)
        .is_some_and(|record| rng.random::<f64>() < role(&record.audits).probability(rules))
}

/// The pool that won although another pool has as many writers. Its claims may have decided that. A
/// lie that wins is audited each time, so that it hardly wins twice. The audit costs one pass over an
/// answer; judging the round has cost a pass for each judge and answer.
fn contested_pool(outcome: &Outcome) -> Option<usize> {
    let winner = outcome.winner()?.pool;
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for candidate in &outcome.candidates {
        *sizes.entry(candidate.pool).or_default() += 1;
    }
    let winner_size = sizes.remove(&winner).unwrap_or(0);
    sizes.into_values().max().is_some_and(|size| size >= winner_size).then_some(winner)
}

/// Whether a gold question may be asked with this sampling. A secret question has the sampling of a
/// client's request, so that members cannot distinguish the two; except where honest members would
/// fail with it.
fn is_fair(sampling: &Sampling) -> bool {
    /// More than the longest worked answer of the syllabus.
    const TOKENS: u32 = 512;
    /// Above this temperature a model often samples answers that it finds unlikely.
    const TEMPERATURE: f32 = 0.7;
    sampling.stop.is_empty()
        && sampling.logit_bias.is_empty()
        && sampling.max_tokens.is_none_or(|max| max >= TOKENS)
        && sampling.temperature.is_none_or(|heat| heat <= TEMPERATURE)
}

fn claim(candidate: &Candidate, round: &FinishedRound) -> Option<Claim> {
    if !round.is_plain || round.claims_audited.contains(&candidate.writer) {
        // An auditor gets the messages only: with other inputs it could not get the same number.
        return None;
    }
    Some(Claim {
        writer: candidate.writer,
        messages: round.messages.clone(),
        text: candidate.text.clone(),
        logprob: candidate.logprob?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_member_is_examined_with_sampling_that_spoils_an_honest_answer() {
        let fair = Sampling::default();
        assert!(is_fair(&fair));
        assert!(is_fair(&Sampling {
            temperature: Some(0.0),
            max_tokens: Some(1_000),
            ..fair.clone()
        }));
        for sampling in [
            Sampling { max_tokens: Some(5), ..fair.clone() },
            Sampling { temperature: Some(1.5), ..fair.clone() },
            Sampling { stop: vec!["4".to_owned()], ..fair },
        ] {
            assert!(!is_fair(&sampling), "{sampling:?}");
        }
    }
}
