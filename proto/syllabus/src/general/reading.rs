//! Questions about a passage, with an answer in it or without.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Check, GeneralKind, GeneralQuestion, Names, Number, Turn, Unknown, in_one_style, sample,
    scene::{Gap, Inquiry, Passage, fill_row},
    wording,
};
use crate::draw::pick;

/// Wrong answers to one question.
const WRONG: usize = 3;

/// The frame of the whole prompt: `{0}` is the passage, `{1}` the question.
const FRAMES: &[&str] = &[
    "{0}\n\n{1}",
    "Read the text and answer the question.\n\n{0}\n\nQuestion: {1}",
    "{1}\n\nText: {0}",
    "Passage:\n{0}\n\n{1}",
];

/// Half of the questions with an answer carry this as well: otherwise the instruction alone would
/// tell that there is none.
const UNKNOWN: &[&str] = &[
    "If the passage does not say, answer: unknown.",
    "If the text does not contain the answer, reply with \"unknown\".",
    "Say \"unknown\" if the text does not tell.",
];

const BRIEF: &[&str] = &["Answer in a few words.", "Answer briefly.", "Give only the answer.", ""];

pub(super) fn answerable(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let passage = Passage::draw(rng);
    let inquiry = *pick(rng, passage.scene.inquiries);
    let row = pick(rng, &passage.rows).clone();
    let text = fill_row(wording(rng, inquiry.wordings), &row);
    let right = row.get(inquiry.column).cloned().unwrap_or_default();
    let wrong = wrong_values(rng, &passage, &inquiry, &right);
    let check = if passage.scene.is_numeric(inquiry.column) {
        Check::Number(Number::new(&right, &text))
    } else {
        let pool = passage.scene.pool(inquiry.column).iter().copied();
        let rivals = pool.chain(wrong.iter().map(String::as_str));
        Check::Name(Names::new(&[&right], rivals, &text))
    };
    let (answer, wrong) = in_one_style(rng, inquiry.sentence, &right, &wrong);
    let hints = if rng.random() { UNKNOWN } else { BRIEF };
    let hint = wording(rng, hints);
    let key =
        format!("reading {} {:?} {} {row:?}", passage.scene.name, passage.rows, inquiry.column);
    GeneralQuestion {
        kind: GeneralKind::Reading,
        messages: vec![Turn::user(prompt(rng, &passage.text, &text, hint))],
        answer,
        wrong,
        check,
        key,
    }
}

/// Values of the other rows, and others if the passage has too few.
fn wrong_values(
    rng: &mut ChaCha8Rng,
    passage: &Passage,
    inquiry: &Inquiry,
    right: &str,
) -> Vec<String> {
    let values = passage.rows.iter().filter_map(|row| row.get(inquiry.column).cloned());
    let mut wrong: Vec<String> = values.filter(|value| value != right).collect();
    wrong.shuffle(rng);
    wrong.truncate(WRONG);
    let pool = sample(rng, passage.scene.pool(inquiry.column), usize::MAX);
    let strangers = pool
        .into_iter()
        .filter(|value| *value != right && !wrong.iter().any(|entry| entry == value));
    let gap_count = WRONG.saturating_sub(wrong.len());
    let strangers: Vec<String> = strangers.take(gap_count).map(str::to_owned).collect();
    wrong.extend(strangers);
    wrong
}

pub(super) fn unanswerable(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let passage = Passage::draw(rng);
    let gap = *pick(rng, passage.scene.gaps);
    let row = pick(rng, &passage.rows).clone();
    let question = fill_row(gap.wording, &row);
    let guesses = guesses(rng, &passage, &gap);
    let check = Check::Unknown(Unknown::new(guesses.iter().copied()));
    let answer = match rng.random_range(0..4) {
        0 => "unknown".to_owned(),
        1 => "Unknown.".to_owned(),
        2 => "The text does not say.".to_owned(),
        _ => "This is not mentioned, so the answer is: unknown".to_owned(),
    };
    let inventions: Vec<String> = guesses.iter().take(2).map(|guess| (*guess).to_owned()).collect();
    let sentence = fill_row(gap.sentence, &row);
    let (_, mut wrong) = in_one_style(rng, &sentence, "", &inventions);
    // A value of the passage that belongs to something else.
    wrong.extend(row.last().map(|value| format!("Answer: {value}")));
    let key = format!("gap {} {:?} {} {row:?}", passage.scene.name, passage.rows, gap.wording);
    let hint = wording(rng, UNKNOWN);
    GeneralQuestion {
        kind: GeneralKind::Unanswerable,
        messages: vec![Turn::user(prompt(rng, &passage.text, &question, hint))],
        answer,
        wrong,
        check,
        key,
    }
}

/// Invented values that stand nowhere in the passage.
fn guesses(rng: &mut ChaCha8Rng, passage: &Passage, gap: &Gap) -> Vec<&'static str> {
    let mut guesses = sample(rng, gap.guesses, usize::MAX);
    guesses.retain(|guess| !passage.text.contains(guess));
    guesses
}

fn prompt(rng: &mut ChaCha8Rng, passage: &str, question: &str, hint: &str) -> String {
    let question = format!("{question} {hint}");
    super::fill(wording(rng, FRAMES), &[passage, question.trim()])
}
