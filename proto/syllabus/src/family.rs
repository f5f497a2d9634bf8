//! The kinds of questions.

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The sum of two numbers.
    Add,
    /// The difference of two numbers.
    Subtract,
    /// The product of two numbers.
    Multiply,
    /// The whole quotient and the remainder of two numbers.
    Divide,
    /// The largest or smallest of two to five numbers.
    Compare,
    /// Three or four numbers in order.
    Sort,
    /// How often a letter occurs in a word.
    Count,
    /// A word's letters, or a list of words, backwards.
    Reverse,
    /// The weekday some days before or after another.
    Weekday,
    /// The time some minutes after another.
    Clock,
    /// An amount in another unit of length, weight, volume, time or money.
    Convert,
    /// A linear equation in one variable.
    Equation,
    /// Short word problems of one or two steps.
    Story,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 13] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Compare,
        Self::Sort,
        Self::Count,
        Self::Reverse,
        Self::Weekday,
        Self::Clock,
        Self::Convert,
        Self::Equation,
        Self::Story,
    ];

    /// The name in model cards, metrics and tables: a lower-case word that never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Compare => "compare",
            Self::Sort => "sort",
            Self::Count => "count",
            Self::Reverse => "reverse",
            Self::Weekday => "weekday",
            Self::Clock => "clock",
            Self::Convert => "convert",
            Self::Equation => "equation",
            Self::Story => "story",
        }
    }

    /// The capability tag of a model that is good at this family (see PROTOCOL.md).
    pub fn tag(self) -> &'static str {
        match self {
            Self::Add => "addition",
            Self::Subtract => "subtraction",
            Self::Multiply => "multiplication",
            Self::Divide => "division",
            Self::Compare => "comparison",
            Self::Sort => "sorting",
            Self::Count | Self::Reverse => "letters",
            Self::Weekday => "calendar",
            Self::Clock => "time",
            Self::Convert => "units",
            Self::Equation => "equations",
            Self::Story => "word-problems",
        }
    }

    /// The family with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}
