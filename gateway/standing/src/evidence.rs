//! The standing of a node as its page shows it: each number, the reason for it, and its history.

use serde::Serialize;
use shoal_proto::NodeId;

use crate::{measurement, page_path, time::utc};
use shoal_consensus::{
    MemberView,
    reputation::{
        Beta, ComparisonMode, KindId, KindPosterior, Likelihood, Line, Record, Sample, Standing,
        audit,
        history::{Entry, EventKind, NumberChange},
    },
};
use shoal_swarm::{Presence, State};

/// The page of one node. Times are UTC, as RFC 3339 writes them.
#[derive(Debug, Serialize)]
pub struct Evidence {
    pub(super) object: &'static str,
    pub(super) id: String,
    pub(super) short_id: String,
    /// Path of this page.
    page: String,
    /// Time of this page.
    pub(super) as_of: String,
    pub(super) state: State,
    /// None during its exam.
    pub(super) member: Option<Member>,
    /// Time of the last change to its record; None: no change yet.
    #[serde(rename = "updated")]
    pub(super) updated_at: Option<String>,
    pub(super) probation: Probation,
    pub(super) writer: Track,
    pub(super) judge: Judge,
    pub(super) kinds: Vec<KindEvidence>,
    pub(super) certainty: Certainty,
    pub(super) scores: Scores,
    /// Gold pairs in its record that it compared without giving reasons. Its discrimination
    /// follows from them.
    pub(super) gold_pairs: usize,
    /// Pairs that it compared in both orders: a contradictory, b consistent verdicts.
    pub(super) flips: Frequency,
    #[serde(rename = "reasoned")]
    pub(super) reasoned_verdicts: ReasonedVerdicts,
    /// Rounds in which the ranking without its ballots had the winner that it voted for.
    #[serde(rename = "agreed")]
    pub(super) agreement: Frequency,
    /// Rounds in which judges preferred its answer to the one they compared it with.
    #[serde(rename = "preferred")]
    pub(super) preference: Frequency,
    pub(super) audits: AuditSummary,
    /// Gold answers and verdicts since it joined or last failed an audit.
    pub(super) gold_seen: u32,
    /// Audits that it failed.
    #[serde(rename = "caught")]
    pub(super) times_caught: u32,
    /// The latest first.
    pub(super) history: Vec<Event>,
}

/// What a node serves, and its speed.
#[derive(Debug, Serialize)]
pub(super) struct Member {
    pub(super) model: String,
    pub(super) family: String,
    /// SHA-256 of its weights; empty for an upstream.
    pub(super) digest: String,
    pub(super) context: u32,
    pub(super) parameters: u64,
    pub(super) description: String,
    /// What it claims to be good at.
    pub(super) tags: Vec<Tag>,
    /// Its operator; empty: the node has no operator but itself.
    pub(super) operator: String,
    pub(super) slots: u32,
    pub(super) running: u32,
    /// Measured in its exam; None: no measurement yet.
    pub(super) tokens_per_second: Option<f64>,
    pub(super) first_token_seconds: Option<f64>,
}

/// One claim of a node about what it is good at.
#[derive(Debug, Serialize)]
pub(super) struct Tag {
    pub(super) tag: String,
    /// 1: no evidence yet; 0: rounds have refuted the claim; above 1: rounds support it.
    #[serde(rename = "believed")]
    pub(super) belief: f64,
}

/// Whether a node is on probation, where its ballots count less.
#[derive(Debug, Serialize)]
pub(super) struct Probation {
    pub(super) on: bool,
    pub(super) gold_seen: u32,
    pub(super) gold_needed: u32,
    pub(super) accuracy: f64,
    pub(super) accuracy_needed: f64,
    pub(super) why: String,
}

/// Counts of right and wrong, and the weight that follows from them.
#[derive(Debug, Serialize)]
pub(super) struct Track {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) mean: f64,
    /// Observations behind the counts; older ones count for less.
    #[serde(rename = "seen")]
    pub(super) observations: f64,
    /// The quantile of the accuracy that the weight is based on, in (0, 1).
    pub(super) quantile: f64,
    /// The accuracy at that quantile.
    pub(super) low: f64,
    pub(super) weight: f64,
    pub(super) how: String,
}

