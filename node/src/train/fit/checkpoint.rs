//! A run on disk: weights, optimizer state, step. Written beside the old one, then put in its place.

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
    loss: f64,
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
        loss: run.loss,
    };
    fs::write(next.join("state.json"), serde_json::to_vec_pretty(&state)?)?;
    if last.exists() {
        fs::remove_dir_all(&last)?;
    }
    fs::rename(&next, &last)?;
    Ok(())
}

pub(super) fn load(mut run: Run, folder: &Path) -> Result<Run> {
    let last = folder.join("last");
    let state: State = serde_json::from_slice(&fs::read(last.join("state.json"))?)?;
    anyhow::ensure!(
        state.specialist == run.recipe.specialist.name && state.seed == run.recipe.seed,
        "it was {} from seed {}",
        state.specialist,
        state.seed
    );
    run = weights(run, folder)?;
    run.optimizer = run.optimizer.load(last.join("optimizer"))?;
    (run.step, run.loss) = (state.step, state.loss);
    Ok(run)
}

/// The weights alone.
pub(super) fn weights(mut run: Run, folder: &Path) -> Result<Run> {
    run.model = run.model.try_load_file(folder.join("last/model"))?;
    Ok(run)
}
