//! All that is known of a member, ready to be shown: what the standing says, why, and since when.

use serde::Serialize;

use super::{measured, page_of};
use crate::time::utc;
use shoal_consensus::{
    MemberView,
    reputation::{
        Beta, ComparisonMode, KindId, KindPosterior, Likelihood, Line, Record, Sample, Standing,
        audit,
        history::{Entry, Moved, What},
    },
};
use shoal_swarm::{Presence, State};

/// The page of one member.
#[derive(Debug, Serialize)]
pub(super) struct Evidence {
    pub(super) object: &'static str,
    pub(super) id: String,
    pub(super) short_id: String,
    /// Where this page is.
    page: String,
    /// When it was made.
    pub(super) as_of: String,
    pub(super) state: State,
    /// None while it is examined.
    pub(super) member: Option<Member>,
    /// When its record changed last; None: never.
    pub(super) updated: Option<String>,
    pub(super) probation: Probation,
    pub(super) writer: Track,
    pub(super) judge: Judge,
    pub(super) kinds: Vec<Kind>,
    pub(super) certainty: Certainty,
    pub(super) scores: Scores,
    /// Gold pairs that it compared at once, of those remembered; they move its discrimination.
    pub(super) gold_pairs: usize,
    pub(super) flips: Flips,
    /// The same of pairs that it compared after saying why.
    pub(super) reasoned: Reasoned,
    /// How often the ranking made without it put first what it put first.
    pub(super) agreed: Flips,
    /// How often others found its answer better than one that they compared it with, by rounds.
    pub(super) preferred: Flips,
    pub(super) audits: Audited,
    /// Gold answers and verdicts seen since it came or was last caught.
    pub(super) gold_seen: u32,
    /// How often it was caught.
    pub(super) caught: u32,
    /// The latest first.
    pub(super) history: Vec<Event>,
}

/// What it serves and how fast.
#[derive(Debug, Serialize)]
pub(super) struct Member {
    pub(super) model: String,
    pub(super) family: String,
    /// SHA-256 of its weights; empty for an upstream.
    pub(super) digest: String,
    pub(super) context: u32,
    pub(super) parameters: u64,
    pub(super) description: String,
    /// What it says it is good at.
    pub(super) tags: Vec<Tag>,
    /// Whom it belongs to; empty: itself.
    pub(super) operator: String,
    pub(super) slots: u32,
    pub(super) running: u32,
    /// Measured in its exam; None: not yet.
    pub(super) tokens_per_second: Option<f64>,
    pub(super) first_token_seconds: Option<f64>,
}

/// A claim of what it is good at.
#[derive(Debug, Serialize)]
pub(super) struct Tag {
    pub(super) tag: String,
    /// 1: as it came; 0: rounds have shown it to be false; above 1: they bear it out.
    pub(super) believed: f64,
}

/// Whether its ballots weigh anything yet.
#[derive(Debug, Serialize)]
pub(super) struct Probation {
    pub(super) on: bool,
    pub(super) gold_seen: u32,
    pub(super) gold_needed: u32,
    pub(super) accuracy: f64,
    pub(super) accuracy_needed: f64,
    pub(super) why: String,
}

/// Counts of right and wrong, and what is believed because of them.
#[derive(Debug, Serialize)]
pub(super) struct Track {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) mean: f64,
    /// Observations behind it, the older ones faded.
    pub(super) seen: f64,
    /// Which quantile is believed.
    pub(super) quantile: f64,
    /// The value of that quantile.
    pub(super) low: f64,
    pub(super) weight: f64,
    pub(super) how: String,
}

/// A judge's track, and the direction of its verdicts.
#[derive(Debug, Serialize)]
pub(super) struct Judge {
    #[serde(flatten)]
    pub(super) track: Track,
    /// How sharply its pair verdicts follow what is right; below 0: against it.
    pub(super) discrimination: f64,
}

/// What its verdicts with reasons are worth.
#[derive(Debug, Serialize)]
pub(super) struct Reasoned {
    pub(super) discrimination: f64,
    pub(super) gold_pairs: usize,
    pub(super) flips: Flips,
}

/// Accuracy on one kind of gold question.
#[derive(Debug, Serialize)]
pub(super) struct Kind {
    pub(super) kind: String,
    pub(super) right: f64,
    pub(super) wrong: f64,
    pub(super) accuracy: f64,
}

/// What its own certainty is worth.
#[derive(Debug, Serialize)]
pub(super) struct Certainty {
    pub(super) line: Line,
    pub(super) samples: usize,
    pub(super) right: usize,
    pub(super) claims_count: bool,
    pub(super) why: String,
}

/// What its likelihoods of others' answers are worth.
#[derive(Debug, Serialize)]
pub(super) struct Scores {
    pub(super) line: Line,
    pub(super) samples: usize,
    pub(super) right: usize,
    /// What its scores weigh with so many samples behind the line; 0 on probation.
    pub(super) weight: f64,
    pub(super) how: String,
}

