//! Is the swarm better than its members? Questions in, tables out.
//!
//! ```text
//! collect    asks a running gateway the held-out questions  -> records (JSON Lines)
//! methods    what each way to pick an answer would have said -> right or wrong, tokens, seconds
//! table      accuracies with intervals, paired differences   -> report (Markdown, JSON), chart, reliability (SVG)
//! replay     the gateway's own ranking over kept records, with other settings
//! recorded   the same over recorded judgments of real models -> eval/results/consensus-recorded.md
//! logit      verdicts by logit of the bundled specialists on kept rounds
//! cheats     kept rounds with some members replaced by cheats -> eval/results/consensus-cheats.md
//! real       real models, every kind of ballot            -> eval/results/consensus-real.md
//! ```

pub mod record;
pub mod api;
pub mod collect;
pub mod launch;
pub mod methods;
pub mod stats;
pub mod table;
pub mod report;
pub mod chart;
pub mod reliability;
pub mod replay;
pub mod ablate;
pub mod ablations;
pub mod recorded;
pub mod real;
pub mod logit;
pub mod cheats;
