//! Causal attention with rotary positions, forward and backward, for grouped query heads.
//!
//! Keys are held transposed (one row per dimension, one column per position): the scores of one
//! query against all keys are then a few long multiply-adds instead of many short dot products.

#![expect(clippy::indexing_slicing, reason = "ranges follow from the shapes that Heads states")]

use super::simd::{LANES, dot, madd, simd, softmax};
use crate::rope::Rope;

/// The shape of one call: `batch` sequences of `len` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub batch: usize,
    pub len: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// Floats per head.
    pub dim: usize,
}

impl Heads {
    fn group(&self) -> usize {
        self.heads / self.kv_heads.max(1)
    }
    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

/// `out[j] += sum over d of weights[d] * columns[d * stride + j]`, four rows a pass.
#[inline(always)]
fn spread<const FMA: bool>(weights: &[f32], columns: &[f32], stride: usize, out: &mut [f32]) {
    let n = out.len();
    for (w, rows) in weights.chunks_exact(4).zip(columns.chunks_exact(4 * stride)) {
        let &[w0, w1, w2, w3] = w else { return };
        let (r0, rest) = rows.split_at(stride);
        let (r1, rest) = rest.split_at(stride);
        let (r2, r3) = rest.split_at(stride);
        let rows = r0[..n].iter().zip(&r1[..n]).zip(&r2[..n]).zip(&r3[..n]);
        for (out, (((a, b), c), d)) in out.iter_mut().zip(rows) {
            let left = madd::<FMA>(w0, *a, madd::<FMA>(w1, *b, *out));
            *out = madd::<FMA>(w2, *c, madd::<FMA>(w3, *d, left));
        }
    }
}

/// `rows[d * stride + j] += sum over k of weights[k][d] * values[k][j]`, for four k.
#[inline(always)]
fn gather<const FMA: bool>(w: [&[f32]; 4], v: [&[f32]; 4], stride: usize, rows: &mut [f32]) {
    let n = v[0].len();
    let [v0, v1, v2, v3] = v.map(|v| &v[..n]);
    for (d, row) in rows.chunks_exact_mut(stride).enumerate() {
        let [w0, w1, w2, w3] = w.map(|w| w[d]);
        let values = v0.iter().zip(v1).zip(v2).zip(v3);
        for (out, (((a, b), c), d)) in row[..n].iter_mut().zip(values) {
            let left = madd::<FMA>(w0, *a, madd::<FMA>(w1, *b, *out));
            *out = madd::<FMA>(w2, *c, madd::<FMA>(w3, *d, left));
        }
    }
}

/// Turns the pairs (d, d + dim/2) of one head by the angle of `position` (back with `sign` -1).
#[inline(always)]
pub(super) fn turn(head: &mut [f32], rope: &Rope, position: usize, sign: f32) {
    let (cos, sin) = rope.at(position);
    let (low, high) = head.split_at_mut(head.len() / 2);
    for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        let (x, y) = (*a, *b);
        *a = x * c - y * s * sign;
        *b = y * c + x * s * sign;
    }
}

/// The softmax of one query's scores over the first `visible` keys; the rest of `p` becomes 0.
#[inline(always)]
fn attend<const FMA: bool>(q: &[f32], keys: &[f32], stride: usize, visible: usize, p: &mut [f32]) {
    p.fill(0.0);
    spread::<FMA>(q, keys, stride, p);
    softmax::<FMA>(&mut p[..visible]);
    p[visible..].fill(0.0);
}

/// One head's columns of `[len, width]` rows, transposed to `[dim, stride]`.
#[inline(always)]
fn transpose(x: &[f32], width: usize, at: usize, dim: usize, stride: usize, out: &mut [f32]) {
    for (i, row) in x.chunks_exact(width).enumerate() {
        for (d, value) in row[at..at + dim].iter().enumerate() {
            out[d * stride + i] = *value;
        }
    }
}

/// The same columns, row by row.
#[inline(always)]
fn select(x: &[f32], width: usize, at: usize, dim: usize, out: &mut [f32]) {
    for (to, from) in out.chunks_exact_mut(dim).zip(x.chunks_exact(width)) {
        to.copy_from_slice(&from[at..at + dim]);
    }
}

