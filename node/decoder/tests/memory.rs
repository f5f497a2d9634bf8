//! A model that serves holds what its cache's limit says and nothing more, however much it is asked. A
//! program of its own, because its allocator counts the bytes of everything that runs in it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use peak_alloc::PeakAlloc;
use prometheus::Registry;
use shoal_decoder::{CacheLimit, Options, open};
use shoal_engine::{Engine as _, Event, Service};
use shoal_model::{Files, Local, Metrics};
use shoal_proto::{
    generate::{ChatMessage, Generate, Sampling},
    judge::{BallotKind, Judge},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const LIMIT: usize = 4 << 20;

/// Memory comes 32 pages at a time, which are 1 MiB for a bundled specialist.
const SLAB: usize = 1 << 20;

/// More than the tables that fill up with the first questions, and a tenth of what a thousand questions take
/// whose tokens are kept.
const NOISE: usize = 250_000;

#[tokio::test]
async fn a_thousand_questions_hold_no_more_than_a_hundred() {
    let registry = Registry::new();
    let metrics = Metrics::new().unwrap();
    metrics.register(&registry).unwrap();
    let options = Options { cache: CacheLimit::Bytes(LIMIT), ..Options::default() };
    let files = Files::bundled("shoal-sum").unwrap();
    let model =
        open(files, &Service { slots: 4, ..Service::default() }, &options, metrics).unwrap();
    answer(&model, 0).await;
    let start = ALLOCATOR.current_usage();
    let start_cache = cache_bytes(&registry);
    questions(&model, 1..200).await;
    let full = ALLOCATOR.current_usage();
    let full_cache = cache_bytes(&registry);
    assert!((LIMIT - SLAB..=LIMIT + SLAB).contains(&full_cache), "{full_cache}");
    // What the metric says is what the allocator counts.
    let growth = full.saturating_sub(start);
    assert!(growth.abs_diff(full_cache - start_cache) < NOISE, "{growth}, {full_cache}");
    questions(&model, 200..1_200).await;
    let (end, end_cache) = (ALLOCATOR.current_usage(), cache_bytes(&registry));
    assert_eq!(end_cache, full_cache);
    assert!(end < full + NOISE, "{full} bytes after 200 questions, {end} after 1200");
}

/// Memory of the KV cache, as the metrics have it.
fn cache_bytes(registry: &Registry) -> usize {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "shoal_node_cache_bytes");
    family.unwrap().get_metric().first().unwrap().get_gauge().get_value() as usize
}

async fn questions(model: &Local, numbers: std::ops::Range<usize>) {
    for number in numbers {
        answer(model, number).await;
    }
}

/// Answers a question and judges two answers to it.
async fn answer(model: &Local, number: usize) {
    let question = format!("What is {number} + {}?", 10_000 - number);
    let messages = vec![ChatMessage::new("user", question)];
    let sampling = Sampling { max_tokens: Some(8), ..Sampling::default() };
    let ask =
        Generate { messages: messages.clone(), sampling: Some(sampling), ..Generate::default() };
    let mut events = model.generate(ask);
    while !matches!(events.recv().await.unwrap().unwrap(), Event::Done(_)) {}
    let candidates = vec!["10000".to_owned(), format!("1{number}")];
    let kind = BallotKind::Likelihood.into();
    model.judge(Judge { messages, candidates, kind, ..Judge::default() }).await.unwrap();
}
