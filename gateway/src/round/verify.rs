//! A claim that decides who wins is recomputed before it does.
//!
//! Claims are audited by lot afterwards, and a member that was honest until it was trusted could win
//! rounds until the lot falls on it. So when the winner would be another one without what its writers
//! claim of themselves, the gateway's auditor looks at those claims first: one pass over a text for
//! each. Who lied is a stranger for the rest of the round, as writer and as judge.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use shoal_proto::NodeId;
use tokio::time::timeout_at;

use crate::round::Round;
use crate::swarm::audit::Claim;
use shoal_consensus::{Candidate, CastBallot, outcome::Ranking};

/// The ranking once no claim that was refuted decides it, and whose claims were recomputed.
pub(super) async fn settled(
    round: &mut Round<'_>,
    candidates: &[Candidate],
    ballots: &[CastBallot],
) -> (Ranking, BTreeSet<NodeId>) {
    let (mut asked, mut recomputed) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let tally = round.tally(candidates, ballots);
        let ranking = tally.ranking();
        let claims: Vec<Claim> = tally
            .decisive(&ranking)
            .into_iter()
            .filter(|candidate| asked.insert(candidate.writer))
            .filter_map(|candidate| claim(round, candidate))
            .collect();
        if claims.is_empty() {
            return (ranking, recomputed);
        }
        let lied = join_all(claims.iter().map(|claim| round.swarm.is_lie(claim)));
        // Out of time: what earlier audits have said of these members must do.
        let Ok(lied) = timeout_at(round.clock.end, lied).await else {
            return (ranking, recomputed);
        };
        let found = || claims.iter().map(|claim| claim.writer).zip(lied.iter().copied());
        recomputed.extend(found().filter(|(_, lied)| lied.is_some()).map(|(writer, _)| writer));
        let liars: BTreeSet<NodeId> =
            found().filter(|(_, lied)| *lied == Some(true)).map(|(writer, _)| writer).collect();
        if !liars.is_empty() {
            round.standing = round.standing.without(&liars);
        }
    }
}

fn claim(round: &Round<'_>, candidate: &Candidate) -> Option<Claim> {
    // Without what else its writer was given, nobody comes to the same number.
    let logprob = candidate.logprob.filter(|_| round.ask.is_plain())?;
    Some(Claim {
        writer: candidate.writer,
        messages: round.ask.messages.clone(),
        text: candidate.text.clone(),
        logprob,
    })
}