/// All keys, turned by their positions.
#[inline(always)]
fn rotate(k: &[f32], h: Heads, rope: &Rope) -> Vec<f32> {
    let mut rotation = k.to_vec();
    for (row, k) in rotation.chunks_exact_mut(h.kv_heads * h.dim).enumerate() {
        for head in k.chunks_exact_mut(h.dim) {
            turn(head, rope, row % h.len, 1.0);
        }
    }
    rotation
}

/// A query, turned and scaled.
#[inline(always)]
fn prepare(q: &[f32], h: Heads, rope: &Rope, position: usize, query: &mut [f32]) {
    query.copy_from_slice(q);
    turn(query, rope, position, 1.0);
    for x in query.iter_mut() {
        *x *= h.scale();
    }
}

simd! {
    /// `out = softmax(rope(q) rope(k)^T / sqrt(dim)) v`, causal. All `[batch * len, heads * dim]`.
    pub(super) fn forward(h: Heads, rope: &Rope, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32]) {
        let (wide, narrow) = (h.heads * h.dim, h.kv_heads * h.dim);
        let stride = h.len.next_multiple_of(LANES);
        let (mut keys, mut values) = (vec![0f32; h.dim * stride], vec![0f32; h.dim * stride]);
        let (mut p, mut query) = (vec![0f32; stride], vec![0f32; h.dim]);
        let rotation = rotate(k, h, rope);
        for (b, g) in (0..h.batch).flat_map(|b| (0..h.kv_heads).map(move |g| (b, g))) {
            let own = b * h.len * narrow..(b + 1) * h.len * narrow;
            transpose(&rotation[own.clone()], narrow, g * h.dim, h.dim, stride, &mut keys);
            select(&v[own], narrow, g * h.dim, h.dim, &mut values);
            let heads = g * h.group()..(g + 1) * h.group();
            for (head, i) in heads.flat_map(|head| (0..h.len).map(move |i| (head, i))) {
                let at = (b * h.len + i) * wide + head * h.dim;
                prepare(&q[at..at + h.dim], h, rope, i, &mut query);
                let n = (i + 1).next_multiple_of(LANES);
                attend::<FMA>(&query, &keys, stride, i + 1, &mut p[..n]);
                let out = &mut out[at..at + h.dim];
                out.fill(0.0);
                spread::<FMA>(&p[..n], &values, h.dim, out);
            }
        }
    }

    /// The gradients of [`forward`]; the probabilities are computed again rather than kept.
    pub(super) fn backward(h: Heads, rope: &Rope, read: [&[f32]; 4], write: [&mut [f32]; 3]) {
        let ([q, k, v, dout], [dq, dk, dv]) = (read, write);
        let (wide, narrow) = (h.heads * h.dim, h.kv_heads * h.dim);
        let rotation = rotate(k, h, rope);
        let mut pass = Pass::new(h);
        for (b, g) in (0..h.batch).flat_map(|b| (0..h.kv_heads).map(move |g| (b, g))) {
            let own = b * h.len * narrow..(b + 1) * h.len * narrow;
            pass.enter(&rotation[own.clone()], &v[own.clone()], g);
            for head in g * h.group()..(g + 1) * h.group() {
                let (rows, lane) = (b * h.len * wide..(b + 1) * h.len * wide, head * h.dim);
                let (q, dout, dq) = (&q[rows.clone()], &dout[rows.clone()], &mut dq[rows]);
                for first in (0..h.len).step_by(4) {
                    pass.block::<FMA>(rope, [q, dout], dq, lane, first);
                }
            }
            pass.leave(rope, g, &mut dk[own.clone()], &mut dv[own]);
        }
    }
}

/// The backward pass over one sequence and one head of keys, four queries at a time.
struct Pass {
    h: Heads,
    stride: usize,
    /// `[dim, stride]`, and the same by row.
    keys: Vec<f32>,
    key_rows: Vec<f32>,
    values: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
    /// Four rows each: probabilities, gradients of scores, queries, gradients of the output.
    p: Vec<f32>,
    ds: Vec<f32>,
    query: Vec<f32>,
    grad: Vec<f32>,
    dp: Vec<f32>,
}

