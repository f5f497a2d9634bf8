//! A figure of one share against another, as an SVG that is readable on light and on dark pages.

use std::fmt::Write as _;

const SIDE: f64 = 320.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 24.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}\
.tick{font-size:11px;fill:#59636e}\
.grid{stroke:#d1d9e0}";

const DARK_STYLE: &str = "text{fill:#e6edf3}.tick{fill:#9198a1}.grid{stroke:#3d444d}";

/// The beginning of the figure with a grid, its axis names inside and below. `style` and `dark_style` are for
/// what is drawn into it.
pub(crate) fn open(label: &str, (style, dark_style): (&str, &str), axes: (&str, &str)) -> String {
    let (width, height) = (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{label}\">\n<style>{STYLE}{style}\
         @media(prefers-color-scheme:dark){{{DARK_STYLE}{dark_style}}}</style>\n"
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
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        x(0.5),
        height - 8.0,
        axes.0,
        LEFT + 6.0,
        TOP + 14.0,
        axes.1,
    );
    out
}

/// Horizontal position of a share.
pub(crate) fn x(share: f64) -> f64 {
    LEFT + SIDE * share
}

/// Vertical position of a share.
pub(crate) fn y(share: f64) -> f64 {
    TOP + SIDE * (1.0 - share)
}
