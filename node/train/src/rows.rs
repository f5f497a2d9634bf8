//! Rows: one question each, as bytes, sorted by length into batches.

use std::sync::Arc;

use rand::{
    RngExt, SeedableRng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use shoal_syllabus::{Family, Question, Questions, Split, questions};

use super::{
    recipe::Recipe,
    tokens::{BOS, EOS, SEP},
    work,
};

/// Batches drawn together before they are sorted by length: padding is work too.
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
        let bytes = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
        let tokens = [vec![BOS], bytes(question), vec![SEP], bytes(answer), vec![EOS]].concat();
        Self { tokens, answer: question.len() + 2 }
    }

    /// A question of the syllabus with its worked answer.
    pub(crate) fn worked(question: &Question) -> Self {
        Self::new(&question.text, &work::worked(&question.problem))
    }
}

/// Rows side by side: every token but the last predicts the next; only answers count.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// `[rows, len]`, row after row.
    pub inputs: Vec<i32>,
    pub rows: usize,
    pub len: usize,
    /// Where in `inputs` a target is predicted.
    pub places: Vec<i32>,
    /// What stands there, place for place.
    pub targets: Arc<[u32]>,
    /// How many of them belong to each row.
    pub share: Vec<usize>,
}

impl Batch {
    pub(crate) fn new(rows: &[Row]) -> Self {
        let len = rows.iter().map(|row| row.tokens.len() - 1).max().unwrap_or_default();
        let mut inputs = Vec::with_capacity(rows.len() * len);
        let (mut places, mut targets, mut share) = (Vec::new(), Vec::new(), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            let known = row.tokens.len() - 1;
            inputs.extend(row.tokens.iter().take(known).map(|token| *token as i32));
            inputs.resize((index + 1) * len, EOS as i32);
            places.extend((row.answer - 1..known).map(|place| (index * len + place) as i32));
            targets.extend(row.tokens.iter().skip(row.answer));
            share.push(row.tokens.len() - row.answer);
        }
        Self { inputs, rows: rows.len(), len, places, targets: targets.into(), share }
    }
}

/// The batch of every step, the same for the same recipe, from any step on.
#[derive(Debug)]
pub(crate) struct Batches {
    recipe: Recipe,
    pool: Vec<Batch>,
    drawn: Option<usize>,
}

impl Batches {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        Self { recipe: recipe.clone(), pool: Vec::new(), drawn: None }
    }

    /// The batch of a step, counted from 0.
    pub(crate) fn at(&mut self, step: usize) -> Option<&Batch> {
        if self.drawn != Some(step / POOL) {
            self.pool = pool(&self.recipe, step / POOL);
            self.drawn = Some(step / POOL);
        }
        self.pool.get(step % POOL)
    }
}

/// Draws the rows of sixteen steps; each pool has a seed of its own, so that any can come first.
fn pool(recipe: &Recipe, index: usize) -> Vec<Batch> {
    let seed = recipe.seed.wrapping_mul(1_000_003).wrapping_add(index as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut source = questions(&[], Split::Train, seed ^ 0x5eed);
    let mut rows: Vec<Row> =
        (0..POOL * recipe.rows).map(|_| draw(recipe, &mut source, &mut rng)).collect();
    rows.sort_by_key(|row| row.tokens.len());
    let mut batches: Vec<Batch> = rows.chunks(recipe.rows).map(Batch::new).collect();
    batches.shuffle(&mut rng);
    batches
}

fn draw(recipe: &Recipe, source: &mut Questions, rng: &mut ChaCha8Rng) -> Row {
    let strong = recipe.specialist.strong;
    let weak: Vec<Family> =
        Family::ALL.into_iter().filter(|family| !strong.contains(family)).collect();
    let chance: f64 = rng.random();
    if chance < recipe.off_topic {
        return Row::new(&work::off_topic(rng), &work::plain_statement(strong));
    }
    let is_weak = chance < recipe.off_topic + recipe.weak_share * weak.len() as f64;
    let from = if is_weak { weak.as_slice() } else { strong };
    let family = from.choose(rng).copied().unwrap_or(Family::Add);
    Row::worked(&source.of(family))
}
