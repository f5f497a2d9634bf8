//! `shoal-train --specialist NAME --seed N`.

use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    bundle, check, course,
    fit::TrainingEvent,
    recipe::{Recipe, SPECIALISTS, Specialist},
};

/// Trains one bundled specialist and writes the folder that a node serves.
#[derive(Debug, Parser)]
#[command(name = "shoal-train", version)]
pub(crate) struct Args {
    /// shoal-sum, shoal-times, shoal-order, shoal-letters, shoal-calendar or shoal-story.
    #[arg(long)]
    pub specialist: String,
    /// The seed of weights and rows.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Folder for checkpoints. Stages that are complete there are not run again.
    #[arg(long, default_value = "target/train")]
    pub work: PathBuf,
    /// Folder of a finished model of this specialist: only the last stage is trained, from its weights.
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// Folder for the finished model.
    #[arg(long, default_value = "node/models")]
    pub models: PathBuf,
}

/// Runs the command; the error is one line for the terminal.
pub fn run() -> Result<()> {
    train(Args::parse())
}

fn train(args: Args) -> Result<()> {
    let specialist = Specialist::by_name(&args.specialist).with_context(|| {
        let names: Vec<&str> = SPECIALISTS.iter().map(|specialist| specialist.name).collect();
        format!("no specialist is called {}; there are {}", args.specialist, names.join(", "))
    })?;
    let mut watch = Watch::new();
    let show = &mut |recipe: &Recipe, event: &TrainingEvent<'_>| watch.show(recipe, event);
    let (run, recipe) = match &args.from {
        Some(source) => course::train_last(&specialist, args.seed, source, &args.work, show)?,
        None => course::train(&specialist, args.seed, &args.work, show)?,
    };
    let base = args.from.as_deref().map(bundle::digest).transpose()?;
    let scores = bundle::write(&run, &recipe, (specialist.course, base), &args.models)?;
    watch.print(&format!("wrote {}", args.models.join(specialist.name).display()));
    watch.print(&line(&scores));
    Ok(())
}

fn line(scores: &[check::Score]) -> String {
    let accuracies =
        scores.iter().map(|s| format!("{} {:.1} %", s.family.name(), 100.0 * s.accuracy()));
    accuracies.collect::<Vec<_>>().join("  ")
}

/// Progress: a bar on a terminal, else a line from time to time.
struct Watch {
    bar: ProgressBar,
    plain: bool,
    /// The time and the step at which this process started the stage.
    start: Option<(Instant, usize)>,
}

impl Watch {
    fn new() -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let shape = "{prefix}  {bar:30} {pos}/{len}  {per_sec}  {eta} left  loss {msg}";
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        Self { bar, plain, start: None }
    }

    fn show(&mut self, recipe: &Recipe, event: &TrainingEvent<'_>) {
        match event {
            TrainingEvent::Step { step, loss } => self.step(recipe, *step, *loss),
            TrainingEvent::Checked { step, scores } => {
                self.print(&format!("step {step} exact on gold: {}", line(scores)));
                if *step == recipe.steps {
                    self.start = None;
                }
            }
        }
    }

    fn step(&mut self, recipe: &Recipe, step: usize, loss: f64) {
        let (start, first) = *self.start.get_or_insert_with(|| {
            self.bar.set_length(recipe.steps as u64);
            self.bar.set_prefix(recipe.specialist.name);
            self.bar.set_position(step as u64);
            self.bar.reset_eta();
            (Instant::now(), step)
        });
        self.bar.set_position(step as u64);
        self.bar.set_message(format!("{loss:.4}"));
        if self.plain && (step.is_multiple_of(50) || step == first + 10) {
            let pace = (step - first) as f64 / start.elapsed().as_secs_f64().max(1e-9);
            let left = Duration::from_secs_f64((recipe.steps - step) as f64 / pace.max(1e-3));
            let (name, steps, minutes) =
                (recipe.specialist.name, recipe.steps, left.as_secs() / 60);
            self.print(&format!(
                "{name} step {step}/{steps}  loss {loss:.4}  {pace:.2} steps/s  {minutes} min left"
            ));
        }
    }

    fn print(&self, line: &str) {
        if self.plain {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }
}
