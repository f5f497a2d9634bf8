//! A run on disk: weights, optimizer state, step. Written beside the old one, then put in its place.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::Run;

/// Where a base is kept by the commands in a card.
const BASE: &str = "target/train/base";

#[derive(Serialize, Deserialize)]
struct State {
    specialist: String,
    seed: u64,
    step: usize,
    /// Steps that the learning rate falls over.
    steps: usize,
    loss: f64,
    history: Vec<String>,
}

impl State {
    fn read(folder: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join("last/state.json"))?)?)
    }

    /// How this state was reached, said so that it can be reached again.
    fn story(mut self, kept_in: &str) -> Vec<String> {
        if let Some(last) = self.history.last_mut() {
            *last += &format!(" --until {}{kept_in}", self.step);
        }
        self.history
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
        history: run.history.clone(),
    };
    fs::write(next.join("state.json"), serde_json::to_vec_pretty(&state)?)?;
    if last.exists() {
        fs::remove_dir_all(&last)?;
    }
    fs::rename(&next, &last)?;
    Ok(())
}

pub(super) fn load(run: Run, folder: &Path) -> Result<Run> {
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
    if state.steps == run.recipe.steps {
        run.history = state.history;
    } else {
        let own = run.history.drain(..).map(|own| own + " --resume");
        run.history = state.story("").into_iter().chain(own).collect();
    }
    Ok(run)
}

/// The weights of another run, to start afresh from.
pub(super) fn base(run: Run, folder: &Path) -> Result<Run> {
    let before = State::read(folder)?.story(&format!(" --work {BASE}"));
    let mut run = weights(run, folder)?;
    let own = run.history.drain(..).map(|own| format!("{own} --from {BASE}"));
    run.history = before.into_iter().chain(own).collect();
    Ok(run)
}

fn weights(mut run: Run, folder: &Path) -> Result<Run> {
    run.model = run.model.try_load_file(folder.join("last/model"))?;
    Ok(run)
}
