//! The console: a web page that shows the swarm, its rounds and a playground. Its files are embedded, so that
//! a gateway needs no folder beside it. [`feed`] has what happens in rounds. This crate knows no HTTP.
//!
//! The page is written in plain ES modules and needs no build. `vendor.sh` fetches the two libraries that it
//! uses; the fetched files and their licences are committed under `static/vendor`.
//!
//! The public names: [`PAGE`] is the page, [`asset`] finds the files that it loads, and [`POLICY`] is the
//! content security policy that both are served with.

pub mod feed;

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name in the path `/console/{name}`.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The page allows its own scripts and styles only: nothing inline, no `eval`, no other host, no frame around
/// it. Trusted Types refuse every text that would become HTML, so that nothing that a member wrote can.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                          require-trusted-types-for 'script'; trusted-types 'none'";

/// The page.
pub const PAGE: Asset = Asset {
    name: "index.html",
    media_type: "text/html; charset=utf-8",
    text: include_str!("../static/index.html"),
};

/// The files that the page loads.
const ASSETS: &[Asset] = &[
    Asset { name: "app.js", media_type: SCRIPT, text: include_str!("../static/app.js") },
    Asset { name: "data.js", media_type: SCRIPT, text: include_str!("../static/data.js") },
    Asset { name: "now.js", media_type: SCRIPT, text: include_str!("../static/now.js") },
    Asset { name: "rounds.js", media_type: SCRIPT, text: include_str!("../static/rounds.js") },
    Asset {
        name: "playground.js",
        media_type: SCRIPT,
        text: include_str!("../static/playground.js"),
    },
    Asset { name: "spend.js", media_type: SCRIPT, text: include_str!("../static/spend.js") },
    Asset {
        name: "preact.js",
        media_type: SCRIPT,
        text: include_str!("../static/vendor/preact.js"),
    },
    Asset { name: "uplot.js", media_type: SCRIPT, text: include_str!("../static/vendor/uplot.js") },
    Asset {
        name: "uplot.css",
        media_type: STYLE,
        text: include_str!("../static/vendor/uplot.css"),
    },
    Asset { name: "style.css", media_type: STYLE, text: include_str!("../static/style.css") },
    Asset {
        name: "favicon.svg",
        media_type: "image/svg+xml",
        text: include_str!("../static/favicon.svg"),
    },
];

/// The file with this name; `None` if the page has no such file.
pub fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// What the page may take over a slow line: 150 KB.
    const GZIP_BYTES_MAX: usize = 150_000;

    #[test]
    fn the_whole_page_is_small() {
        let sizes = ASSETS.iter().chain([&PAGE]).map(|asset| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(asset.text.as_bytes()).expect("memory");
            encoder.finish().expect("memory").len()
        });
        let size: usize = sizes.sum();
        assert!(size <= GZIP_BYTES_MAX, "{size} bytes");
    }

    #[test]
    fn the_page_asks_nobody_else_and_makes_no_html_of_text() {
        let scripts = ASSETS.iter().filter(|asset| asset.media_type == SCRIPT);
        for asset in scripts.chain([&PAGE]) {
            for sink in ["document.write", "insertAdjacentHTML", "dangerouslySetInnerHTML", "eval("]
            {
                let is_own = !["preact.js", "uplot.js"].contains(&asset.name);
                assert!(!is_own || !asset.text.contains(sink), "{}: {sink}", asset.name);
            }
            assert!(!asset.text.contains("import(\"http"), "{}", asset.name);
        }
        assert!(!PAGE.text.contains("://") && !PAGE.text.contains("style="));
        assert!(!PAGE.text.contains("<script>") && !PAGE.text.contains(" onclick"));
    }

    #[test]
    fn every_file_that_a_module_imports_is_embedded() {
        let mut count = 0;
        for asset in ASSETS.iter().filter(|asset| asset.media_type == SCRIPT) {
            for rest in asset.text.split("from \"./").skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                assert!(super::asset(name).is_some(), "{} imports {name}", asset.name);
                count += 1;
            }
        }
        assert!(count > 5, "the imports cannot be read");
    }
}
