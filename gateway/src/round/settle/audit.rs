//! Which audits a finished round gives cause for: newcomers and suspects often, others seldom.

use rand::{Rng, RngExt as _};

use shoal_proto::NodeId;

use super::Settled;
use crate::{
    ask::Candidate,
    reputation::{
        Standing,
        audit::{Audits, Hidden},
    },
    swarm::audit::{Claim, Task},
};

/// The audits to be made, by lot.
pub(super) fn drawn(settled: &Settled, standing: &Standing, rng: &mut impl Rng) -> Vec<Task> {
    let rules = &standing.settings().audit;
    let claims = settled.outcome.candidates.iter().filter_map(|candidate| {
        let record = standing.record(&candidate.writer)?;
        let claim = claim(candidate, settled)?;
        (rng.random::<f64>() < record.audits.claim_probability(rules)).then_some(Task::Claim(claim))
    });
    let mut tasks: Vec<Task> = claims.collect();
    let mut lot = |member: &NodeId, role: fn(&Audits) -> Hidden| {
        let record = standing.record(member);
        record.is_some_and(|it| rng.random::<f64>() < role(&it.audits).probability(rules))
    };
    let writers = settled.outcome.candidates.iter().map(|candidate| candidate.writer);
    let members: Vec<NodeId> =
        writers.filter(|member| lot(member, |audits| audits.writer)).collect();
    let judges = settled.outcome.ballots.iter().map(|ballot| ballot.judge);
    let judges: Vec<NodeId> = judges.filter(|member| lot(member, |audits| audits.judge)).collect();
    if !members.is_empty() {
        tasks.push(Task::Writers { members, sampling: settled.sampling.clone() });
    }
    tasks.extend(judges.into_iter().map(|member| Task::Judge { member, draw: rng.random() }));
    tasks
}

fn claim(candidate: &Candidate, settled: &Settled) -> Option<Claim> {
    Some(Claim {
        writer: candidate.writer,
        messages: settled.messages.clone(),
        text: candidate.text.clone(),
        logprob: candidate.logprob?,
    })
}
