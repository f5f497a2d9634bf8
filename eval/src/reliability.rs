//! Claims against the share that is right, as an SVG that is readable on light and on dark pages.

use std::fmt::Write as _;

use crate::{
    square::{self, x, y},
    stats::{self, Bin},
};

const STYLE: &str = "\
.honest{stroke:#59636e;stroke-dasharray:4 3}\
.bin{fill:#1a7f5a;fill-opacity:.75}.whisker{stroke:#1f2328;stroke-width:1.5}";

const DARK_STYLE: &str = ".honest{stroke:#9198a1}.bin{fill:#3fb68b}.whisker{stroke:#e6edf3}";

/// A reliability diagram (M. DeGroot and S. Fienberg, 1983): for each bin of claims its mean claim
/// and the share that is right, with Wilson's 95 % interval. A dot's area grows with its rounds.
/// Calibrated claims are on the diagonal.
pub fn svg(bins: &[Bin], calibration_error: f64) -> String {
    let label = "Reliability diagram of P(best)";
    let mut out = square::open(label, (STYLE, DARK_STYLE), ("claim, P(best)", "right"));
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<line class=\"honest\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\
         <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">expected calibration error {calibration_error:.3}</text>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
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
