//! The decoders compared with transformers on tiny random models: tests/fixtures/tiny/make.py.

mod fixture;
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "metal"))]
mod devices;

use shoal_kernel::Format;
use shoal_model::{PAGE, Quant, Want};

use super::*;
use fixture::{Fixture, Packed, PrefixedTensors, fixture, fixtures};

/// Reads one sequence step by step, into pages that are not in order.
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
    Settings { threads: 2, kv: KvFormat::F32, ..Settings::default() }
}

fn read_packed(fixture: &Fixture, format: Format) -> (Shape, Weights) {
    // All positions: LongRoPE's long list is used beyond the first 32.
    let shape = Shape::read(&fixture.config(), Some(128)).unwrap();
    let tensors = Packed(fixture.tensors(), format);
    let weights = Weights::read(&shape, &tensors, Quant::AsIs).unwrap();
    (shape, weights)
}

fn decoders(fixture: &Fixture, format: Format) -> [Box<dyn Decode>; 2] {
    let (shape, weights) = read_packed(fixture, format);
    let tensors = tensors(shape.clone(), &weights, &Device::flex());
    [Box::new(packed(shape, weights, settings())), Box::new(tensors)]
}

fn furthest(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(l, r)| (l - r).abs()).fold(0.0, f32::max)
}

fn greatest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1)).unwrap();
    u32::try_from(best.0).unwrap()
}

/// Fails if a decoder's logits after a prompt, after one of the answer's first tokens, or its greedy
/// answer differ from transformers'.
fn check_results(label: &str, fixture: &Fixture, decoder: &mut dyn Decode) {
    let name = format!("{} {label}", fixture.name);
    let vocab = decoder.vocab();
    let mut reader = Reader::new(decoder);
    let mut logits = reader.read(&fixture.prompt);
    let apart = furthest(&logits, &fixture.prefill);
    assert!(apart <= 1e-4, "{name}: {apart} after the prompt");
    for (step, token) in fixture.answer.iter().enumerate() {
        let best = greatest(&logits[logits.len() - vocab..]);
        assert_eq!(best, *token, "{name}: token {step} of the greedy answer");
        logits = reader.read(&[*token]);
        if let Some(reference) = fixture.decode.chunks_exact(vocab).nth(step) {
            let apart = furthest(&logits, reference);
            assert!(apart <= 1e-4, "{name}: {apart} at step {step}");
        }
    }
}

#[test]
fn every_architecture_computes_what_transformers_does() {
    for fixture in fixtures() {
        for (label, mut decoder) in
            ["packed", "tensors"].into_iter().zip(decoders(&fixture, Format::F32))
        {
            check_results(label, &fixture, &mut *decoder);
        }
    }
}

/// Spans of one step: tokens, past, pages, want.
type SpanArgs<'a> = (&'a [u32], usize, &'a [u32], Want);

fn step(decoder: &mut dyn Decode, spans: &[SpanArgs<'_>]) -> Vec<f32> {
    fn span<'a>(args: &SpanArgs<'a>) -> Span<'a> {
        let (tokens, past, pages, want) = *args;
        Span { tokens, past, pages, want }
    }
    let spans: Vec<Span<'_>> = spans.iter().map(span).collect();
    decoder.step(&spans).unwrap()
}

#[test]
fn a_row_depends_neither_on_its_batch_nor_on_how_its_prompt_was_cut() {
    for fixture in fixtures() {
        let [mut decoder, _] = decoders(&fixture, Format::Q8);
        let prompt = &fixture.prompt;
        let alone = Reader::new(&mut *decoder).read(prompt);
        let last = &alone[alone.len() - decoder.vocab()..];

        decoder.reserve(24);
        let (first_pages, second_pages) = ([3, 20, 15], [4, 21, 16]);
        let (head, tail) = prompt.split_at(17);
        step(&mut *decoder, &[(head, 0, &first_pages, Want::Nothing)]);
        step(
            &mut *decoder,
            &[
                (&tail[1..3], 0, &second_pages, Want::All),
                (&tail[..5], 17, &first_pages, Want::Nothing),
            ],
        );
        let rows = [
            (&tail[5..], 22, &first_pages[..], Want::Last),
            (&tail[..4], 2, &second_pages[..], Want::All),
        ];
        let logits = step(&mut *decoder, &rows);
        assert_eq!(logits.len(), 5 * decoder.vocab());
        assert!(logits[..decoder.vocab()] == *last, "{}: other bits", fixture.name);
    }
}

