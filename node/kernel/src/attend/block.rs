//! Attention of some rows of a span, for the query heads of one head of keys and values.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

use std::cell::RefCell;

use super::AttentionShape;
use crate::{
    isa::Kernel,
    kv::{Element, Layout, PAGE, Slab},
    math::{exp, tanh},
    shared_slice::SharedSlice,
    simd::Simd,
};

/// Positions of a block. With heads of 128 in half precision, the keys and values of a block are
/// 128 KiB: they stay in the second-level cache while all rows of a piece read them.
const BLOCK: usize = 256;
const BLOCK_PAGES: usize = BLOCK / PAGE;

/// The initial maximum of a row's scores: below every score, and finite, so that the difference of
/// two such values is 0 and not NaN.
const BELOW_ALL: f32 = -1e30;

/// The kernel of one piece.
pub(super) struct Rows<'a, E> {
    pub(super) shape: &'a AttentionShape,
    pub(super) q: &'a [f32],
    pub(super) first_row: usize,
    pub(super) rows: usize,
    pub(super) first_position: usize,
    pub(super) kv_head: usize,
    pub(super) pages: &'a [u32],
    pub(super) slabs: &'a [Slab<E>],
    pub(super) layer: usize,
    pub(super) layout: Layout,
    pub(super) out: SharedSlice<'a, f32>,
}

/// The state of the online softmax of each query. Query `i` belongs to row `i / group`.
#[derive(Default)]
struct SoftmaxState {
    /// `[queries][dim]`, scaled.
    queries: Vec<f32>,
    /// The maximum of the scores so far.
    max_scores: Vec<f32>,
    /// The sum of `e^(score - max_score)`.
    sums: Vec<f32>,
    /// `[queries][vectors of a value][16]`: the sum of the values times `e^(score - max_score)`.
    values: Vec<[f32; 16]>,
}

thread_local! {
    static STATE: RefCell<SoftmaxState> = RefCell::new(SoftmaxState::default());
}

/// Some queries, and the positions of a block that they see.
#[derive(Clone, Copy)]
struct Tile {
    /// The first of the queries.
    first: usize,
    /// The first position of the block.
    block: usize,
    /// Positions that any of the queries sees, counted from the block's beginning.
    from: usize,
    to: usize,
}

/// Scores of a tile's queries in a block, later their exponentials.
type Scores<const T: usize> = [[[f32; PAGE]; BLOCK_PAGES]; T];

impl<E: Element> Kernel for Rows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Moved out instead of borrowed, so that a panic cannot leave it borrowed.
        let mut state = STATE.take();
        self.begin(&mut state);
        let last = self.first_position + self.rows - 1;
        let queries = self.queries();
        // Tiles of nearly the same size: nine queries are five and four, not eight and one.
        let size = queries.div_ceil(queries.div_ceil(S::QUERIES));
        let mut block = self.visible_range(0).0 / BLOCK * BLOCK;
        while block <= last {
            let mut first = 0;
            while first < queries {
                let len = size.min(queries - first);
                let from = self.visible_range(first).0.max(block) - block;
                let to =
                    self.visible_range(first + len - 1).1.min(block + BLOCK).saturating_sub(block);
                if from < to {
                    let tile = Tile { first, block, from, to };
                    match len {
                        1 => self.tile::<S, 1>(s, &mut state, tile),
                        2 => self.tile::<S, 2>(s, &mut state, tile),
                        3 => self.tile::<S, 3>(s, &mut state, tile),
                        4 => self.tile::<S, 4>(s, &mut state, tile),
                        // Not compiled for instruction sets with at most four queries.
                        5 if S::QUERIES > 4 => self.tile::<S, 5>(s, &mut state, tile),
                        6 if S::QUERIES > 4 => self.tile::<S, 6>(s, &mut state, tile),
                        7 if S::QUERIES > 4 => self.tile::<S, 7>(s, &mut state, tile),
                        _ if S::QUERIES > 4 => self.tile::<S, 8>(s, &mut state, tile),
                        len => debug_assert!(len == 0, "a tile of {len} queries"),
                    }
                }
                first += len;
            }
            block += BLOCK;
        }
        self.end(&state);
        STATE.set(state);
    }
}

