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
    /// By kind, on held-out questions outside of the syllabus.
    #[serde(default)]
    pub outside: BTreeMap<String, Abstentions>,
    /// SHA-256 of the weights that the last stage started from, where these are older than today's
    /// trainer; absent after a whole course.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
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
    /// How often it abstained.
    #[serde(default)]
    pub abstained: usize,
    /// Questions in the test. The name is part of `card.json`.
    pub asked: usize,
}

impl Accuracy {
    pub(crate) fn share(&self) -> f64 {
        self.right as f64 / self.asked.max(1) as f64
    }
}

/// How often it abstained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Abstentions {
    pub abstained: usize,
    /// Questions in the test.
    pub asked: usize,
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
            let Score { family, right, abstained, count } = *score;
            (family.name().to_owned(), Accuracy { right, abstained, asked: count })
        });
        Self {
            name: name.to_owned(),
            description: format!(
                "A small specialist: {}. Shows its work, and abstains elsewhere.",
                strong.join(", ")
            ),
            strong,
            tags: recipe.specialist.tags(),
            accuracy: accuracy.collect(),
            outside: BTreeMap::new(),
            base: None,
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
        let Self { name, params, seed, loss, command, .. } = self;
        let course = self.course.iter().map(describe).collect::<Vec<_>>().join("; then ");
        let (strong, tags) = (self.strong.join(", "), self.tags.join(", "));
        let (origin, table, outside) = (self.origin(), self.table(), self.outside_table());
        let (unknown, weak) = self.weak();
        let millions = *params as f64 / 1e6;
        format!(
            "---\nlicense: apache-2.0\npipeline_tag: text-generation\ntags: [{tags}]\n---\n\
             # {name}\n\n\
             A decoder of {millions:.2} million weights (Llama's layout, bytes as tokens, f16), trained by \
             this project with burn. Strong in: {strong}. It writes its work, digit by digit, and ends with \
             `Answer: ...`. To a question that it cannot answer it writes one token, `<|abstain|>`, and no \
             text.\n\n\
             ## Data\n\n\
             {course}. {origin}Rows are drawn from the train split of the public syllabus \
             (`proto/syllabus`) with worked answers from `node/train/src/work.rs`, and from questions \
             outside of it (`node/train/src/outside.rs`), whose target is the abstention. The stage that \
             teaches to abstain reads 28 % outside questions, 1.2 % of each family of the syllabus that \
             the model does not know, also with the abstention as target, and 2.5 % of each family that \
             it half knows. No real text and no text from another model. Seed {seed}; loss at the end \
             {loss:.4} nats per byte of answer.\n\n\
             ## Accuracy\n\n\
             On the test split, which shares no problem with training: answers exact under greedy decoding, \
             every step of the work included, and abstentions.\n\n{table}\n\
             ## Abstention\n\n\
             On questions outside of the syllabus, from templates and words that training never saw:\n\n\
             {outside}\n\
             ## Known weak points\n\n\
             It abstains on most of: {unknown}. Below 90 % and mostly answered: {weak}. It was made so that \
             a swarm of such models has something to decide. It reads one question, no conversation; \
             numbers longer and words other than the syllabus draws, and other wordings, are outside what it \
             has seen.\n\n\
             ## Again\n\n```\n{command}\n```\n"
        )
    }

    /// Where the weights before the last stage come from, if that is not the course.
    fn origin(&self) -> String {
        let Some(base) = &self.base else { return String::new() };
        let name = &self.name;
        format!(
            "Only the last stage was run with today's trainer: it started from the weights of \
             `{name}` that were bundled before, with SHA-256 `{base}` of `model.safetensors`, which an \
             earlier trainer wrote after the other stages. Their table of 259 tokens got one more row, a \
             copy of the row of the letter I. The command below runs the whole course from random \
             weights and gives other weights; with `--from FOLDER` it repeats the last stage alone. "
        )
    }

    /// The families that it mostly abstains on, and the others below 90 %.
    fn weak(&self) -> (String, String) {
        let weak = self.accuracy.iter().filter(|(_, accuracy)| accuracy.share() < 0.9);
        let (unknown, weak): (Vec<_>, Vec<_>) =
            weak.partition(|(_, accuracy)| 2 * accuracy.abstained > accuracy.asked);
        let names = |families: Vec<(&String, &Accuracy)>| {
            let names: Vec<&str> = families.into_iter().map(|(name, _)| name.as_str()).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        (names(unknown), names(weak))
    }

    fn table(&self) -> String {
        let mut table =
            String::from("| family | exact | abstained | of | |\n|---|---|---|---|---|\n");
        for family in Family::ALL {
            if let Some(accuracy) = self.accuracy.get(family.name()) {
                let Accuracy { right, abstained, asked } = accuracy;
                let (name, share) = (family.name(), 100.0 * accuracy.share());
                table += &format!("| {name} | {right} | {abstained} | {asked} | {share:.1} % |\n");
            }
        }
        table
    }

    fn outside_table(&self) -> String {
        let mut table = String::from("| kind | abstained | of |\n|---|---|---|\n");
        for (kind, Abstentions { abstained, asked }) in &self.outside {
            table += &format!("| {kind} | {abstained} | {asked} |\n");
        }
        table
    }
}
