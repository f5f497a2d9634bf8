//! Gold: questions whose answer the gateway knows, and members' answers to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use shoal_proto::{NodeId, generate::ChatMessage};
use shoal_syllabus::{self, Exercise, Family, GeneralKind, Split};
use tokio::sync::{Semaphore, watch};

use super::ExamConfig;
use shoal_consensus::reputation::KindId;

/// Questions of each family and general kind from which the kinds of questions are learned; no member
/// is asked them.
const LESSONS: usize = 40;

/// Candidates in a secret audit: as many as an ordinary round has.
const AUDIT_CANDIDATES: usize = 5;

/// Gold candidates kept for judges: the answers of some thirty newcomers. The oldest are dropped first.
const CANDIDATES_MAX: usize = 2_500;

/// Spreads the numbers of exams over the seeds (the golden ratio times 2^64).
const EXAM_STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Wrong answers of one writer that are kept beyond its right ones, and of all writers beyond all right ones.
/// A wrong answer costs a stranger nothing: without bounds, many strangers would be all that judges see of
/// gold.
const WRONG_LEAD_OF_WRITER: usize = 4;
const WRONG_LEAD: usize = 16;

/// A gold question.
#[derive(Debug)]
pub struct Item {
    /// The question with its answer.
    pub question: Exercise,
    pub(crate) kind: KindId,
    /// Whether judges see answers to it in their exams.
    is_for_judges: bool,
}

impl Item {
    fn new(question: Exercise) -> Arc<Self> {
        Arc::new(Self { kind: KindId::new(question.kind()), question, is_for_judges: true })
    }

    /// The conversation that asks the question.
    pub fn messages(&self) -> Vec<ChatMessage> {
        let message = |(role, content): (&str, &str)| ChatMessage {
            role: role.to_owned(),
            content: content.to_owned(),
            ..ChatMessage::default()
        };
        self.question.messages().into_iter().map(message).collect()
    }

    /// Whether the text answers the question rightly.
    pub fn is_right(&self, answer: &str) -> bool {
        self.question.accepts(answer)
    }

    /// The kind of question.
    pub fn kind(&self) -> &KindId {
        &self.kind
    }

    /// Whether it is a general question.
    pub(crate) fn is_general(&self) -> bool {
        self.question.family().is_none()
    }
}

/// An answer to a gold question.
#[derive(Clone, Debug)]
pub(crate) struct GoldCandidate {
    number: u64,
    pub(crate) item: Arc<Item>,
    /// None: the text comes with the question.
    writer: Option<NodeId>,
    pub(crate) text: Arc<str>,
    pub(crate) right: bool,
    /// Its writer is often right, or the text comes with the question: likelihood judges see it in their exam.
    is_in_exams: bool,
}

/// All gold of one gateway, drawn afresh at each start.
#[derive(Debug)]
pub struct Gold {
    exam: ExamConfig,
    seed: u64,
    /// Asked of every newcomer, so that right and wrong answers to one question can be compared.
    common: Vec<Arc<Item>>,
    /// Questions whose candidates come from members and from `references`: the common ones, and more
    /// general ones that no member is asked.
    pair_items: Vec<Arc<Item>>,
    /// A right and a wrong text to each general question in `pair_items`: a lone member can be examined
    /// as a judge. Judges see them before members' answers.
    references: Vec<GoldCandidate>,
    lessons: Vec<Arc<Item>>,
    /// Exams so far.
    exam_count: AtomicU64,
    /// Secret questions so far.
    secret_count: AtomicU64,
    candidates: Mutex<Vec<GoldCandidate>>,
    /// How many candidates there were since the start.
    candidate_count: watch::Sender<u64>,
    /// Limits how many members are examined as judges at the same time.
    pub(crate) judge_slots: Semaphore,
}

impl Gold {
    /// Draws the gold of one gateway. The same seed draws the same questions, so that simulations can
    /// look them up.
    pub fn new(exam: &ExamConfig, seed: u64) -> Self {
        let (lessons, general_lessons) = match (exam.per_family, exam.general()) {
            (0, _) => (0, 0),
            (_, 0) => (LESSONS, 0),
            _ => (LESSONS, LESSONS),
        };
        let common = draw(seed, exam.per_family / 2, exam.general() / 2);
        let judge_items = draw(seed.rotate_left(16), 0, exam.general());
        let pair_items: Vec<Arc<Item>> = common.iter().cloned().chain(judge_items).collect();
        let references = references(&pair_items);
        Self {
            common,
            lessons: draw(seed ^ u64::MAX, lessons, general_lessons),
            exam: exam.clone(),
            seed,
            exam_count: AtomicU64::new(0),
            secret_count: AtomicU64::new(0),
            candidates: Mutex::default(),
            candidate_count: watch::Sender::new(references.len() as u64),
            pair_items,
            references,
            judge_slots: Semaphore::new(exam.judged_at_once.max(1)),
        }
    }

