//! What is right in the simulated world, and what everybody there believes.

use std::collections::HashMap;

use shoal_gateway::swarm::{Exam, gold::Gold};

/// Wrong answers that minds which do not know come to, to one question: few, so that some of them
/// make the same mistake, as real models do.
const MISTAKES: u64 = 6;

/// Hidden questions that are known: more than any simulation draws.
const SECRETS: usize = 1_500;

/// The truth about every question: that of a gold question as the syllabus has it, that of any
/// other a number which follows from its text.
#[derive(Debug)]
pub struct World {
    seed: u64,
    gold: HashMap<String, Truth>,
}

/// What is right, and of which kind the question is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    pub answer: String,
    /// A family of the syllabus, or empty.
    pub kind: String,
}

impl World {
    /// A world in which `exams` whole exams of a gateway with this gold are known.
    pub fn new(seed: u64, exam: &Exam, gold_seed: u64, exams: usize) -> Self {
        let drawn = Gold::new(exam, gold_seed);
        let items = (0..exams).flat_map(|_| drawn.questions(false));
        let secret = (0..SECRETS).filter_map(|_| drawn.secret());
        let gold = items
            .chain(secret)
            .map(|item| {
                let question = &item.question;
                let kind = question.family.name().to_owned();
                (question.text.clone(), Truth { answer: question.answer.clone(), kind })
            })
            .collect();
        Self { seed, gold }
    }

    /// What is right.
    pub fn truth(&self, question: &str) -> Truth {
        self.gold.get(question).cloned().unwrap_or_else(|| Truth {
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
