//! What a voice counts beside the others of its round: one operator speaks once, however many
//! keys it has, and newcomers together never outvote those who have been here.
//!
//! Operators are what nodes say of themselves. To name another's makes one share its voice and not
//! its standing: newcomers take nothing from members of the same name that were here before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How voices are shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What all newcomers of a round weigh together, at most, as a share of the whole.
    pub newcomers_max: f64,
    /// Audits passed until which a member is a newcomer: some ten rounds.
    pub newcomer_audits: u32,
    /// Voices of others from which the newcomers' bound holds: a young swarm has nobody else.
    pub established_min: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { newcomers_max: 0.25, newcomer_audits: 5, established_min: 3.0 }
    }
}

/// Somebody who speaks in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker<'a> {
    /// Whom it belongs to; empty: itself.
    pub operator: &'a str,
    pub newcomer: bool,
}

/// What each voice counts, in [0, 1], in the order of `speakers`. With one operator for each and
/// no newcomers among others, or nobody else, all count 1.
pub fn shares(speakers: &[Speaker<'_>], settings: &Settings) -> Vec<f64> {
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for speaker in speakers {
        let (old, new) = groups.entry(speaker.operator).or_default();
        *(if speaker.newcomer { new } else { old }) += 1;
    }
    let mut shares: Vec<f64> = speakers
        .iter()
        .map(|speaker| match groups.get(speaker.operator) {
            _ if speaker.operator.is_empty() => 1.0,
            Some((0, new)) => 1.0 / *new as f64,
            Some(_) if speaker.newcomer => 0.0,
            Some((old, _)) => 1.0 / *old as f64,
            None => 1.0,
        })
        .collect();
    let total = |newcomers: bool| -> f64 {
        let of = speakers.iter().zip(&shares).filter(|(one, _)| one.newcomer == newcomers);
        of.map(|(_, share)| share).sum()
    };
    let (old, new) = (total(false), total(true));
    let most = settings.newcomers_max.clamp(0.0, 0.99);
    let bound = old * most / (1.0 - most);
    // A hair less than whole voices: thirds add up to a little less than one.
    if old + 1e-9 >= settings.established_min && new > bound {
        let voices = speakers.iter().zip(&mut shares).filter(|(one, _)| one.newcomer);
        voices.for_each(|(_, share)| *share *= bound / new);
    }
    shares
}

/// Of those who have one name in common nobody counts for less than the others, but all of them
/// together for one voice at most. Empty names are nobody's.
pub fn once_each(shares: &mut [f64], names: &[&str]) {
    let mut together: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, share) in names.iter().zip(shares.iter()).filter(|(name, _)| !name.is_empty()) {
        *together.entry(name).or_default() += share;
    }
    for (name, share) in names.iter().zip(shares) {
        *share /= together.get(name).copied().unwrap_or(1.0).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: Speaker<'_> = Speaker { operator: "", newcomer: false };
    const NEW: Speaker<'_> = Speaker { operator: "", newcomer: true };

    fn of(operator: &str, newcomer: bool) -> Speaker<'_> {
        Speaker { operator, newcomer }
    }

    fn told(speakers: &[Speaker<'_>]) -> Vec<f64> {
        shares(speakers, &Settings::default())
    }

    #[test]
    fn a_thousand_keys_of_one_operator_weigh_like_one() {
        let crowd = [vec![OLD; 5], vec![of("ada", false); 1_000]].concat();
        let shares = told(&crowd);
        assert_eq!(shares[..5], [1.0; 5]);
        assert!((shares[5..].iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_thousand_fresh_keys_of_as_many_operators_weigh_a_quarter() {
        let names: Vec<String> = (0..1_000).map(|n| format!("operator {n}")).collect();
        let fresh: Vec<Speaker<'_>> = names.iter().map(|name| of(name, true)).collect();
        let shares = told(&[vec![OLD; 6], fresh].concat());
        let (old, new): (f64, f64) = (shares[..6].iter().sum(), shares[6..].iter().sum());
        assert!((new / (old + new) - 0.25).abs() < 1e-9, "{old} {new}");
    }

    #[test]
    fn a_young_swarm_speaks_with_full_voice() {
        assert_eq!(told(&[NEW; 7]), [1.0; 7]);
        assert_eq!(told(&[OLD, OLD, NEW, NEW, NEW]), [1.0; 5], "two are no majority to defend");
    }

    #[test]
    fn who_borrows_a_name_takes_nothing_from_its_owner() {
        let shares = told(&[of("ada", false), of("ada", true), of("ada", true), OLD]);
        assert_eq!(shares, [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn one_newcomer_among_many_speaks_with_full_voice() {
        assert_eq!(told(&[OLD, OLD, OLD, OLD, NEW]), [1.0; 5]);
    }

    proptest! {
        #[test]
        fn no_operator_ever_has_more_than_one_voice(speakers in proptest::collection::vec((0u8..4, any::<bool>()), 0..40)) {
            let names = ["", "a", "b", "c"];
            let speakers: Vec<Speaker<'_>> =
                speakers.into_iter().map(|(n, new)| of(names[usize::from(n)], new)).collect();
            let shares = told(&speakers);
            prop_assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
            for name in &names[1..] {
                let of = speakers.iter().zip(&shares).filter(|(one, _)| one.operator == *name);
                prop_assert!(of.map(|(_, share)| share).sum::<f64>() <= 1.0 + 1e-9);
            }
        }
    }

    #[test]
    fn those_of_one_name_are_one_voice_at_most() {
        let mut shares = [1.0, 1.0, 0.5, 1.0, 0.25];
        once_each(&mut shares, &["a", "a", "b", "", "b"]);
        assert_eq!(shares, [0.5, 0.5, 0.5, 1.0, 0.25]);
    }
}