/// A judge's counts, and the direction of its verdicts.
#[derive(Debug, Serialize)]
pub(super) struct Judge {
    #[serde(flatten)]
    pub(super) track: Track,
    /// How sharply its pair verdicts follow the right answer; below 0: they follow the wrong one.
    pub(super) discrimination: f64,
    /// Factor on all of its ballots in the ranking: 1 after probation, less on probation, 0 once caught.
    pub(super) ballot_weight: f64,
}

/// The quality of the verdicts before which a judge gave its reasons.
#[derive(Debug, Serialize)]
pub(super) struct ReasonedVerdicts {
    pub(super) discrimination: f64,
    pub(super) gold_pairs: usize,
    pub(super) flips: Frequency,
}

/// Accuracy on one kind of gold question.
#[derive(Debug, Serialize)]
pub(super) struct KindEvidence {
    pub(super) kind: String,
    pub(super) right: f64,
    pub(super) wrong: f64,
    pub(super) accuracy: f64,
}

/// Calibration of a writer's certainty about its own answers.
#[derive(Debug, Serialize)]
pub(super) struct Certainty {
    pub(super) line: Line,
    pub(super) samples: usize,
    pub(super) right: usize,
    pub(super) claims_count: bool,
    pub(super) why: String,
}

/// Calibration of a judge's likelihoods of other nodes' answers.
#[derive(Debug, Serialize)]
pub(super) struct Scores {
    pub(super) line: Line,
    pub(super) samples: usize,
    pub(super) right: usize,
    /// The factor on what its scores say by this line: from the number of samples behind it, and less on
    /// probation.
    pub(super) weight: f64,
    pub(super) how: String,
}

/// Results of audits since the node joined or last failed one.
#[derive(Debug, Serialize)]
pub(super) struct AuditSummary {
    /// Claims that a recomputation confirmed.
    pub(super) claims: u32,
    /// Confirmed claims that it needs before its certainty counts.
    pub(super) claims_needed: u32,
    /// Probability that its next claim is audited.
    pub(super) claim_probability: f64,
    pub(super) writer: HiddenQuestions,
    pub(super) judge: HiddenQuestions,
}

/// Hidden questions to a node in one role.
#[derive(Debug, Serialize)]
pub(super) struct HiddenQuestions {
    #[serde(rename = "seen")]
    pub(super) count: u32,
    /// Evidence that it differs from its record, in nats.
    pub(super) alarm: f64,
    /// The evidence at which it fails the audit, in nats.
    pub(super) alarm_at: f64,
    /// Probability that its next round has a hidden question.
    pub(super) probability: f64,
}

/// How often something happened (a) or did not (b).
#[derive(Debug, Serialize)]
pub(super) struct Frequency {
    pub(super) a: f64,
    pub(super) b: f64,
    /// Mean of Beta(a, b).
    pub(super) rate: f64,
    /// Observations behind the counts; older ones count for less.
    #[serde(rename = "seen")]
    pub(super) observations: f64,
}

/// An event that changed at least one number.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub(super) at: String,
    /// Time of the first one, where this entry stands for several in a row.
    pub(super) since: String,
    #[serde(rename = "what")]
    occurrence: EventKind,
    kind: Option<KindId>,
    well: u32,
    badly: u32,
    #[serde(rename = "moved")]
    changes: Vec<NumberChange>,
    /// The event in words.
    pub(super) text: String,
}

