//! Which gold questions a member is asked, in which order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shoal_proto::hello::Model;
use shoal_syllabus::Family;

use super::super::{ExamConfig, gold::Item};
use shoal_consensus::reputation::{Beta, KindId};

/// The model family that nodes in front of an upstream report.
const UPSTREAM: &str = "upstream";

/// How much more an answer to a general question is worth than one to a family: two general questions of
/// each kind come before the first of a family.
const GENERAL: f64 = 1.5;

/// A specialist is asked so many times the questions of its own families: it answers in a moment, and rounds wait
/// for slower members as long as they cannot be sure of it.
const OWN: usize = 4;

/// Whether somebody pays for each answer of the model.
pub(super) fn is_metered(model: &Model) -> bool {
    model.family == UPSTREAM
}

/// Whether the model says that it is meant for this question. A model that takes any question is.
fn is_meant_for(model: &Model, item: &Item) -> bool {
    let is_own = |family: Family| model.tags.iter().any(|tag| tag == family.tag());
    !model.specialist || item.question.family().is_some_and(is_own)
}

/// The questions for a member out of those of a whole exam. A specialist gets all questions of its
/// families, first, and one of every other kind. An upstream gets one of every kind first, the general
/// ones before the others, because it is paid for and may not see the rest.
pub(super) fn arrange(model: &Model, questions: Vec<Arc<Item>>) -> Vec<Arc<Item>> {
    if model.specialist {
        let (own, mut rest): (Vec<_>, Vec<_>) =
            questions.into_iter().partition(|item| is_meant_for(model, item));
        let mut kinds = BTreeSet::new();
        rest.retain(|item| kinds.insert(item.kind.clone()));
        return own.into_iter().chain(rest).collect();
    }
    if is_metered(model) {
        let mut kinds: BTreeSet<KindId> = BTreeSet::new();
        let (mut first, rest): (Vec<_>, Vec<_>) =
            questions.into_iter().partition(|item| kinds.insert(item.kind.clone()));
        first.sort_by_key(|item| !item.is_general());
        return first.into_iter().chain(rest).collect();
    }
    questions
}

/// The families that a specialist says it is for; of each it is asked [`OWN`] times as many questions. None of other
/// models.
fn own_families(model: &Model) -> Vec<Family> {
    let families = Family::ALL.into_iter().filter(|_| model.specialist && !is_metered(model));
    families.filter(|family| model.tags.iter().any(|tag| tag == family.tag())).collect()
}

/// The families of which a newcomer is asked more than [`arrange`] gives it, and how many more of each.
pub(super) fn more(model: &Model, exam: &ExamConfig) -> (Vec<Family>, usize) {
    (own_families(model), (OWN - 1) * exam.per_family)
}

/// How many questions a whole exam of the model has.
pub(super) fn length(model: &Model, exam: &ExamConfig) -> usize {
    let kinds = if exam.general() > 0 { shoal_syllabus::GeneralKind::ALL.len() } else { 0 };
    let families = Family::ALL.len();
    if is_metered(model) {
        return exam.handful;
    }
    if model.specialist {
        let own_count = own_families(model).len();
        return OWN * exam.per_family * own_count + (families - own_count) + kinds;
    }
    exam.per_family * families + exam.general() * kinds
}

/// What the answers so far show about each kind.
#[derive(Debug, Default)]
pub(super) struct KindTally {
    kinds: BTreeMap<KindId, Beta>,
    /// Kinds on which the member abstained: it is asked no more of them.
    abstentions: BTreeSet<KindId>,
}

impl KindTally {
    /// The counts of a member's record.
    pub(super) fn new(kinds: BTreeMap<KindId, Beta>) -> Self {
        Self { kinds, abstentions: BTreeSet::new() }
    }

    /// Counts an answer; `None` is an abstention.
    pub(super) fn count(&mut self, kind: &KindId, right: Option<bool>) {
        match right {
            Some(right) => {
                let beta = self.kinds.entry(kind.clone()).or_insert(Beta::UNIFORM);
                *beta = beta.with(right, 1.0);
            }
            None => drop(self.abstentions.insert(kind.clone())),
        }
    }

    /// Whether enough answers were seen, and a smaller share of them than this was right.
    pub(super) fn is_hardly_ever_right(&self, share: f64) -> bool {
        /// Answers that a guess would seldom get all wrong.
        const ANSWERS_MIN: f64 = 4.0;
        let counts = || self.kinds.values().map(|beta| (beta.a - 1.0, beta.b - 1.0));
        let right: f64 = counts().map(|(right, _)| right).sum();
        let all: f64 = counts().map(|(right, wrong)| right + wrong).sum();
        all >= ANSWERS_MIN && right < share * all
    }

    /// Width of the central 80 % interval of the accuracy on a kind.
    fn width(&self, kind: &KindId) -> f64 {
        let beta = self.kinds.get(kind).copied().unwrap_or(Beta::UNIFORM);
        beta.quantile(0.9) - beta.quantile(0.1)
    }

    /// Removes the question of the least certain kind; general kinds come before families, because
    /// they speak for every question of no known kind. None if every kind that has questions is known
    /// to `width`.
    pub(super) fn next(&self, questions: &mut Vec<Arc<Item>>, width: f64) -> Option<Arc<Item>> {
        questions.retain(|item| !self.abstentions.contains(&item.kind));
        let widths: BTreeMap<&KindId, f64> =
            questions.iter().map(|item| (&item.kind, self.width(&item.kind))).collect();
        let mut widest: Option<(usize, f64)> = None;
        for (index, item) in questions.iter().enumerate() {
            let value = widths.get(&item.kind).copied().unwrap_or(0.0);
            let worth = value * if item.is_general() { GENERAL } else { 1.0 };
            if value > width && widest.is_none_or(|(_, most)| worth > most) {
                widest = Some((index, worth));
            }
        }
        let (index, _) = widest?;
        Some(questions.remove(index))
    }
}

#[cfg(test)]
mod tests;
