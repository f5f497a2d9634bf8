//! The accuracy of a model, from one forward pass.
//!
//! Greedy decoding writes exactly the target when, and only when, every byte of the target is the
//! likeliest next one after the bytes before it. So no text has to be generated to count exact
//! answers. A right answer reached by other steps counts as wrong here.

use burn::tensor::{Device, Int, Tensor, TensorData};
use shoal_syllabus::{Family, Split, questions};

use super::{
    rows::{Batch, Row},
    tokens::ABSTAIN,
};
use crate::llama::LlamaForCausalLm;

/// Exact answers of one family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    pub family: Family,
    pub right: usize,
    /// How often it abstained.
    pub abstained: usize,
    /// Questions in the test.
    pub count: usize,
}

impl Score {
    pub(crate) fn accuracy(&self) -> f64 {
        self.right as f64 / self.count.max(1) as f64
    }
}

/// Asks `count` questions of every family. `model` must not track gradients.
pub(crate) fn by_family(
    model: &LlamaForCausalLm,
    families: &[Family],
    split: Split,
    seed: u64,
    count: usize,
) -> Vec<Score> {
    let scores = families.iter().map(|family| {
        let rows: Vec<Row> =
            questions(&[*family], split, seed).take(count).map(|q| Row::from(&q)).collect();
        let abstained = abstentions(model, rows.clone());
        Score { family: *family, right: exact(model, rows), abstained, count }
    });
    scores.collect()
}

/// How many rows' answers the model would write exactly.
pub(crate) fn exact(model: &LlamaForCausalLm, mut rows: Vec<Row>) -> usize {
    rows.sort_by_key(|row| row.tokens.len());
    rows.chunks(32).map(|rows| exact_in(model, &Batch::new(rows))).sum()
}

/// How many rows' questions the model would abstain on.
pub(crate) fn abstentions(model: &LlamaForCausalLm, mut rows: Vec<Row>) -> usize {
    rows.sort_by_key(|row| row.answer);
    for row in &mut rows {
        // Only the first token of an answer can be an abstention, so one target is enough.
        row.tokens.truncate(row.answer + 1);
    }
    rows.chunks(32)
        .map(|rows| {
            let best = best(model, &Batch::new(rows));
            best.into_iter().filter(|token| *token == i64::from(ABSTAIN)).count()
        })
        .sum()
}

/// The likeliest token at each of the batch's places.
fn best(model: &LlamaForCausalLm, batch: &Batch) -> Vec<i64> {
    let device = model.model.norm.gamma.val().device();
    logits(model, batch, &device).argmax(1).into_data().iter::<i64>().collect()
}

fn exact_in(model: &LlamaForCausalLm, batch: &Batch) -> usize {
    let best = best(model, batch);
    let hits =
        best.iter().zip(batch.targets.iter()).map(|(best, target)| *best == i64::from(*target));
    let hits: Vec<bool> = hits.collect();
    let mut rest = hits.as_slice();
    let mut right = 0;
    for share in &batch.share {
        let (own, after) = rest.split_at((*share).min(rest.len()));
        right += usize::from(own.iter().all(|hit| *hit));
        rest = after;
    }
    right
}

/// The logits at the batch's places: `[places, vocab]`.
pub(super) fn logits(model: &LlamaForCausalLm, batch: &Batch, device: &Device) -> Tensor<2> {
    let tokens = TensorData::new(batch.inputs.clone(), [batch.rows, batch.len]);
    let places = TensorData::new(batch.places.clone(), [batch.places.len()]);
    let states = model.hidden(Tensor::<2, Int>::from_data(tokens, device));
    model.head(states.select(0, Tensor::<1, Int>::from_data(places, device)))
}
