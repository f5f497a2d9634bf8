//! Risk against coverage: of the answers that are surer than a bound, how many there are and how many of them
//! are wrong. A client moves along this line with `shoal.min_confidence`.

use std::fmt::Write as _;

use super::{collect::Answer, page::SWARM};
use crate::square::{self, x, y};

const STYLE: &str = ".line{fill:none;stroke:#1a7f5a;stroke-width:2}";

const DARK_STYLE: &str = ".line{stroke:#3fb68b}";

/// Coverage and risk after each answer, the surest first. Answers of equal confidence are one point.
pub fn curve(claims: &[(f64, bool)]) -> Vec<(f64, f64)> {
    let mut claims = claims.to_vec();
    claims.sort_by(|x, y| y.0.total_cmp(&x.0));
    let mut points = Vec::new();
    let mut wrong = 0;
    for (at, (confidence, right)) in claims.iter().enumerate() {
        wrong += usize::from(!right);
        if claims.get(at + 1).is_none_or(|(next, _)| next < confidence) {
            let count = (at + 1) as f64;
            points.push((count / claims.len() as f64, wrong as f64 / count));
        }
    }
    points
}

/// The line over all answers of the swarm.
pub fn svg(answers: &[Answer]) -> String {
    let swarm = answers.iter().filter(|answer| answer.model == SWARM);
    let claims: Vec<(f64, bool)> =
        swarm.filter_map(|answer| Some((answer.confidence?, answer.right))).collect();
    let label = "Wrong answers against the share of questions that are answered";
    let axes = ("questions that are answered", "wrong among the answers");
    let mut out = square::open(label, (STYLE, DARK_STYLE), axes);
    let points: Vec<String> = curve(&claims)
        .into_iter()
        .map(|(coverage, risk)| format!("{:.1},{:.1}", x(coverage), y(risk)))
        .collect();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<polyline class=\"line\" points=\"{}\"/>\n</svg>", points.join(" "));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_answers_come_first_and_equals_together() {
        let claims = [(0.9, true), (0.5, false), (0.5, true), (0.1, false)];
        let points = curve(&claims);
        assert_eq!(points.len(), 3);
        assert_eq!(points[0], (0.25, 0.0));
        assert!((points[1].1 - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(points[2], (1.0, 0.5));
    }
}
