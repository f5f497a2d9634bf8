//! A run on disk: weights, optimizer state and step. It is written to another folder, which then
//! replaces the old one.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::Run;

#[derive(Serialize, Deserialize)]
struct State {
    specialist: String,
    seed: u64,
    step: usize,
    /// Steps that the learning rate falls over.
    steps: usize,
    loss: f64,
}

impl State {
    fn read(folder: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join("last/state.json"))?)?)
    }
}

pub(super) fn save(run: &Run, folder: &Path) -> Result<()> {
    let (next, last) = (folder.join("next"), folder.join("last"));
    if next.exists() {
        fs::remove_dir_all(&next)?;
    }
    fs::create_dir_all(&next).with_context(|| format!("cannot write {}", next.display()))?;
    run.model.clone().save_file(next.join("model"))?;
    run.optimizer.save(next.join("optimizer"))?;
    let state = State {
        specialist: run.recipe.specialist.name.to_owned(),
        seed: run.recipe.seed,
        step: run.step,
        steps: run.recipe.steps,
        loss: run.loss,
    };
    fs::write(next.join("state.json"), serde_json::to_vec_pretty(&state)?)?;
    if last.exists() {
        fs::remove_dir_all(&last)?;
    }
    fs::rename(&next, &last)?;
    Ok(())
}

/// Continues the run in `folder`, with the same result as if it had not stopped.
pub(super) fn load(run: Run, folder: &Path) -> Result<Run> {
    let (state, steps) = (State::read(folder)?, run.recipe.steps);
    anyhow::ensure!(state.steps == steps, "it was one of {} steps, not {steps}", state.steps);
    longer(run, folder)
}

/// Continues the run in `folder` with the learning rates of a run of another length.
pub(super) fn longer(run: Run, folder: &Path) -> Result<Run> {
    let state = State::read(folder)?;
    anyhow::ensure!(
        state.specialist == run.recipe.specialist.name && state.seed == run.recipe.seed,
        "it was {} from seed {}",
        state.specialist,
        state.seed
    );
    let mut run = weights(run, folder)?;
    run.optimizer = run.optimizer.load(folder.join("last/optimizer"))?;
    (run.step, run.loss) = (state.step, state.loss);
    Ok(run)
}

/// A new run from the weights of the run in `folder`.
pub(super) fn base(run: Run, folder: &Path) -> Result<Run> {
    weights(run, folder)
}

fn weights(mut run: Run, folder: &Path) -> Result<Run> {
    run.model = run.model.try_load_file(folder.join("last/model"))?;
    Ok(run)
}
