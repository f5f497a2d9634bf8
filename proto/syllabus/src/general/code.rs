//! Small programs whose output is asked for. Each program is computed here beside its text.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Check, GeneralKind, GeneralQuestion, Names, Number, Sequence, Turn, in_one_style, wording,
};
use crate::{draw::pick, words::LIST};

/// A program, its output, and outputs of likely misreadings.
struct Program {
    code: String,
    /// What is asked: `None` asks for what the program prints.
    call: Option<String>,
    output: Output,
    mistakes: Vec<Output>,
}

/// The value that a program gives.
#[derive(Clone, Debug, PartialEq)]
enum Output {
    Number(i64),
    Text(String),
    List(Vec<i64>),
}

impl Output {
    /// As Python prints it.
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(list) => format!("{list:?}"),
        }
    }
}

pub(super) fn question(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let program = match rng.random_range(0..7) {
        0 => function(rng),
        1 => branch(rng),
        2 => range_sum(rng),
        3 => while_loop(rng),
        4 => slice(rng),
        5 => list_value(rng),
        _ => list(rng),
    };
    let Program { code, call, output, mistakes } = program;
    let mut wrong: Vec<String> = Vec::new();
    for mistake in &mistakes {
        let text = mistake.text();
        if *mistake != output && !wrong.contains(&text) {
            wrong.push(text);
        }
    }
    wrong.truncate(3);
    let request = match &call {
        Some(call) => super::fill(wording(rng, CALLS), &[call]),
        None => (*pick(rng, PRINTS)).to_owned(),
    };
    let code_block = if rng.random() { format!("```python\n{code}\n```") } else { code.clone() };
    let right = output.text();
    let check = match &output {
        Output::Number(_) => Check::Number(Number::new(&right, &code)),
        Output::Text(_) => Check::Name(Names::new(&[&right], wrong.iter().map(String::as_str), "")),
        Output::List(_) => Check::Sequence(Sequence::numbers(&right, "")),
    };
    let sentence = if call.is_some() { "it returns {}." } else { "the output is {}." };
    let (answer, wrong) = in_one_style(rng, sentence, &right, &wrong);
    GeneralQuestion {
        kind: GeneralKind::Code,
        messages: vec![Turn::user(format!("{request}\n\n{code_block}"))],
        answer,
        wrong,
        check,
        key: format!("code {code} {call:?}"),
    }
}

const PRINTS: &[&str] = &[
    "What does this Python program print?",
    "What is the output of this code?",
    "Which value does the following Python code print? Give only the value.",
    "Run this program in your head. What does it print?",
];
const CALLS: &[&str] = &[
    "What does {0} return?",
    "Given this Python function, what is the value of {0}?",
    "What is the result of {0} with the function below? Give only the result.",
];

fn function(rng: &mut ChaCha8Rng) -> Program {
    let (a, b, x) = (rng.random_range(2..=9), rng.random_range(1..=20), rng.random_range(2..=12));
    let (body, value, mistake) = match rng.random_range(0..4) {
        0 => (format!("{a} * x + {b}"), a * x + b, a * (x + b)),
        1 => (format!("(x + {b}) * {a}"), (x + b) * a, x + b * a),
        2 => (format!("x * x - {b}"), x * x - b, 2 * x - b),
        _ => (format!("x // {a} + x % {a}"), x / a + x % a, x / a),
    };
    Program {
        code: format!("def f(x):\n    return {body}"),
        call: Some(format!("f({x})")),
        output: Output::Number(value),
        mistakes: numbers(&[mistake, value + a, value - 1, value + 10]),
    }
}

fn branch(rng: &mut ChaCha8Rng) -> Program {
    let (limit, a, b) =
        (rng.random_range(5..=15), rng.random_range(2..=9), rng.random_range(2..=9));
    let x = limit + rng.random_range(-3..=3);
    let (high, low) = (x - a, x * b);
    let value = if x > limit { high } else { low };
    let alternative = if x > limit { low } else { high };
    Program {
        code: format!("def f(x):\n    if x > {limit}:\n        return x - {a}\n    return x * {b}"),
        call: Some(format!("f({x})")),
        output: Output::Number(value),
        mistakes: numbers(&[alternative, value + 1, value - 2, value + 3]),
    }
}

fn range_sum(rng: &mut ChaCha8Rng) -> Program {
    let (start, length) = (rng.random_range(0..=5_i64), rng.random_range(3..=6_i64));
    let (end, factor) = (start + length, rng.random_range(1..=4_i64));
    let item = if factor == 1 { "i".to_owned() } else { format!("i * {factor}") };
    let [sum, sum_beyond, sum_before] =
        [end, end + 1, end - 1].map(|end| (start..end).map(|i| i * factor).sum::<i64>());
    Program {
        code: format!(
            "total = 0\nfor i in range({start}, {end}):\n    total += {item}\nprint(total)"
        ),
        call: None,
        output: Output::Number(sum),
        mistakes: numbers(&[sum_beyond, sum_before, sum + 1]),
    }
}

fn while_loop(rng: &mut ChaCha8Rng) -> Program {
    let (start, limit) = (rng.random_range(20..=400_i64), rng.random_range(1..=6_i64));
    let (mut n, mut count) = (start, 0);
    while n > limit {
        n /= 2;
        count += 1;
    }
    let (variable, value, alternative) =
        if rng.random() { ("count", count, n) } else { ("n", n, count) };
    Program {
        code: format!(
            "n = {start}\ncount = 0\nwhile n > {limit}:\n    n //= 2\n    count += 1\n\
             print({variable})"
        ),
        call: None,
        output: Output::Number(value),
        mistakes: numbers(&[alternative, value + 1, value + 2, value * 2 + 3]),
    }
}

