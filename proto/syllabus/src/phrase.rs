//! Wordings of problems: several natural ways to ask each question.

use crate::problem::{DAYS, Plot, Problem};

/// The problem in words. `wording` is any number and selects one of the wordings.
pub(super) fn text(problem: &Problem, wording: usize) -> String {
    match problem {
        Problem::Add { a, b } => fill(ADD, wording, &[a, b]),
        Problem::Subtract { a, b } => fill(SUBTRACT, wording, &[a, b]),
        Problem::Multiply { a, b } => fill(MULTIPLY, wording, &[a, b]),
        Problem::Divide { a, b } => fill(DIVIDE, wording, &[a, b]),
        Problem::Compare { numbers, largest } => {
            let adjectives = if *largest {
                ["largest", "biggest", "highest", "greatest", "maximum"]
            } else {
                ["smallest", "lowest", "least", "tiniest", "minimum"]
            };
            fill(COMPARE, wording, &[&choose(&adjectives, wording / COMPARE.len()), &list(numbers)])
        }
        Problem::Sort { numbers, descending: false } => fill(SORT_UP, wording, &[&list(numbers)]),
        Problem::Sort { numbers, .. } => fill(SORT_DOWN, wording, &[&list(numbers)]),
        Problem::Count { word, letter } => fill(COUNT, wording, &[letter, word]),
        Problem::ReverseLetters { word } => fill(LETTERS, wording, &[word]),
        Problem::ReverseWords { words } => fill(WORDS, wording, &[&words.join(" ")]),
        Problem::Weekday { from, days, back } => {
            let day = DAYS.get(*from).copied().unwrap_or_default();
            fill(if *back { BEFORE } else { AFTER }, wording, &[&day, days])
        }
        Problem::Clock { hour, minute, after } => {
            fill(CLOCK, wording, &[&format!("{hour}:{minute:02}"), after])
        }
        Problem::Convert { amount, measure: m, back: false } => {
            fill(CONVERT, wording, &[amount, &m.large, &m.small])
        }
        Problem::Convert { amount, measure: m, .. } => {
            fill(CONVERT, wording, &[amount, &m.small, &m.large])
        }
        Problem::Equation { a, b, c, minus } => {
            let x = if *a == 1 { "x".to_owned() } else { format!("{a}x") };
            let sign = if *minus { '-' } else { '+' };
            fill(EQUATION, wording, &[&format!("{x} {sign} {b} = {c}")])
        }
        Problem::Story(plot) => story(plot, wording),
    }
}