/// What audits have come to since it came or was last caught.
#[derive(Debug, Serialize)]
pub(super) struct Audited {
    /// Claims that were recomputed and held.
    pub(super) claims: u32,
    /// How many must hold before its own certainty counts.
    pub(super) claims_needed: u32,
    /// P(its next claim is audited).
    pub(super) claim_probability: f64,
    pub(super) writer: Hidden,
    pub(super) judge: Hidden,
}

/// Hidden questions of one role.
#[derive(Debug, Serialize)]
pub(super) struct Hidden {
    pub(super) seen: u32,
    /// Nats of evidence that it is not what its record says.
    pub(super) alarm: f64,
    /// Where it is caught.
    pub(super) alarm_at: f64,
    /// P(it is audited in its next round).
    pub(super) probability: f64,
}

/// How often something happened (a) or did not (b).
#[derive(Debug, Serialize)]
pub(super) struct Flips {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) rate: f64,
    pub(super) seen: f64,
}

/// Something that moved a number.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub(super) at: String,
    /// When the first of several was.
    pub(super) since: String,
    what: What,
    kind: Option<KindId>,
    well: u32,
    badly: u32,
    moved: Vec<Moved>,
    /// All of it in words.
    pub(super) text: String,
}

impl Evidence {
    /// `now_seconds` is Unix time.
    pub(super) fn of(one: Presence, standing: &Standing, now_seconds: u64) -> Self {
        let Presence { id, state, seat } = one;
        let newcomer = Record::default();
        let record = standing.record(&id).unwrap_or(&newcomer);
        let (certainty, scores) = standing.lines(&id).unwrap_or((Line::CERTAINTY, Line::SCORE));
        let settings = standing.settings();
        let track = |beta, weight, how| Track::of(beta, settings.quantile, weight, how);
        let counts =
            standing.certainty_log_odds(&id, Likelihood { logprob: -1.0, bytes: 1 }).is_some();
        let probation = Probation::of(record, standing, standing.on_probation(&id));
        Self {
            object: "node.standing",
            id: id.to_string(),
            short_id: id.short(),
            page: page_of(&id),
            as_of: utc(now_seconds),
            state,
            updated: (record.updated_seconds > 0).then(|| utc(record.updated_seconds)),
            writer: track(record.writer, standing.writer_weight(&id), how_writer(standing)),
            judge: Judge {
                track: track(record.judge, standing.judge_weight(&id), how_judge(standing)),
                discrimination: standing.discrimination(
                    &id,
                    ComparisonMode::Direct,
                    &KindPosterior::default(),
                ),
            },
            kinds: record.kinds.iter().map(|(kind, seen)| Kind::of(kind, *seen)).collect(),
            certainty: Certainty {
                line: certainty,
                samples: record.certainty.len(),
                right: right(record.certainty.iter()),
                claims_count: counts,
                why: why_claims(record, standing, seat.as_ref(), counts, probation.on),
            },
            scores: Scores::of(record, standing, scores, probation.on),
            gold_pairs: record.pairs_when(ComparisonMode::Direct).count(),
            flips: Flips::of(record.flips),
            reasoned: Reasoned {
                discrimination: standing.discrimination(
                    &id,
                    ComparisonMode::Reasoned,
                    &KindPosterior::default(),
                ),
                gold_pairs: record.pairs_when(ComparisonMode::Reasoned).count(),
                flips: Flips::of(record.flips_reasoned),
            },
            agreed: Flips::of(record.agreed),
            preferred: Flips::of(record.preferred),
            audits: Audited::of(record, standing),
            gold_seen: record.gold_seen,
            caught: record.caught,
            history: record.history.latest().map(Event::of).collect(),
            member: seat.map(|seat| Member::of(seat, record, standing)),
            probation,
        }
    }
}

impl Member {
    fn of(seat: MemberView, record: &Record, standing: &Standing) -> Self {
        let model = seat.model;
        let rules = &standing.settings().routing;
        let told = |tag: String| Tag { believed: record.routing.belief(&tag, rules), tag };
        Self {
            tags: model.tags.into_iter().map(told).collect(),
            model: model.name,
            family: model.family,
            digest: model.digest,
            context: model.context,
            parameters: model.parameters,
            description: model.description,
            operator: seat.operator,
            slots: seat.slots,
            running: seat.running,
            tokens_per_second: measured(seat.tokens_per_second),
            first_token_seconds: measured(seat.first_token_seconds),
        }
    }
}

