//! Attention of some rows of a span, with the query heads of one head of keys and values.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

use std::cell::RefCell;

use super::AttentionShape;
use crate::{
    isa::Kernel,
    kv::{Element, Layout, PAGE, Slab},
    math::{exp, tanh},
    share::Share,
    simd::Simd,
};

/// Positions that a row takes in at a time. With heads of 128 in half precision the keys and values
/// of a block are 128 KiB: they stay in the second-level cache while all rows of a piece read them.
const BLOCK: usize = 256;
const BLOCK_PAGES: usize = BLOCK / PAGE;

/// Where a row's running greatest score begins: below every score, and finite, so that the
/// difference of two such is 0 and not NaN.
const BELOW_ALL: f32 = -1e30;

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
    pub(super) out: Share<'a, f32>,
}

/// What queries carry from block to block. Query `i` is of row `i / group`.
#[derive(Default)]
struct Running {
    /// `[queries][dim]`, scaled.
    queries: Vec<f32>,
    /// Greatest score so far.
    greatest: Vec<f32>,
    /// Sum of `e^(score - greatest)`.
    sums: Vec<f32>,
    /// `[queries][vectors of a value][16]`: values times that, summed.
    values: Vec<[f32; 16]>,
}

thread_local! {
    static RUNNING: RefCell<Running> = RefCell::new(Running::default());
}

/// Some queries in a block.
#[derive(Clone, Copy)]
struct Tile {
    /// Of the queries.
    first: usize,
    /// Where the block begins.
    block: usize,
    /// Positions that any of the queries sees in it, from its beginning.
    from: usize,
    to: usize,
}

/// Scores of a tile's queries in a block, then their exponentials.
type Scores<const T: usize> = [[[f32; PAGE]; BLOCK_PAGES]; T];

impl<E: Element> Kernel for Rows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Taken, not borrowed: nothing here calls back, but a panic must not leave it borrowed.
        let mut running = RUNNING.take();
        self.begin(&mut running);
        let last = self.first_position + self.rows - 1;
        let queries = self.queries();
        // As even as they come: nine queries are five and four, not eight and one.
        let size = queries.div_ceil(queries.div_ceil(S::QUERIES));
        let mut block = self.seen(0).0 / BLOCK * BLOCK;
        while block <= last {
            let mut first = 0;
            while first < queries {
                let len = size.min(queries - first);
                let from = self.seen(first).0.max(block) - block;
                let to = self.seen(first + len - 1).1.min(block + BLOCK).saturating_sub(block);
                if from < to {
                    let tile = Tile { first, block, from, to };
                    match len {
                        1 => self.tile::<S, 1>(s, &mut running, tile),
                        2 => self.tile::<S, 2>(s, &mut running, tile),
                        3 => self.tile::<S, 3>(s, &mut running, tile),
                        4 => self.tile::<S, 4>(s, &mut running, tile),
                        // Where four are the most, these are not compiled.
                        5 if S::QUERIES > 4 => self.tile::<S, 5>(s, &mut running, tile),
                        6 if S::QUERIES > 4 => self.tile::<S, 6>(s, &mut running, tile),
                        7 if S::QUERIES > 4 => self.tile::<S, 7>(s, &mut running, tile),
                        _ if S::QUERIES > 4 => self.tile::<S, 8>(s, &mut running, tile),
                        _ => {}
                    }
                }
                first += len;
            }
            block += BLOCK;
        }
        self.end(&running);
        RUNNING.set(running);
    }
}

