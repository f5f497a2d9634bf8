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
    bundle, check,
    fit::{News, Run},
    recipe::{Recipe, SPECIALISTS, Specialist},
};

/// Trains one bundled specialist and writes the folder that a node serves.
#[derive(Debug, Parser)]
#[command(name = "shoal-train", version)]
pub struct Args {
    /// shoal-sum, shoal-times, shoal-order, shoal-letters, shoal-calendar or shoal-story.
    #[arg(long)]
    pub specialist: String,
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Steps in all; the recipe's where it is not given. The learning rate falls over them.
    #[arg(long)]
    pub steps: Option<usize>,
    /// Rows in a step.
    #[arg(long, default_value_t = 32)]
    pub rows: usize,
    /// Muon instead of AdamW on the layers' matrices.
    #[arg(long)]
    pub muon: bool,
    /// Stop after this many steps, to go on with --resume.
    #[arg(long)]
    pub until: Option<usize>,
    /// Go on where the last run of this specialist stopped.
    #[arg(long)]
    pub resume: bool,
    /// Start from the weights of another run instead of from nothing: its --work folder.
    #[arg(long, conflicts_with = "resume")]
    pub from: Option<PathBuf>,
    /// Where checkpoints go; target/train/NAME where it is not given.
    #[arg(long)]
    pub work: Option<PathBuf>,
    /// Where the finished model goes.
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
    let mut recipe = Recipe::of(specialist, args.seed);
    recipe.set_rows(args.rows);
    recipe.muon = args.muon;
    recipe.steps = args.steps.unwrap_or(recipe.steps);
    let work = args.work.unwrap_or_else(|| PathBuf::from("target/train").join(specialist.name));
    let run = match &args.from {
        _ if args.resume => Run::resumed(recipe.clone(), &work)?,
        Some(base) => Run::based_on(recipe.clone(), base)?,
        None => Run::new(recipe.clone()),
    };
    let mut watch = Watch::new(recipe.steps, run.step());
    let until = args.until.unwrap_or(recipe.steps);
    let run = run.fit(until, Some(&work), &mut |news| watch.tell(&news))?;
    if run.step() < recipe.steps {
        watch.say(&format!("stopped at step {}; --resume goes on", run.step()));
        return Ok(());
    }
    let scores = bundle::write(&run, &recipe, &args.models)?;
    watch.say(&format!("wrote {}", args.models.join(specialist.name).display()));
    watch.say(&line(&scores));
    Ok(())
}

fn line(scores: &[check::Score]) -> String {
    let each = scores.iter().map(|s| format!("{} {:.1} %", s.family.name(), 100.0 * s.accuracy()));
    each.collect::<Vec<_>>().join("  ")
}

/// A progress bar on a terminal, a line now and then elsewhere.
struct Watch {
    bar: ProgressBar,
    plain: bool,
    since: Instant,
    first: usize,
    steps: usize,
}

impl Watch {
    fn new(steps: usize, first: usize) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(steps as u64) };
        let shape = "{bar:30} {pos}/{len}  {per_sec}  {eta} left  loss {msg}";
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        bar.set_position(first as u64);
        bar.reset_eta();
        Self { bar, plain, since: Instant::now(), first, steps }
    }

    fn tell(&mut self, news: &News<'_>) {
        match news {
            News::Step { step, loss } => {
                self.bar.set_position(*step as u64);
                self.bar.set_message(format!("{loss:.4}"));
                if self.plain && (step.is_multiple_of(50) || *step == self.first + 10) {
                    self.say(&self.status(*step, *loss));
                }
            }
            News::Checked { step, scores } => {
                self.say(&format!("step {step} exact on gold: {}", line(scores)));
            }
        }
    }

    fn status(&self, step: usize, loss: f64) -> String {
        let spent = self.since.elapsed().as_secs_f64();
        let pace = (step - self.first) as f64 / spent.max(1e-9);
        let left = Duration::from_secs_f64((self.steps - step) as f64 / pace.max(1e-9));
        let minutes = left.as_secs() / 60;
        format!("step {step}/{}  loss {loss:.4}  {pace:.2} steps/s  {minutes} min left", self.steps)
    }

    fn say(&self, line: &str) {
        if self.plain {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }
}
