//! Equations and word problems.

use shoal_syllabus::Plot;

use super::columns;

/// The other side with `b` moved over, then divided by `a`: `x = (c -+ b) / a`.
pub(super) fn equation([a, b, c]: [u32; 3], minus: bool) -> String {
    let (line, product) =
        if minus { (add(c, b), c + b) } else { (subtract(c, b), c.saturating_sub(b)) };
    if a == 1 { line } else { format!("{line} {product}/{a}. {}", columns::divide(product, a)) }
}

/// The sum, then its columns. The sum is first because a model easily finds the start of a number in
/// a question, but not its end, where the columns start.
pub(super) fn add(a: u32, b: u32) -> String {
    format!("{a}+{b}. {}", columns::add(a, b))
}

/// See [`add`].
pub(super) fn subtract(a: u32, b: u32) -> String {
    format!("{a}-{b}. {}", columns::subtract(a, b))
}

/// See [`add`].
pub(super) fn multiply(a: u32, b: u32) -> String {
    format!("{a}*{b}. {}", columns::multiply(a, b))
}

/// The steps of a word problem.
pub(super) fn story(plot: &Plot) -> String {
    match *plot {
        Plot::Gain { a, b } => add(a, b),
        Plot::Loss { a, b } => subtract(a, b),
        Plot::Times { a, b } => multiply(a, b),
        Plot::Share { a, b } => format!("{a}/{b}. {}", columns::divide(a, b)),
        Plot::GainLoss { a, b, c } => format!("{} {}", add(a, b), subtract(a + b, c)),
        Plot::TimesGain { a, b, c } => format!("{} {}", multiply(a, b), add(a * b, c)),
        Plot::TimesLoss { a, b, c } => format!("{} {}", multiply(a, b), subtract(a * b, c)),
    }
}
