//! The speed at which memory is read. A step of one token reads all weights, so this is its limit.
#![expect(
    clippy::indexing_slicing,
    reason = "the pool gives ranges inside the length it was given"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use crate::{
    Pool,
    isa::{Kernel, dispatch},
    linear::PREFETCH_LINES,
    memory::lines,
    simd::{Line, Simd},
};

/// Cache lines to read: 256 MiB. On a server whose processors share a cache of that size, 2 GiB were
/// read at the same speed (33 and 34 GB/s), and 64 MiB faster.
const LINES: usize = 1 << 22;
/// The number of rounds. The fastest counts.
const ROUNDS: usize = 5;

/// Bytes a second that all threads of a pool together read from memory, in the best of five rounds.
/// The memory is read as the kernels read weights: from end to end, in huge pages, with a prefetch
/// for each line.
pub fn memory_bandwidth(pool: &Pool) -> f64 {
    let memory = lines(LINES);
    let best = (0..ROUNDS).map(|_| read_time(pool, &memory)).fold(Duration::MAX, Duration::min);
    size_of_val(&*memory) as f64 / best.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// How long the pool takes to read all of this memory.
fn read_time(pool: &Pool, memory: &[Line]) -> Duration {
    let start = Instant::now();
    pool.chunks(memory.len(), pool.chunk_len(memory.len()), |range| {
        black_box(dispatch(pool.isa(), LineSum(&memory[range])));
    });
    start.elapsed()
}

/// The sum of all lines: so little arithmetic that memory is the bottleneck.
struct LineSum<'a>(&'a [Line]);

impl Kernel for LineSum<'_> {
    type Output = [f32; 16];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let x = s.quad(&[1; 4]);
        let mut sums = [s.int(0); 4];
        for lines in self.0.as_chunks::<4>().0 {
            for (sum, line) in sums.iter_mut().zip(lines) {
                s.prefetch(line, PREFETCH_LINES);
                *sum = s.dot7(*sum, s.load_codes(line), x);
            }
        }
        let mut out = [0.0; 16];
        let [a, b, c, d] = sums;
        let (a, b, c, d) = (s.to_float(a), s.to_float(b), s.to_float(c), s.to_float(d));
        s.store(s.add(s.add(a, b), s.add(c, d)), &mut out);
        out
    }
}
