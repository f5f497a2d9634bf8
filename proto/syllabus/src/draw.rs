//! Random problems. Most operands have two to four digits, some have one or five.

use rand::{
    RngExt,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;

use crate::{
    family::Family,
    problem::{Measure, Plot, Problem},
    words::{LIST, word},
};

pub(super) fn problem(family: Family, rng: &mut ChaCha8Rng) -> Problem {
    match family {
        Family::Add => Problem::Add { a: number(rng, 5), b: number(rng, 5) },
        Family::Subtract => {
            let (a, b) = (number(rng, 5), number(rng, 5));
            Problem::Subtract { a: a.max(b), b: a.min(b) }
        }
        Family::Multiply => multiply(rng),
        Family::Divide => {
            let digits = *pick(rng, &[2, 2, 3, 3, 3, 4, 4]);
            Problem::Divide { a: with_digits(rng, digits), b: rng.random_range(2..=9) }
        }
        Family::Compare => {
            let count = *pick(rng, &[2, 2, 3, 3, 4, 5]);
            Problem::Compare { numbers: distinct(rng, count, 5), largest: rng.random() }
        }
        Family::Sort => {
            let count = *pick(rng, &[3, 3, 3, 4, 4]);
            Problem::Sort { numbers: distinct(rng, count, 3), descending: rng.random() }
        }
        Family::Count => count(rng),
        Family::Reverse => reverse(rng),
        Family::Weekday => Problem::Weekday {
            from: rng.random_range(0..7),
            days: rng.random_range(2..=150),
            back: rng.random_bool(0.4),
        },
        Family::Clock => Problem::Clock {
            hour: rng.random_range(0..=20),
            minute: rng.random_range(0..60),
            after: rng.random_range(5..=180),
        },
        Family::Convert => convert(rng),
        Family::Equation => equation(rng),
        Family::Story => Problem::Story(plot(rng)),
    }
}

fn multiply(rng: &mut ChaCha8Rng) -> Problem {
    if rng.random_bool(0.35) {
        return Problem::Multiply { a: with_digits(rng, 2), b: with_digits(rng, 2) };
    }
    let digits = *pick(rng, &[1, 2, 2, 3, 3, 4]);
    Problem::Multiply { a: with_digits(rng, digits), b: rng.random_range(2..=9) }
}

fn count(rng: &mut ChaCha8Rng) -> Problem {
    let word = word(rng);
    let letters: Vec<char> = word.chars().collect();
    // Most of the time, the letter is in the word.
    let random_letter = char::from(rng.random_range(b'a'..=b'z'));
    let letter = if rng.random_bool(0.15) { random_letter } else { *pick(rng, &letters) };
    Problem::Count { word, letter }
}

fn reverse(rng: &mut ChaCha8Rng) -> Problem {
    if rng.random_bool(0.35) {
        let count = rng.random_range(3..=5);
        let mut words: Vec<String> = Vec::new();
        while words.len() < count {
            let word = (*pick(rng, LIST)).to_owned();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        return Problem::ReverseWords { words };
    }
    Problem::ReverseLetters { word: word(rng) }
}

fn convert(rng: &mut ChaCha8Rng) -> Problem {
    let measure = *pick(rng, &Measure::ALL);
    let ten = measure.is_power_of_ten();
    let digits = *pick(rng, if measure.factor == 12 { &[1, 2] } else { &[1, 2, 2, 3] });
    let amount = with_digits(rng, digits);
    if ten && rng.random_bool(0.4) {
        return Problem::Convert { amount: amount * measure.factor, measure, back: true };
    }
    Problem::Convert { amount, measure, back: false }
}

fn equation(rng: &mut ChaCha8Rng) -> Problem {
    let a = if rng.random_bool(0.2) { 1 } else { rng.random_range(2..=9) };
    let (x, b) = (number(rng, 3), number(rng, 3));
    let minus = rng.random_bool(0.4) && a * x > b;
    let c = if minus { a * x - b } else { a * x + b };
    Problem::Equation { a, b, c, minus }
}

fn plot(rng: &mut ChaCha8Rng) -> Plot {
    let (mut a, mut b) = (number(rng, 3).max(3), number(rng, 3).max(2));
    if a < b {
        std::mem::swap(&mut a, &mut b);
    }
    let few = rng.random_range(2..=9);
    let many = with_digits(rng, 2);
    match rng.random_range(0..7) {
        0 => Plot::Gain { a, b },
        1 => Plot::Loss { a, b },
        2 => Plot::Times { a: many, b: few },
        3 => Plot::Share { a: many * few, b: few },
        4 => Plot::GainLoss { a, b, c: rng.random_range(1..a + b) },
        5 => Plot::TimesGain { a: many, b: few, c: number(rng, 3) },
        _ => Plot::TimesLoss { a: many, b: few, c: rng.random_range(1..many * few) },
    }
}

/// A number of one to `most` digits. Two and three digits are the most frequent.
fn number(rng: &mut ChaCha8Rng, most: u32) -> u32 {
    let digits = *pick(rng, &[1, 2, 2, 2, 3, 3, 3, 4, 4, 5]);
    with_digits(rng, u32::min(digits, most))
}

fn with_digits(rng: &mut ChaCha8Rng, digits: u32) -> u32 {
    let low = if digits == 1 { 1 } else { 10u32.pow(digits - 1) };
    rng.random_range(low..10u32.pow(digits))
}

/// Distinct numbers. In half of the cases all have the same length, so that the length alone seldom
/// decides the order.
fn distinct(rng: &mut ChaCha8Rng, count: usize, most: u32) -> Vec<u32> {
    let digits = rng.random_range(2..=most);
    let same_length = rng.random_bool(0.5);
    let mut numbers: Vec<u32> = Vec::new();
    while numbers.len() < count {
        let next = if same_length { with_digits(rng, digits) } else { number(rng, most) };
        if !numbers.contains(&next) {
            numbers.push(next);
        }
    }
    numbers.shuffle(rng);
    numbers
}

/// A random element of a list that is never empty.
pub(super) fn pick<'a, T>(rng: &mut ChaCha8Rng, list: &'a [T]) -> &'a T {
    #[expect(
        clippy::expect_used,
        reason = "every caller passes a literal, the letters of a non-empty word or the rows of a table"
    )]
    list.choose(rng).expect("a non-empty list")
}
