//! A course: training runs in sequence, each from the weights of the one before it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{
    bundle,
    fit::{Run, TrainingEvent},
    recipe::{Recipe, Specialist, Stage},
};

/// The folders of the stages. Each is inside the folder of the stage before it, so that courses with
/// the same first stages share them.
pub(crate) fn folders(course: &[Stage], work: &Path, seed: u64) -> Vec<PathBuf> {
    let mut folder = work.join(seed.to_string());
    let inner = course.iter().map(|stage| {
        let Stage { of, steps, rows, longer, abstain } = stage;
        let mark = match (longer, abstain) {
            (true, _) => "-longer",
            (_, true) => "-abstain",
            _ => "",
        };
        folder = folder.join(format!("{of}-{steps}x{rows}{mark}"));
        folder.clone()
    });
    inner.collect()
}

/// Trains only the last stage, from the weights of the finished model in `source`. A stopped run
/// continues. Returns the run with its recipe.
pub(crate) fn train_last(
    specialist: &Specialist,
    seed: u64,
    source: &Path,
    work: &Path,
    watch: &mut dyn FnMut(&Recipe, &TrainingEvent<'_>),
) -> Result<(Run, Recipe)> {
    let no_course = || format!("{} has no course", specialist.name);
    let stage = *specialist.course.last().with_context(no_course)?;
    let stages = folders(&[stage], &work.join("from-model"), seed);
    let folder = stages.first().with_context(no_course)?;
    let recipe = Recipe::new(stage, seed).with_context(no_course)?;
    let run = if is_kept(folder) {
        Run::resume(recipe.clone(), folder)?
    } else {
        Run::from_model(recipe.clone(), &bundle::read(source)?)?
    };
    let run = run.fit(recipe.steps, Some(folder), &mut |event| watch(&recipe, &event))?;
    Ok((run, recipe))
}

/// Trains the course. A stage that is complete in `work` is not run again, and a stopped one
/// continues. Returns the last run with its recipe.
pub(crate) fn train(
    specialist: &Specialist,
    seed: u64,
    work: &Path,
    watch: &mut dyn FnMut(&Recipe, &TrainingEvent<'_>),
) -> Result<(Run, Recipe)> {
    let folders = folders(specialist.course, work, seed);
    let mut before: Option<&Path> = None;
    let mut last = None;
    for (number, (stage, folder)) in specialist.course.iter().zip(&folders).enumerate() {
        // A later stage has started: this one is complete, and its weights are not needed.
        if folders.iter().skip(number + 1).any(|later| is_kept(later)) {
            continue;
        }
        let recipe = Recipe::new(*stage, seed)
            .with_context(|| format!("no specialist is called {}", stage.of))?;
        let run = match before {
            _ if is_kept(folder) => Run::resume(recipe.clone(), folder)?,
            Some(before) if stage.longer => Run::longer(recipe.clone(), before)?,
            Some(before) => Run::based_on(recipe.clone(), before)?,
            None => Run::new(recipe.clone()),
        };
        let run = run.fit(recipe.steps, Some(folder), &mut |event| watch(&recipe, &event))?;
        last = Some((run, recipe));
        before = Some(folder);
    }
    last.with_context(|| format!("{} has no course", specialist.name))
}

fn is_kept(folder: &Path) -> bool {
    folder.join("last/state.json").exists()
}
