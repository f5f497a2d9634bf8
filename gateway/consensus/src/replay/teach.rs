//! What a round whose answer is known shows of those who took part in it.

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::replay::Round;
use crate::{
    ballot::Verdicts,
    reputation::{CrowdObservation, GoldObservation, KindId, Observation, judges},
};

/// As a hidden audit would have seen it; nothing of a round without a label.
pub(super) fn observations(round: &Round) -> Vec<(NodeId, Vec<Observation>)> {
    let Some(rights) = &round.right else { return Vec::new() };
    let kind = round.kind.as_deref().map(KindId::new);
    let gold = |seen| Observation::Gold { kind: kind.clone(), seen };
    let item = judges::item([&*round.id, &*round.question]);
    let mut seen: BTreeMap<NodeId, Vec<Observation>> = BTreeMap::new();
    for (candidate, right) in round.candidates.iter().zip(rights.iter().copied()) {
        let of = seen.entry(candidate.writer).or_default();
        of.push(gold(GoldObservation::Answered { right }));
        if let Some(claim) = candidate.claim() {
            of.push(gold(GoldObservation::Certainty { claim, right, item }));
        }
    }
    let right = |at: usize| rights.get(at).copied();
    for ballot in &round.ballots {
        let of = seen.entry(ballot.judge).or_default();
        match &ballot.verdicts {
            Verdicts::Scores(scores) => of.extend(scores.iter().filter_map(|score| {
                let text = round.candidates.get(score.candidate)?.likelihood(score.logprob);
                let right = right(score.candidate)?;
                Some(gold(GoldObservation::Score { text, right, item }))
            })),
            Verdicts::Pairs(pairs) => of.extend(pairs.iter().filter_map(|pair| {
                let p = match (right(pair.a)?, right(pair.b)?) {
                    (true, false) => pair.p,
                    (false, true) => 1.0 - pair.p,
                    // Both right or both wrong: nothing to see.
                    _ => return None,
                };
                let (flipped, way) = (pair.flipped, ballot.way());
                Some(gold(GoldObservation::Pairwise { p, flipped, item, way }))
            })),
        }
    }
    seen.into_iter().collect()
}

/// What a live gateway would have seen: it asks both orders always, so who was recorded in one
/// order only has not shown how steady it is.
pub(super) fn only_what_was_shown(
    seen: Vec<(NodeId, Vec<Observation>)>,
    round: &Round,
) -> Vec<(NodeId, Vec<Observation>)> {
    let compared =
        |seen: &Observation| matches!(seen, Observation::Crowd(CrowdObservation::Compared { .. }));
    seen.into_iter()
        .map(|(node, mut seen)| {
            if round.one_sided.contains(&node) {
                seen.retain(|one| !compared(one));
            }
            (node, seen)
        })
        .collect()
}
