//! Gold: questions whose answer the gateway knows, and members' answers to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use shoal_proto::{NodeId, generate::ChatMessage};
use shoal_syllabus::{self, Family, Question, Split};
use tokio::sync::{Semaphore, watch};

use super::ExamConfig;
use shoal_consensus::reputation::KindId;

/// Questions of each family from which the kinds of questions are learned; no member is asked them.
const LESSONS: usize = 40;

/// Candidates in a secret audit: as many as an ordinary round has.
const AUDIT_CANDIDATES: usize = 5;

/// Gold candidates kept for judges: the answers of some thirty newcomers. The oldest are dropped first.
const CANDIDATES_MAX: usize = 2_500;

/// A gold question.
#[derive(Debug)]
pub struct Item {
    /// The question with its answer.
    pub question: Question,
    pub(crate) kind: KindId,
}

impl Item {
    fn new(question: Question) -> Arc<Self> {
        Arc::new(Self { kind: KindId::new(question.family.name()), question })
    }

    /// The conversation that asks the question.
    pub(crate) fn messages(&self) -> Vec<ChatMessage> {
        vec![ChatMessage {
            role: "user".to_owned(),
            content: self.question.text.clone(),
            ..ChatMessage::default()
        }]
    }

    pub(crate) fn is_right(&self, answer: &str) -> bool {
        shoal_syllabus::grade(&self.question, answer)
    }
}

/// A member's answer to a gold question.
#[derive(Clone, Debug)]
pub(crate) struct GoldCandidate {
    number: u64,
    pub(crate) item: Arc<Item>,
    pub(crate) writer: NodeId,
    pub(crate) text: Arc<str>,
    pub(crate) right: bool,
}

/// All gold of one gateway, drawn afresh at each start.
#[derive(Debug)]
pub struct Gold {
    exam: ExamConfig,
    seed: u64,
    /// Asked of every newcomer, so that right and wrong answers to one question can be compared.
    common: Vec<Arc<Item>>,
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
        let lessons = if exam.per_family == 0 { 0 } else { LESSONS };
        Self {
            common: draw(seed, exam.per_family / 2),
            lessons: draw(seed ^ u64::MAX, lessons),
            exam: exam.clone(),
            seed,
            exam_count: AtomicU64::new(0),
            secret_count: AtomicU64::new(0),
            candidates: Mutex::default(),
            candidate_count: watch::Sender::new(0),
            judge_slots: Semaphore::new(exam.judged_at_once.max(1)),
        }
    }

    /// Questions to learn the kinds of questions from.
    pub(crate) fn lessons(&self) -> impl Iterator<Item = (&str, &KindId)> {
        self.lessons.iter().map(|item| (item.question.text.as_str(), &item.kind))
    }

    /// The questions of one exam. Half of a newcomer's questions are the same for all newcomers; the
    /// other half are new, so that members cannot pass on the answers. A member with a record
    /// (`is_known`) gets only new ones.
    pub fn questions(&self, is_known: bool) -> Vec<Arc<Item>> {
        let number = self.exam_count.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if is_known {
            return draw(seed, self.exam.per_family_known.min(self.exam.per_family));
        }
        let fresh = draw(seed, self.exam.per_family - self.exam.per_family / 2);
        self.common.iter().cloned().chain(fresh).collect()
    }

    /// A new question for a secret audit. None when exams are switched off.
    pub fn secret(&self) -> Option<Arc<Item>> {
        if self.exam.per_family == 0 {
            return None;
        }
        let number = self.secret_count.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.seed.rotate_left(32) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03);
        shoal_syllabus::questions(&[], Split::Gold, seed).next().map(Item::new)
    }

    /// Candidates to one gold question for a secret audit of `judge`. None of them is by the judge,
    /// no text comes twice, the first is right and the second wrong. `draw` decides which question.
    pub(crate) fn candidates_for(&self, judge: NodeId, draw: u64) -> Option<Vec<GoldCandidate>> {
        let candidates = self.candidates();
        let mut by_item: BTreeMap<*const Item, Vec<&GoldCandidate>> = BTreeMap::new();
        for candidate in candidates.iter().filter(|candidate| candidate.writer != judge) {
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

    /// How many questions a whole exam has.
    pub(crate) fn exam_length(&self) -> usize {
        self.exam.per_family * Family::ALL.len()
    }

    /// Keeps a member's answer for the exams of judges.
    pub(crate) fn keep(&self, item: &Arc<Item>, writer: NodeId, text: &str, right: bool) {
        let mut candidates = self.candidates();
        self.candidate_count.send_modify(|count| {
            *count += 1;
            let (number, item) = (*count, item.clone());
            candidates.push(GoldCandidate { number, item, writer, text: text.into(), right });
        });
        let over = candidates.len().saturating_sub(CANDIDATES_MAX);
        candidates.drain(..over);
    }

    /// Candidates with a number above `number` that are not by `judge`, and the last number.
    pub(crate) fn candidates_after(&self, number: u64, judge: NodeId) -> (Vec<GoldCandidate>, u64) {
        let candidates = self.candidates();
        let last = candidates.last().map_or(number, |candidate| candidate.number.max(number));
        let new = candidates.iter().filter(|c| c.number > number && c.writer != judge);
        (new.cloned().collect(), last)
    }

    /// A right and a wrong candidate to each common question that has both, neither by `judge`, at
    /// most `pairs_max` pairs. Skips the questions in `used`, and adds those of the returned pairs.
    pub(crate) fn pairs(
        &self,
        judge: NodeId,
        used: &mut BTreeSet<usize>,
        pairs_max: usize,
    ) -> Vec<(GoldCandidate, GoldCandidate)> {
        let candidates = self.candidates();
        let mut pairs = Vec::new();
        for (index, item) in self.common.iter().enumerate() {
            if pairs.len() >= pairs_max {
                break;
            }
            if used.contains(&index) {
                continue;
            }
            let mut answers =
                candidates.iter().filter(|c| c.writer != judge && Arc::ptr_eq(&c.item, item));
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

/// Whether a right and a wrong candidate are in the set.
fn is_contested(set: &[&GoldCandidate]) -> bool {
    set.iter().any(|candidate| candidate.right) && set.iter().any(|candidate| !candidate.right)
}

/// `per_family` questions of each family, in mixed order.
fn draw(seed: u64, per_family: usize) -> Vec<Arc<Item>> {
    shoal_syllabus::questions(&[], Split::Gold, seed)
        .take(per_family * Family::ALL.len())
        .map(Item::new)
        .collect()
}
