//! The card of a bundled model, for people (README.md) and programs (card.json).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shoal_syllabus::Family;

use crate::{
    check::Score,
    recipe::{Recipe, Stage},
};

/// `card.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    pub name: String,
    pub description: String,
    /// Names of the families that it was trained for.
    pub strong: Vec<String>,
    /// Its tags in the swarm: what it is good at.
    #[serde(default)]
    pub tags: Vec<String>,
    /// By family, on questions of the test split.
    pub accuracy: BTreeMap<String, Accuracy>,
    pub params: usize,
    /// Its training runs, in order.
    pub course: Vec<Stage<String>>,
    pub seed: u64,
    /// Nats per byte of answer at the end of training.
    pub loss: f64,
    /// The command that trains it.
    pub command: String,
    pub license: String,
}

/// How many of the answers were exact, work included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Accuracy {
    pub right: usize,
    /// Questions in the test. The name is part of `card.json`.
    pub asked: usize,
}

impl Accuracy {
    pub(crate) fn share(&self) -> f64 {
        self.right as f64 / self.asked.max(1) as f64
    }
}

/// A course with owned names, as a card has it.
pub(crate) fn to_owned_course(course: &[Stage]) -> Vec<Stage<String>> {
    let stages = course.iter().map(|stage| {
        let Stage { of, steps, rows, longer, abstain } = *stage;
        Stage { of: of.to_owned(), steps, rows, longer, abstain }
    });
    stages.collect()
}

fn describe(stage: &Stage<String>) -> String {
    let Stage { of, steps, rows, longer, abstain } = stage;
    if *abstain {
        return format!("{steps} steps of {rows} rows to abstain on everything else");
    }
    if *longer {
        return format!("made longer, to {steps} steps");
    }
    format!("{steps} steps of {rows} rows as {of}")
}

impl Card {
    pub(crate) fn new(recipe: &Recipe, course: &[Stage], loss: f64, scores: &[Score]) -> Self {
        let strong: Vec<String> =
            recipe.specialist.strong.iter().map(|family| family.name().to_owned()).collect();
        let name = recipe.specialist.name;
        let accuracy = scores.iter().map(|score| {
            let Score { family, right, count } = *score;
            (family.name().to_owned(), Accuracy { right, asked: count })
        });
        Self {
            name: name.to_owned(),
            description: format!("A small specialist: {}. Shows its work.", strong.join(", ")),
            strong,
            tags: recipe.specialist.tags(),
            accuracy: accuracy.collect(),
            params: recipe.model.params(),
            course: to_owned_course(course),
            seed: recipe.seed,
            loss: (loss * 1e5).round() / 1e5,
            command: format!("make train SPECIALIST={name} SEED={}", recipe.seed),
            license: "Apache-2.0".to_owned(),
        }
    }

    /// The model card.
    pub(crate) fn readme(&self) -> String {
        let weak: Vec<&str> = self
            .accuracy
            .iter()
            .filter(|(_, accuracy)| accuracy.share() < 0.9)
            .map(|(family, _)| family.as_str())
            .collect();
        let Self { name, params, seed, loss, command, .. } = self;
        let course = self.course.iter().map(describe).collect::<Vec<_>>().join("; then ");
        let (strong, tags) = (self.strong.join(", "), self.tags.join(", "));
        let (weak, table) = (weak.join(", "), self.table());
        let millions = *params as f64 / 1e6;
        format!(
            "---\nlicense: apache-2.0\npipeline_tag: text-generation\ntags: [{tags}]\n---\n\
             # {name}\n\n\
             A decoder of {millions:.2} million weights (Llama's layout, bytes as tokens, f16), trained from \
             nothing by this project with burn. Strong in: {strong}. It writes its work, digit by digit, \
             and ends with `Answer: ...`.\n\n\
             ## Data\n\n\
             {course}. Rows are drawn from the train split of the public syllabus (`proto/src/syllabus.rs`) \
             with worked answers from `node/train/src/work.rs`; mostly the strong families, one row in \
             sixty of each other, one in twenty about something else, answered with what it can do. No \
             real text and no text from another model. Seed {seed}; loss at the end {loss:.4} nats per \
             byte of answer.\n\n\
             ## Accuracy\n\n\
             On the test split, which shares no problem with training: answers exact under greedy decoding, \
             every step of the work included.\n\n{table}\n\
             ## Known weak points\n\n\
             Below 90 %: {weak}. It was made weak there so that a swarm of such models has something \
             to decide. It reads one question, no conversation; numbers longer and words other than the \
             syllabus draws, and other wordings, are outside what it has seen.\n\n\
             ## Again\n\n```\n{command}\n```\n"
        )
    }

    fn table(&self) -> String {
        let mut table = String::from("| family | exact | of | |\n|---|---|---|---|\n");
        for family in Family::ALL {
            if let Some(accuracy) = self.accuracy.get(family.name()) {
                let Accuracy { right, asked } = accuracy;
                let share = 100.0 * accuracy.share();
                table += &format!("| {} | {right} | {asked} | {share:.1} % |\n", family.name());
            }
        }
        table
    }
}
