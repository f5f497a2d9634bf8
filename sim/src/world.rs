//! What is right in the simulated world, and what everybody there believes.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use shoal_swarm::{
    Exam,
    gold::{Gold, Item},
};

/// Wrong answers that minds which do not know come to, to one question: few, so that some of them
/// make the same mistake, as real models do.
const MISTAKES: u64 = 6;

/// Hidden questions that are known ahead of the last one asked: more than are ever asked at once.
const AHEAD: usize = 32;

/// The truth about every question: that of a gold question as the syllabus has it, that of any
/// other a number which follows from its text.
#[derive(Debug)]
pub struct World {
    seed: u64,
    gold: HashMap<String, Truth>,
    secrets: Mutex<Secrets>,
    betrayed: AtomicBool,
}

/// The gateway's hidden questions, drawn as it draws them.
#[derive(Debug)]
struct Secrets {
    drawn: Gold,
    /// With their numbers.
    known: HashMap<String, (usize, Truth)>,
    numbered: usize,
    asked: usize,
}

impl Secrets {
    fn find(&mut self, question: &str) -> Option<Truth> {
        while self.numbered < self.asked + AHEAD {
            let item = self.drawn.secret()?;
            self.known.insert(item.question.text.clone(), (self.numbered, Truth::of(&item)));
            self.numbered += 1;
        }
        let (number, truth) = self.known.get(question)?;
        self.asked = self.asked.max(*number + 1);
        Some(truth.clone())
    }
}

/// What is right, and of which kind the question is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    pub answer: String,
    /// A family of the syllabus, or empty.
    pub kind: String,
}

impl Truth {
    fn of(item: &Item) -> Self {
        let question = &item.question;
        Self { answer: question.answer.clone(), kind: question.family.name().to_owned() }
    }
}

impl World {
    /// A world in which `exams` whole exams of a gateway with this gold are known.
    pub fn new(seed: u64, exam: &Exam, gold_seed: u64, exams: usize) -> Self {
        let drawn = Gold::new(exam, gold_seed);
        let items = (0..exams).flat_map(|_| drawn.questions(false));
        let gold = items.map(|item| (item.question.text.clone(), Truth::of(&item))).collect();
        let known = HashMap::new();
        let secrets = Secrets { drawn: Gold::new(exam, gold_seed), known, numbered: 0, asked: 0 };
        Self { seed, gold, secrets: Mutex::new(secrets), betrayed: AtomicBool::new(false) }
    }

    /// From now on turncoats lie.
    pub(crate) fn betray(&self) {
        self.betrayed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn betrayed(&self) -> bool {
        self.betrayed.load(Ordering::SeqCst)
    }

    /// What is right.
    pub fn truth(&self, question: &str) -> Truth {
        let secret = || self.secrets.lock().unwrap_or_else(PoisonError::into_inner).find(question);
        self.gold.get(question).cloned().or_else(secret).unwrap_or_else(|| Truth {
            answer: (1_000 + self.draw(&[question, "truth"]) % 9_000).to_string(),
            kind: String::new(),
        })
    }

    /// What `who` comes to if it knows the answer with this probability.
    pub fn belief(&self, who: &str, question: &str, skill: f64) -> String {
        if self.knows(who, question, skill) {
            return self.truth(question).answer;
        }
        let mistake = self.draw(&[who, question, "mistake"]) % MISTAKES;
        format!("about {}", self.draw(&[question, &mistake.to_string()]) % 1_000)
    }

    /// Whether `who` knows the answer: always the same for the same question.
    pub fn knows(&self, who: &str, question: &str, skill: f64) -> bool {
        self.chance(&[who, question, "knows"]) < skill
    }

    /// A number in [0, 1) that follows from the words.
    pub fn chance(&self, words: &[&str]) -> f64 {
        (self.draw(words) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// FNV-1a over the words and the seed, mixed so that every bit counts.
    fn draw(&self, words: &[&str]) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed;
        for byte in words.iter().flat_map(|word| word.bytes().chain([0xff])) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash ^= hash >> 32;
        hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ (hash >> 29)
    }
}
