use proptest::prelude::*;
use shoal_kernel::{AttentionShape, Error, KvFormat, KvPool, PAGE, Pool, Span, attend};

use crate::{close, numbers, pools};

/// Keys, values and queries of one sequence.
pub struct Sequence {
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    pub len: usize,
}

pub fn sequence(shape: &AttentionShape, len: usize, seed: u64) -> Sequence {
    Sequence {
        q: numbers(seed, len * shape.heads * shape.dim),
        k: numbers(seed + 1, len * shape.kv_heads * shape.dim),
        v: numbers(seed + 2, len * shape.kv_heads * shape.dim),
        len,
    }
}

pub fn shape(heads: usize, kv_heads: usize, dim: usize) -> AttentionShape {
    let scale = 2.0 / (dim as f32).sqrt();
    AttentionShape { heads, kv_heads, dim, scale, softcap: None, window: None }
}

/// Attention by its definition.
fn reference(shape: &AttentionShape, of: &Sequence) -> Vec<f32> {
    let AttentionShape { heads, kv_heads, dim, .. } = *shape;
    let mut out = Vec::new();
    for row in 0..of.len {
        for head in 0..heads {
            let kv = head / (heads / kv_heads);
            let q = &of.q[(row * heads + head) * dim..][..dim];
            let first = shape.window.map_or(0, |w| (row + 1).saturating_sub(w));
            let scores: Vec<f64> = (first..=row)
                .map(|at| {
                    let k = &of.k[(at * kv_heads + kv) * dim..][..dim];
                    let dot: f64 = q
                        .iter()
                        .zip(k)
                        .map(|(q, k)| f64::from(q * shape.scale) * f64::from(*k))
                        .sum();
                    shape.softcap.map_or(dot, |cap| f64::from(cap) * (dot / f64::from(cap)).tanh())
                })
                .collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
            for d in 0..dim {
                let at = |p: usize| f64::from(of.v[((first + p) * kv_heads + kv) * dim + d]);
                out.push(
                    (scores.iter().enumerate().map(|(p, s)| (s - most).exp() * at(p)).sum::<f64>()
                        / sum) as f32,
                );
            }
        }
    }
    out
}

