//! How observations of a member change its record.

use std::{cell::LazyCell, collections::VecDeque};

use crate::reputation::{
    ComparisonMode, GoldPair, KindId, Record, Sample, Settings,
    calibration::{self, Likelihood, Line},
    routing::Lesson,
};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// One observation of a member.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// On a question whose answer the gateway knows; the kind is the one that the gold set names.
    Gold { kind: Option<KindId>, observation: GoldObservation },
    /// Against the ranking computed without the member's own ballots.
    Crowd(CrowdObservation),
    /// Its answer was that of this share of the other writers, in [0, 1]. This needs no known answer. The
    /// kind is the one that was guessed; None: unknown.
    Peers { kind: Option<KindId>, share: f64 },
    /// How good its answer was, with the words of the ask.
    Routed(Lesson),
}

/// An observation on a gold question.
#[derive(Clone, Debug, PartialEq)]
pub enum GoldObservation {
    /// It answered.
    Answered { right: bool },
    /// It claimed this log-probability (natural, summed) for its own answer. This comes in addition
    /// to [`Self::Answered`]. `item`: as in [`Self::Pairwise`].
    Certainty { claim: Likelihood, right: bool, item: u64 },
    /// It gave this log-likelihood (natural, summed) to a candidate of another member.
    /// `item`: as in [`Self::Pairwise`].
    Score { text: Likelihood, right: bool, item: u64 },
    /// It gave P = `p` to the right one of two, the mean over the two orders; `flipped`: its verdicts
    /// on the two orders contradict each other. `item` identifies the question
    /// ([`crate::reputation::judges::item`]), so that the errors of judges can be correlated; 0: unknown.
    Pairwise { p: f64, flipped: bool, item: u64, mode: ComparisonMode },
}

/// An observation against the crowd. Weighs a fifth of gold, because colluders can agree with each
/// other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CrowdObservation {
    /// Its answer was in the pool that won without it.
    Wrote { agreement: bool },
    /// The candidate that it put first won without it.
    Judged { agreement: bool },
    /// Other judges preferred its answer to other answers of the round in this share of the
    /// comparisons, in [0, 1].
    Preferred { share: f64 },
    /// It compared a pair in both orders. This needs no known answer.
    Compared { flipped: bool, mode: ComparisonMode },
}

/// The record after these observations, the oldest first. `now_seconds` is Unix time; if the clock
/// went backwards, no time has passed.
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
    // Lazy, because only scores need the fit.
    let judge_line = LazyCell::new(|| {
        let groups = std::iter::once(before.scores.iter());
        let start = calibration::fit_length(groups, Line::SCORE, settings.member_shrinkage);
        calibration::fit(before.scores.iter(), start, settings.member_shrinkage)
    });
    for observation in observations {
        match observation {
            Observation::Gold { kind, observation } => {
                learn_gold(&mut record, kind.as_ref(), observation, &judge_line, settings);
            }
            Observation::Crowd(observation) => learn_crowd(&mut record, *observation, settings),
            Observation::Peers { kind, share } => {
                learn_peers(&mut record, kind.as_ref(), *share, settings);
            }
            Observation::Routed(lesson) => record.routing.learn(lesson, &settings.routing),
        }
    }
    record
}

fn learn_gold(
    record: &mut Record,
    kind: Option<&KindId>,
    observation: &GoldObservation,
    judge_line: &LazyCell<Line, impl FnOnce() -> Line>,
    settings: &Settings,
) {
    let weight = settings.gold_weight;
    let keep = decay(settings);
    match *observation {
        GoldObservation::Answered { right } => {
            record.writer = record.writer.fade(keep).with(right, weight);
            record.gold_seen = record.gold_seen.saturating_add(1);
            if let Some(kind) = kind {
                let on_kind = record.kinds.entry(kind.clone()).or_default();
                // Weight 1: these counts hold gold only, so it need not outweigh the crowd.
                *on_kind = on_kind.fade(keep).with(right, 1.0);
            }
        }
        GoldObservation::Certainty { claim: text, right, item } => {
            remember(&mut record.certainty, Sample { text, right, item }, settings.keep);
        }
        GoldObservation::Score { text, right, item } => {
            // The prediction comes from the fit without this score.
            let prediction = judge_line.log_odds(text) > calibration::base_log_odds(&record.scores);
            let balance = balance(&record.scores, right);
            record.judge = record.judge.fade(keep).with(prediction == right, balance);
            remember(&mut record.scores, Sample { text, right, item }, settings.keep);
        }
        GoldObservation::Pairwise { p, flipped, item, mode } => {
            let p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.5 };
            record.judge = record.judge.fade(keep);
            record.judge.a += weight * p;
            record.judge.b += weight * (1.0 - p);
            let flips = record.flips_when_mut(mode);
            *flips = flips.fade(keep).with(flipped, 1.0);
            record.gold_seen = record.gold_seen.saturating_add(1);
            let kind = kind.cloned();
            push(&mut record.pairs, GoldPair { p, item, kind, mode }, settings.keep);
        }
    }
}

fn learn_crowd(record: &mut Record, observation: CrowdObservation, settings: &Settings) {
    let keep = decay(settings);
    match observation {
        CrowdObservation::Wrote { agreement } => {
            record.writer = record.writer.fade(keep).with(agreement, 1.0);
        }
        CrowdObservation::Judged { agreement } => {
            record.judge = record.judge.fade(keep).with(agreement, 1.0);
            record.agreed = record.agreed.fade(keep).with(agreement, 1.0);
        }
        CrowdObservation::Preferred { share } => {
            let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
            record.preferred = record.preferred.fade(keep);
            record.preferred.a += share;
            record.preferred.b += 1.0 - share;
        }
        CrowdObservation::Compared { flipped, mode } => {
            let flips = record.flips_when_mut(mode);
            *flips = flips.fade(keep).with(flipped, 1.0);
        }
    }
}

/// Agreement is counted over all rounds (under an empty name) and for the kind of question.
fn learn_peers(record: &mut Record, kind: Option<&KindId>, share: f64, settings: &Settings) {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
    let keep = decay(settings);
    for kind in [Some(&KindId::new("")), kind].into_iter().flatten() {
        let agreement = record.peers.entry(kind.clone()).or_default();
        *agreement = agreement.fade(keep);
        agreement.a += share;
        agreement.b += 1.0 - share;
    }
}

/// The factor by which one more observation reduces all earlier ones.
fn decay(settings: &Settings) -> f64 {
    (-1.0 / settings.half_life.max(1.0)).exp2()
}

fn fade(record: &mut Record, keep: f64) {
    let Record { writer, judge, flips, flips_reasoned, agreed, preferred, .. } = record;
    let overall = [writer, judge, flips, flips_reasoned, agreed, preferred];
    for beta in overall {
        *beta = beta.fade(keep);
    }
    record.routing = record.routing.fade(keep);
    let by_kind = record.kinds.values_mut().chain(record.peers.values_mut());
    by_kind.for_each(|beta| *beta = beta.fade(keep));
}

/// The weight that makes right and wrong candidates count equally, however rare one class is: a judge
/// that calls all candidates wrong gains nothing where most are wrong.
fn balance(samples: &VecDeque<Sample>, right: bool) -> f64 {
    let class = samples.iter().filter(|sample| sample.right == right).count() as f64;
    0.5 * (samples.len() as f64 + 2.0) / (class + 1.0)
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