fn slice(rng: &mut ChaCha8Rng) -> Program {
    let words: Vec<&&str> = LIST.iter().filter(|word| word.len() >= 6).collect();
    let word = **pick(rng, &words);
    let letters: Vec<char> = word.chars().collect();
    let (from, to) = (rng.random_range(1..=2), rng.random_range(4..=5));
    let end = letters.len();
    let backwards: String = letters.iter().rev().collect();
    let (expression, value, mistakes) = match rng.random_range(0..4) {
        0 => (
            format!("s[{from}:{to}]"),
            part(&letters, from, to),
            [
                part(&letters, from, to + 1),
                part(&letters, from - 1, to),
                part(&letters, from - 1, to - 1),
            ],
        ),
        1 => (
            "s[::-1]".to_owned(),
            backwards,
            [part(&letters, 0, end), part(&letters, 1, end), near_reverse(&letters)],
        ),
        2 => (
            format!("s[-{to}:]"),
            part(&letters, end - to, end),
            [
                part(&letters, 0, to),
                part(&letters, end - to + 1, end),
                part(&letters, end - to, end - 1),
            ],
        ),
        _ => (
            format!("s[:{from}] + s[{to}:]"),
            part(&letters, 0, from) + &part(&letters, to, end),
            [
                part(&letters, 0, from),
                part(&letters, to, end),
                part(&letters, 0, from + 1) + &part(&letters, to, end),
            ],
        ),
    };
    Program {
        code: format!("s = \"{word}\"\nprint({expression})"),
        call: None,
        output: Output::Text(value),
        mistakes: mistakes.into_iter().map(Output::Text).collect(),
    }
}

/// The letters backwards, but for the first two.
fn near_reverse(letters: &[char]) -> String {
    let mut letters: Vec<char> = letters.iter().rev().copied().collect();
    letters.swap(0, 1);
    letters.into_iter().collect()
}

fn part(letters: &[char], from: usize, to: usize) -> String {
    letters.iter().take(to).skip(from).collect()
}

fn list_value(rng: &mut ChaCha8Rng) -> Program {
    let list = values(rng);
    let (sum, largest) = (list.iter().sum::<i64>(), list.iter().copied().max().unwrap_or(0));
    let smallest = list.iter().copied().min().unwrap_or(0);
    let limit = *pick(rng, &list);
    let above: i64 = list.iter().filter(|x| **x > limit).sum();
    let mut ascending_list = list.clone();
    ascending_list.sort_unstable();
    let second = ascending_list.get(1).copied().unwrap_or(0);
    let length = i64::try_from(list.len()).unwrap_or(0);
    let (expression, value) = match rng.random_range(0..5) {
        0 => ("sum(xs)".to_owned(), sum),
        1 => ("max(xs) - min(xs)".to_owned(), largest - smallest),
        2 => ("sorted(xs)[1]".to_owned(), second),
        3 => (format!("sum(x for x in xs if x > {limit})"), above),
        _ => ("len(xs) + xs[-1]".to_owned(), length + list.last().copied().unwrap_or(0)),
    };
    Program {
        code: format!("xs = {list:?}\nprint({expression})"),
        call: None,
        output: Output::Number(value),
        mistakes: numbers(&[value + limit, value + 1, value - 1, value + 10]),
    }
}

fn list(rng: &mut ChaCha8Rng) -> Program {
    let list = values(rng);
    let limit = rng.random_range(4..=12);
    let addend = rng.random_range(21..=40);
    let mut ascending_list = list.clone();
    ascending_list.sort_unstable();
    let doubles: Vec<i64> = list.iter().map(|x| x * 2).collect();
    let reverse: Vec<i64> = list.iter().rev().copied().collect();
    let (lines, value) = match rng.random_range(0..4) {
        0 => ("xs.sort()\nprint(xs)".to_owned(), ascending_list.clone()),
        1 => ("print([x * 2 for x in xs])".to_owned(), doubles.clone()),
        2 => ("print(xs[::-1])".to_owned(), reverse.clone()),
        _ => {
            let tail = list.iter().skip(1).copied().chain([addend]).collect();
            (format!("xs.append({addend})\nprint(xs[1:])"), tail)
        }
    };
    let larger: Vec<i64> = value.iter().map(|x| x + limit).collect();
    let mut rotation = value.clone();
    rotation.rotate_left(1);
    let shorter: Vec<i64> = value.iter().skip(1).copied().collect();
    Program {
        code: format!("xs = {list:?}\n{lines}"),
        call: None,
        output: Output::List(value),
        mistakes: [rotation, larger, shorter].into_iter().map(Output::List).collect(),
    }
}

/// Four or five different numbers.
fn values(rng: &mut ChaCha8Rng) -> Vec<i64> {
    let count = rng.random_range(4..=5);
    let mut values = Vec::new();
    while values.len() < count {
        let next = rng.random_range(2..=20);
        if !values.contains(&next) {
            values.push(next);
        }
    }
    values
}

fn numbers(values: &[i64]) -> Vec<Output> {
    values.iter().copied().map(Output::Number).collect()
}