/// The greatest reference logit: the unit of errors.
fn size(fixture: &Fixture) -> f32 {
    fixture.prefill.iter().map(|logit| logit.abs()).fold(0.0, f32::max)
}

#[test]
fn quantised_weights_cost_what_rounding_costs_and_no_more() {
    for fixture in fixtures() {
        for format in [Format::Q8, Format::Q4, Format::Q4Min] {
            let [mut packed, mut tensors] = decoders(&fixture, format);
            let approximation = Reader::new(&mut *packed).read(&fixture.prompt);
            let exact = Reader::new(&mut *tensors).read(&fixture.prompt);
            // Both have the same weights: what differs is activations of 8 bits, whose steps are
            // 1/127 of the greatest of 32. Measured: 0.3 % to 1 %.
            let apart: f32 = approximation.iter().zip(&exact).map(|(l, r)| (l - r).abs()).sum();
            let mean = apart / approximation.len() as f32 / size(&fixture);
            assert!(mean <= 0.02, "{} {format:?}: {mean} of the greatest logit", fixture.name);
            assert!(mean > 0.0, "{} {format:?}: nothing was rounded", fixture.name);
        }
    }
}

#[test]
fn every_instruction_set_computes_the_bits_of_plain_rust() {
    let formats = [
        Format::F32,
        Format::Bf16,
        Format::Q8,
        Format::Q4,
        Format::Q4Min,
        Format::Q4K,
        Format::Q6K,
    ];
    for format in formats {
        for fixture in fixtures() {
            let scalar = logits_with(&fixture, format, Isa::Scalar, 1);
            assert!(scalar.iter().all(|logit| logit.is_finite()), "{} {format:?}", fixture.name);
            for isa in Isa::available() {
                let logits = logits_with(&fixture, format, isa, 2);
                assert!(logits == scalar, "{} {format:?} {isa:?}", fixture.name);
            }
        }
    }
}

fn logits_with(fixture: &Fixture, format: Format, isa: Isa, threads: usize) -> Vec<f32> {
    let (shape, weights) = read_packed(fixture, format);
    let settings = Settings { isa: Some(isa), threads, ..settings() };
    let mut decoder: Box<dyn Decode> = Box::new(packed(shape, weights, settings));
    Reader::new(&mut *decoder).read(&fixture.prompt)
}

#[test]
fn half_precision_keys_and_values_change_little() {
    for fixture in fixtures() {
        let (shape, weights) = read_packed(&fixture, Format::F32);
        let settings = Settings { kv: KvFormat::F16, ..settings() };
        let mut decoder: Box<dyn Decode> = Box::new(packed(shape, weights, settings));
        let logits = Reader::new(&mut *decoder).read(&fixture.prompt);
        let apart = furthest(&logits, &fixture.prefill) / size(&fixture);
        assert!(apart <= 0.01, "{}: {apart} of the greatest logit", fixture.name);
    }
}

#[test]
fn hidden_rows_are_what_the_head_makes_logits_of() {
    let fixture = fixture("llama3");
    for mut decoder in decoders(&fixture, Format::F32) {
        decoder.reserve(3);
        let pages = [0, 1, 2];
        let span = Span { tokens: &fixture.prompt, past: 0, pages: &pages, want: Want::Last };
        let state = decoder.hidden(&[span]).unwrap();
        assert_eq!(state.len(), decoder.width());
        let (_, weights) = read_packed(&fixture, Format::F32);
        let mut row = vec![0.0; decoder.width()];
        let logits = &fixture.prefill[fixture.prefill.len() - decoder.vocab()..];
        for (token, logit) in logits.iter().enumerate() {
            weights.embed.row(token, &mut row).unwrap();
            let product: f32 = row.iter().zip(&state).map(|(weight, x)| weight * x).sum();
            assert!((product - logit).abs() < 1e-4);
        }
    }
}

