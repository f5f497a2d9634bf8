//! Which audits a finished round gives cause for: newcomers and suspects often, others seldom.

use rand::{Rng, RngExt as _};

use super::Settled;
use crate::{
    ask::Candidate,
    reputation::Standing,
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
    claims.collect()
}

fn claim(candidate: &Candidate, settled: &Settled) -> Option<Claim> {
    Some(Claim {
        writer: candidate.writer,
        messages: settled.messages.clone(),
        text: candidate.text.clone(),
        logprob: candidate.logprob?,
    })
}
