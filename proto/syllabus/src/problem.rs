//! A problem: its operands, free of any wording, and its right answer.

use super::Family;

/// What is asked. Operands only; see `phrase` for the words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    Add {
        a: u32,
        b: u32,
    },
    /// `a >= b`.
    Subtract {
        a: u32,
        b: u32,
    },
    /// `b` has one or two digits.
    Multiply {
        a: u32,
        b: u32,
    },
    /// `b` is 2 to 9.
    Divide {
        a: u32,
        b: u32,
    },
    /// Distinct numbers.
    Compare {
        numbers: Vec<u32>,
        largest: bool,
    },
    /// Distinct numbers.
    Sort {
        numbers: Vec<u32>,
        descending: bool,
    },
    Count {
        word: String,
        letter: char,
    },
    ReverseLetters {
        word: String,
    },
    ReverseWords {
        words: Vec<String>,
    },
    /// `from` counts from Monday = 0.
    Weekday {
        from: usize,
        days: u32,
        back: bool,
    },
    /// Minutes after `hour:minute`, within the same day.
    Clock {
        hour: u32,
        minute: u32,
        after: u32,
    },
    /// From the measure's larger unit to its smaller, or back.
    Convert {
        amount: u32,
        measure: Measure,
        back: bool,
    },
    /// `a x + b = c`, or `a x - b = c` with `minus`.
    Equation {
        a: u32,
        b: u32,
        c: u32,
        minus: bool,
    },
    Story(Plot),
}

/// What happens in a word problem. People and things are wording.
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

/// One unit and how many of a smaller one it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    pub large: &'static str,
    pub small: &'static str,
    pub factor: u32,
}

impl Measure {
    /// Factors are 3, 7, 12, 60 or a power of ten.
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

    /// A shift of digits, which is also asked backwards.
    pub fn is_power_of_ten(&self) -> bool {
        matches!(self.factor, 10 | 100 | 1000)
    }
}

/// The days of the week, Monday first.
pub const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Problem {
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

    /// What is right, as it stands after `Answer:`.
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
                let mut sorted = numbers.clone();
                sorted.sort_unstable();
                if *descending {
                    sorted.reverse();
                }
                let written: Vec<String> = sorted.iter().map(u32::to_string).collect();
                written.join(", ")
            }
            Self::Count { word, letter } => {
                word.chars().filter(|c| c == letter).count().to_string()
            }
            Self::ReverseLetters { word } => word.chars().rev().collect(),
            Self::ReverseWords { words } => {
                let backwards: Vec<&str> = words.iter().rev().map(String::as_str).collect();
                backwards.join(" ")
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

    /// Equal for problems that are the same question in other words or in another order.
    pub(super) fn key(&self) -> String {
        let mut plain = self.clone();
        match &mut plain {
            Self::Add { a, b } | Self::Multiply { a, b } => {
                (*a, *b) = ((*a).min(*b), (*a).max(*b));
            }
            Self::Compare { numbers, .. } | Self::Sort { numbers, .. } => numbers.sort_unstable(),
            _ => {}
        }
        format!("{plain:?}")
    }
}

impl Plot {
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
