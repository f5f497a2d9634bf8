//! Claims against the share that is right, as an SVG that is readable on light and on dark pages.

use std::fmt::Write as _;

use crate::stats::{self, Bin};

const SIDE: f64 = 320.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 24.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}\
.tick{font-size:11px;fill:#59636e}\
.grid{stroke:#d1d9e0}.honest{stroke:#59636e;stroke-dasharray:4 3}\
.bin{fill:#1a7f5a;fill-opacity:.75}.whisker{stroke:#1f2328;stroke-width:1.5}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.tick{fill:#9198a1}.grid{stroke:#3d444d}.honest{stroke:#9198a1}\
.bin{fill:#3fb68b}.whisker{stroke:#e6edf3}}";

/// A reliability diagram (M. DeGroot and S. Fienberg, 1983): for each bin of claims its mean claim
/// and the share that is right, with Wilson's 95 % interval. A dot's area grows with its rounds.
/// Calibrated claims are on the diagonal.
pub fn svg(bins: &[Bin], calibration_error: f64) -> String {
    let (width, height) = (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Reliability diagram of P(best)\">\n<style>{STYLE}</style>\n"
    );
    for fifth in 0..=5 {
        let share = f64::from(fifth) / 5.0;
        let percent = 20 * fifth;
        let (at_x, at_y, zero) = (x(share), y(share), x(0.0));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{zero:.1}\" y1=\"{at_y:.1}\" x2=\"{:.1}\" y2=\"{at_y:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>\
             <text class=\"tick\" x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{percent} %</text>",
            x(1.0),
            zero - 6.0,
            at_y + 4.0,
            y(0.0) + 16.0,
        );
    }
    let _ = writeln!(
        out,
        "<line class=\"honest\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">claim, P(best)</text>\
         <text x=\"{:.1}\" y=\"{:.1}\">right</text>\
         <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">expected calibration error {calibration_error:.3}</text>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
        x(0.5),
        height - 8.0,
        LEFT + 6.0,
        TOP + 14.0,
        x(1.0) - 4.0,
        y(0.0) - 8.0,
    );
    let rounds: usize = bins.iter().map(|bin| bin.count).sum();
    for bin in bins {
        let right = (bin.right * bin.count as f64).round() as usize;
        let interval = stats::wilson(right, bin.count);
        let radius = 3.0 + 11.0 * (bin.count as f64 / rounds.max(1) as f64).sqrt();
        let _ = writeln!(
            out,
            "<line class=\"whisker\" x1=\"{0:.1}\" y1=\"{1:.1}\" x2=\"{0:.1}\" y2=\"{2:.1}\"/>\
             <circle class=\"bin\" cx=\"{0:.1}\" cy=\"{3:.1}\" r=\"{radius:.1}\"/>",
            x(bin.claim),
            y(interval.low),
            y(interval.high),
            y(bin.right),
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Horizontal position of a claim.
fn x(share: f64) -> f64 {
    LEFT + SIDE * share
}

/// Vertical position of a share of right answers.
fn y(share: f64) -> f64 {
    TOP + SIDE * (1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_claims_lie_on_the_diagonal() {
        let claims: Vec<(f64, bool)> = (0..100).map(|i| (0.8, i % 5 != 0)).collect();
        let svg = svg(&stats::reliability(&claims), stats::calibration_error(&claims));
        // x = 52 + 320 * .8, y = 16 + 320 * .2.
        assert!(svg.contains("cx=\"308.0\" cy=\"80.0\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.contains("calibration error 0.000"));
    }
}
