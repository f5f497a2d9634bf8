//! The figures of one evaluation, ready to be written down.

use serde::Serialize;

use crate::{
    methods::{Method, Methods},
    record::Asked,
    stats::{self, Bin, Estimate},
};

/// Seed of the bootstrap: the same records always give the same intervals.
const SEED: u64 = 7;

/// Everything that the report shows.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub questions: usize,
    /// Asks that the gateway did not answer; they count as wrong.
    pub failures: usize,
    pub rows: Vec<Row>,
    pub mean_member: f64,
    /// Families in the order of the columns.
    pub families: Vec<String>,
    pub differences: Vec<Difference>,
    /// How rounds were decided, and how often that was right.
    pub decided: Vec<Share>,
    /// P(best) of what was sent against whether it was right.
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

/// A paired difference of accuracies, with what is asked of it.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub name: String,
    pub difference: Estimate,
    pub target: String,
    pub met: bool,
}

/// Some of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    pub name: String,
    pub count: usize,
    pub right: usize,
}

/// Accuracy that the swarm must have above the best single member.
const ABOVE_SINGLE: f64 = 0.20;
/// Accuracy that the swarm must have above the majority vote.
const ABOVE_MAJORITY: f64 = 0.08;
/// Accuracy that the swarm may lack to the oracle.
const BELOW_ORACLE: f64 = 0.03;

impl Table {
    pub fn of(asked: &[Asked]) -> Self {
        let methods = Methods::of(asked);
        let mut families: Vec<String> = asked.iter().map(|one| one.family.clone()).collect();
        families.sort();
        families.dedup();
        let claims = claims(asked);
        Self {
            questions: asked.len(),
            failures: asked.iter().filter(|one| one.failure.is_some()).count(),
            rows: methods.all().map(|method| row(method, asked, &families)).collect(),
            mean_member: methods.mean_member,
            differences: differences(&methods),
            decided: decided(asked),
            reliability: stats::reliability(&claims),
            calibration_error: stats::calibration_error(&claims),
            families,
        }
    }

    /// Every target is met.
    pub fn met(&self) -> bool {
        self.differences.iter().all(|difference| difference.met)
    }
}

fn row(method: &Method, asked: &[Asked], families: &[String]) -> Row {
    let of_family = |family: &String| {
        let inside = || asked.iter().zip(&method.right).filter(|(one, _)| one.family == *family);
        inside().filter(|(_, right)| **right).count() as f64 / inside().count().max(1) as f64
    };
    Row {
        name: method.name.clone(),
        note: method.note.clone(),
        accuracy: stats::wilson(method.correct(), method.right.len()),
        by_family: families.iter().map(of_family).collect(),
        tokens: method.tokens,
        seconds: method.seconds,
    }
}

fn differences(methods: &Methods) -> Vec<Difference> {
    let difference = |a: &Method, b: &Method| stats::paired_difference(&a.right, &b.right, SEED);
    let above = |name: &str, b: &Method, least: f64| {
        let difference = difference(&methods.swarm, b);
        Difference {
            name: name.to_owned(),
            met: difference.value >= least && difference.low > 0.0,
            target: format!("at least +{:.0} points, interval above 0", 100.0 * least),
            difference,
        }
    };
    let lack = difference(&methods.oracle, &methods.swarm);
    vec![
        above("the swarm - best single member", &methods.best_single, ABOVE_SINGLE),
        above("the swarm - majority vote", &methods.majority, ABOVE_MAJORITY),
        Difference {
            name: "oracle - the swarm".to_owned(),
            met: lack.value <= BELOW_ORACLE,
            target: format!("at most {:.0} points", 100.0 * BELOW_ORACLE),
            difference: lack,
        },
    ]
}

/// P(best) of the winner and whether it is right.
fn claims(asked: &[Asked]) -> Vec<(f64, bool)> {
    let claim = |one: &Asked| {
        let round = one.round.as_ref()?;
        Some((round.candidates.get(round.winner)?.p_best?, one.right))
    };
    asked.iter().filter_map(claim).collect()
}

fn decided(asked: &[Asked]) -> Vec<Share> {
    let how = |one: &Asked| one.round.as_ref().map_or("unanswered", |r| &r.decided).to_owned();
    let mut names: Vec<String> = asked.iter().map(how).collect();
    names.sort();
    names.dedup();
    let share = |name: String| {
        let inside = || asked.iter().filter(|one| how(one) == name);
        let (count, right) = (inside().count(), inside().filter(|one| one.right).count());
        Share { name, count, right }
    };
    names.into_iter().map(share).collect()
}