impl<E: Element> Rows<'_, E> {
    fn group(&self) -> usize {
        self.shape.heads / self.shape.kv_heads
    }

    fn queries(&self) -> usize {
        self.rows * self.group()
    }

    /// The first position that a query sees, and the position after the last.
    #[inline(always)]
    fn visible_range(&self, query: usize) -> (usize, usize) {
        let end = self.first_position + query / self.group() + 1;
        (self.shape.window.map_or(0, |window| end.saturating_sub(window)), end)
    }

    /// The position of a query in `q`, and of its result in `out`.
    #[inline(always)]
    fn place(&self, query: usize) -> std::ops::Range<usize> {
        let row = self.first_row + query / self.group();
        let head = self.kv_head * self.group() + query % self.group();
        let start = (row * self.shape.heads + head) * self.shape.dim;
        start..start + self.shape.dim
    }

    #[inline(always)]
    fn begin(&self, state: &mut SoftmaxState) {
        let queries = self.queries();
        state.queries.clear();
        for query in 0..queries {
            let q = &self.q[self.place(query)];
            state.queries.extend(q.iter().map(|q| q * self.shape.scale));
        }
        state.max_scores.clear();
        state.max_scores.resize(queries, BELOW_ALL);
        state.sums.clear();
        state.sums.resize(queries, 0.0);
        state.values.clear();
        state.values.resize(queries * self.layout.value_vectors(), [0.0; 16]);
    }

    #[inline(always)]
    fn end(&self, state: &SoftmaxState) {
        let vectors = self.layout.value_vectors();
        for query in 0..self.queries() {
            #[expect(unsafe_code, reason = "heads of rows of one slice")]
            // SAFETY: no other piece has these rows and this head, and `chunks` gives it to one thread.
            let out = unsafe { self.out.part(self.place(query)) };
            let scale = 1.0 / state.sums[query];
            let values = state.values[query * vectors..][..vectors].as_flattened();
            for (out, value) in out.iter_mut().zip(values) {
                *out = value * scale;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&self, s: S, state: &mut SoftmaxState, tile: Tile) {
        let mut scores: Scores<T> = [[[0.0; PAGE]; BLOCK_PAGES]; T];
        for page in tile.from / PAGE..tile.to.div_ceil(PAGE) {
            self.score::<S, T>(s, state, tile, page, &mut scores);
        }
        let shrink = self.weigh::<S, T>(s, state, tile, &mut scores);
        self.gather::<S, T>(s, state, tile, &scores, shrink);
    }

    /// The keys and the values of a page of the tile's block.
    #[inline(always)]
    fn page(&self, tile: Tile, page: usize) -> (&[[E; 16]], &[[E; 16]]) {
        let number = self.pages[tile.block / PAGE + page];
        let place = self.layout.place(number, self.layer, self.kv_head);
        let slab = self.slabs[place.slab].values();
        (slab[place.keys].as_chunks().0, slab[place.values].as_chunks().0)
    }

    /// Scores of a page: `q . k` for 16 positions at once. Even and odd dimensions have separate sums:
    /// a single sum would wait for its last addition.
    #[inline(always)]
    fn score<S: Simd, const T: usize>(
        &self,
        s: S,
        state: &SoftmaxState,
        tile: Tile,
        page: usize,
        scores: &mut Scores<T>,
    ) {
        let dim = self.shape.dim;
        let (keys, _) = self.page(tile, page);
        let mut q: [&[f32]; T] = [&[]; T];
        for t in 0..T {
            q[t] = &state.queries[(tile.first + t) * dim..][..dim];
        }
        let mut even = [s.splat(0.0); T];
        let mut odd = even;
        let (pairs, last) = keys.as_chunks::<2>();
        for (pair, [first, second]) in pairs.iter().enumerate() {
            let (first, second) = (E::load(s, first), E::load(s, second));
            for t in 0..T {
                even[t] = s.fma(first, s.splat(q[t][pair * 2]), even[t]);
                odd[t] = s.fma(second, s.splat(q[t][pair * 2 + 1]), odd[t]);
            }
        }
        if let [last] = last {
            let last = E::load(s, last);
            for t in 0..T {
                even[t] = s.fma(last, s.splat(q[t][dim - 1]), even[t]);
            }
        }
        for t in 0..T {
            let mut score = s.add(even[t], odd[t]);
            if let Some(cap) = self.shape.softcap {
                score = s.mul(tanh(s, s.div(score, s.splat(cap))), s.splat(cap));
            }
            s.store(score, &mut scores[t][page]);
        }
    }

    /// Turns scores into weights, `e^(score - max_score)`, and 0 for positions that a query does not
    /// see. Returns the factor by which each query's earlier sums shrink, because its maximum has
    /// grown.
    #[inline(always)]
    fn weigh<S: Simd, const T: usize>(
        &self,
        s: S,
        state: &mut SoftmaxState,
        tile: Tile,
        scores: &mut Scores<T>,
    ) -> [f32; 16] {
        let pages = tile.from / PAGE..tile.to.div_ceil(PAGE);
        let invisible = s.splat(f32::NEG_INFINITY);
        let mut shrink = [0.0; 16];
        for t in 0..T {
            let query = tile.first + t;
            let (from, to) = self.visible_range(query);
            let mut max = invisible;
            for page in pages.clone() {
                let start = tile.block + page * PAGE;
                let (first, end) = (from.saturating_sub(start), to.saturating_sub(start));
                let score = s.select_lanes(s.load(&scores[t][page]), first, end, invisible);
                s.store(score, &mut scores[t][page]);
                max = s.max(max, score);
            }
            let old_max = state.max_scores[query];
            let new_max = old_max.max(s.reduce_max(max));
            state.max_scores[query] = new_max;
            shrink[t] = old_max - new_max;
        }
        let factors = exp(s, s.load(&shrink));
        s.store(factors, &mut shrink);
        for t in 0..T {
            let query = tile.first + t;
            let max = s.splat(state.max_scores[query]);
            let mut sum = s.splat(0.0);
            for page in pages.clone() {
                let weight = exp(s, s.sub(s.load(&scores[t][page]), max));
                s.store(weight, &mut scores[t][page]);
                sum = s.add(sum, weight);
            }
            state.sums[query] = state.sums[query] * shrink[t] + s.reduce_sum(sum);
        }
        shrink
    }

    /// Adds the values, each multiplied by its weight, two vectors at a time.
    #[inline(always)]
    fn gather<S: Simd, const T: usize>(
        &self,
        s: S,
        state: &mut SoftmaxState,
        tile: Tile,
        scores: &Scores<T>,
        shrink: [f32; 16],
    ) {
        let vectors = self.layout.value_vectors();
        let values = &mut state.values[tile.first * vectors..][..T * vectors];
        let mut vector = 0;
        while vector + 2 <= vectors {
            self.add_values::<S, T, 2>(s, values, tile, scores, shrink, vector);
            vector += 2;
        }
        if vector < vectors {
            self.add_values::<S, T, 1>(s, values, tile, scores, shrink, vector);
        }
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the innermost loop of `gather`")]
    fn add_values<S: Simd, const T: usize, const V: usize>(
        &self,
        s: S,
        sums: &mut [[f32; 16]],
        tile: Tile,
        scores: &Scores<T>,
        shrink: [f32; 16],
        vector: usize,
    ) {
        let vectors = self.layout.value_vectors();
        let mut acc = [[s.splat(0.0); V]; T];
        for t in 0..T {
            for v in 0..V {
                let sum = s.load(&sums[t * vectors + vector + v]);
                acc[t][v] = s.mul(sum, s.splat(shrink[t]));
            }
        }
        for page in tile.from / PAGE..tile.to.div_ceil(PAGE) {
            let (_, values) = self.page(tile, page);
            let lanes = tile.from.saturating_sub(page * PAGE)..PAGE.min(tile.to - page * PAGE);
            for lane in lanes {
                let row = &values[lane * vectors + vector..][..V];
                let mut value = [s.splat(0.0); V];
                for v in 0..V {
                    value[v] = E::load(s, &row[v]);
                }
                for t in 0..T {
                    let weight = s.splat(scores[t][page][lane]);
                    for v in 0..V {
                        acc[t][v] = s.fma(weight, value[v], acc[t][v]);
                    }
                }
            }
        }
        for t in 0..T {
            for v in 0..V {
                s.store(acc[t][v], &mut sums[t * vectors + vector + v]);
            }
        }
    }
}
