//! The observations of a round with a label.

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::replay::Round;
use crate::{
    ballot::{CastBallot, Verdicts},
    reputation::{CrowdObservation, GoldObservation, KindId, Observation, judges},
};

/// The observations that a hidden audit would make; none without a label.
pub(super) fn observations(round: &Round) -> Vec<(NodeId, Vec<Observation>)> {
    let Some(rights) = &round.right else { return Vec::new() };
    let kind = round.kind.as_deref().map(KindId::new);
    let item = judges::item([&*round.id, &*round.question]);
    let mut members: BTreeMap<NodeId, Vec<GoldObservation>> = BTreeMap::new();
    for (candidate, right) in round.candidates.iter().zip(rights.iter().copied()) {
        let observations = members.entry(candidate.writer).or_default();
        observations.push(GoldObservation::Answered { right });
        if let Some(claim) = candidate.claim() {
            observations.push(GoldObservation::Certainty { claim, right, item });
        }
    }
    for ballot in &round.ballots {
        members.entry(ballot.judge).or_default().extend(of_ballot(ballot, round, rights, item));
    }
    members
        .into_iter()
        .map(|(node, observations)| {
            let gold = observations
                .into_iter()
                .map(|observation| Observation::Gold { kind: kind.clone(), observation });
            (node, gold.collect())
        })
        .collect()
}

#[expect(
    clippy::indexing_slicing,
    reason = "`line` refuses ballots and labels of other candidates"
)]
fn of_ballot(
    ballot: &CastBallot,
    round: &Round,
    rights: &[bool],
    item: u64,
) -> Vec<GoldObservation> {
    match &ballot.verdicts {
        Verdicts::Scores(scores) => scores
            .iter()
            .map(|score| {
                let text = round.candidates[score.candidate].likelihood(score.logprob);
                GoldObservation::Score { text, right: rights[score.candidate], item }
            })
            .collect(),
        Verdicts::Pairs(pairs) => pairs
            .iter()
            .filter_map(|pair| {
                let p = match (rights[pair.a], rights[pair.b]) {
                    (true, false) => pair.p,
                    (false, true) => 1.0 - pair.p,
                    // If the two are equally right, the verdict shows nothing.
                    _ => return None,
                };
                let (flipped, mode) = (pair.flipped, ballot.mode());
                Some(GoldObservation::Pairwise { p, flipped, item, mode })
            })
            .collect(),
    }
}

/// Leaves out the flips of judges that were recorded in one order only. A live gateway always asks
/// for the two orders, so a recording of one order says nothing about flips.
pub(super) fn without_one_sided_flips(
    mut members: Vec<(NodeId, Vec<Observation>)>,
    round: &Round,
) -> Vec<(NodeId, Vec<Observation>)> {
    for (node, observations) in &mut members {
        if round.one_sided.contains(node) {
            observations.retain(|observation| {
                !matches!(observation, Observation::Crowd(CrowdObservation::Compared { .. }))
            });
        }
    }
    members
}
