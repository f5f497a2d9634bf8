//! The gateway's ranking on recorded answers and judgments of real models, through the replay: the same
//! code that ranks live rounds.
//!
//! ```text
//! files      the recorded sets, if they are available (they are no part of this project)
//! llmbar     six raters, two answers, both orders, a label
//! prd        five models that judge each other's answers, and people's votes on them
//! zeroeval   answers of many models to GSM8K and CRUX, with simulated judges of them
//! measure    many draws of gold and of order -> accuracy with intervals -> page
//! adversary  the same with some members replaced by bad ones
//! curve      accuracy against their share -> figure, page
//! ```

pub mod files;
pub mod round;
pub mod llmbar;
pub mod prd;
pub mod zeroeval;
pub mod adversary;
pub mod measure;
pub mod curve;
pub mod page;
pub mod figure;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use shoal_consensus::{
    replay::{Gold, Settings},
    stats::Estimate,
};

use curve::{Curve, Members, Size};
use measure::Draws;

/// Pairs for learning before the others are ranked, if there is gold: as many as in an exam.
pub const CANARIES: usize = 20;

/// One line of the table: the swarm and its baseline, over the same rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub set: String,
    pub setup: String,
    pub gold: usize,
    #[serde(rename = "ours")]
    pub swarm: Estimate,
    /// Name of the baseline.
    pub baseline: &'static str,
    #[serde(rename = "theirs")]
    pub baseline_accuracy: Estimate,
    /// Difference of the two, over the same rounds.
    pub lead: Estimate,
    /// Expected calibration error of P(best); 0 if no rounds count.
    pub calibration_error: f64,
    /// Accuracy of weights that fit all labels, on the same rounds ([`round::best_weights`]).
    #[serde(rename = "fitted")]
    pub best_weights: Option<f64>,
    /// Target for `swarm`, if there is one.
    #[serde(rename = "wanted")]
    pub target: Option<f64>,
}

/// All results.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Results {
    pub rows: Vec<Row>,
}

/// The amount of work: a test needs less than a page.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Settings of the gateway.
    pub settings: Settings,
    /// Only sets whose names contain this; empty means all.
    pub only: String,
    /// Draws of gold and of order for every figure of the sets with judgments.
    pub draws: u64,
    /// Panels for each question of the simulated sets.
    pub panels: u64,
    /// Draws of gold and of order for the figures of the simulated sets.
    pub simulation_draws: u64,
    /// Also swarms in which every member writes and judges, which take most of the time.
    pub full_panels: bool,
}

impl Scale {
    fn draws(&self, count: u64, gold: usize) -> Draws<'_> {
        Draws { count, gold: Gold::Count(gold), settings: &self.settings }
    }

    fn includes(&self, set: &str) -> bool {
        set.contains(&self.only)
    }
}

/// Measures everything in `corpora`/data/judgments.
///
/// # Errors
/// If the sets are missing or cannot be read.
pub fn measure(corpora: &Path, scale: &Scale) -> Result<Results> {
    let folder = corpora.join("data/judgments");
    let mut results = Results::default();
    for setup in llmbar::SETUPS {
        for part in [llmbar::Part::Natural, llmbar::Part::Adversarial] {
            measure_llmbar(&mut results, &folder, (setup, part), scale)?;
        }
    }
    if scale.includes("PRD") {
        let peers = prd::read(&folder)?;
        let measurement = measure::human_preference(&peers, scale.draws, &scale.settings)?;
        results.rows.push(measurement.row("PRD Vicuna80".into(), "five peers", 0, Some(0.79)));
    }
    for set in zeroeval::SETS.into_iter().filter(|set| scale.includes(set.title)) {
        measure_zeroeval(&mut results, &folder, set, scale)?;
    }
    Ok(results)
}

/// One part of LLMBar, asked in one way.
fn measure_llmbar(
    results: &mut Results,
    folder: &Path,
    (setup, part): (llmbar::Setup, llmbar::Part),
    scale: &Scale,
) -> Result<()> {
    let name = format!("LLMBar {}", part.name());
    if !scale.includes(&name) {
        return Ok(());
    }
    let rounds = llmbar::rounds(folder, setup, part)?;
    let best_weights = round::best_weights(&round::read(&rounds)?);
    for gold in [0, CANARIES] {
        let measurement = measure::votes(&rounds, scale.draws(scale.draws, gold))?;
        let target = llmbar::target(part, gold);
        let row = measurement.row(name.clone(), setup.name, gold, target);
        results.rows.push(Row { best_weights: Some(best_weights), ..row });
    }
    Ok(())
}

/// The effect of bad members on the sets whose names contain `only`: LLMBar asked plainly, and ZeroEval
/// with the gateway's own panel.
///
/// # Errors
/// If the sets are missing or cannot be read.
pub fn curves(corpora: &Path, settings: &Settings, only: &str, size: Size) -> Result<Vec<Curve>> {
    let folder = corpora.join("data/judgments");
    let mut curves = Vec::new();
    for part in [llmbar::Part::Natural, llmbar::Part::Adversarial] {
        let name = format!("LLMBar {}", part.name());
        if name.contains(only) {
            let rounds = llmbar::rounds(&folder, llmbar::SETUPS[0], part)?;
            // Six judges of two answers cost little, and the choice of bad ones among six matters more.
            let size = Size { draws: 4 * size.draws, ..size };
            curves.extend(curve::all(&name, &Members::Judge(&rounds), size, settings)?);
        }
    }
    for set in zeroeval::SETS.into_iter().filter(|set| set.title.contains(only)) {
        let answers = zeroeval::read(&folder, set)?;
        curves.extend(curve::all(set.title, &Members::Write(&answers), size, settings)?);
    }
    Ok(curves)
}

/// One set of ZeroEval.
fn measure_zeroeval(
    results: &mut Results,
    folder: &Path,
    set: zeroeval::Set,
    scale: &Scale,
) -> Result<()> {
    let answers = zeroeval::read(folder, set)?;
    for panel in zeroeval::PANELS.into_iter().take(if scale.full_panels { 2 } else { 1 }) {
        // Full panels differ in the judges' moods only.
        let panels = if panel.is_full() { 1 } else { scale.panels };
        let rounds = answers.rounds(panel, panels);
        for gold in [0, CANARIES] {
            let draws = scale.draws(scale.simulation_draws, gold);
            let measurement = measure::majority(&rounds, draws)?;
            results.rows.push(measurement.row(set.title.into(), panel.name, gold, None));
        }
    }
    Ok(())
}
