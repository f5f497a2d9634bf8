//! The right answers of the simulated world, and the beliefs of its members.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use shoal_swarm::{
    ExamConfig,
    gold::{Gold, Item},
};

/// Wrong answers that exist to one question. They are few, so that several members make the same
/// mistake, as real models do.
const MISTAKES: u64 = 6;

/// Hidden questions that are generated ahead of the last one in use. A gateway never has more of
/// them in flight.
const LOOKAHEAD: usize = 32;

/// The truth about every question. That of a gold question comes from the syllabus; that of any
/// other question is a number that follows from its text.
#[derive(Debug)]
pub struct World {
    seed: u64,
    gold: HashMap<String, Truth>,
    secrets: Mutex<Secrets>,
    betrayal: AtomicBool,
}

/// The gateway's hidden questions, generated in the same order as the gateway does.
#[derive(Debug)]
struct Secrets {
    source: Gold,
    /// The generated questions: number and truth by text.
    truths: HashMap<String, (usize, Truth)>,
    /// Number of the next question to generate.
    next: usize,
    /// One more than the highest number in use.
    end: usize,
}

impl Secrets {
    fn find(&mut self, question: &str) -> Option<Truth> {
        while self.next < self.end + LOOKAHEAD {
            let item = self.source.secret()?;
            let text = item.question.last_message().to_owned();
            self.truths.insert(text, (self.next, Truth::from(&*item)));
            self.next += 1;
        }
        let (number, truth) = self.truths.get(question)?;
        self.end = self.end.max(*number + 1);
        Some(truth.clone())
    }
}

/// The right answer to a question, and the question's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The right answer.
    pub answer: String,
    /// A family or general kind of the syllabus. Empty: the question is no gold question.
    pub kind: String,
}

impl From<&Item> for Truth {
    fn from(item: &Item) -> Self {
        let question = &item.question;
        Self { answer: question.answer().to_owned(), kind: question.kind().to_owned() }
    }
}

impl World {
    /// A world with the truths of `exams` whole exams of a gateway with this gold.
    pub fn new(seed: u64, exam: &ExamConfig, gold_seed: u64, exams: usize) -> Self {
        let source = Gold::new(exam, gold_seed);
        let items = (0..exams).flat_map(|_| source.questions(false));
        let gold = items
            .map(|item| (item.question.last_message().to_owned(), Truth::from(&*item)))
            .collect();
        let source = Gold::new(exam, gold_seed);
        let secrets = Secrets { source, truths: HashMap::new(), next: 0, end: 0 };
        Self { seed, gold, secrets: Mutex::new(secrets), betrayal: AtomicBool::new(false) }
    }

    /// From now on turncoats lie.
    pub(crate) fn betray(&self) {
        self.betrayal.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_betrayed(&self) -> bool {
        self.betrayal.load(Ordering::SeqCst)
    }

    /// The right answer to a question.
    pub fn truth(&self, question: &str) -> Truth {
        if let Some(truth) = self.gold.get(question) {
            return truth.clone();
        }
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.find(question).unwrap_or_else(|| Truth {
            answer: (1_000 + self.hash(&[question, "truth"]) % 9_000).to_string(),
            kind: String::new(),
        })
    }

    /// The answer that `member` believes if it knows the right one with probability `skill`.
    pub fn belief(&self, member: &str, question: &str, skill: f64) -> String {
        if self.knows(member, question, skill) {
            return self.truth(question).answer;
        }
        let mistake = self.hash(&[member, question, "mistake"]) % MISTAKES;
        format!("about {}", self.hash(&[question, &mistake.to_string()]) % 1_000)
    }

    /// Whether `member` knows the answer. The same question always gives the same result.
    pub fn knows(&self, member: &str, question: &str, skill: f64) -> bool {
        self.chance(&[member, question, "knows"]) < skill
    }

    /// A number in [0, 1) that follows from the words.
    pub fn chance(&self, words: &[&str]) -> f64 {
        (self.hash(words) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// FNV-1a over the words and the seed, mixed so that every bit counts.
    fn hash(&self, words: &[&str]) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed;
        for byte in words.iter().flat_map(|word| word.bytes().chain([0xff])) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash ^= hash >> 32;
        hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ (hash >> 29)
    }
}
