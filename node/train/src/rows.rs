//! Rows: one question each, as bytes, sorted by length into batches.

use std::sync::Arc;

use rand::{
    RngExt, SeedableRng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use shoal_syllabus::{Question, Questions, Split, questions};

use super::{
    outside::{self, Part},
    recipe::Recipe,
    tokens::{ABSTAIN, BOS, EOS, SEP},
    work,
};

/// Batches that are drawn together and then sorted by length, so that rows need little padding.
const POOL: usize = 16;

/// One question and its target, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// `<bos> question <sep> answer <eos>`
    pub tokens: Vec<u32>,
    /// Where the answer starts.
    pub answer: usize,
}

impl Row {
    pub(crate) fn new(question: &str, answer: &str) -> Self {
        Self::with_target(question, answer.bytes().map(u32::from))
    }

    /// A question that is answered with the token [`ABSTAIN`] alone.
    pub(crate) fn abstention(question: &str) -> Self {
        Self::with_target(question, [ABSTAIN])
    }

    fn with_target(question: &str, target: impl IntoIterator<Item = u32>) -> Self {
        let text = question.bytes().map(u32::from);
        let tokens = [BOS].into_iter().chain(text).chain([SEP]).chain(target).chain([EOS]);
        Self { tokens: tokens.collect(), answer: question.len() + 2 }
    }
}

/// A question of the syllabus with its worked answer.
impl From<&Question> for Row {
    fn from(question: &Question) -> Self {
        Self::new(&question.text, &work::answer(&question.problem))
    }
}

/// Rows as one tensor. Every token but the last predicts the next one; only answers count.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// `[rows, len]`, row after row.
    pub inputs: Vec<i32>,
    pub rows: usize,
    pub len: usize,
    /// The places in `inputs` that predict a target.
    pub places: Vec<i32>,
    /// The target of each place.
    pub targets: Arc<[u32]>,
    /// How many targets each row has.
    pub share: Vec<usize>,
}

impl Batch {
    pub(crate) fn new(rows: &[Row]) -> Self {
        Self::weighted(rows, 1)
    }

    /// A batch in which the first target of each row counts `first` times. It decides between an
    /// answer and an abstention, and is otherwise one of a hundred targets.
    pub(crate) fn weighted(rows: &[Row], first: usize) -> Self {
        let len = rows.iter().map(|row| row.tokens.len() - 1).max().unwrap_or_default();
        let mut inputs = Vec::with_capacity(rows.len() * len);
        let (mut places, mut targets, mut share) = (Vec::new(), Vec::new(), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            let inputs_len = row.tokens.len() - 1;
            inputs.extend(row.tokens.iter().take(inputs_len).map(|token| *token as i32));
            inputs.resize((index + 1) * len, EOS as i32);
            let decision = std::iter::repeat_n(row.answer - 1, first.saturating_sub(1));
            let row_places = decision.clone().chain(row.answer - 1..inputs_len);
            places.extend(row_places.map(|place| (index * len + place) as i32));
            targets.extend(decision.filter_map(|place| row.tokens.get(place + 1)));
            targets.extend(row.tokens.iter().skip(row.answer));
            share.push(row.tokens.len() - row.answer + first.saturating_sub(1));
        }
        Self { inputs, rows: rows.len(), len, places, targets: targets.into(), share }
    }
}

/// The batch of every step. It depends only on the recipe and the step.
#[derive(Debug)]
pub(crate) struct Batches {
    recipe: Recipe,
    pool: Vec<Batch>,
    pool_index: Option<usize>,
}

impl Batches {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        Self { recipe: recipe.clone(), pool: Vec::new(), pool_index: None }
    }

    /// The batch of a step, counted from 0; `None` if the recipe has no families to draw from.
    pub(crate) fn at(&mut self, step: usize) -> Option<&Batch> {
        if self.pool_index != Some(step / POOL) {
            self.pool = pool(&self.recipe, step / POOL)?;
            self.pool_index = Some(step / POOL);
        }
        self.pool.get(step % POOL)
    }
}

/// Draws the rows of [`POOL`] steps. Each pool has its own seed, so a run can start at any of them.
fn pool(recipe: &Recipe, index: usize) -> Option<Vec<Batch>> {
    let seed = recipe.seed.wrapping_mul(1_000_003).wrapping_add(index as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut source = questions(&[], Split::Train, seed ^ 0x5eed);
    let rows = (0..POOL * recipe.rows).map(|_| draw(recipe, &mut source, &mut rng));
    let mut rows: Vec<Row> = rows.collect::<Option<_>>()?;
    rows.sort_by_key(|row| row.tokens.len());
    let mut batches: Vec<Batch> =
        rows.chunks(recipe.rows).map(|rows| Batch::weighted(rows, recipe.mix.decision)).collect();
    batches.shuffle(&mut rng);
    Some(batches)
}

fn draw(recipe: &Recipe, source: &mut Questions, rng: &mut ChaCha8Rng) -> Option<Row> {
    let (mix, strong) = (&recipe.mix, recipe.specialist.strong);
    let chance: f64 = rng.random();
    let weak = mix.outside + mix.other_share * mix.weak.len() as f64;
    let unknown = weak + mix.unknown_share * mix.unknown.len() as f64;
    if chance < mix.outside {
        return Some(Row::abstention(&outside::question(Part::Train, rng)));
    }
    let families = match chance {
        _ if chance < weak => mix.weak.as_slice(),
        _ if chance < unknown => mix.unknown.as_slice(),
        _ => strong,
    };
    let mut question = source.next_in_family(*families.choose(rng)?);
    if rng.random_bool(mix.wrapped) {
        question.text = outside::wrap(&question.text, rng);
    }
    let abstains = mix.unknown.contains(&question.family);
    Some(if abstains { Row::abstention(&question.text) } else { Row::from(&question) })
}
