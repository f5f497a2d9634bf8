//! Recomputes claims that decide the winner, before they do.
//!
//! Other claims are audited at random after the round. A member that is honest until it is trusted
//! could then win rounds until an audit catches it. Therefore, when another candidate would win without
//! the claims of the winner's writers, the gateway's auditor recomputes these claims first: one pass
//! over a text for each. A member that lied has no standing for the rest of the round, as a writer and
//! as a judge.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use shoal_proto::NodeId;
use tokio::time::timeout_at;

use crate::round::Round;
use shoal_consensus::{Candidate, CastBallot, outcome::Ranking};
use shoal_swarm::audit::Claim;

/// The ranking that no refuted claim decides, and the writers whose claims were recomputed.
pub(super) async fn ranking(
    round: &mut Round<'_>,
    candidates: &[Candidate],
    ballots: &[CastBallot],
) -> (Ranking, BTreeSet<NodeId>) {
    let (mut attempts, mut audits) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let tally = round.tally(candidates, ballots);
        let ranking = tally.ranking();
        let claims: Vec<Claim> = tally
            .decisive(&ranking)
            .into_iter()
            .filter(|candidate| attempts.insert(candidate.writer))
            .filter_map(|candidate| claim(round, candidate))
            .collect();
        if claims.is_empty() {
            return (ranking, audits);
        }
        let lies = join_all(claims.iter().map(|claim| round.swarm.is_lie(claim)));
        // Out of time: the results of earlier audits of these members must suffice.
        let Ok(lies) = timeout_at(round.clock.end, lies).await else {
            return (ranking, audits);
        };
        let mut liars = BTreeSet::new();
        for (claim, is_lie) in claims.iter().zip(lies) {
            if let Some(is_lie) = is_lie {
                audits.insert(claim.writer);
                if is_lie {
                    liars.insert(claim.writer);
                }
            }
        }
        if !liars.is_empty() {
            round.standing = round.standing.without(&liars);
        }
    }
}

fn claim(round: &Round<'_>, candidate: &Candidate) -> Option<Claim> {
    // An auditor gets the messages only: with other inputs it could not get the same number.
    let logprob = candidate.logprob.filter(|_| round.ask.is_plain())?;
    Some(Claim {
        writer: candidate.writer,
        messages: round.ask.messages.clone(),
        text: candidate.text.clone(),
        logprob,
    })
}