impl Evidence {
    /// The page of a node that is here. `now_seconds` is Unix time.
    pub fn new(presence: Presence, standing: &Standing, now_seconds: u64) -> Self {
        let Presence { id, state, seat, .. } = presence;
        let newcomer = Record::default();
        let record = standing.record(&id).unwrap_or(&newcomer);
        let (certainty, scores) = standing.lines(&id).unwrap_or((Line::CERTAINTY, Line::SCORE));
        let quantile = standing.settings().quantile;
        let certainty_counts =
            standing.certainty_log_odds(&id, Likelihood { logprob: -1.0, bytes: 1 }).is_some();
        let probation = Probation::new(record, standing, standing.on_probation(&id));
        Self {
            object: "node.standing",
            id: id.to_string(),
            short_id: id.short(),
            page: page_path(&id),
            as_of: utc(now_seconds),
            state,
            updated_at: (record.updated_seconds > 0).then(|| utc(record.updated_seconds)),
            writer: Track::new(
                record.writer,
                quantile,
                standing.writer_weight(&id),
                writer_formula(quantile),
            ),
            judge: Judge::new(&id, record, standing),
            kinds: record.kinds.iter().map(KindEvidence::new).collect(),
            certainty: Certainty {
                line: certainty,
                samples: record.certainty.len(),
                right: right_count(record.certainty.iter()),
                claims_count: certainty_counts,
                why: if certainty_counts {
                    "gold questions have shown how reliable its claims are".to_owned()
                } else {
                    certainty_obstacles(record, standing, seat.as_ref(), probation.on)
                },
            },
            scores: Scores::new(record, standing, scores, standing.voice_weight(&id)),
            gold_pairs: record.pairs_when(ComparisonMode::Direct).count(),
            flips: record.flips.into(),
            reasoned_verdicts: ReasonedVerdicts {
                discrimination: standing.discrimination(
                    &id,
                    ComparisonMode::Reasoned,
                    &KindPosterior::default(),
                ),
                gold_pairs: record.pairs_when(ComparisonMode::Reasoned).count(),
                flips: record.flips_reasoned.into(),
            },
            agreement: record.agreed.into(),
            preference: record.preferred.into(),
            audits: AuditSummary::new(record, standing),
            gold_seen: record.gold_seen,
            times_caught: record.caught,
            history: record.history.latest().map(Event::from).collect(),
            member: seat.map(|seat| Member::new(seat, record, standing)),
            probation,
        }
    }
}

impl Member {
    fn new(seat: MemberView, record: &Record, standing: &Standing) -> Self {
        let model = seat.model;
        let rules = &standing.settings().routing;
        let tags = model.tags.into_iter();
        Self {
            tags: tags.map(|tag| Tag { belief: record.routing.belief(&tag, rules), tag }).collect(),
            model: model.name,
            family: model.family,
            digest: model.digest,
            context: model.context,
            parameters: model.parameters,
            description: model.description,
            operator: seat.operator,
            slots: seat.slots,
            running: seat.running,
            tokens_per_second: measurement(seat.tokens_per_second),
            first_token_seconds: measurement(seat.first_token_seconds),
        }
    }
}

impl Probation {
    fn new(record: &Record, standing: &Standing, on: bool) -> Self {
        let settings = standing.settings();
        let (gold_seen, gold_needed) = (record.gold_seen, record.gold_needed(settings));
        let (accuracy, accuracy_needed) = (record.writer.mean(), settings.probation_right);
        let mut reasons = Vec::new();
        if gold_seen < gold_needed {
            reasons.push(format!("{gold_seen} of {gold_needed} gold answers and verdicts seen"));
        }
        if accuracy < accuracy_needed {
            reasons
                .push(format!("its accuracy is {accuracy:.3} of the needed {accuracy_needed:.3}"));
        }
        let why = match (on, reasons.is_empty()) {
            (false, _) => "it has enough gold, and enough of it was right".to_owned(),
            (true, false) => reasons.join("; "),
            (true, true) => "by the gateway's decision".to_owned(),
        };
        Self { on, gold_seen, gold_needed, accuracy, accuracy_needed, why }
    }
}

impl Track {
    fn new(beta: Beta, quantile: f64, weight: f64, how: String) -> Self {
        let (low, observations) = (beta.quantile(quantile), beta.observations());
        Self { a: beta.a, b: beta.b, mean: beta.mean(), observations, quantile, low, weight, how }
    }
}

impl Judge {
    fn new(id: &NodeId, record: &Record, standing: &Standing) -> Self {
        let quantile = standing.settings().quantile;
        let formula = judge_formula(quantile);
        let (mode, kind) = (ComparisonMode::Direct, KindPosterior::default());
        Self {
            track: Track::new(record.judge, quantile, standing.judge_weight(id), formula),
            discrimination: standing.discrimination(id, mode, &kind),
            ballot_weight: standing.voice_weight(id),
        }
    }
}

impl KindEvidence {
    /// The prior is Beta(1, 1): one right and one wrong answer that nobody gave.
    fn new((kind, counts): (&KindId, &Beta)) -> Self {
        let (right, wrong) = ((counts.a - 1.0).max(0.0), (counts.b - 1.0).max(0.0));
        Self { kind: kind.0.clone(), right, wrong, accuracy: counts.mean() }
    }
}

