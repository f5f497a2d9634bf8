//! Questions whose answer the gateway knows, and what members have answered to them.

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

use super::Exam;
use shoal_consensus::reputation::KindId;

/// Questions of each family that teach what kinds there are; they are asked of nobody.
const LESSONS: usize = 40;

/// Candidates of a hidden audit: as many as an ordinary round has.
const SHEET: usize = 5;

/// Gold candidates kept for judges: what some thirty newcomers wrote. The oldest go first.
const CANDIDATES_MAX: usize = 2_500;

/// A gold question.
#[derive(Debug)]
pub struct Item {
    pub question: Question,
    pub(crate) kind: KindId,
}

impl Item {
    fn new(question: Question) -> Arc<Self> {
        Arc::new(Self { kind: KindId::new(question.family.name()), question })
    }

    /// The conversation that asks it.
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

/// What a member wrote to a gold question.
#[derive(Clone, Debug)]
pub(crate) struct GoldCandidate {
    number: u64,
    pub(crate) item: Arc<Item>,
    pub(crate) writer: NodeId,
    pub(crate) text: Arc<str>,
    pub(crate) right: bool,
}

/// All gold of one gateway, drawn anew at each start.
#[derive(Debug)]
pub struct Gold {
    exam: Exam,
    seed: u64,
    /// Put to every newcomer, so that right and wrong answers to one question can be compared.
    shared: Vec<Arc<Item>>,
    lessons: Vec<Arc<Item>>,
    drawn: AtomicU64,
    /// Hidden questions drawn so far.
    hidden: AtomicU64,
    candidates: Mutex<Vec<GoldCandidate>>,
    /// How many candidates there ever were.
    written: watch::Sender<u64>,
    /// Who may be examined as a judge now.
    pub(crate) judging: Semaphore,
}

impl Gold {
    /// The same seed draws the same questions: simulations look them up that way.
    pub fn new(exam: &Exam, seed: u64) -> Self {
        let lessons = if exam.per_family == 0 { 0 } else { LESSONS };
        Self {
            shared: draw(seed, exam.per_family / 2),
            lessons: draw(seed ^ u64::MAX, lessons),
            exam: exam.clone(),
            seed,
            drawn: AtomicU64::new(0),
            hidden: AtomicU64::new(0),
            candidates: Mutex::default(),
            written: watch::Sender::new(0),
            judging: Semaphore::new(exam.judged_at_once.max(1)),
        }
    }

    /// Questions to learn the kinds of questions from.
    pub(crate) fn lessons(&self) -> impl Iterator<Item = (&str, &KindId)> {
        self.lessons.iter().map(|item| (item.question.text.as_str(), &item.kind))
    }

    /// The questions of one exam: half of a newcomer's are those of all newcomers, the other half
    /// nobody has seen before, so that members cannot tell each other.
    pub fn questions(&self, known: bool) -> Vec<Arc<Item>> {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.seed ^ drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if known {
            return draw(seed, self.exam.per_family_known.min(self.exam.per_family));
        }
        let fresh = draw(seed, self.exam.per_family - self.exam.per_family / 2);
        self.shared.iter().cloned().chain(fresh).collect()
    }

    /// A question that nobody was ever asked, for hidden audits. None when exams are switched off.
    pub fn secret(&self) -> Option<Arc<Item>> {
        if self.exam.per_family == 0 {
            return None;
        }
        let drawn = self.hidden.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.seed.rotate_left(32) ^ drawn.wrapping_mul(0xd1b5_4a32_d192_ed03);
        shoal_syllabus::questions(&[], Split::Gold, seed).next().map(Item::new)
    }