const ADD: &[&str] = &[
    "What is {0} + {1}?",
    "What is {0} plus {1}?",
    "Add {0} and {1}.",
    "Compute {0} + {1}.",
    "{0} + {1} = ?",
    "What is the sum of {0} and {1}?",
    "How much is {0} plus {1}?",
    "Calculate {0}+{1}.",
];
const SUBTRACT: &[&str] = &[
    "What is {0} - {1}?",
    "What is {0} minus {1}?",
    "Subtract {1} from {0}.",
    "Compute {0} - {1}.",
    "{0} - {1} = ?",
    "What is the difference between {0} and {1}?",
    "How much is {0} minus {1}?",
    "Take {1} away from {0}.",
];
const MULTIPLY: &[&str] = &[
    "What is {0} * {1}?",
    "What is {0} times {1}?",
    "Multiply {0} by {1}.",
    "Compute {0} x {1}.",
    "{0} * {1} = ?",
    "What is the product of {0} and {1}?",
    "How much is {0} times {1}?",
    "Calculate {0}*{1}.",
];
const DIVIDE: &[&str] = &[
    "What is {0} / {1}, with remainder?",
    "What is {0} divided by {1}? Give the remainder.",
    "Divide {0} by {1} and give the remainder.",
    "Compute {0} / {1} with remainder.",
    "How many times does {1} go into {0}, and what is left?",
    "Quotient and remainder of {0} divided by {1}?",
    "Calculate {0} divided by {1} with remainder.",
];
const COMPARE: &[&str] = &[
    "Which is the {0}: {1}?",
    "What is the {0} of {1}?",
    "Find the {0} number: {1}.",
    "Which number is the {0}? {1}",
    "Pick the {0} of these numbers: {1}.",
    "Of {1}, which is the {0}?",
    "Tell me the {0} value among {1}.",
];
const SORT_UP: &[&str] = &[
    "Sort {0}.",
    "Sort these numbers: {0}.",
    "Put {0} in ascending order.",
    "Order from smallest to largest: {0}.",
    "Arrange {0} from low to high.",
    "Sort in increasing order: {0}.",
];
const SORT_DOWN: &[&str] = &[
    "Sort {0} in descending order.",
    "Sort these numbers from largest to smallest: {0}.",
    "Put {0} in descending order.",
    "Order from largest to smallest: {0}.",
    "Arrange {0} from high to low.",
    "Sort in decreasing order: {0}.",
];
const COUNT: &[&str] = &[
    "How many times does the letter {0} appear in {1}?",
    "How many {0}'s are in \"{1}\"?",
    "Count the letter {0} in {1}.",
    "How often does {0} occur in the word {1}?",
    "In the word {1}, how many {0} are there?",
    "How many letters {0} does {1} have?",
];
const LETTERS: &[&str] = &[
    "Reverse the word {0}.",
    "Spell {0} backwards.",
    "Write \"{0}\" backwards.",
    "What is {0} spelled backwards?",
    "Reverse the letters of {0}.",
    "Turn the word {0} around.",
];
const WORDS: &[&str] = &[
    "Reverse the order of these words: {0}.",
    "Write these words in reverse order: {0}.",
    "Reverse the words: {0}",
    "Put these words in the opposite order: {0}.",
    "List the words backwards: {0}.",
    "What is the reverse word order of: {0}?",
];
const AFTER: &[&str] = &[
    "If today is {0}, what day is it in {1} days?",
    "What day of the week is {1} days after {0}?",
    "Today is {0}. Which weekday will it be in {1} days?",
    "It is {0}. What day comes {1} days later?",
    "Which day is {1} days after a {0}?",
    "Starting on {0}, what weekday is it after {1} days?",
];
const BEFORE: &[&str] = &[
    "If today is {0}, what day was it {1} days ago?",
    "What day of the week is {1} days before {0}?",
    "Today is {0}. Which weekday was it {1} days ago?",
    "It is {0}. What day was it {1} days earlier?",
    "Which day is {1} days before a {0}?",
    "Counting back {1} days from {0}, what weekday is it?",
];
const CLOCK: &[&str] = &[
    "What time is {1} minutes after {0}?",
    "It is {0}. What time is it in {1} minutes?",
    "A film starts at {0} and lasts {1} minutes. When does it end?",
    "If I leave at {0} and travel {1} minutes, when do I arrive?",
    "The clock shows {0}. What does it show {1} minutes later?",
    "Add {1} minutes to {0}.",
];
const CONVERT: &[&str] = &[
    "Convert {0} {1} to {2}.",
    "How many {2} are {0} {1}?",
    "What is {0} {1} in {2}?",
    "{0} {1} = ? {2}",
    "Express {0} {1} in {2}.",
    "How many {2} are there in {0} {1}?",
];
const EQUATION: &[&str] = &[
    "Solve {0}.",
    "Solve for x: {0}.",
    "What is x if {0}?",
    "Find x: {0}",
    "If {0}, what is x?",
    "{0}. What is the value of x?",
];

