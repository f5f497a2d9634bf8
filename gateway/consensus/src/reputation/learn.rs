//! How a record moves when something was seen of its member.

use std::{cell::LazyCell, collections::VecDeque};

use crate::reputation::{
    Compared, KindId, Record, Sample, Settings, Way,
    calibration::{self, Likelihood, Line},
    routing::Lesson,
};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Something that was seen of a member.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// On a question whose answer the gateway knows, of the kind that its gold set names.
    Gold { kind: Option<KindId>, seen: GoldObservation },
    /// Against the ranking computed without the member's own ballots.
    Crowd(CrowdObservation),
    /// What its answer was worth, with the words of the ask.
    Routed(Lesson),
}

/// What gold shows.
#[derive(Clone, Debug, PartialEq)]
pub enum GoldObservation {
    /// It answered.
    Answered { right: bool },
    /// It claimed this log-probability (natural, summed) for an answer of its own. Send it
    /// beside [`Self::Answered`], not instead.
    /// `item`: as in [`Self::Pairwise`].
    Certainty { claim: Likelihood, right: bool, item: u64 },
    /// It gave this log-likelihood (natural, summed) to somebody else's candidate.
    /// `item`: as in [`Self::Pairwise`].
    Score { text: Likelihood, right: bool, item: u64 },
    /// It gave P = `p` to the right one of two, both orders averaged; `flipped`: they disagreed.
    /// `item` names the question ([`crate::reputation::judges::item`]), so that judges' errors can be held
    /// against each other; 0 when it has no name.
    Pairwise { p: f64, flipped: bool, item: u64, way: Way },
}

/// What the crowd shows. Weighs a fifth of gold, because colluders can agree with each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CrowdObservation {
    /// Its answer was in the pool that won without it.
    Wrote { agreed: bool },
    /// The candidate that it put first won without it.
    Judged { agreed: bool },
    /// Others compared its answer with other answers of the round, and found it better in `share`
    /// of the comparisons, in [0, 1].
    Preferred { share: f64 },
    /// It compared a pair in both orders, which needs no key at all.
    Compared { flipped: bool, way: Way },
}

/// The record after these observations, the oldest first. Pure: `now_seconds` is Unix time; a
/// clock that went backwards counts as no time passed.
pub fn learn(
    before: &Record,
    observations: &[Observation],
    now_seconds: u64,
    settings: &Settings,
) -> Record {
    let mut record = before.clone();
    if before.updated_seconds > 0 {
        let idle = now_seconds.saturating_sub(before.updated_seconds) as f64 / SECONDS_PER_DAY;
        // Five halvings in `idle_days`.
        fade(&mut record, (-5.0 * idle / settings.idle_days.max(1e-9)).exp2());
    }
    record.updated_seconds = now_seconds.max(before.updated_seconds);
    // Only scores ask for it, and every other observation would pay for the fit.
    let judge_line = LazyCell::new(|| {
        let read = std::iter::once(before.scores.iter());
        let start = calibration::fit_length(read, Line::SCORE, settings.member_shrinkage);
        calibration::fit(before.scores.iter(), start, settings.member_shrinkage)
    });
    for observation in observations {
        match observation {
            Observation::Gold { kind, seen } => {
                gold(&mut record, kind.as_ref(), seen, &judge_line, settings);
            }
            Observation::Crowd(seen) => crowd(&mut record, *seen, settings),
            Observation::Routed(lesson) => record.routing.learn(lesson, &settings.routing),
        }
    }
    record
}

fn gold(
    record: &mut Record,
    kind: Option<&KindId>,
    seen: &GoldObservation,
    judge_line: &LazyCell<Line, impl FnOnce() -> Line>,
    settings: &Settings,
) {
    let weight = settings.gold_weight;
    let keep_one = forgetting(settings);
    match *seen {
        GoldObservation::Answered { right } => {
            record.writer = record.writer.faded(keep_one).with(right, weight);
            record.gold_seen = record.gold_seen.saturating_add(1);
            if let Some(kind) = kind {
                let on_kind = record.kinds.entry(kind.clone()).or_default();
                // Counted by ones: against gold of the same kind only, there is no crowd here.
                *on_kind = on_kind.faded(keep_one).with(right, 1.0);
            }
        }
        GoldObservation::Certainty { claim: text, right, item } => {
            remember(&mut record.certainty, Sample { text, right, item }, settings.keep);
        }
        GoldObservation::Score { text, right, item } => {
            // Predicted before it is learned: otherwise a judge would be praised for hindsight.
            let predicted = judge_line.log_odds(text) > calibration::base_log_odds(&record.scores);
            let balance = balance(&record.scores, right);
            record.judge = record.judge.faded(keep_one).with(predicted == right, balance);
            remember(&mut record.scores, Sample { text, right, item }, settings.keep);
        }
        GoldObservation::Pairwise { p, flipped, item, way } => {
            let p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.5 };
            record.judge = record.judge.faded(keep_one);
            record.judge.a += weight * p;
            record.judge.b += weight * (1.0 - p);
            let flips = record.flips_when_mut(way);
            *flips = flips.faded(keep_one).with(flipped, 1.0);
            record.gold_seen = record.gold_seen.saturating_add(1);
            let kind = kind.cloned();
            push(&mut record.pairs, Compared { p, item, kind, way }, settings.keep);
        }
    }
}

fn crowd(record: &mut Record, seen: CrowdObservation, settings: &Settings) {
    let keep_one = forgetting(settings);
    match seen {
        CrowdObservation::Wrote { agreed } => {
            record.writer = record.writer.faded(keep_one).with(agreed, 1.0);
        }
        CrowdObservation::Judged { agreed } => {
            record.judge = record.judge.faded(keep_one).with(agreed, 1.0);
            record.agreed = record.agreed.faded(keep_one).with(agreed, 1.0);
        }
        CrowdObservation::Preferred { share } => {
            let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
            record.preferred = record.preferred.faded(keep_one);
            record.preferred.a += share;
            record.preferred.b += 1.0 - share;
        }
        CrowdObservation::Compared { flipped, way } => {
            let flips = record.flips_when_mut(way);
            *flips = flips.faded(keep_one).with(flipped, 1.0);
        }
    }
}

/// What one more observation leaves of all earlier ones.
fn forgetting(settings: &Settings) -> f64 {
    (-1.0 / settings.half_life.max(1.0)).exp2()
}

fn fade(record: &mut Record, keep: f64) {
    let Record { writer, judge, flips, flips_reasoned, agreed, preferred, .. } = record;
    let overall = [writer, judge, flips, flips_reasoned, agreed, preferred];
    for beta in overall {
        *beta = beta.faded(keep);
    }
    record.routing = record.routing.faded(keep);
    record.kinds.values_mut().for_each(|beta| *beta = beta.faded(keep));
}

/// The weight that makes right and wrong candidates count alike, however rare one of them is:
/// who calls everything wrong where most is wrong has judged nothing.
fn balance(seen: &VecDeque<Sample>, right: bool) -> f64 {
    let same = seen.iter().filter(|sample| sample.right == right).count() as f64;
    0.5 * (seen.len() as f64 + 2.0) / (same + 1.0)
}

fn remember(samples: &mut VecDeque<Sample>, sample: Sample, keep: usize) {
    if sample.text.logprob.is_finite() {
        push(samples, sample, keep);
    }
}

fn push<T>(window: &mut VecDeque<T>, value: T, keep: usize) {
    window.push_back(value);
    while window.len() > keep {
        window.pop_front();
    }
}