impl Probation {
    fn of(record: &Record, standing: &Standing, on: bool) -> Self {
        let settings = standing.settings();
        let (gold_seen, gold_needed) = (record.gold_seen, record.gold_needed(settings));
        let (accuracy, accuracy_needed) = (record.writer.mean(), settings.probation_right);
        let mut reasons = Vec::new();
        if gold_seen < gold_needed {
            reasons.push(format!("{gold_seen} of {gold_needed} gold answers and verdicts seen"));
        }
        if accuracy < accuracy_needed {
            reasons.push(format!("right in {accuracy:.3}, and {accuracy_needed:.3} is needed"));
        }
        let why = match (on, reasons.is_empty()) {
            (false, _) => "enough gold was seen, and enough of it was right".to_owned(),
            (true, false) => reasons.join("; "),
            (true, true) => "by the gateway's decision".to_owned(),
        };
        Self { on, gold_seen, gold_needed, accuracy, accuracy_needed, why }
    }
}

impl Track {
    fn of(beta: Beta, quantile: f64, weight: f64, how: String) -> Self {
        let (low, seen) = (beta.quantile(quantile), beta.seen());
        Self { a: beta.a, b: beta.b, mean: beta.mean(), seen, quantile, low, weight, how }
    }
}

impl Kind {
    fn of(kind: &KindId, seen: Beta) -> Self {
        let (right, wrong) = ((seen.a - 1.0).max(0.0), (seen.b - 1.0).max(0.0));
        Self { kind: kind.0.clone(), right, wrong, accuracy: seen.mean() }
    }
}

impl Scores {
    fn of(record: &Record, standing: &Standing, line: Line, on_probation: bool) -> Self {
        let (samples, half) = (record.scores.len(), standing.settings().score_shrinkage);
        let share = samples as f64 / (samples as f64 + half);
        Self {
            line,
            samples,
            right: right(record.scores.iter()),
            weight: if on_probation { 0.0 } else { share },
            how: format!("samples / (samples + {half}), and 0 on probation"),
        }
    }
}

impl Flips {
    fn of(counts: Beta) -> Self {
        Self { a: counts.a, b: counts.b, rate: counts.mean(), seen: counts.seen() }
    }
}

impl Audited {
    fn of(record: &Record, standing: &Standing) -> Self {
        let (audits, rules) = (&record.audits, &standing.settings().audit);
        let hidden = |hidden: &audit::Hidden| Hidden {
            seen: hidden.seen,
            alarm: hidden.alarm,
            alarm_at: rules.alarm,
            probability: hidden.probability(rules),
        };
        Self {
            claims: audits.claims,
            claims_needed: rules.needed,
            claim_probability: audits.claim_probability(rules),
            writer: hidden(&audits.writer),
            judge: hidden(&audits.judge),
        }
    }
}

impl Event {
    fn of(entry: &Entry) -> Self {
        Self {
            at: utc(entry.at_seconds),
            since: utc(entry.since_seconds),
            what: entry.what,
            kind: entry.kind.clone(),
            well: entry.well,
            badly: entry.badly,
            moved: entry.moved.clone(),
            text: entry.to_string(),
        }
    }
}

fn right<'a>(samples: impl Iterator<Item = &'a Sample>) -> usize {
    samples.filter(|sample| sample.right).count()
}

fn how_writer(standing: &Standing) -> String {
    let quantile = standing.settings().quantile;
    let sure = (1.0 - quantile) * 100.0;
    format!(
        "its accuracy is above `low` with {sure:.0} % probability, so that few observations weigh \
         little; rescaled so that the unknown weigh 0: (low - {quantile}) / {}",
        1.0 - quantile
    )
}

fn how_judge(standing: &Standing) -> String {
    let quantile = standing.settings().quantile;
    format!(
        "for being chosen as a judge. 0 on probation; else how far the {quantile} quantile of its \
         accuracy lies above one half. One that is mostly wrong tells as much as one that is mostly \
         right: its counts are taken the other way round. In a round its pair verdicts count by its \
         discrimination, less where other judges make the same mistakes"
    )
}

/// Why its own certainty counts, or everything that keeps it from counting.
fn why_claims(
    record: &Record,
    standing: &Standing,
    seat: Option<&MemberView>,
    counts: bool,
    on_probation: bool,
) -> String {
    if counts {
        return "gold has shown what its claims are worth".to_owned();
    }
    let mut reasons = Vec::new();
    if !record.claims_count {
        reasons.push(match seat {
            Some(seat) if seat.model.digest.is_empty() => {
                "it is an upstream: nobody can recompute its claims".to_owned()
            }
            Some(seat) if !seat.model.certainty => "it claims none".to_owned(),
            _ => {
                let (held, needed) = (record.audits.claims, standing.settings().audit.needed);
                format!("audits have confirmed {held} of {needed} claims")
            }
        });
    }
    if on_probation {
        reasons.push("it is on probation".to_owned());
    }
    let (seen, needed) = (record.certainty.len(), standing.settings().claims_needed);
    if seen < needed {
        reasons.push(format!("{seen} of {needed} gold answers with a claim seen"));
    }
    if reasons.is_empty() {
        reasons.push("no audit has confirmed it yet".to_owned());
    }
    reasons.join("; ")
}
