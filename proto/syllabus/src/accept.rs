//! Grading of free answers to questions of the families. [`grade`](crate::grade) wants `Answer: X`, as
//! the trained specialists write it; general models write "47 + 385 = 432.".

use crate::{
    family::Family,
    general::{Names, Number, Sequence},
    problem::{DAYS, Measure, Problem},
    question::{Question, grade},
    statement::{Weight, digits, is_hedged, statement, tokens},
};

/// Whether a text states the right answer in any usual form: after `Answer:`, in `\boxed{}`, in bold,
/// or in a sentence. A text that offers several answers is wrong.
pub fn accepts(question: &Question, text: &str) -> bool {
    if grade(question, text) {
        return true;
    }
    let answer = question.answer.as_str();
    match &question.problem {
        Problem::Divide { .. } => is_division(question, text),
        Problem::Sort { .. } => Sequence::numbers(answer, &question.text).is_right(text),
        Problem::ReverseWords { words } => Sequence::words(answer, &words.join(" ")).is_right(text),
        Problem::ReverseLetters { word } => is_reverse(word, answer, text),
        Problem::Weekday { .. } => Names::new(&[answer], DAYS, &question.text).is_right(text),
        Problem::Clock { .. } => is_time(question, text),
        Problem::Equation { .. } => is_solution(question, text),
        Problem::Convert { .. } => is_quantity(question, text),
        Problem::Count { .. } if answer == "0" && denies(text) => true,
        _ => Number::new(answer, &question.text).is_right(text),
    }
}

/// A quotient and a remainder; a remainder of 0 may be left out.
fn is_division(question: &Question, text: &str) -> bool {
    let is_pair = Sequence::numbers(&question.answer, &question.text).is_right(text);
    let exact = question.answer.strip_suffix(" remainder 0");
    let is_exact = exact.is_some_and(|quotient| {
        !text.to_lowercase().contains("remainder")
            && Number::new(quotient, &question.text).is_right(text)
    });
    is_pair || is_exact
}

/// The only arrangement of the word's letters that the text states, other than the word itself.
fn is_reverse(word: &str, answer: &str, text: &str) -> bool {
    let word_letters = sorted_letters(word);
    let statement = statement(
        text,
        &|sentence: &str| {
            let mut words: Vec<String> =
                tokens(sentence).into_iter().map(|token| token.replace('-', "")).collect();
            words.retain(|token| {
                (token == answer || token != word) && sorted_letters(token) == word_letters
            });
            words
        },
        Weight::Conclusion,
    );
    statement.as_deref() == Some(answer)
}

/// The letters of a word in the order of the alphabet.
fn sorted_letters(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

/// A time on a clock of 24 or of 12 hours.
fn is_time(question: &Question, text: &str) -> bool {
    let operands: Vec<String> = times(&question.text);
    let statement = statement(
        text,
        &|sentence: &str| {
            let times = times(sentence);
            let new: Vec<String> =
                times.iter().filter(|time| !operands.contains(time)).cloned().collect();
            if new.is_empty() && times.len() == 1 { times } else { new }
        },
        Weight::Last,
    );
    statement == times(&question.answer).into_iter().next()
}

/// The times of a text as `h:mm` on a clock of 24 hours.
fn times(text: &str) -> Vec<String> {
    // The space before "pm" and the points of "p.m." do not matter.
    let lower = text.to_lowercase().replace("p.m", "pm").replace(" pm", "pm");
    let words = lower.split(|c: char| c.is_whitespace() || "(),*`\"".contains(c));
    words.filter_map(time).collect()
}

fn time(word: &str) -> Option<String> {
    let (hour, rest) = word.split_once(':')?;
    let hour: u32 = hour.parse().ok()?;
    let minute: u32 = rest.get(..2)?.parse().ok()?;
    let is_afternoon = rest.get(2..).is_some_and(|end| end.starts_with("pm"));
    let hour = if is_afternoon && hour < 12 { hour + 12 } else { hour };
    Some(format!("{hour}:{minute:02}"))
}

/// The value after the last `x =`: a check of the solution may follow it.
fn is_solution(question: &Question, text: &str) -> bool {
    let value = text.lines().rev().find_map(|line| {
        let line = line.replace(['*', '$', '\\', '(', ')'], "");
        let at = line
            .match_indices("x =")
            .map(|(at, _)| at)
            .chain(line.match_indices("x is ").map(|(at, _)| at));
        // In `3x = 39`, x is no word of its own.
        let at = at.filter(|at| {
            let before = line.get(..*at).and_then(|text| text.chars().next_back());
            !before.is_some_and(char::is_alphanumeric)
        });
        let claim = line.get(at.max()? + 3..)?.to_owned();
        let values = digits(claim.rsplit('=').next().unwrap_or(&claim));
        (!is_hedged(&line)).then(|| values.into_iter().next())?
    });
    match value {
        Some(value) => value == question.answer,
        None => Number::new(&question.answer, &question.text).is_right(text),
    }
}

/// A number, with the right unit or without any.
fn is_quantity(question: &Question, text: &str) -> bool {
    let Some((number, unit)) = question.answer.split_once(' ') else { return false };
    let words = tokens(text);
    let has_other_unit = words.windows(2).any(|pair| match pair {
        [value, word] => value == number && word != unit && is_unit(word),
        _ => false,
    });
    !has_other_unit && Number::new(number, &question.text).is_right(text)
}

fn is_unit(word: &str) -> bool {
    Measure::ALL.iter().any(|measure| word == measure.large || word == measure.small)
}

/// Whether a text says that something does not occur.
fn denies(text: &str) -> bool {
    const DENIALS: &[&str] =
        &["does not appear", "doesn't appear", "does not occur", "there are no", "is no letter"];
    let lower = text.to_lowercase();
    DENIALS.iter().any(|denial| lower.contains(denial)) && digits(&lower).iter().all(|n| n == "0")
}

/// A question of a family or a general question, with one way to ask and to grade it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exercise {
    /// A question of a family that specialists are trained on.
    Family(Question),
    /// A general question.
    General(crate::general::GeneralQuestion),
}

impl Exercise {
    /// The name of the family or kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Family(question) => question.family.name(),
            Self::General(question) => question.kind.name(),
        }
    }

    /// The family, if it is of one.
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Family(question) => Some(question.family),
            Self::General(_) => None,
        }
    }

    /// The conversation that asks the question: pairs of a role and a text.
    pub fn messages(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Family(question) => vec![("user", question.text.as_str())],
            Self::General(question) => {
                let turns = question.messages.iter();
                turns.map(|turn| (turn.role.name(), turn.content.as_str())).collect()
            }
        }
    }

    /// The last message of the conversation.
    pub fn last_message(&self) -> &str {
        match self {
            Self::Family(question) => &question.text,
            Self::General(question) => {
                question.messages.last().map_or("", |turn| turn.content.as_str())
            }
        }
    }

    /// A right answer.
    pub fn answer(&self) -> &str {
        match self {
            Self::Family(question) => &question.answer,
            Self::General(question) => &question.answer,
        }
    }

    /// Wrong answers in the style of the right one; a family has none.
    pub fn wrong(&self) -> &[String] {
        match self {
            Self::Family(_) => &[],
            Self::General(question) => &question.wrong,
        }
    }

    /// Whether a text is right, in any usual form.
    pub fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Family(question) => accepts(question, text),
            Self::General(question) => question.grade(text),
        }
    }
}