impl Scores {
    fn new(record: &Record, standing: &Standing, line: Line, voice: f64) -> Self {
        let (samples, half) = (record.scores.len(), standing.settings().score_shrinkage);
        let share = samples as f64 / (samples as f64 + half);
        Self {
            line,
            samples,
            right: right_count(record.scores.iter()),
            weight: voice * share,
            how: format!("samples / (samples + {half}), times the weight of its ballots, {voice}"),
        }
    }
}

impl From<Beta> for Frequency {
    fn from(counts: Beta) -> Self {
        let (rate, observations) = (counts.mean(), counts.observations());
        Self { a: counts.a, b: counts.b, rate, observations }
    }
}

impl AuditSummary {
    fn new(record: &Record, standing: &Standing) -> Self {
        let (audits, settings) = (&record.audits, &standing.settings().audit);
        Self {
            claims: audits.claims,
            claims_needed: settings.needed,
            claim_probability: audits.claim_probability(settings),
            writer: HiddenQuestions::new(&audits.writer, settings),
            judge: HiddenQuestions::new(&audits.judge, settings),
        }
    }
}

impl HiddenQuestions {
    fn new(audits: &audit::HiddenAudits, settings: &audit::Settings) -> Self {
        Self {
            count: audits.seen,
            alarm: audits.alarm,
            alarm_at: settings.alarm,
            probability: audits.probability(settings),
        }
    }
}

impl From<&Entry> for Event {
    fn from(entry: &Entry) -> Self {
        Self {
            at: utc(entry.at_seconds),
            since: utc(entry.since_seconds),
            occurrence: entry.event,
            kind: entry.kind.clone(),
            well: entry.well,
            badly: entry.badly,
            changes: entry.changes.clone(),
            text: entry.to_string(),
        }
    }
}

fn right_count<'a>(samples: impl Iterator<Item = &'a Sample>) -> usize {
    samples.filter(|sample| sample.right).count()
}

fn writer_formula(quantile: f64) -> String {
    let confidence = (1.0 - quantile) * 100.0;
    format!(
        "its accuracy is above `low` with {confidence:.0} % probability, so few observations give \
         little weight; scaled so that a node without a record has weight 0: (low - {quantile}) / {}",
        1.0 - quantile
    )
}

fn judge_formula(quantile: f64) -> String {
    format!(
        "decides how often it is selected as a judge. 0 on probation; otherwise how far the \
         {quantile} quantile of its accuracy lies above one half. A judge that is mostly wrong tells \
         as much as one that is mostly right: its counts are swapped. In a round its ballots count by \
         `ballot_weight`, its pair verdicts by its discrimination as well, and less where other judges \
         make the same mistakes"
    )
}

/// The reasons why a node's certainty does not count.
fn certainty_obstacles(
    record: &Record,
    standing: &Standing,
    seat: Option<&MemberView>,
    on_probation: bool,
) -> String {
    let settings = standing.settings();
    let mut reasons = Vec::new();
    if !record.claims_count {
        reasons.push(match seat {
            Some(seat) if seat.model.digest.is_empty() => {
                "it is an upstream: no other node can recompute its claims".to_owned()
            }
            Some(seat) if !seat.model.certainty => "it makes no claims".to_owned(),
            _ => format!(
                "audits have confirmed {} of {} claims",
                record.audits.claims, settings.audit.needed
            ),
        });
    }
    if on_probation {
        reasons.push("it is on probation".to_owned());
    }
    let (claims, claims_needed) = (record.certainty.len(), settings.claims_needed);
    if claims < claims_needed {
        reasons.push(format!("it has given {claims} of {claims_needed} gold answers with a claim"));
    }
    if reasons.is_empty() {
        reasons.push("no audit has confirmed it yet".to_owned());
    }
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_consensus::reputation::{KindModel, Settings};
    use shoal_proto::NodeId;

    #[test]
    fn on_probation_scores_have_the_weight_that_the_ranking_gives_them() {
        let id = NodeId([1; 32]);
        let text = Likelihood { logprob: -1.0, bytes: 9 };
        let scores = vec![Sample { text, right: true, item: 0 }; 20].into();
        let record = Record { scores, ..Record::default() };
        let records = [(id, record.clone())].into();
        let standing = Standing::new(records, KindModel::default(), Settings::default());
        assert!(standing.on_probation(&id));
        let scores = Scores::new(&record, &standing, Line::SCORE, standing.voice_weight(&id));
        assert!((scores.weight - 0.25).abs() < 1e-12, "{}", scores.weight);
    }
}
