use proptest::prelude::*;
use shoal_kernel::{AttentionShape, Error, KvFormat, KvPool, PAGE, Pool, Span, attend};

use crate::{assert_close, numbers, pools};

/// Keys, values and queries of one sequence.
pub(crate) struct Sequence {
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) len: usize,
}

pub(crate) fn sequence(shape: &AttentionShape, len: usize, seed: u64) -> Sequence {
    Sequence {
        q: numbers(seed, len * shape.heads * shape.dim),
        k: numbers(seed + 1, len * shape.kv_heads * shape.dim),
        v: numbers(seed + 2, len * shape.kv_heads * shape.dim),
        len,
    }
}

pub(crate) fn shape(heads: usize, kv_heads: usize, dim: usize) -> AttentionShape {
    let scale = 2.0 / (dim as f32).sqrt();
    AttentionShape { heads, kv_heads, dim, scale, softcap: None, window: None }
}

/// Attention by its definition.
fn reference(shape: &AttentionShape, sequence: &Sequence) -> Vec<f32> {
    let AttentionShape { heads, kv_heads, dim, .. } = *shape;
    let mut out = Vec::new();
    for row in 0..sequence.len {
        for head in 0..heads {
            let kv = head / (heads / kv_heads);
            let q = &sequence.q[(row * heads + head) * dim..][..dim];
            let first = shape.window.map_or(0, |w| (row + 1).saturating_sub(w));
            let scores: Vec<f64> = (first..=row)
                .map(|position| {
                    let k = &sequence.k[(position * kv_heads + kv) * dim..][..dim];
                    let dot: f64 = q
                        .iter()
                        .zip(k)
                        .map(|(q, k)| f64::from(q * shape.scale) * f64::from(*k))
                        .sum();
                    shape.softcap.map_or(dot, |cap| f64::from(cap) * (dot / f64::from(cap)).tanh())
                })
                .collect();
            let max = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            for d in 0..dim {
                let mut value = 0.0;
                for (position, score) in (first..).zip(&scores) {
                    let v = sequence.v[(position * kv_heads + kv) * dim + d];
                    value += (score - max).exp() * f64::from(v);
                }
                out.push((value / sum) as f32);
            }
        }
    }
    out
}

/// Runs the sequence in calls of these lengths. Its pages are in reverse order.
pub(crate) fn in_steps(
    pool: &Pool,
    shape: AttentionShape,
    sequence: &Sequence,
    kv: &mut KvPool,
    steps: &[usize],
) -> Vec<f32> {
    let AttentionShape { heads, kv_heads, dim, .. } = shape;
    let pages: Vec<u32> = (0..sequence.len.div_ceil(PAGE) as u32).rev().collect();
    kv.reserve(pages.len());
    let mut out = vec![f32::NAN; sequence.q.len()];
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
            &sequence.q[wide.clone()],
            &sequence.k[narrow.clone()],
            &sequence.v[narrow],
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
    #![proptest_config(ProptestConfig::with_cases(24))]

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
        let sequence = sequence(&shape, len, seed);
        let expected = reference(&shape, &sequence);
        let (format, tolerance) = if half { (KvFormat::F16, 2e-3) } else { (KvFormat::F32, 1e-5) };
        for pool in pools() {
            let mut kv = KvPool::new(2, kv_heads, dim, format);
            let actual = in_steps(&pool, shape, &sequence, &mut kv, &[len]);
            assert_close(&format!("{pool:?} {format:?}"), &actual, &expected, tolerance);
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
        for (index, sequence) in sequences.iter().enumerate() {
            rows.push(q.len() / 192..q.len() / 192 + sequence.len);
            q.extend(&sequence.q);
            k.extend(&sequence.k);
            v.extend(&sequence.v);
            pages.push((0..3u32).map(|page| page * 30 + index as u32).collect::<Vec<_>>());
        }
        let spans: Vec<_> = rows
            .iter()
            .zip(&pages)
            .map(|(rows, pages)| Span { rows: rows.clone(), past: 0, pages })
            .collect();
        let mut out = vec![f32::NAN; q.len()];
        attend(&pool, shape, &q, &k, &v, &mut kv, 0, &spans, &mut out).unwrap();
        let expected: Vec<f32> =
            sequences.iter().flat_map(|sequence| reference(&shape, sequence)).collect();
        assert_close(&format!("{pool:?}"), &out, &expected, 1e-5);
    }
}

