//! Against what transformers computes of tiny random models: tests/fixtures/tiny/make.py.

mod fixture;

use shoal_kernel::Format;

use super::*;
use crate::model::step::{PAGE, Want};
use fixture::{Fixture, all};

/// One sequence that is read step by step, in pages that are not in order.
struct Reader<'a> {
    decoder: &'a mut dyn Decode,
    pages: Vec<u32>,
    past: usize,
}

impl<'a> Reader<'a> {
    fn new(decoder: &'a mut dyn Decode) -> Self {
        decoder.reserve(12);
        Self { decoder, pages: vec![7, 2, 9, 0, 11, 5, 1], past: 0 }
    }

    fn read(&mut self, tokens: &[u32]) -> Vec<f32> {
        let span = Span { tokens, past: self.past, pages: &self.pages, want: Want::All };
        self.past += tokens.len();
        assert!(self.past <= self.pages.len() * PAGE);
        self.decoder.step(&[span]).unwrap()
    }
}

fn settings() -> Settings {
    Settings { threads: 2, isa: None, kv: KvFormat::F32 }
}

fn packed(fixture: &Fixture, format: Format) -> (Shape, Weights) {
    let shape = Shape::read(&fixture.config(), None).unwrap();
    let weights = Weights::read(&shape, &fixture.source(format)).unwrap();
    (shape, weights)
}

fn both(fixture: &Fixture, format: Format) -> [Box<dyn Decode>; 2] {
    let (shape, weights) = packed(fixture, format);
    let plain = plain(shape.clone(), &weights, &Device::flex());
    [Box::new(fused(shape, weights, settings())), Box::new(plain)]
}

fn furthest(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(l, r)| (l - r).abs()).fold(0.0, f32::max)
}

fn greatest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1)).unwrap();
    u32::try_from(best.0).unwrap()
}

#[test]
fn every_architecture_computes_what_transformers_does() {
    for fixture in all() {
        for (kind, mut decoder) in ["fused", "plain"].into_iter().zip(both(&fixture, Format::F32)) {
            let name = format!("{} {kind}", fixture.name);
            let vocab = decoder.vocab();
            let mut reader = Reader::new(&mut *decoder);
            let mut logits = reader.read(&fixture.prompt);
            let apart = furthest(&logits, &fixture.prefill);
            assert!(apart <= 1e-4, "{name}: {apart} after the prompt");
            for (step, token) in fixture.answer.iter().enumerate() {
                let best = greatest(&logits[logits.len() - vocab..]);
                assert_eq!(best, *token, "{name}: token {step} of the greedy answer");
                logits = reader.read(&[*token]);
                if let Some(expected) = fixture.decode.chunks_exact(vocab).nth(step) {
                    let apart = furthest(&logits, expected);
                    assert!(apart <= 1e-4, "{name}: {apart} at step {step}");
                }
            }
        }
    }
}
