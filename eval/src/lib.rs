//! Measures the swarm against its members: questions in, tables out.
//!
//! ```text
//! collect    asks a running gateway the held-out questions       -> records (JSON Lines)
//! methods    what each way to pick an answer gives: right or wrong, tokens, seconds
//! table      accuracies with intervals, paired differences       -> report (Markdown, JSON), chart, reliability (SVG)
//! replay     the gateway's own ranking over records, with other settings
//! ablate     records without single parts of a round             -> eval/results/consensus-ablations.md
//! recorded   the ranking over recorded judgments of real models  -> eval/results/consensus-recorded.md
//! logit      verdicts by logit of the bundled specialists on the rounds of records
//! cheats     records with some members replaced by cheats        -> eval/results/consensus-cheats.md
//! mixed      specialists and real models over the API             -> eval/results/mixed.md
//! real       real models, every kind of ballot                   -> eval/results/consensus-real.md
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
mod square;
pub mod reliability;
pub mod replay;
pub mod ablate;
pub mod ablations;
pub mod recorded;
pub mod real;
pub mod mixed;
pub mod logit;
pub mod cheats;