    /// Questions to learn the kinds of questions from.
    pub(crate) fn lessons(&self) -> impl Iterator<Item = (&str, &KindId)> {
        self.lessons.iter().map(|item| (item.question.last_message(), &item.kind))
    }

    /// The questions of one exam. Half of a newcomer's questions are the same for all newcomers; the
    /// other half are new, so that members cannot pass on the answers. A member with a record
    /// (`is_known`) gets only new ones.
    pub fn questions(&self, is_known: bool) -> Vec<Arc<Item>> {
        let number = self.exam_count.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.seed ^ number.wrapping_mul(EXAM_STRIDE);
        if is_known {
            let (families, general) = (self.exam.per_family, self.exam.general());
            let count = self.exam.per_family_known;
            return draw(seed, count.min(families), count.min(general));
        }
        let fresh = draw(
            seed,
            self.exam.per_family - self.exam.per_family / 2,
            self.exam.general() - self.exam.general() / 2,
        );
        self.common.iter().cloned().chain(fresh).collect()
    }

    /// So many new questions of each of these families, for writers only: every judge would score every answer, and
    /// learn little from more of what specialists answer alike.
    pub(crate) fn fresh(&self, families: &[Family], per_family: usize) -> Vec<Arc<Item>> {
        if families.is_empty() {
            return Vec::new();
        }
        let number = self.exam_count.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.seed ^ number.wrapping_mul(EXAM_STRIDE);
        let questions = shoal_syllabus::questions(families, Split::Gold, seed);
        let questions = questions.take(per_family * families.len()).map(Exercise::Family);
        questions
            .map(|question| {
                let kind = KindId::new(question.kind());
                Arc::new(Item { kind, question, is_for_judges: false })
            })
            .collect()
    }

    /// A new question for a secret audit. None when exams are switched off.
    pub fn secret(&self) -> Option<Arc<Item>> {
        if self.exam.per_family == 0 {
            return None;
        }
        let number = self.secret_count.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.seed.rotate_left(32) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03);
        // Every other one is general.
        let is_general = self.exam.general() > 0 && number.is_multiple_of(2);
        draw(seed, usize::from(!is_general), usize::from(is_general)).into_iter().next()
    }

    /// Candidates to one gold question for a secret audit of `judge`. None of them is by the judge,
    /// no text comes twice, the first is right and the second wrong. `draw` decides which question.
    pub(crate) fn candidates_for(&self, judge: NodeId, draw: u64) -> Option<Vec<GoldCandidate>> {
        let candidates = self.candidates();
        let mut by_item: BTreeMap<*const Item, Vec<&GoldCandidate>> = BTreeMap::new();
        for candidate in candidates.iter().filter(|candidate| candidate.writer != Some(judge)) {
            let set = by_item.entry(Arc::as_ptr(&candidate.item)).or_default();
            if !set.iter().any(|member| member.text == candidate.text) {
                set.push(candidate);
            }
        }
        // By number, not by address, so that the same seed draws the same set.
        let mut sets: Vec<Vec<&GoldCandidate>> =
            by_item.into_values().filter(|set| is_contested(set)).collect();
        sets.sort_by_key(|set| set.first().map(|candidate| candidate.number));
        let index = usize::try_from(draw % sets.len().max(1) as u64).ok()?;
        let set = sets.get(index)?;
        let (right, wrong): (Vec<&GoldCandidate>, Vec<&GoldCandidate>) =
            set.iter().partition(|candidate| candidate.right);
        let mut selection = vec![*right.first()?, *wrong.first()?];
        selection.extend(right.iter().skip(1).chain(wrong.iter().skip(1)));
        Some(selection.into_iter().take(AUDIT_CANDIDATES).cloned().collect())
    }

    /// Keeps a member's answer for the exams of judges, unless there are enough wrong ones.
    pub(crate) fn keep(&self, item: &Arc<Item>, writer: NodeId, text: &str, right: bool) {
        self.keep_answer(item, writer, text, right, true);
    }

    /// As [`Self::keep`], for a member that is hardly ever right. What it writes is no mistake that rounds have,
    /// so likelihood judges do not see it in their exam: it could write what is likely and wrong on purpose.
    pub(crate) fn keep_aside(&self, item: &Arc<Item>, writer: NodeId, text: &str, right: bool) {
        self.keep_answer(item, writer, text, right, false);
    }

    fn keep_answer(
        &self,
        item: &Arc<Item>,
        writer: NodeId,
        text: &str,
        right: bool,
        is_in_exams: bool,
    ) {
        if !item.is_for_judges {
            return;
        }
        let mut candidates = self.candidates();
        if !right && has_enough_wrong(&candidates, item, writer, text) {
            return;
        }
        self.candidate_count.send_modify(|count| {
            *count += 1;
            let (number, item, writer) = (*count, item.clone(), Some(writer));
            let text = text.into();
            candidates.push(GoldCandidate { number, item, writer, text, right, is_in_exams });
        });
        let over = candidates.len().saturating_sub(CANDIDATES_MAX);
        candidates.drain(..over);
    }

    /// Candidates for the exam of `judge` with a number above `number`, none of them its own, and the last
    /// number.
    pub(crate) fn candidates_after(&self, number: u64, judge: NodeId) -> (Vec<GoldCandidate>, u64) {
        let candidates = self.candidates();
        let sources = self.references.iter().chain(&*candidates);
        let last = sources.clone().last().map_or(number, |candidate| candidate.number.max(number));
        let new = sources.filter(|c| c.number > number && c.writer != Some(judge) && c.is_in_exams);
        (new.cloned().collect(), last)
    }

    /// A right and a wrong candidate to each contested question that has both, neither by `judge`, at
    /// most `pairs_max` pairs. Skips the questions in `used`, and adds those of the returned pairs.
    pub(crate) fn pairs(
        &self,
        judge: NodeId,
        used: &mut BTreeSet<usize>,
        pairs_max: usize,
    ) -> Vec<(GoldCandidate, GoldCandidate)> {
        let candidates = self.candidates();
        let mut pairs = Vec::new();
        for (index, item) in self.pair_items.iter().enumerate() {
            if pairs.len() >= pairs_max {
                break;
            }
            if used.contains(&index) {
                continue;
            }
            // Members' answers are preferred: they have the mistakes that rounds will have.
            let mut answers = candidates
                .iter()
                .chain(&self.references)
                .filter(|c| c.writer != Some(judge) && Arc::ptr_eq(&c.item, item));
            let right = answers.clone().find(|answer| answer.right);
            let wrong = answers.find(|answer| !answer.right);
            if let (Some(right), Some(wrong)) = (right, wrong) {
                used.insert(index);
                pairs.push((right.clone(), wrong.clone()));
            }
        }
        pairs
    }

    /// Notifies of new candidates: the value is how many there were since the start.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.candidate_count.subscribe()
    }

    fn candidates(&self) -> MutexGuard<'_, Vec<GoldCandidate>> {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one more wrong answer would teach judges nothing: the text is known, or there are few right ones.