impl<E: Element> Rows<'_, E> {
    fn group(&self) -> usize {
        self.shape.heads / self.shape.kv_heads
    }

    fn queries(&self) -> usize {
        self.rows * self.group()
    }

    /// The first position that a query sees, and the one after the last.
    #[inline(always)]
    fn seen(&self, query: usize) -> (usize, usize) {
        let end = self.first_position + query / self.group() + 1;
        (self.shape.window.map_or(0, |window| end.saturating_sub(window)), end)
    }

    /// Where a query lies in `q`, and its result in `out`.
    #[inline(always)]
    fn place(&self, query: usize) -> std::ops::Range<usize> {
        let row = self.first_row + query / self.group();
        let head = self.kv_head * self.group() + query % self.group();
        let from = (row * self.shape.heads + head) * self.shape.dim;
        from..from + self.shape.dim
    }

    #[inline(always)]
    fn begin(&self, running: &mut Running) {
        let queries = self.queries();
        running.queries.clear();
        for query in 0..queries {
            let q = &self.q[self.place(query)];
            running.queries.extend(q.iter().map(|q| q * self.shape.scale));
        }
        running.greatest.clear();
        running.greatest.resize(queries, BELOW_ALL);
        running.sums.clear();
        running.sums.resize(queries, 0.0);
        running.values.clear();
        running.values.resize(queries * self.layout.value_vectors(), [0.0; 16]);
    }

    #[inline(always)]
    fn end(&self, running: &Running) {
        let vectors = self.layout.value_vectors();
        for query in 0..self.queries() {
            #[expect(unsafe_code, reason = "heads of rows of one slice")]
            // SAFETY: a piece alone has its rows and its head, and `chunks` gives it to one thread.
            let out = unsafe { self.out.part(self.place(query)) };
            let scale = 1.0 / running.sums[query];
            let values = running.values[query * vectors..][..vectors].as_flattened();
            for (out, value) in out.iter_mut().zip(values) {
                *out = value * scale;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&self, s: S, running: &mut Running, tile: Tile) {
        let mut scores: Scores<T> = [[[0.0; PAGE]; BLOCK_PAGES]; T];
        for page in tile.from / PAGE..tile.to.div_ceil(PAGE) {
            self.score::<S, T>(s, running, tile, page, &mut scores);
        }
        let shrink = self.weigh::<S, T>(s, running, tile, &mut scores);
        self.gather::<S, T>(s, running, tile, &scores, shrink);
    }

    /// The slab and place of a page of the tile's block.
    #[inline(always)]
    fn page(&self, tile: Tile, page: usize) -> (&[[E; 16]], &[[E; 16]]) {
        let number = self.pages[tile.block / PAGE + page];
        let place = self.layout.place(number, self.layer, self.kv_head);
        let slab = self.slabs[place.slab].values();
        (slab[place.keys].as_chunks().0, slab[place.values].as_chunks().0)
    }

    /// Scores of a page: `q . k` for 16 positions at once. Even and odd dimensions are summed
    /// apart: one sum would wait for itself.
    #[inline(always)]
    fn score<S: Simd, const T: usize>(
        &self,
        s: S,
        running: &Running,
        tile: Tile,
        page: usize,
        scores: &mut Scores<T>,
    ) {
        let dim = self.shape.dim;
        let (keys, _) = self.page(tile, page);
        let mut q: [&[f32]; T] = [&[]; T];
        for t in 0..T {
            q[t] = &running.queries[(tile.first + t) * dim..][..dim];
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

    /// Turns scores into weights, `e^(score - greatest)`, and 0 where a query does not see. Returns
    /// what each query's earlier sums shrink by, because its greatest score has grown.
    #[inline(always)]
    fn weigh<S: Simd, const T: usize>(
        &self,
        s: S,
        running: &mut Running,
        tile: Tile,
        scores: &mut Scores<T>,
    ) -> [f32; 16] {
        let pages = tile.from / PAGE..tile.to.div_ceil(PAGE);
        let hidden = s.splat(f32::NEG_INFINITY);
        let mut shrink = [0.0; 16];
        for t in 0..T {
            let query = tile.first + t;
            let (from, to) = self.seen(query);
            let mut greatest = hidden;
            for page in pages.clone() {
                let at = tile.block + page * PAGE;
                let score = s.load(&scores[t][page]);
                let score = s.keep(score, from.saturating_sub(at), to.saturating_sub(at), hidden);
                s.store(score, &mut scores[t][page]);
                greatest = s.max(greatest, score);
            }
            let before = running.greatest[query];
            let greatest = before.max(s.greatest(greatest));
            running.greatest[query] = greatest;
            shrink[t] = before - greatest;
        }
        let factors = exp(s, s.load(&shrink));
        s.store(factors, &mut shrink);
        for t in 0..T {
            let query = tile.first + t;
            let greatest = s.splat(running.greatest[query]);
            let mut sum = s.splat(0.0);
            for page in pages.clone() {
                let weight = exp(s, s.sub(s.load(&scores[t][page]), greatest));
                s.store(weight, &mut scores[t][page]);
                sum = s.add(sum, weight);
            }
            running.sums[query] = running.sums[query] * shrink[t] + s.sum(sum);
        }
        shrink
    }

    /// Adds the values, each times its weight, two vectors at a time.
    #[inline(always)]
    fn gather<S: Simd, const T: usize>(
        &self,
        s: S,
        running: &mut Running,
        tile: Tile,
        scores: &Scores<T>,
        shrink: [f32; 16],
    ) {
        let vectors = self.layout.value_vectors();
        let values = &mut running.values[tile.first * vectors..][..T * vectors];
        let mut vector = 0;
        while vector + 2 <= vectors {
            self.sum::<S, T, 2>(s, values, tile, scores, shrink, vector);
            vector += 2;
        }
        if vector < vectors {
            self.sum::<S, T, 1>(s, values, tile, scores, shrink, vector);
        }
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the innermost loop of the above")]
    fn sum<S: Simd, const T: usize, const V: usize>(
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
                let so_far = s.load(&sums[t * vectors + vector + v]);
                acc[t][v] = s.mul(so_far, s.splat(shrink[t]));
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
