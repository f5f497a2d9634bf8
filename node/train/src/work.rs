//! The worked answer of a problem, which a specialist learns to write.
//!
//! Every step needs only a few characters close by: digits lowest first, one column per step with its
//! carry, lists rewritten after each move. The format decides what so small a network can learn; it
//! cannot learn to write the answer alone.

mod columns;
mod order;
mod letters;
mod calendar;
mod prose;

use shoal_syllabus::Problem;

/// The steps and, last, `Answer: X`.
pub(crate) fn answer(problem: &Problem) -> String {
    let steps = match problem {
        Problem::Add { a, b } => prose::add(*a, *b),
        Problem::Subtract { a, b } => prose::subtract(*a, *b),
        Problem::Multiply { a, b } => prose::multiply(*a, *b),
        Problem::Divide { a, b } => columns::divide(*a, *b),
        Problem::Compare { numbers, largest } => order::best(numbers, *largest),
        Problem::Sort { numbers, descending: reverse } => order::insertion(numbers, *reverse),
        Problem::Count { word, letter } => letters::count(word, *letter),
        Problem::ReverseLetters { word } => letters::spell(word),
        Problem::ReverseWords { words } => letters::number(words),
        Problem::Weekday { from, days, back } => calendar::weekday(*from, *days, *back),
        Problem::Clock { hour, minute, after } => calendar::clock(*hour, *minute, *after),
        Problem::Convert { amount, measure, back } => calendar::convert(*amount, measure, *back),
        Problem::Equation { a, b, c, minus } => prose::equation([*a, *b, *c], *minus),
        Problem::Story(plot) => prose::story(plot),
    };
    format!("{steps} Answer: {}", problem.answer())
}
