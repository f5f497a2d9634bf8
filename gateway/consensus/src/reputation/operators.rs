//! The shares of voices in a round: the members of one operator have one voice in sum, however many
//! keys it has, and newcomers together never outvote established members.
//!
//! Nodes name their operator themselves. A node that names the operator of another node does not get
//! its standing: newcomers take nothing from established members with the same operator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How voices are shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bound of the newcomers' sum in a round, as a share of the total.
    pub newcomers_max: f64,
    /// Audits passed until which a member is a newcomer: some ten rounds.
    pub newcomer_audits: u32,
    /// Voices of established members from which on this bound holds: a young swarm has only
    /// newcomers.
    pub established_min: f64,
    /// Sum of the examined members' standing as writers from which on they bound those on probation.
    pub competence_min: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { newcomers_max: 0.25, newcomer_audits: 5, established_min: 3.0, competence_min: 0.1 }
    }
}

/// A member with a voice in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speaker<'a> {
    /// Its operator; empty: none.
    pub operator: &'a str,
    /// See [`crate::reputation::Record::is_newcomer`].
    pub newcomer: bool,
    /// See [`crate::reputation::Record::on_probation`].
    pub probation: bool,
    /// Its standing as a writer in [0, 1].
    pub competence: f64,
}

/// The share of each voice in [0, 1], in the order of `speakers`. All are 1 if the operators are
/// distinct and the members are all newcomers or all established.
#[expect(clippy::indexing_slicing, reason = "each speaker is in the group of its operator")]
pub(crate) fn shares(speakers: &[Speaker<'_>], settings: &Settings) -> Vec<f64> {
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for speaker in speakers {
        let (old, new) = groups.entry(speaker.operator).or_default();
        *(if speaker.newcomer { new } else { old }) += 1;
    }
    let mut shares: Vec<f64> = speakers
        .iter()
        .map(|speaker| match groups[speaker.operator] {
            _ if speaker.operator.is_empty() => 1.0,
            (0, new) => 1.0 / new as f64,
            _ if speaker.newcomer => 0.0,
            (old, _) => 1.0 / old as f64,
        })
        .collect();
    limit(&mut shares, speakers, |speaker| speaker.newcomer, settings.established_min, settings);
    // Those that were not examined are bounded by those that were, unless the exam showed that these know
    // nothing: a weak model that is examined first must not silence a strong one.
    let examined_voices = speakers.iter().zip(&shares).filter(|(speaker, _)| !speaker.probation);
    let competence: f64 = examined_voices.map(|(speaker, share)| share * speaker.competence).sum();
    if competence >= settings.competence_min {
        limit(&mut shares, speakers, |speaker| speaker.probation, f64::MIN_POSITIVE, settings);
    }
    shares
}

/// Scales the shares of the `new` speakers to the bound of newcomers, if the others have `least` voices.
fn limit(
    shares: &mut [f64],
    speakers: &[Speaker<'_>],
    is_new: impl Fn(&Speaker<'_>) -> bool,
    least: f64,
    settings: &Settings,
) {
    let (mut old, mut new) = (0.0_f64, 0.0_f64);
    for (speaker, share) in speakers.iter().zip(shares.iter()) {
        *(if is_new(speaker) { &mut new } else { &mut old }) += share;
    }
    let newcomers_max = settings.newcomers_max.clamp(0.0, 0.99);
    let bound = old * newcomers_max / (1.0 - newcomers_max);
    // The tolerance is for rounding: three thirds may sum to a little less than one.
    if old > 0.0 && old + 1e-9 >= least && new > bound {
        let voices = speakers.iter().zip(shares).filter(|(speaker, _)| is_new(speaker));
        voices.for_each(|(_, share)| *share *= bound / new);
    }
}

/// Scales the shares of members with the same name so that they sum to one voice at most. An empty
/// name equals no other name.
pub(crate) fn limit_to_one_voice(shares: &mut [f64], names: &[&str]) {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, share) in names.iter().zip(shares.iter()).filter(|(name, _)| !name.is_empty()) {
        *sums.entry(name).or_default() += share;
    }
    for (name, share) in names.iter().zip(shares) {
        if let Some(sum) = sums.get(name) {
            *share /= sum.max(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: Speaker<'_> =
        Speaker { operator: "", newcomer: false, probation: false, competence: 0.5 };
    const NEW: Speaker<'_> =
        Speaker { operator: "", newcomer: true, probation: false, competence: 0.5 };

    fn speaker(operator: &str, newcomer: bool) -> Speaker<'_> {
        Speaker { operator, newcomer, probation: false, competence: 0.5 }
    }

    fn default_shares(speakers: &[Speaker<'_>]) -> Vec<f64> {
        shares(speakers, &Settings::default())
    }

    #[test]
    fn a_thousand_keys_of_one_operator_weigh_like_one() {
        let crowd = [vec![OLD; 5], vec![speaker("ada", false); 1_000]].concat();
        let shares = default_shares(&crowd);
        assert_eq!(shares[..5], [1.0; 5]);
        assert!((shares[5..].iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_thousand_fresh_keys_of_as_many_operators_weigh_a_quarter() {
        let names: Vec<String> = (0..1_000).map(|n| format!("operator {n}")).collect();
        let fresh: Vec<Speaker<'_>> = names.iter().map(|name| speaker(name, true)).collect();
        let shares = default_shares(&[vec![OLD; 6], fresh].concat());
        let (old, new): (f64, f64) = (shares[..6].iter().sum(), shares[6..].iter().sum());
        assert!((new / (old + new) - 0.25).abs() < 1e-9, "{old} {new}");
    }

    #[test]
    fn a_young_swarm_speaks_with_full_voice() {
        assert_eq!(default_shares(&[NEW; 7]), [1.0; 7]);
        assert_eq!(
            default_shares(&[OLD, OLD, NEW, NEW, NEW]),
            [1.0; 5],
            "two are no majority to defend"
        );
    }

    #[test]
    fn those_without_an_exam_are_a_quarter_beside_a_single_one_that_passed_it() {
        let unknown = Speaker { probation: true, ..NEW };
        let shares = default_shares(&[NEW, unknown, unknown, unknown]);
        let sum: f64 = shares[1..].iter().sum();
        assert!((shares[0] - 1.0).abs() < 1e-9 && (sum - 1.0 / 3.0).abs() < 1e-9, "{shares:?}");
        assert_eq!(default_shares(&[unknown; 4]), [1.0; 4], "there is nobody to defend");
        let ignorant = Speaker { competence: 0.0, ..NEW };
        let shares = default_shares(&[ignorant, unknown, unknown]);
        assert_eq!(shares, [1.0; 3], "who knows nothing silences nobody");
    }

    #[test]
    fn who_borrows_a_name_takes_nothing_from_its_owner() {
        let shares = default_shares(&[
            speaker("ada", false),
            speaker("ada", true),
            speaker("ada", true),
            OLD,
        ]);
        assert_eq!(shares, [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn one_newcomer_among_many_speaks_with_full_voice() {
        assert_eq!(default_shares(&[OLD, OLD, OLD, OLD, NEW]), [1.0; 5]);
    }

    proptest! {
        #[test]
        fn no_operator_ever_has_more_than_one_voice(speakers in proptest::collection::vec((0u8..4, any::<bool>()), 0..40)) {
            let names = ["", "a", "b", "c"];
            let speakers: Vec<Speaker<'_>> =
                speakers.into_iter().map(|(n, new)| speaker(names[usize::from(n)], new)).collect();
            let shares = default_shares(&speakers);
            prop_assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
            for name in &names[1..] {
                let voices = speakers.iter().zip(&shares).filter(|(speaker, _)| speaker.operator == *name);
                prop_assert!(voices.map(|(_, share)| share).sum::<f64>() <= 1.0 + 1e-9);
            }
        }
    }

    #[test]
    fn those_of_one_name_are_one_voice_at_most() {
        let mut shares = [1.0, 1.0, 0.5, 1.0, 0.25];
        limit_to_one_voice(&mut shares, &["a", "a", "b", "", "b"]);
        assert_eq!(shares, [0.5, 0.5, 0.5, 1.0, 0.25]);
    }
}