    /// Candidates to one gold question for a hidden audit of `judge`: not by it, no text twice, and
    /// the first is right, the second wrong. `draw` decides which question.
    pub(crate) fn sheet(&self, judge: NodeId, draw: u64) -> Option<Vec<GoldCandidate>> {
        let candidates = self.candidates();
        let mut sheets: BTreeMap<*const Item, Vec<&GoldCandidate>> = BTreeMap::new();
        for candidate in candidates.iter().filter(|candidate| candidate.writer != judge) {
            let sheet = sheets.entry(Arc::as_ptr(&candidate.item)).or_default();
            if !sheet.iter().any(|known| known.text == candidate.text) {
                sheet.push(candidate);
            }
        }
        let both = |sheet: &&Vec<&GoldCandidate>| {
            sheet.iter().any(|one| one.right) && sheet.iter().any(|one| !one.right)
        };
        // By number, not by address, so that the same seed draws the same.
        let mut able: Vec<&Vec<&GoldCandidate>> = sheets.values().filter(both).collect();
        able.sort_by_key(|sheet| sheet.first().map(|one| one.number));
        let at = usize::try_from(draw % able.len().max(1) as u64).unwrap_or(0);
        let sheet = able.get(at)?;
        let (right, wrong): (Vec<&GoldCandidate>, Vec<&GoldCandidate>) =
            sheet.iter().partition(|one| one.right);
        let mut picked = vec![*right.first()?, *wrong.first()?];
        picked.extend(right.iter().skip(1).chain(wrong.iter().skip(1)));
        Some(picked.into_iter().take(SHEET).cloned().collect())
    }

    /// How many gold answers make a whole exam.
    pub(crate) fn whole(&self) -> usize {
        self.exam.per_family * Family::ALL.len()
    }

    /// Keeps what a member wrote for judges to be examined on.
    pub(crate) fn keep(&self, item: &Arc<Item>, writer: NodeId, text: &str, right: bool) {
        let mut candidates = self.candidates();
        self.written.send_modify(|written| {
            *written += 1;
            let (number, item) = (*written, item.clone());
            candidates.push(GoldCandidate { number, item, writer, text: text.into(), right });
        });
        let over = candidates.len().saturating_sub(CANDIDATES_MAX);
        candidates.drain(..over);
    }

    /// Candidates that came after number `after` and are not by `judge`, and the last number.
    pub(crate) fn since(&self, after: u64, judge: NodeId) -> (Vec<GoldCandidate>, u64) {
        let candidates = self.candidates();
        let last = candidates.last().map_or(after, |candidate| candidate.number.max(after));
        let new = candidates.iter().filter(|c| c.number > after && c.writer != judge);
        (new.cloned().collect(), last)
    }

    /// A right and a wrong candidate to each shared question that has both, neither by `judge`,
    /// `most` of them, without the questions in `done`, to which those returned are added.
    pub(crate) fn pairs(
        &self,
        judge: NodeId,
        done: &mut BTreeSet<usize>,
        most: usize,
    ) -> Vec<(GoldCandidate, GoldCandidate)> {
        let candidates = self.candidates();
        let mut pairs = Vec::new();
        for (at, item) in self.shared.iter().enumerate().filter(|(at, _)| !done.contains(at)) {
            let one = |right: bool| {
                let fits = |c: &&GoldCandidate| {
                    c.right == right && c.writer != judge && Arc::ptr_eq(&c.item, item)
                };
                candidates.iter().find(fits).cloned()
            };
            if pairs.len() >= most {
                break;
            }
            if let (Some(right), Some(wrong)) = (one(true), one(false)) {
                pairs.push((at, (right, wrong)));
            }
        }
        done.extend(pairs.iter().map(|(at, _)| *at));
        pairs.into_iter().map(|(_, pair)| pair).collect()
    }

    /// Sees whenever there are more candidates.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    fn candidates(&self) -> MutexGuard<'_, Vec<GoldCandidate>> {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `per_family` questions of each family, in mixed order.
fn draw(seed: u64, per_family: usize) -> Vec<Arc<Item>> {
    shoal_syllabus::questions(&[], Split::Gold, seed)
        .take(per_family * Family::ALL.len())
        .map(Item::new)
        .collect()
}