/// Runs the sequence in calls of these lengths. Its pages lie backwards.
pub fn in_steps(
    pool: &Pool,
    shape: AttentionShape,
    of: &Sequence,
    kv: &mut KvPool,
    steps: &[usize],
) -> Vec<f32> {
    let AttentionShape { heads, kv_heads, dim, .. } = shape;
    let pages: Vec<u32> = (0..of.len.div_ceil(PAGE) as u32).rev().collect();
    kv.reserve(pages.len());
    let mut out = vec![f32::NAN; of.q.len()];
    let mut past = 0;
    for step in steps {
        let (wide, narrow) = (
            past * heads * dim..(past + step) * heads * dim,
            past * kv_heads * dim..(past + step) * kv_heads * dim,
        );
        let spans = [Span { rows: 0..*step, past, pages: &pages }];
        attend(
            pool,
            shape,
            &of.q[wide.clone()],
            &of.k[narrow.clone()],
            &of.v[narrow],
            kv,
            1,
            &spans,
            &mut out[wide],
        )
        .unwrap();
        past += step;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_instruction_set_attends_as_the_definition_says(
        group in 1usize..=9, kv_heads in 1usize..=3,
        dim in proptest::sample::select(vec![4usize, 7, 16, 20, 64, 80, 96, 128, 256]),
        len in prop_oneof![1usize..40, 250usize..300],
        window in prop_oneof![Just(None), (1usize..60).prop_map(Some), Just(Some(270))],
        softcap in prop_oneof![Just(None), Just(Some(5.0f32))],
        half: bool, seed in 0u64..1 << 40,
    ) {
        let shape = AttentionShape { window, softcap, ..shape(group * kv_heads, kv_heads, dim) };
        let of = sequence(&shape, len, seed);
        let want = reference(&shape, &of);
        let (format, tolerance) = if half { (KvFormat::F16, 2e-3) } else { (KvFormat::F32, 1e-5) };
        for pool in pools() {
            let mut kv = KvPool::new(2, kv_heads, dim, format);
            let got = in_steps(&pool, shape, &of, &mut kv, &[len]);
            close(&format!("{pool:?} {format:?}"), &got, &want, tolerance);
        }
    }
}

#[test]
fn many_sequences_in_one_call_are_each_alone() {
    let shape = shape(6, 2, 32);
    let lens = [1usize, 15, 16, 17, 40];
    let sequences: Vec<_> = lens.iter().map(|len| sequence(&shape, *len, *len as u64)).collect();
    for pool in pools() {
        let mut kv = KvPool::new(2, 2, 32, KvFormat::F32);
        kv.reserve(100);
        let (mut q, mut k, mut v) = (vec![], vec![], vec![]);
        let (mut pages, mut rows) = (vec![], vec![]);
        for (at, of) in sequences.iter().enumerate() {
            rows.push(q.len() / 192..q.len() / 192 + of.len);
            q.extend(&of.q);
            k.extend(&of.k);
            v.extend(&of.v);
            pages.push((0..3u32).map(|page| page * 30 + at as u32).collect::<Vec<_>>());
        }
        let spans: Vec<_> = rows
            .iter()
            .zip(&pages)
            .map(|(rows, pages)| Span { rows: rows.clone(), past: 0, pages })
            .collect();
        let mut out = vec![f32::NAN; q.len()];
        attend(&pool, shape, &q, &k, &v, &mut kv, 0, &spans, &mut out).unwrap();
        let want: Vec<f32> = sequences.iter().flat_map(|of| reference(&shape, of)).collect();
        close(&format!("{pool:?}"), &out, &want, 1e-5);
    }
}

#[test]
fn what_an_earlier_owner_left_in_a_page_does_not_matter() {
    let shape = shape(2, 1, 16);
    let of = sequence(&shape, 20, 5);
    for pool in pools() {
        for format in [KvFormat::F16, KvFormat::F32] {
            let mut fresh = KvPool::new(2, 1, 16, format);
            let want = in_steps(&pool, shape, &of, &mut fresh, &[20]);
            let mut used = KvPool::new(2, 1, 16, format);
            let mut wild = sequence(&shape, 32, 9);
            wild.k.fill(f32::NAN);
            wild.v.fill(f32::INFINITY);
            in_steps(&pool, shape, &wild, &mut used, &[32]);
            assert_eq!(in_steps(&pool, shape, &of, &mut used, &[20]), want, "{pool:?} {format:?}");
        }
    }
}

#[test]
fn a_copied_page_goes_its_own_way() {
    let shape = shape(2, 1, 16);
    let (pool, of) = (Pool::new(1), sequence(&shape, 16, 5));
    let mut kv = KvPool::new(2, 1, 16, KvFormat::F16);
    kv.reserve(60);
    let mut out = vec![0.0; 16 * 32];
    let spans = [Span { rows: 0..16, past: 0, pages: &[3] }];
    attend(&pool, shape, &of.q, &of.k, &of.v, &mut kv, 1, &spans, &mut out).unwrap();
    let last = |kv: &mut KvPool, page: u32| {
        let mut out = vec![0.0; 32];
        let spans = [Span { rows: 0..1, past: 15, pages: &[page] }];
        attend(
            &pool,
            shape,
            &of.q[15 * 32..],
            &of.k[15 * 16..],
            &of.v[15 * 16..],
            kv,
            1,
            &spans,
            &mut out,
        )
        .unwrap();
        out
    };
    for to in [4, 59] {
        kv.copy(3, to).unwrap();
        assert_eq!(last(&mut kv, to), out[15 * 32..]);
    }
    assert!(kv.copy(3, 60).is_err());
}

#[test]
fn spans_that_do_not_fit_are_refused() {
    let (pool, shape) = (Pool::new(1), shape(2, 1, 16));
    let of = sequence(&shape, 2, 1);
    let mut kv = KvPool::new(1, 1, 16, KvFormat::F16);
    kv.reserve(4);
    let mut refused = |spans: &[Span<'_>]| {
        let mut out = vec![0.0; of.q.len()];
        attend(&pool, shape, &of.q, &of.k, &of.v, &mut kv, 0, spans, &mut out).unwrap_err()
    };
    let twice =
        [Span { rows: 0..1, past: 3, pages: &[2] }, Span { rows: 1..2, past: 0, pages: &[2] }];
    assert_eq!(
        refused(&twice).to_string(),
        "a page is 2, which must be written to by one span, once"
    );
    assert!(matches!(refused(&[Span { rows: 0..1, past: 16, pages: &[0] }]), Error::Range { .. }));
    assert!(matches!(refused(&[Span { rows: 0..1, past: 0, pages: &[4] }]), Error::Range { .. }));
    assert!(matches!(refused(&[Span { rows: 0..3, past: 0, pages: &[0] }]), Error::Range { .. }));
    let over =
        [Span { rows: 0..2, past: 0, pages: &[0] }, Span { rows: 1..2, past: 0, pages: &[1] }];
    assert!(matches!(refused(&over), Error::Range { .. }));
}
