//! The figures of one evaluation.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    methods::{Method, Methods},
    record::QuestionRecord,
    stats::{self, Bin, Estimate},
};

/// Seed of the bootstrap: the same records always give the same intervals.
const SEED: u64 = 7;

/// All figures of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub questions: usize,
    /// Questions that the gateway did not answer; they count as wrong.
    pub failures: usize,
    pub rows: Vec<Row>,
    /// Mean accuracy of the members.
    pub mean_member: f64,
    /// Families in the order of the columns.
    pub families: Vec<String>,
    pub differences: Vec<Difference>,
    /// Rounds by the way in which they ended.
    #[serde(rename = "decided")]
    pub decisions: Vec<Share>,
    /// P(best) of the sent answers against the share that is right.
    pub reliability: Vec<Bin>,
    pub calibration_error: f64,
}

/// One way to pick an answer.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub note: String,
    pub accuracy: Estimate,
    /// By family, in the order of [`Table::families`].
    pub by_family: Vec<f64>,
    pub tokens: f64,
    pub seconds: f64,
}

/// A paired difference of accuracies, with its target.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub name: String,
    pub difference: Estimate,
    pub target: String,
    #[serde(rename = "met")]
    pub is_met: bool,
}

/// Some of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    pub name: String,
    pub count: usize,
    pub right: usize,
}

/// Least lead of the swarm over the best single member.
const ABOVE_SINGLE: f64 = 0.20;
/// Least lead of the swarm over the majority vote.
const ABOVE_MAJORITY: f64 = 0.08;
/// Largest distance of the swarm below the oracle.
const BELOW_ORACLE: f64 = 0.03;

impl Table {
    /// The figures of these records.
    pub fn new(records: &[QuestionRecord]) -> Self {
        let methods = Methods::new(records);
        let mut families: Vec<String> =
            records.iter().map(|record| record.family.clone()).collect();
        families.sort();
        families.dedup();
        let claims = claims(records);
        Self {
            questions: records.len(),
            failures: records.iter().filter(|record| record.failure.is_some()).count(),
            rows: methods.all().map(|method| row(method, records, &families)).collect(),
            mean_member: methods.mean_member,
            differences: differences(&methods),
            decisions: decisions(records),
            reliability: stats::reliability(&claims),
            calibration_error: stats::calibration_error(&claims),
            families,
        }
    }

    /// Every target is met.
    pub fn is_met(&self) -> bool {
        self.differences.iter().all(|difference| difference.is_met)
    }
}

fn row(method: &Method, records: &[QuestionRecord], families: &[String]) -> Row {
    Row {
        name: method.name.clone(),
        note: method.note.clone(),
        accuracy: stats::wilson(method.correct(), method.right.len()),
        by_family: families.iter().map(|family| accuracy_on(family, method, records)).collect(),
        tokens: method.tokens,
        seconds: method.seconds,
    }
}

fn accuracy_on(family: &str, method: &Method, records: &[QuestionRecord]) -> f64 {
    let grades: Vec<bool> = records
        .iter()
        .zip(&method.right)
        .filter(|(record, _)| record.family == family)
        .map(|(_, right)| *right)
        .collect();
    grades.iter().filter(|right| **right).count() as f64 / grades.len().max(1) as f64
}

fn differences(methods: &Methods) -> Vec<Difference> {
    let to_oracle = difference(&methods.oracle, &methods.swarm);
    vec![
        lead("the swarm - best single member", &methods.swarm, &methods.best_single, ABOVE_SINGLE),
        lead("the swarm - majority vote", &methods.swarm, &methods.majority, ABOVE_MAJORITY),
        Difference {
            name: "oracle - the swarm".to_owned(),
            is_met: to_oracle.value <= BELOW_ORACLE,
            target: format!("at most {:.0} points", 100.0 * BELOW_ORACLE),
            difference: to_oracle,
        },
    ]
}

fn lead(name: &str, swarm: &Method, baseline: &Method, least: f64) -> Difference {
    let difference = difference(swarm, baseline);
    Difference {
        name: name.to_owned(),
        is_met: difference.value >= least && difference.low > 0.0,
        target: format!("at least +{:.0} points, interval above 0", 100.0 * least),
        difference,
    }
}

fn difference(a: &Method, b: &Method) -> Estimate {
    stats::paired_difference(&a.right, &b.right, SEED)
}

/// P(best) of the winner and whether it is right.
fn claims(records: &[QuestionRecord]) -> Vec<(f64, bool)> {
    records
        .iter()
        .filter_map(|record| {
            let round = record.round.as_ref()?;
            Some((round.candidates.get(round.winner)?.p_best?, record.right))
        })
        .collect()
}

fn decisions(records: &[QuestionRecord]) -> Vec<Share> {
    let mut shares: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for record in records {
        let decision = record.round.as_ref().map_or("unanswered", |round| &round.decision);
        let (count, right) = shares.entry(decision).or_default();
        *count += 1;
        *right += usize::from(record.right);
    }
    shares
        .into_iter()
        .map(|(name, (count, right))| Share { name: name.to_owned(), count, right })
        .collect()
}
