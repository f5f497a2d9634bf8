//! Problems: operands without any wording, and the right answers.

use crate::family::Family;

/// The operands of a question. The module `phrase` adds the words.
///
/// [`Split`](crate::Split) hashes the `Debug` output, so the names of variants and fields never
/// change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The sum of `a` and `b`.
    Add { a: u32, b: u32 },
    /// `a - b`, with `a >= b`.
    Subtract { a: u32, b: u32 },
    /// `a * b`, where `b` has one or two digits.
    Multiply { a: u32, b: u32 },
    /// `a / b` with remainder, where `b` is 2 to 9.
    Divide { a: u32, b: u32 },
    /// The largest or smallest of distinct numbers.
    Compare { numbers: Vec<u32>, largest: bool },
    /// Distinct numbers in ascending or descending order.
    Sort { numbers: Vec<u32>, descending: bool },
    /// How often the letter occurs in the word.
    Count { word: String, letter: char },
    /// The word's letters backwards.
    ReverseLetters { word: String },
    /// The words backwards.
    ReverseWords { words: Vec<String> },
    /// The weekday `days` after `from`, or before it with `back`. `from` counts from Monday = 0.
    Weekday { from: usize, days: u32, back: bool },
    /// The time `after` minutes after `hour:minute`, within the same day.
    Clock { hour: u32, minute: u32, after: u32 },
    /// An amount of the measure's larger unit in its smaller unit, or the reverse with `back`.
    Convert { amount: u32, measure: Measure, back: bool },
    /// `a x + b = c`, or `a x - b = c` with `minus`.
    Equation { a: u32, b: u32, c: u32, minus: bool },
    /// A word problem.
    Story(Plot),
}

/// The events of a word problem. The people and things are part of the wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plot {
    /// a + b
    Gain { a: u32, b: u32 },
    /// a - b
    Loss { a: u32, b: u32 },
    /// a * b, b one digit
    Times { a: u32, b: u32 },
    /// a / b, exact
    Share { a: u32, b: u32 },
    /// a + b - c
    GainLoss { a: u32, b: u32, c: u32 },
    /// a * b + c
    TimesGain { a: u32, b: u32, c: u32 },
    /// a * b - c
    TimesLoss { a: u32, b: u32, c: u32 },
}

/// Two units of one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    /// The larger unit.
    pub large: &'static str,
    /// The smaller unit.
    pub small: &'static str,
    /// How many of the smaller unit make one of the larger.
    pub factor: u32,
}

impl Measure {
    /// All measures. The factors are 3, 7, 12, 60 and powers of ten.
    pub const ALL: [Self; 14] = [
        Self { large: "m", small: "cm", factor: 100 },
        Self { large: "km", small: "m", factor: 1000 },
        Self { large: "cm", small: "mm", factor: 10 },
        Self { large: "m", small: "mm", factor: 1000 },
        Self { large: "kg", small: "g", factor: 1000 },
        Self { large: "liters", small: "ml", factor: 1000 },
        Self { large: "tonnes", small: "kg", factor: 1000 },
        Self { large: "euros", small: "cents", factor: 100 },
        Self { large: "hours", small: "minutes", factor: 60 },
        Self { large: "minutes", small: "seconds", factor: 60 },
        Self { large: "weeks", small: "days", factor: 7 },
        Self { large: "yards", small: "feet", factor: 3 },
        Self { large: "feet", small: "inches", factor: 12 },
        Self { large: "years", small: "months", factor: 12 },
    ];

    /// Whether the conversion only shifts digits. Such conversions are also asked backwards.
    pub fn is_power_of_ten(&self) -> bool {
        matches!(self.factor, 10 | 100 | 1000)
    }
}

/// The days of the week, Monday first.
pub const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Problem {
    /// The kind of question.
    pub fn family(&self) -> Family {
        match self {
            Self::Add { .. } => Family::Add,
            Self::Subtract { .. } => Family::Subtract,
            Self::Multiply { .. } => Family::Multiply,
            Self::Divide { .. } => Family::Divide,
            Self::Compare { .. } => Family::Compare,
            Self::Sort { .. } => Family::Sort,
            Self::Count { .. } => Family::Count,
            Self::ReverseLetters { .. } | Self::ReverseWords { .. } => Family::Reverse,
            Self::Weekday { .. } => Family::Weekday,
            Self::Clock { .. } => Family::Clock,
            Self::Convert { .. } => Family::Convert,
            Self::Equation { .. } => Family::Equation,
            Self::Story(_) => Family::Story,
        }
    }

    /// The right answer, as a model writes it after `Answer:`.
    pub fn answer(&self) -> String {
        match self {
            Self::Add { a, b } => (a + b).to_string(),
            Self::Subtract { a, b } => a.saturating_sub(*b).to_string(),
            Self::Multiply { a, b } => (a * b).to_string(),
            Self::Divide { a, b } => {
                let b = (*b).max(1);
                format!("{} remainder {}", a / b, a % b)
            }
            Self::Compare { numbers, largest } => {
                let best = if *largest { numbers.iter().max() } else { numbers.iter().min() };
                best.map(u32::to_string).unwrap_or_default()
            }
            Self::Sort { numbers, descending } => {
                let mut numbers = numbers.clone();
                numbers.sort_unstable();
                if *descending {
                    numbers.reverse();
                }
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                numbers.join(", ")
            }
            Self::Count { word, letter } => {
                word.chars().filter(|c| c == letter).count().to_string()
            }
            Self::ReverseLetters { word } => word.chars().rev().collect(),
            Self::ReverseWords { words } => {
                let words: Vec<&str> = words.iter().rev().map(String::as_str).collect();
                words.join(" ")
            }
            Self::Weekday { from, days, back } => {
                let step = *days as usize % 7;
                let to = if *back { from + 7 - step } else { from + step } % 7;
                DAYS.get(to).copied().unwrap_or_default().to_owned()
            }
            Self::Clock { hour, minute, after } => {
                let total = hour * 60 + minute + after;
                format!("{}:{:02}", total / 60 % 24, total % 60)
            }
            Self::Convert { amount, measure: m, back: false } => {
                format!("{} {}", amount * m.factor, m.small)
            }
            Self::Convert { amount, measure: m, back: true } => {
                format!("{} {}", amount / m.factor.max(1), m.large)
            }
            Self::Equation { a, b, c, minus } => {
                let product = if *minus { c + b } else { c.saturating_sub(*b) };
                (product / (*a).max(1)).to_string()
            }
            Self::Story(plot) => plot.answer().to_string(),
        }
    }

    /// A text that is equal for problems that differ only in the order of their operands.
    pub(super) fn key(&self) -> String {
        let mut canonical = self.clone();
        match &mut canonical {
            Self::Add { a, b } | Self::Multiply { a, b } => {
                (*a, *b) = ((*a).min(*b), (*a).max(*b));
            }
            Self::Compare { numbers, .. } | Self::Sort { numbers, .. } => numbers.sort_unstable(),
            _ => {}
        }
        format!("{canonical:?}")
    }
}

impl Plot {
    /// The result of the plot.
    pub fn answer(&self) -> u32 {
        match *self {
            Self::Gain { a, b } => a + b,
            Self::Loss { a, b } => a.saturating_sub(b),
            Self::Times { a, b } => a * b,
            Self::Share { a, b } => a / b.max(1),
            Self::GainLoss { a, b, c } => (a + b).saturating_sub(c),
            Self::TimesGain { a, b, c } => a * b + c,
            Self::TimesLoss { a, b, c } => (a * b).saturating_sub(c),
        }
    }
}