fn try_step(
    decoder: &mut dyn Decode,
    tokens: &[u32],
    past: usize,
    pages: &[u32],
) -> Result<Vec<f32>, Broken> {
    decoder.step(&[Span { tokens, past, pages, want: Want::Last }])
}

#[test]
fn steps_that_make_no_sense_are_refused() {
    let fixture = fixture("llama");
    for mut decoder in decoders(&fixture, Format::F32) {
        decoder.reserve(9);
        let vocab = u32::try_from(decoder.vocab()).unwrap();
        let pages: Vec<u32> = (0..9).collect();
        assert_eq!(try_step(&mut *decoder, &[], 0, &pages), Err(Broken), "no token");
        assert_eq!(try_step(&mut *decoder, &[vocab], 0, &pages), Err(Broken), "no such token");
        assert_eq!(try_step(&mut *decoder, &[1; 17], 0, &[0]), Err(Broken), "no room in its pages");
        assert_eq!(try_step(&mut *decoder, &[1], 0, &[9]), Err(Broken), "no such page");
        assert_eq!(try_step(&mut *decoder, &[1], 128, &pages), Err(Broken), "past the context");
        assert_eq!(
            try_step(&mut *decoder, &[1], usize::MAX, &pages),
            Err(Broken),
            "past everything"
        );
        assert_eq!(try_step(&mut *decoder, &[1], 127, &pages).unwrap().len(), 96);
        assert_eq!(decoder.step(&[]), Err(Broken), "nothing at all");
    }
}

#[test]
fn the_text_side_of_a_model_that_sees_is_found_under_its_longer_name() {
    let fixture = fixture("gemma3");
    let config = serde_json::json!({ "model_type": "gemma3", "text_config": fixture.config() });
    let shape = Shape::read(&config, None).unwrap();
    for prefix in ["language_model.", "model.language_"] {
        let tensors = PrefixedTensors(fixture.tensors(), prefix);
        let weights = Weights::read(&shape, &tensors, Quant::None).unwrap();
        let mut decoder: Box<dyn Decode> = Box::new(packed(shape.clone(), weights, settings()));
        let logits = Reader::new(&mut *decoder).read(&fixture.prompt);
        assert!(furthest(&logits, &fixture.prefill) <= 1e-4);
    }
}

#[test]
fn weights_that_a_shape_has_no_place_for_are_refused() {
    let fixture = fixture("qwen2");
    let mut config = fixture.config();
    config["model_type"] = serde_json::json!("llama");
    let shape = Shape::read(&config, None).unwrap();
    let error = Weights::read(&shape, &fixture.tensors(), Quant::None).unwrap_err().to_string();
    assert!(
        error.ends_with("self_attn.k_proj.bias has no place in a llama model of this shape"),
        "{error}"
    );
}

/// On a device weights are floats of 32 bits; packed, they are padded to whole panels.
#[test]
fn a_step_reads_every_matrix_once() {
    let fixture = fixture("llama");
    let shape = Shape::read(&fixture.config(), None).unwrap();
    let [packed, tensors] = decoders(&fixture, Format::F32).map(|decoder| decoder.weight_bytes());
    let (heads, keys) = (shape.heads * shape.dim, shape.kv_heads * shape.dim);
    let layer = shape.width * (2 * heads + 2 * keys + 3 * shape.inner);
    let values = shape.layers.len() * layer + shape.vocab * shape.width;
    assert_eq!(tensors, 4 * values as u64);
    assert!((tensors..tensors * 3 / 2).contains(&packed), "{packed} and {tensors}");
}

#[test]
fn a_device_that_was_not_built_in_says_how_to() {
    assert_eq!("cpu".parse(), Ok(DeviceKind::Cpu));
    assert!("tpu".parse::<DeviceKind>().unwrap_err().contains("cpu, wgpu, cuda and metal"));
    if !cfg!(feature = "metal") {
        let error = "metal".parse::<DeviceKind>().unwrap_err();
        assert_eq!(error, "this build has no metal: build it with --features metal");
    }
}
