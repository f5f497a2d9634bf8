//! Weekdays, the clock and units.

use shoal_syllabus::{DAYS, Measure};

use super::columns;

/// Whole weeks taken out, the rest counted on: `4/7=0,4 45/7=6,3 06. 3. Tue: Wed Thu Fri.`
pub(super) fn weekday(from: usize, days: u32, back: bool) -> String {
    let rest = days % 7;
    let mut line = format!("{} {rest}. {}:", columns::divide(days, 7), abbreviation(from));
    for step in 1..=rest as usize {
        line += &format!(" {}", abbreviation(if back { from + 7 - step } else { from + step }));
    }
    line + "."
}

fn abbreviation(day: usize) -> &'static str {
    DAYS.get(day % 7).and_then(|name| name.get(..3)).unwrap_or_default()
}

/// Minutes added in columns, then whole hours taken out:
/// `9:40 + 85 minutes`: `04+58: 0+5+0=5,0 4+8+0=2,1 521. 125=60*2+5. 9+2=11.`
pub(super) fn clock(hour: u32, minute: u32, after: u32) -> String {
    let total = minute + after;
    let sum = columns::add(minute, after);
    let (hours, rest) = (total / 60, total % 60);
    format!("{sum} {total}=60*{hours}+{rest:02}. {hour}+{hours}={}.", hour + hours)
}

/// What one unit holds, then the product, or the digits moved.
pub(super) fn convert(amount: u32, measure: &Measure, back: bool) -> String {
    let Measure { large, small, factor } = measure;
    let steps = match (back, factor) {
        (true, _) => format!("{amount}/{factor}={}.", amount / (*factor).max(1)),
        (false, 10 | 100 | 1000) => {
            format!("{amount}*{factor}={amount} {}.", factor.to_string().trim_start_matches('1'))
        }
        (false, 60) => {
            format!("{} {}*10={}.", columns::multiply(amount, 6), amount * 6, amount * 60)
        }
        (false, _) => columns::multiply(amount, *factor),
    };
    format!("1 {large}={factor} {small}. {steps}")
}