const NAMES: &[&str] = &[
    "Mia", "Tom", "Anna", "Ben", "Sara", "Leo", "Nina", "Max", "Ivy", "Sam", "Lena", "Omar",
    "Ruth", "Jan", "Zoe", "Paul",
];
const THINGS: &[&str] = &[
    "apples", "books", "coins", "stickers", "marbles", "cards", "pens", "eggs", "shells", "stamps",
    "cookies", "beads", "flowers", "stones", "tickets", "photos",
];
const GAIN: &[&str] = &[
    "{n} has {0} {t} and gets {1} more. How many {t} does {n} have now?",
    "There are {0} {t} in one box and {1} in another. How many {t} are there in all?",
    "{n} finds {0} {t} on Monday and {1} on Tuesday. How many is that together?",
    "A shop sells {0} {t} in the morning and {1} in the evening. How many in total?",
];
const LOSS: &[&str] = &[
    "{n} has {0} {t} and gives away {1}. How many {t} are left?",
    "There are {0} {t} in a box. {n} takes out {1}. How many remain?",
    "{n} had {0} {t} and lost {1} of them. How many does {n} still have?",
    "A shop has {0} {t} and sells {1}. How many {t} are left?",
];
const TIMES: &[&str] = &[
    "{n} has {1} boxes with {0} {t} each. How many {t} is that?",
    "There are {0} {t} in a bag. How many are in {1} bags?",
    "{n} buys {0} {t} a day for {1} days. How many {t} does {n} buy?",
    "One crate holds {0} {t}. How many do {1} crates hold?",
];
const SHARE: &[&str] = &[
    "{n} shares {0} {t} equally among {1} friends. How many does each get?",
    "{0} {t} are packed into {1} equal boxes. How many {t} per box?",
    "{n} splits {0} {t} evenly over {1} days. How many a day?",
    "A teacher divides {0} {t} among {1} children. How many does each child get?",
];
const GAIN_LOSS: &[&str] = &[
    "{n} has {0} {t}, gets {1} more and gives away {2}. How many {t} are left?",
    "A shop has {0} {t}, receives {1} more and sells {2}. How many remain?",
    "There are {0} {t} in a box. {n} adds {1} and takes out {2}. How many are in it?",
    "{n} had {0} {t}, won {1} and lost {2}. How many does {n} have now?",
];
const TIMES_GAIN: &[&str] = &[
    "{n} has {1} boxes with {0} {t} each and {2} more. How many {t} in all?",
    "There are {1} bags of {0} {t} and {2} single ones. How many {t} is that?",
    "{n} buys {0} {t} a day for {1} days and already had {2}. How many now?",
    "A truck brings {1} crates of {0} {t} to a shop with {2}. How many are there now?",
];
const TIMES_LOSS: &[&str] = &[
    "{n} has {1} boxes with {0} {t} each and gives away {2}. How many are left?",
    "There are {1} bags of {0} {t}. {n} takes {2} out. How many {t} remain?",
    "{n} buys {0} {t} a day for {1} days and loses {2}. How many are left?",
    "A shop gets {1} crates of {0} {t} and sells {2}. How many {t} remain?",
];

fn story(plot: &Plot, wording: usize) -> String {
    let (lines, numbers) = match *plot {
        Plot::Gain { a, b } => (GAIN, [a, b, 0]),
        Plot::Loss { a, b } => (LOSS, [a, b, 0]),
        Plot::Times { a, b } => (TIMES, [a, b, 0]),
        Plot::Share { a, b } => (SHARE, [a, b, 0]),
        Plot::GainLoss { a, b, c } => (GAIN_LOSS, [a, b, c]),
        Plot::TimesGain { a, b, c } => (TIMES_GAIN, [a, b, c]),
        Plot::TimesLoss { a, b, c } => (TIMES_LOSS, [a, b, c]),
    };
    let [a, b, c] = &numbers;
    let text = fill(lines, wording, &[a, b, c]);
    let name = choose(NAMES, wording / 4);
    let thing = choose(THINGS, wording / (4 * NAMES.len()));
    text.replace("{n}", name).replace("{t}", thing)
}

fn fill(wordings: &[&str], wording: usize, parts: &[&dyn std::fmt::Display]) -> String {
    let mut text = choose(wordings, wording).to_owned();
    for (index, part) in parts.iter().enumerate() {
        text = text.replace(&format!("{{{index}}}"), &part.to_string());
    }
    text
}

fn choose<'a>(list: &[&'a str], wording: usize) -> &'a str {
    list.get(wording % list.len().max(1)).copied().unwrap_or_default()
}

fn list(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(", ")
}
