//! Curves as an SVG with a small panel for each adversary, readable on light and on dark pages.

use std::fmt::Write as _;

use super::curve::{Curve, GOLD, Point};

const COLUMNS: usize = 4;
const PANEL: (f64, f64) = (190.0, 150.0);
/// The plot within its panel: left, top, width, height.
const PLOT: (f64, f64, f64, f64) = (34.0, 24.0, 146.0, 100.0);
const LEGEND: f64 = 28.0;
/// Largest share of bad members.
const SHARE_MAX: f64 = 0.5;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}\
.tick{font-size:10px;fill:#59636e}\
.grid{stroke:#d1d9e0}.third{stroke:#59636e;stroke-dasharray:2 3}\
polyline{fill:none;stroke-width:2}\
.gold0{stroke:#b35900}.gold5{stroke:#6f8fb5}.gold20{stroke:#1a7f5a}.vote{stroke:#9aa7b4;stroke-dasharray:5 3}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.tick{fill:#9198a1}.grid{stroke:#3d444d}.third{stroke:#9198a1}\
.gold0{stroke:#f0883e}.gold5{stroke:#79a3d8}.gold20{stroke:#3fb68b}.vote{stroke:#5b6772}}";

/// All curves of one set.
pub fn svg(curves: &[Curve]) -> String {
    let rows = curves.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64, LEGEND + PANEL.1 * rows as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Accuracy against the share of bad members\">\n<style>{STYLE}</style>\n"
    );
    let vote = curves.first().map_or("", |curve| curve.baseline);
    let gold = GOLD.map(|gold| match gold {
        0 => ("gold0".to_owned(), "no gold".to_owned()),
        gold => (format!("gold{gold}"), format!("{gold} gold")),
    });
    let lines = gold.into_iter().chain([("vote".to_owned(), vote.to_owned())]);
    for (at, (class, name)) in lines.enumerate() {
        let x = PLOT.0 + 120.0 * at as f64;
        let _ = writeln!(
            out,
            "<polyline class=\"{class}\" points=\"{x},12 {},12\"/><text x=\"{}\" y=\"16\">{name}</text>",
            x + 22.0,
            x + 28.0,
        );
    }
    for (at, curve) in curves.iter().enumerate() {
        let (column, row) = (at % COLUMNS, at / COLUMNS);
        panel(&mut out, curve, PANEL.0 * column as f64, LEGEND + PANEL.1 * row as f64);
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, curve: &Curve, left: f64, top: f64) {
    let axes = Axes { left, top };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
        left + PLOT.0,
        top + 14.0,
        curve.adversary.name()
    );
    for tick in [0.0, 0.5, 1.0] {
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{1:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            axes.x(0.0),
            axes.y(tick),
            axes.x(SHARE_MAX),
            axes.x(0.0) - 4.0,
            axes.y(tick) + 3.5,
        );
    }
    let third = axes.x(1.0 / 3.0);
    let _ = writeln!(
        out,
        "<line class=\"third\" x1=\"{third:.1}\" y1=\"{:.1}\" x2=\"{third:.1}\" y2=\"{:.1}\"/>",
        axes.y(1.0),
        axes.y(0.0),
    );
    for (share, name) in [(0.0, "0 %"), (1.0 / 3.0, "33 %"), (SHARE_MAX, "50 %")] {
        let _ = writeln!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            axes.x(share),
            axes.y(0.0) + 13.0,
        );
    }
    line(out, &axes, curve, "vote", |point| point.baseline);
    line(out, &axes, curve, "gold0", |point| point.swarm[0]);
    line(out, &axes, curve, "gold5", |point| point.swarm[1]);
    line(out, &axes, curve, "gold20", |point| point.swarm[2]);
}

fn line(out: &mut String, axes: &Axes, curve: &Curve, class: &str, value: fn(&Point) -> f64) {
    let points: Vec<String> = (curve.points.iter())
        .map(|point| {
            format!("{:.1},{:.1}", axes.x(point.share(curve.members)), axes.y(value(point)))
        })
        .collect();
    let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
}

/// The coordinates of a panel; its corner is at `left`, `top`.
struct Axes {
    left: f64,
    top: f64,
}

impl Axes {
    /// Horizontal position of a share of bad members.
    fn x(&self, share: f64) -> f64 {
        self.left + PLOT.0 + PLOT.2 * share / SHARE_MAX
    }

    /// Vertical position of an accuracy.
    fn y(&self, accuracy: f64) -> f64 {
        self.top + PLOT.1 + PLOT.3 * (1.0 - accuracy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::adversary::Adversary;

    #[test]
    fn every_adversary_has_a_panel_with_its_four_lines() {
        let points =
            [0, 2].map(|bad| Point { bad, swarm: [0.9, 0.8, 0.7], baseline: 0.5, error: 0.01 });
        let curves = Adversary::ALL.map(|adversary| Curve {
            set: "a set".to_owned(),
            adversary,
            baseline: "majority vote",
            members: 4,
            points: points.to_vec(),
        });
        let svg = svg(&curves);
        assert_eq!(svg.matches("<polyline").count(), 4 + 4 * curves.len());
        assert!(Adversary::ALL.iter().all(|adversary| svg.contains(adversary.name())));
        assert!(svg.contains("34.0,62.0 180.0,62.0"), "0.9 from no bad member to half: {svg}");
    }
}
