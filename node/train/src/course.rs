//! A course: runs one after the other, each from the weights that the one before it left.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{
    fit::{News, Run},
    recipe::{Recipe, Specialist, Stage},
};

/// Where a stage keeps itself: in the folder of the one before it, so that courses which begin
/// alike share what they have done.
pub(crate) fn folders(course: &[Stage], work: &Path, seed: u64) -> Vec<PathBuf> {
    let mut folder = work.join(seed.to_string());
    let inner = course.iter().map(|stage| {
        let Stage { of, steps, rows, longer } = stage;
        let mark = if *longer { "-longer" } else { "" };
        folder = folder.join(format!("{of}-{steps}x{rows}{mark}"));
        folder.clone()
    });
    inner.collect()
}

/// Trains the whole course, or what is left of it in `work`: a stage that finished is not run
/// again, and one that stopped goes on as if it had not. Gives the last run with its recipe.
pub(crate) fn train(
    specialist: &Specialist,
    seed: u64,
    work: &Path,
    tell: &mut dyn FnMut(&Recipe, &News<'_>),
) -> Result<(Run, Recipe)> {
    let folders = folders(specialist.course, work, seed);
    let mut before: Option<&Path> = None;
    let mut last = None;
    for (number, (stage, folder)) in specialist.course.iter().zip(&folders).enumerate() {
        // Something further on is there: this stage was finished, and only its weights are wanted.
        if folders.iter().skip(number + 1).any(|later| is_kept(later)) {
            continue;
        }
        let recipe = Recipe::of(*stage, seed)
            .with_context(|| format!("no specialist is called {}", stage.of))?;
        let run = match before {
            _ if is_kept(folder) => Run::resumed(recipe.clone(), folder)?,
            Some(before) if stage.longer => Run::longer(recipe.clone(), before)?,
            Some(before) => Run::based_on(recipe.clone(), before)?,
            None => Run::new(recipe.clone()),
        };
        let run = run.fit(recipe.steps, Some(folder), &mut |news| tell(&recipe, &news))?;
        last = Some((run, recipe));
        before = Some(folder);
    }
    last.with_context(|| format!("{} has no course", specialist.name))
}

fn is_kept(folder: &Path) -> bool {
    folder.join("last/state.json").exists()
}
