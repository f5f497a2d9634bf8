//! How fast memory is read: no step of one token can be faster than its weights come from there.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use crate::{
    Pool,
    isa::{Kernel, dispatch},
    linear::AHEAD,
    memory::lines,
    simd::{Line, Simd},
};

/// Cache lines that are read: 256 MiB. On a server whose processors share a cache as large, 2 GiB were
/// read as fast (33 and 34 GB/s); 64 MiB faster.
const LINES: usize = 1 << 22;
/// Readings, of which the fastest counts.
const ROUNDS: usize = 5;

/// Bytes a second that all threads of a pool together read from memory, the best of some rounds:
/// read from end to end, in huge pages, each line asked for in advance, as the kernels read weights.
pub fn memory_bandwidth(pool: &Pool) -> f64 {
    let memory = lines(LINES);
    let share = pool.share(LINES);
    let round = || {
        let begun = Instant::now();
        pool.chunks(LINES, share, |range| {
            black_box(dispatch(pool.isa(), Read(memory.get(range).unwrap_or_default())));
        });
        begun.elapsed()
    };
    let best = (0..ROUNDS).map(|_| round()).min().unwrap_or(Duration::MAX);
    size_of_val(&*memory) as f64 / best.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// The sum of all lines: little enough work that memory is what it waits for.
struct Read<'a>(&'a [Line]);

impl Kernel for Read<'_> {
    type Output = [f32; 16];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let x = s.quad(&[1; 4]);
        let mut sums = [s.int(0); 4];
        for four in self.0.as_chunks::<4>().0 {
            for (sum, line) in sums.iter_mut().zip(four) {
                s.prefetch(line, AHEAD);
                *sum = s.dot7(*sum, s.opened(line), x);
            }
        }
        let mut out = [0.0; 16];
        let [a, b, c, d] = sums;
        let (a, b, c, d) = (s.to_float(a), s.to_float(b), s.to_float(c), s.to_float(d));
        s.store(s.add(s.add(a, b), s.add(c, d)), &mut out);
        out
    }
}
