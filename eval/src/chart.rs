//! The accuracies as an SVG, readable on light and on dark pages.
//!
//! Written by hand: `plotters` and `charming` write fixed colours, but this SVG follows the reader's colour
//! scheme with a media query, and a chart library adds more code to the build than these 100 lines.

use std::fmt::Write as _;

use crate::table::{Row, Table};

const WIDTH: f64 = 760.0;
const ROW: f64 = 28.0;
const TOP: f64 = 16.0;
/// Start of the bars: to the right of the longest name.
const LEFT: f64 = 210.0;
const RIGHT: f64 = 70.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}\
.tick{font-size:11px;fill:#59636e}\
.grid{stroke:#d1d9e0}\
.bar{fill:#9aa7b4}.pick{fill:#6f8fb5}.swarm{fill:#1a7f5a}.oracle{fill:none;stroke:#59636e;stroke-dasharray:4 3}\
.whisker{stroke:#1f2328;stroke-width:1.5}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.tick{fill:#9198a1}.grid{stroke:#3d444d}\
.bar{fill:#5b6772}.pick{fill:#4f77a8}.swarm{fill:#3fb68b}.oracle{stroke:#9198a1}\
.whisker{stroke:#e6edf3}}";

/// Bars with their 95 % intervals, one for each row of the table.
pub fn svg(table: &Table) -> String {
    let height = TOP + ROW * table.rows.len() as f64 + 30.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Accuracy of members, baselines, the swarm and the oracle\">\n<style>{STYLE}</style>\n"
    );
    for tenth in (0..=10).step_by(2) {
        let x = x(f64::from(tenth) / 10.0);
        let bottom = height - 24.0;
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} %</text>",
            bottom + 15.0,
            tenth * 10,
        );
    }
    for (at, row) in table.rows.iter().enumerate() {
        bar(&mut out, row, TOP + ROW * at as f64);
    }
    out.push_str("</svg>\n");
    out
}

fn bar(out: &mut String, row: &Row, top: f64) {
    let (value, low, high) = (row.accuracy.value, x(row.accuracy.low), x(row.accuracy.high));
    let middle = top + ROW / 2.0;
    let class = match (row.name.as_str(), row.note.as_str()) {
        ("the swarm", _) => "swarm",
        ("oracle", _) => "oracle",
        (_, "alone") => "bar",
        _ => "pick",
    };
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>\
         <line class=\"whisker\" x1=\"{low:.1}\" y1=\"{middle:.1}\" x2=\"{high:.1}\" y2=\"{middle:.1}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{:.1}</text>",
        LEFT - 8.0,
        middle + 4.5,
        xml_text(&row.name),
        top + 4.0,
        x(value) - LEFT,
        ROW - 8.0,
        high.max(x(value)) + 6.0,
        middle + 4.5,
        100.0 * value,
    );
}

fn x(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

/// Model names are foreign input.
fn xml_text(name: &str) -> String {
    let name: String = name.chars().take(28).collect();
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Candidate, QuestionRecord, Round};

    #[test]
    fn a_name_from_outside_cannot_break_the_picture() {
        let candidate = Candidate { model: "<script>&\"".into(), ..Candidate::default() };
        let round = Round { candidates: vec![candidate], ..Round::default() };
        let record = QuestionRecord {
            rights: vec![true],
            right: true,
            round: Some(round),
            ..QuestionRecord::default()
        };
        let svg = svg(&Table::new(&[record]));
        assert!(svg.contains("&lt;script&gt;&amp;&quot;") && !svg.contains("<script>"));
        assert_eq!(svg.matches("<rect").count(), 7);
    }
}
