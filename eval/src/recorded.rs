//! The gateway's ranking on recorded answers and judgments of real models: through the replay,
//! and so through exactly the code that ranks live rounds.
//!
//! ```text
//! files      the recorded sets, where somebody has them (they are no part of this project)
//! llmbar     six raters, two answers, both orders, a label
//! prd        five models that judge each other's answers, and what people say of them
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
use shoal_consensus::replay::{Estimate, Gold, Settings};

use curve::{Curve, Members, Size};
use measure::Draws;

/// Pairs learned from before the rest is ranked, where there is gold: as many as an exam holds.
pub const CANARIES: usize = 20;

/// One line of the table: the swarm beside its baseline, over the same rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub set: String,
    pub setup: String,
    pub gold: usize,
    pub ours: Estimate,
    /// What the baseline is, and how it does.
    pub baseline: &'static str,
    pub theirs: Estimate,
    /// Ours less theirs, over the same rounds.
    pub lead: Estimate,
    /// Expected calibration error of P(best); 0 where no rounds are counted.
    pub calibration_error: f64,
    /// Of weights fitted to all labels, on the same rounds ([`round::best_weights`]).
    pub fitted: Option<f64>,
    /// What `ours` is wanted to reach, where something is.
    pub wanted: Option<f64>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    pub rows: Vec<Row>,
}

/// How much is measured: a test needs less than a page.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Of the gateway.
    pub settings: Settings,
    /// Sets whose names hold this; empty: all.
    pub only: String,
    /// Draws of gold and of order behind every figure of the two judged sets.
    pub draws: u64,
    /// Panels drawn for each question of the simulated sets.
    pub panels: u64,
    /// Draws of gold and of order behind the figures of the simulated sets.
    pub simulated: u64,
    /// Also swarms in which everybody writes and judges, which take most of the time.
    pub everybody: bool,
}

impl Scale {
    fn draws(&self, count: u64, gold: usize) -> Draws<'_> {
        Draws { count, gold: Gold::Count(gold), settings: &self.settings }
    }

    fn wants(&self, set: &str) -> bool {
        set.contains(&self.only)
    }
}

/// Measures everything in `shared`/data/judgments.
///
/// # Errors
/// When the sets are not there or do not read.
pub fn measure(shared: &Path, scale: &Scale) -> Result<Found> {
    let folder = shared.join("data/judgments");
    let mut found = Found::default();
    for setup in llmbar::SETUPS {
        for part in [llmbar::Part::Natural, llmbar::Part::Adversarial] {
            judged(&mut found, &folder, (setup, part), scale)?;
        }
    }
    if scale.wants("PRD") {
        let people = measure::people(&prd::read(&folder)?, scale.draws, &scale.settings)?;
        found.rows.push(people.row("PRD Vicuna80".into(), "five peers", 0, Some(0.79)));
    }
    for set in zeroeval::SETS.into_iter().filter(|set| scale.wants(set.title)) {
        answered(&mut found, &folder, set, scale)?;
    }
    Ok(found)
}

/// One part of LLMBar, asked in one way.
fn judged(
    found: &mut Found,
    folder: &Path,
    (setup, part): (llmbar::Setup, llmbar::Part),
    scale: &Scale,
) -> Result<()> {
    let name = format!("LLMBar {}", part.name());
    if !scale.wants(&name) {
        return Ok(());
    }
    let rounds = llmbar::rounds(folder, setup, part)?;
    let fitted = round::best_weights(&round::read(&rounds)?);
    for gold in [0, CANARIES] {
        let measured = measure::votes(&rounds, scale.draws(scale.draws, gold))?;
        let wanted = llmbar::wanted(part, gold);
        let row = measured.row(name.clone(), setup.name, gold, wanted);
        found.rows.push(Row { fitted: Some(fitted), ..row });
    }
    Ok(())
}

/// What bad members do to the sets whose names hold `only`: LLMBar asked plainly, and ZeroEval with
/// the gateway's own panel.
///
/// # Errors
/// When the sets are not there or do not read.
pub fn curves(shared: &Path, settings: &Settings, only: &str, size: Size) -> Result<Vec<Curve>> {
    let folder = shared.join("data/judgments");
    let mut curves = Vec::new();
    let mut measure = |set: &str, members: &Members<'_>, size: Size| -> Result<()> {
        for adversary in members.adversaries() {
            curves.push(curve::of(set, members, adversary, size, settings)?);
        }
        Ok(())
    };
    for part in [llmbar::Part::Natural, llmbar::Part::Adversarial] {
        let name = format!("LLMBar {}", part.name());
        if name.contains(only) {
            let rounds = llmbar::rounds(&folder, llmbar::SETUPS[0], part)?;
            // Six judges of two answers cost little, and who of six is bad matters more.
            let size = Size { draws: 4 * size.draws, ..size };
            measure(&name, &Members::Judge(&rounds), size)?;
        }
    }
    for set in zeroeval::SETS.into_iter().filter(|set| set.title.contains(only)) {
        measure(set.title, &Members::Write(&zeroeval::read(&folder, set)?), size)?;
    }
    Ok(curves)
}

/// One set of ZeroEval.
fn answered(found: &mut Found, folder: &Path, set: zeroeval::Set, scale: &Scale) -> Result<()> {
    let answers = zeroeval::read(folder, set)?;
    for panel in zeroeval::PANELS.into_iter().take(if scale.everybody { 2 } else { 1 }) {
        // Where everybody takes part panels differ in the judges' moods only.
        let panels = if panel.is_everybody() { 1 } else { scale.panels };
        let rounds = answers.rounds(panel, panels);
        for gold in [0, CANARIES] {
            let measured = measure::majority(&rounds, scale.draws(scale.simulated, gold))?;
            found.rows.push(measured.row(set.title.into(), panel.name, gold, None));
        }
    }
    Ok(())
}
