//! Common knowledge, from tables of this project: open questions, and a choice of options.

use std::sync::LazyLock;

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Check, Choice, GeneralKind, GeneralQuestion, Names, Number, Turn, check::letter, fill,
    in_one_style, wording,
};
use crate::draw::pick;

/// The format of the file: a table begins with `# name` and how its values are compared. `?` begins a
/// wording, with `{0}` for the subject, and `=` a sentence, with `{}` for the answer. `<` and `>` are
/// the same for the reverse question, with `{1}` for the value. A row is a subject and a value;
/// slashes separate synonyms.
static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| tables(include_str!("facts.txt")));

/// Facts of one relation. Each subject has one value.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    name: &'static str,
    comparison: &'static str,
    wordings: Vec<&'static str>,
    sentence: &'static str,
    reverse_wordings: Vec<&'static str>,
    reverse_sentence: &'static str,
    pub(super) rows: Vec<Fact>,
}

/// A subject and its value, each with its synonyms.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    subject: Vec<&'static str>,
    value: Vec<&'static str>,
}

/// One direction of a fact: what is asked, and the answers.
struct Direction<'a> {
    question: String,
    sentence: String,
    right: &'a [&'static str],
    /// Every other answer of the table, without synonyms.
    rivals: Vec<&'a [&'static str]>,
}

pub(super) fn tables(text: &'static str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
        if let Some((name, comparison)) = line.strip_prefix("# ").and_then(|l| l.split_once(' ')) {
            tables.push(Table { name, comparison, ..Table::default() });
        }
        let Some(table) = tables.last_mut() else { continue };
        match line.split_at_checked(2) {
            Some(("? ", wording)) => table.wordings.push(wording),
            Some(("= ", sentence)) => table.sentence = sentence,
            Some(("< ", wording)) => table.reverse_wordings.push(wording),
            Some(("> ", sentence)) => table.reverse_sentence = sentence,
            _ => {
                let fact = line.split_once('|').map(|(subject, value)| Fact {
                    subject: subject.split('/').collect(),
                    value: value.split('/').collect(),
                });
                table.rows.extend(fact);
            }
        }
    }
    tables
}

pub(super) fn question(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let (table, fact) = draw(rng);
    let direction = direction(rng, table, fact);
    let mut rivals = direction.rivals.clone();
    rivals.shuffle(rng);
    rivals.truncate(3);
    let wrong: Vec<String> =
        rivals.iter().filter_map(|names| names.first().map(|name| (*name).to_owned())).collect();
    let right = direction.right.first().copied().unwrap_or_default();
    let check = match table.comparison {
        "numeric" => Check::Number(Number::new(right, &direction.question)),
        // Common words may stand in an explanation, so that only some of them are rivals.
        "common" => {
            let rivals = rivals.iter().flat_map(|names| names.iter().copied());
            Check::Name(Names::new(direction.right, rivals, &direction.question))
        }
        _ => {
            let rivals = direction.rivals.iter().flat_map(|names| names.iter().copied());
            Check::Name(Names::new(direction.right, rivals, &direction.question))
        }
    };
    let hint = *pick(rng, &["", " Answer with one word or name.", " Answer in one sentence."]);
    let (answer, wrong) = in_one_style(rng, &direction.sentence, right, &wrong);
    GeneralQuestion {
        kind: GeneralKind::Knowledge,
        messages: vec![Turn::user(format!("{}{hint}", direction.question))],
        answer,
        wrong,
        check,
        key: key(table, fact),
    }
}

/// The same fact has the same key in both kinds, so that it is in one split.
fn key(table: &Table, fact: &Fact) -> String {
    format!("knowledge {} {:?}", table.name, fact.subject)
}

/// A random fact. Every fact is equally likely.
fn draw(rng: &mut ChaCha8Rng) -> (&'static Table, &'static Fact) {
    let facts: Vec<(&Table, &Fact)> =
        TABLES.iter().flat_map(|table| table.rows.iter().map(move |fact| (table, fact))).collect();
    *pick(rng, &facts)
}

fn direction<'a>(rng: &mut ChaCha8Rng, table: &'a Table, fact: &'a Fact) -> Direction<'a> {
    let subject = fact.subject.first().copied().unwrap_or_default();
    let value = fact.value.first().copied().unwrap_or_default();
    let is_reverse = !table.reverse_wordings.is_empty() && rng.random_bool(0.35);
    let (wordings, sentence, right) = if is_reverse {
        (&table.reverse_wordings, table.reverse_sentence, &fact.subject)
    } else {
        (&table.wordings, table.sentence, &fact.value)
    };
    let mut rivals: Vec<&[&str]> = Vec::new();
    for row in &table.rows {
        let answer = if is_reverse { &row.subject } else { &row.value };
        let is_right = answer.iter().any(|name| right.contains(name));
        if !is_right && !rivals.iter().any(|rival| rival.first() == answer.first()) {
            rivals.push(answer);
        }
    }
    Direction {
        question: fill(wording(rng, wordings), &[subject, value]),
        sentence: fill(sentence, &[subject, value]) + ".",
        right,
        rivals,
    }
}

/// A question with four options.
pub(super) fn choice(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let (key, direction, mut options) = loop {
        let (table, fact) = draw(rng);
        let direction = direction(rng, table, fact);
        let rivals = direction.rivals.iter().filter_map(|names| names.first().copied());
        // An option that is a letter itself (the symbol of carbon) could be taken for a label.
        let options: Vec<&str> = rivals.filter(|name| name.len() > 1).collect();
        let is_label = direction.right.first().is_some_and(|name| name.len() == 1);
        if !is_label && options.len() >= 3 {
            break (key(table, fact), direction, options);
        }
    };
    let right = direction.right.first().copied().unwrap_or_default();
    options.shuffle(rng);
    options.truncate(3);
    options.push(right);
    options.shuffle(rng);
    options_question(rng, &direction.question, &options, right, key)
}

/// A question with labelled options, of which `right` is one.
pub(super) fn options_question(
    rng: &mut ChaCha8Rng,
    question: &str,
    options: &[&str],
    right: &str,
    key: String,
) -> GeneralQuestion {
    let index = options.iter().position(|option| *option == right).unwrap_or(0);
    let frame = *pick(rng, &["{0}) {1}", "{0}. {1}", "({0}) {1}"]);
    let lines: Vec<String> = options
        .iter()
        .enumerate()
        .map(|(index, option)| fill(frame, &[&letter(index), option]))
        .collect();
    let hint = *pick(rng, CHOICE_HINTS);
    let with_text = rng.random();
    let mut wrong: Vec<String> = (0..options.len())
        .map(|at| match options.get(at) {
            Some(option) if with_text => format!("{}) {option}", letter(at)),
            _ => letter(at),
        })
        .collect();
    let answer = wrong.remove(index);
    GeneralQuestion {
        kind: GeneralKind::Choice,
        messages: vec![Turn::user(format!("{question}\n{}\n{hint}", lines.join("\n")))],
        answer,
        wrong,
        check: Check::Choice(Choice::new(options, index, question)),
        key,
    }
}

const CHOICE_HINTS: &[&str] = &[
    "Answer with the letter only.",
    "Reply with the letter of the right option.",
    "Which option is right? Give its letter.",
];