impl Pass {
    fn new(h: Heads) -> Self {
        let stride = h.len.next_multiple_of(LANES);
        let [keys, key_rows, values, dkeys, dvalues] = [(); 5].map(|()| vec![0f32; h.dim * stride]);
        let [p, ds] = [(); 2].map(|()| vec![0f32; 4 * stride]);
        let [query, grad] = [(); 2].map(|()| vec![0f32; 4 * h.dim]);
        let dp = vec![0f32; stride];
        Self { h, stride, keys, key_rows, values, dkeys, dvalues, p, ds, query, grad, dp }
    }

    #[inline(always)]
    fn enter(&mut self, rotation: &[f32], v: &[f32], g: usize) {
        let (width, dim) = (self.h.kv_heads * self.h.dim, self.h.dim);
        transpose(rotation, width, g * dim, dim, self.stride, &mut self.keys);
        transpose(v, width, g * dim, dim, self.stride, &mut self.values);
        select(rotation, width, g * dim, dim, &mut self.key_rows);
        self.dkeys.fill(0.0);
        self.dvalues.fill(0.0);
    }

    /// Queries `first..first + 4` of the head at column `lane`.
    #[inline(always)]
    fn block<const FMA: bool>(
        &mut self,
        rope: &Rope,
        [q, dout]: [&[f32]; 2],
        dq: &mut [f32],
        lane: usize,
        first: usize,
    ) {
        let (h, stride) = (self.h, self.stride);
        let block = first..(first + 4).min(h.len);
        let n = block.end.next_multiple_of(LANES);
        // Rows past the end of the last block stay 0 and add nothing.
        self.p.fill(0.0);
        self.ds.fill(0.0);
        for (r, i) in block.enumerate() {
            let at = i * h.heads * h.dim + lane;
            let (own, row) = (r * h.dim..(r + 1) * h.dim, r * stride..r * stride + n);
            let (query, grad) = (&mut self.query[own.clone()], &mut self.grad[own]);
            prepare(&q[at..at + h.dim], h, rope, i, query);
            grad.copy_from_slice(&dout[at..at + h.dim]);
            let (p, ds, dp) = (&mut self.p[row.clone()], &mut self.ds[row], &mut self.dp[..n]);
            attend::<FMA>(query, &self.keys, stride, i + 1, p);
            dp.fill(0.0);
            spread::<FMA>(grad, &self.values, stride, dp);
            let mean = dot::<FMA>(p, dp);
            for ((ds, p), dp) in ds.iter_mut().zip(p.iter()).zip(dp.iter()) {
                *ds = p * (dp - mean);
            }
            let dq = &mut dq[at..at + h.dim];
            dq.fill(0.0);
            spread::<FMA>(ds, &self.key_rows, h.dim, dq);
            for x in dq.iter_mut() {
                *x *= h.scale();
            }
            turn(dq, rope, i, -1.0);
        }
        let queries = four(&self.query, h.dim, h.dim);
        gather::<FMA>(queries, four(&self.ds, stride, n), stride, &mut self.dkeys);
        let grads = four(&self.grad, h.dim, h.dim);
        gather::<FMA>(grads, four(&self.p, stride, n), stride, &mut self.dvalues);
    }

    #[inline(always)]
    fn leave(&mut self, rope: &Rope, g: usize, dk: &mut [f32], dv: &mut [f32]) {
        let (width, dim, stride) = (self.h.kv_heads * self.h.dim, self.h.dim, self.stride);
        let rows = dk.chunks_exact_mut(width).zip(dv.chunks_exact_mut(width));
        for (i, (dk, dv)) in rows.enumerate() {
            let (dk, dv) = (&mut dk[g * dim..(g + 1) * dim], &mut dv[g * dim..(g + 1) * dim]);
            for (d, (dk, dv)) in dk.iter_mut().zip(dv.iter_mut()).enumerate() {
                (*dk, *dv) = (self.dkeys[d * stride + i], self.dvalues[d * stride + i]);
            }
            turn(dk, rope, i, -1.0);
        }
    }
}

/// The first `n` floats of each of four rows.
#[inline(always)]
fn four(x: &[f32], step: usize, n: usize) -> [&[f32]; 4] {
    std::array::from_fn(|r| &x[r * step..r * step + n])
}
