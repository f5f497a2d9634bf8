//! Risk against coverage: of the answers that are surer than a bound, how many there are and how many of them
//! are wrong. A client moves along this line with `shoal.min_confidence`.

use std::fmt::Write as _;

use super::{collect::Answer, page::SWARM};

const SIDE: f64 = 320.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;
const RIGHT: f64 = 24.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}\
.tick{font-size:11px;fill:#59636e}\
.grid{stroke:#d1d9e0}.line{fill:none;stroke:#1a7f5a;stroke-width:2}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.tick{fill:#9198a1}.grid{stroke:#3d444d}.line{stroke:#3fb68b}}";

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
    let (width, height) = (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Wrong answers against the share of questions that are answered\">\n\
         <style>{STYLE}</style>\n"
    );
    for fifth in 0..=5 {
        let share = f64::from(fifth) / 5.0;
        let (at_x, at_y) = (x(share), y(share));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{:.1}\" y1=\"{at_y:.1}\" x2=\"{:.1}\" y2=\"{at_y:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} %</text>\
             <text class=\"tick\" x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} %</text>",
            x(0.0),
            x(1.0),
            x(0.0) - 6.0,
            at_y + 4.0,
            20 * fifth,
            y(0.0) + 16.0,
            20 * fifth,
        );
    }
    let points: Vec<String> = curve(&claims)
        .into_iter()
        .map(|(coverage, risk)| format!("{:.1},{:.1}", x(coverage), y(risk)))
        .collect();
    let _ = writeln!(out, "<polyline class=\"line\" points=\"{}\"/>", points.join(" "));
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">questions that are answered</text>\
         <text transform=\"translate(14 {:.1}) rotate(-90)\" text-anchor=\"middle\">\
         wrong among the answers</text>\n</svg>",
        x(0.5),
        height - 8.0,
        y(0.5),
    );
    out
}

fn x(share: f64) -> f64 {
    LEFT + SIDE * share
}

fn y(share: f64) -> f64 {
    TOP + SIDE * (1.0 - share)
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