#[test]
fn what_an_earlier_owner_left_in_a_page_does_not_matter() {
    let shape = shape(2, 1, 16);
    let mut wild = sequence(&shape, 32, 9);
    wild.k.fill(f32::NAN);
    wild.v.fill(f32::INFINITY);
    let sequence = sequence(&shape, 20, 5);
    for pool in pools() {
        for format in [KvFormat::F16, KvFormat::F32] {
            let mut fresh = KvPool::new(2, 1, 16, format);
            let expected = in_steps(&pool, shape, &sequence, &mut fresh, &[20]);
            let mut used = KvPool::new(2, 1, 16, format);
            in_steps(&pool, shape, &wild, &mut used, &[32]);
            assert_eq!(
                in_steps(&pool, shape, &sequence, &mut used, &[20]),
                expected,
                "{pool:?} {format:?}"
            );
        }
    }
}

#[test]
fn a_copied_page_goes_its_own_way() {
    let shape = shape(2, 1, 16);
    let (pool, sequence) = (Pool::new(1), sequence(&shape, 16, 5));
    let mut kv = KvPool::new(2, 1, 16, KvFormat::F16);
    kv.reserve(60);
    let mut out = vec![0.0; 16 * 32];
    let spans = [Span { rows: 0..16, past: 0, pages: &[3] }];
    attend(&pool, shape, &sequence.q, &sequence.k, &sequence.v, &mut kv, 1, &spans, &mut out)
        .unwrap();
    for page in [4, 59] {
        kv.copy(3, page).unwrap();
        let mut last = vec![0.0; 32];
        let spans = [Span { rows: 0..1, past: 15, pages: &[page] }];
        attend(
            &pool,
            shape,
            &sequence.q[15 * 32..],
            &sequence.k[15 * 16..],
            &sequence.v[15 * 16..],
            &mut kv,
            1,
            &spans,
            &mut last,
        )
        .unwrap();
        assert_eq!(last, out[15 * 32..]);
    }
    assert!(kv.copy(3, 60).is_err());
}

#[test]
fn memory_comes_with_the_first_use_of_a_page_and_goes_with_its_release() {
    let shape = shape(2, 1, 16);
    let (pool, sequence) = (Pool::new(1), sequence(&shape, 16, 5));
    let mut kv = KvPool::new(2, 1, 16, KvFormat::F16);
    kv.reserve(1_000);
    assert_eq!(kv.bytes(), 0, "nothing is used yet");
    let write = |kv: &mut KvPool, page: u32| {
        let mut out = vec![0.0; 16 * 32];
        let spans = [Span { rows: 0..16, past: 0, pages: &[page] }];
        attend(&pool, shape, &sequence.q, &sequence.k, &sequence.v, kv, 0, &spans, &mut out)
            .unwrap();
        out
    };
    let first = write(&mut kv, 0);
    let slab = kv.bytes();
    assert!((32 * kv.page_bytes()..33 * kv.page_bytes()).contains(&slab), "32 pages at a time");
    write(&mut kv, 31);
    assert_eq!(kv.bytes(), slab);
    write(&mut kv, 999);
    assert_eq!(kv.bytes(), 2 * slab);
    kv.release_from(33);
    assert_eq!(kv.bytes(), slab);
    kv.release_from(31);
    assert_eq!(kv.bytes(), slab, "pages before the first one are in it");
    kv.release_from(0);
    assert_eq!(kv.bytes(), 0);
    assert_eq!(write(&mut kv, 0), first, "a page can be used again");
}

#[test]
fn spans_that_do_not_fit_are_refused() {
    let (pool, shape) = (Pool::new(1), shape(2, 1, 16));
    let sequence = sequence(&shape, 2, 1);
    let mut kv = KvPool::new(1, 1, 16, KvFormat::F16);
    kv.reserve(4);
    let mut error = |spans: &[Span<'_>]| {
        let mut out = vec![0.0; sequence.q.len()];
        attend(&pool, shape, &sequence.q, &sequence.k, &sequence.v, &mut kv, 0, spans, &mut out)
            .unwrap_err()
    };
    let same_page =
        [Span { rows: 0..1, past: 3, pages: &[2] }, Span { rows: 1..2, past: 0, pages: &[2] }];
    assert_eq!(
        error(&same_page).to_string(),
        "a page is 2, which must be written to by one span, once"
    );
    assert!(matches!(error(&[Span { rows: 0..1, past: 16, pages: &[0] }]), Error::Range { .. }));
    assert!(matches!(error(&[Span { rows: 0..1, past: 0, pages: &[4] }]), Error::Range { .. }));
    assert!(matches!(error(&[Span { rows: 0..3, past: 0, pages: &[0] }]), Error::Range { .. }));
    let same_row =
        [Span { rows: 0..2, past: 0, pages: &[0] }, Span { rows: 1..2, past: 0, pages: &[1] }];
    assert!(matches!(error(&same_row), Error::Range { .. }));
}