fn has_enough_wrong(
    candidates: &[GoldCandidate],
    item: &Arc<Item>,
    writer: NodeId,
    text: &str,
) -> bool {
    let (mut lead, mut lead_of_writer) = (0_usize, 0_usize);
    let (mut right, mut right_of_writer) = (0, 0);
    for candidate in candidates {
        let is_own = usize::from(candidate.writer == Some(writer));
        if candidate.right {
            (right, right_of_writer) = (right + 1, right_of_writer + is_own);
        } else {
            (lead, lead_of_writer) = (lead + 1, lead_of_writer + is_own);
        }
        if !candidate.right && &*candidate.text == text && Arc::ptr_eq(&candidate.item, item) {
            return true;
        }
    }
    lead >= right + WRONG_LEAD || lead_of_writer >= right_of_writer + WRONG_LEAD_OF_WRITER
}

/// Whether a right and a wrong candidate are in the set.
fn is_contested(set: &[&GoldCandidate]) -> bool {
    set.iter().any(|candidate| candidate.right) && set.iter().any(|candidate| !candidate.right)
}

/// A right and a wrong text to each question that has them.
fn references(items: &[Arc<Item>]) -> Vec<GoldCandidate> {
    let texts = items.iter().filter_map(|item| {
        let wrong = item.question.wrong().first()?;
        Some([(item, item.question.answer(), true), (item, wrong.as_str(), false)])
    });
    let numbers = 1..;
    numbers
        .zip(texts.flatten())
        .map(|(number, (item, text, right))| GoldCandidate {
            number,
            item: item.clone(),
            writer: None,
            text: text.into(),
            right,
            is_in_exams: true,
        })
        .collect()
}

/// So many questions of each family and of each general kind, in mixed order.
fn draw(seed: u64, per_family: usize, per_kind: usize) -> Vec<Arc<Item>> {
    let families = shoal_syllabus::questions(&[], Split::Gold, seed)
        .take(per_family * Family::ALL.len())
        .map(Exercise::Family);
    let general = shoal_syllabus::general_questions(&[], Split::Gold, seed)
        .take(per_kind * GeneralKind::ALL.len())
        .map(Exercise::General);
    interleave(families.collect(), general.collect()).into_iter().map(Item::new).collect()
}

/// Both lists as one, in which every beginning has its share of both.
fn interleave(first: Vec<Exercise>, second: Vec<Exercise>) -> Vec<Exercise> {
    let (first_len, second_len) = (first.len(), second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut list = Vec::with_capacity(first_len + second_len);
    while first.len() + second.len() > 0 {
        let takes_first = first.len() * second_len >= second.len() * first_len && first.len() > 0;
        list.extend(if takes_first || second.len() == 0 { first.next() } else { second.next() });
    }
    list
}

#[cfg(test)]
mod tests;
