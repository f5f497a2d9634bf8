//! Answers to repeated requests, without asking members again. Off unless the operator gives it memory.
//!
//! Only a request that is equal byte for byte gets a kept answer: the same key, endpoint and body. It has to ask
//! for it with a header, or be one whose answer would hardly differ: with a temperature of 0.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::{HttpRequest, http::header::HeaderName};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use sha2::{Digest as _, Sha256};
use shoal_consensus::{Candidate, Outcome, outcome::Decision};
use shoal_proto::generate::Finish;
use shoal_store::unix_now;

use super::{callers::Owner, config::HttpConfig, shelves::Shelves};

/// In a request, whether it may have a kept answer (`true`, `false`); in an answer, `hit` or `miss`.
pub(super) const CACHE: HeaderName = HeaderName::from_static("x-shoal-cache");

/// What an answer takes beside its texts.
const ENTRY_BYTES: usize = 1024;

/// What a token with its log-probability takes, with its alternatives.
const TOKEN_BYTES: usize = 256;

/// The newest answers, within a budget of bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AnswerCache {
    bytes_max: usize,
    seconds_max: u64,
    answers: Arc<Mutex<Shelves<KeptAnswer>>>,
    metrics: CacheMetrics,
}

#[derive(Debug)]
struct KeptAnswer {
    created_seconds: u64,
    outcome: Arc<Outcome>,
}

/// The counters of the cache. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CacheMetrics {
    requests: IntCounterVec,
    bytes: IntGauge,
}

impl CacheMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When one of the names is taken in this registry.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Asks that may have a kept answer, by whether there was one.";
        let requests =
            IntCounterVec::new(Opts::new("shoal_cache_requests_total", help), &["result"])?;
        let bytes = IntGauge::new("shoal_cache_bytes", "Bytes of the answers that are kept.")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(bytes.clone()))?;
        for result in ["hit", "miss"] {
            requests.with_label_values(&[result]);
        }
        Ok(Self { requests, bytes })
    }
}

/// The place of one ask's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CacheKey {
    owner: Owner,
    /// The digest of the request, and the number of the ask in it.
    id: String,
}

impl CacheKey {
    /// The key of another ask of the same request.
    pub(super) fn of_ask(&self, index: usize) -> Self {
        Self { owner: self.owner, id: format!("{}/{index}", self.id) }
    }
}

impl AnswerCache {
    /// An empty cache with the limits of the configuration.
    pub(crate) fn new(config: &HttpConfig, metrics: CacheMetrics) -> Self {
        Self {
            bytes_max: config.cache_bytes_max,
            seconds_max: config.cache_seconds_max,
            answers: Arc::new(Mutex::new(Shelves::new(config.cache_bytes_max))),
            metrics,
        }
    }

    /// The key of a request; `None` if its answer is neither looked up nor kept. `is_greedy`: its temperature
    /// is 0.
    pub(super) fn key(
        &self,
        request: &HttpRequest,
        owner: Owner,
        body: &[u8],
        is_greedy: bool,
    ) -> Option<CacheKey> {
        let wish = request.headers().get(CACHE).and_then(|value| value.to_str().ok());
        let is_wanted = match wish.map(str::trim) {
            Some("true") => true,
            Some("false") => false,
            _ => is_greedy,
        };
        if !is_wanted || self.bytes_max == 0 {
            return None;
        }
        let mut digest = Sha256::new();
        digest.update(request.path().as_bytes());
        digest.update([0]);
        digest.update(body);
        let id = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(CacheKey { owner, id })
    }

    /// The kept answer of an ask. The result is counted.
    pub(super) fn find(&self, key: &CacheKey) -> Option<Arc<Outcome>> {
        let answers = self.lock();
        let outcome = answers.find(key.owner, &key.id).map(|answer| answer.outcome.clone());
        drop(answers);
        let result = if outcome.is_some() { "hit" } else { "miss" };
        self.metrics.requests.with_label_values(&[result]).inc();
        outcome
    }

    /// Keeps the answer of an ask, if it is complete: one that a deadline cut would be another one later, and so would
    /// the statement of members that abstain.
    pub(super) fn keep(&self, key: &CacheKey, outcome: &Outcome) {
        let is_complete =
            |candidate: &Candidate| matches!(candidate.finish, Finish::Stop | Finish::ToolCalls);
        let has_abstained = outcome.decided == Decision::Abstained;
        if has_abstained || !outcome.winner().is_some_and(is_complete) {
            return;
        }
        // Nobody reads ballots in an answer.
        let outcome = Outcome { ballots: Vec::new(), ..outcome.clone() };
        let bytes = outcome.candidates.iter().chain(&outcome.fused).map(bytes_of).sum::<usize>();
        let answer = KeptAnswer { created_seconds: unix_now(), outcome: Arc::new(outcome) };
        let mut answers = self.lock();
        answers.push(key.owner, key.id.clone(), bytes + ENTRY_BYTES, answer);
        self.metrics.bytes.set(i64::try_from(answers.bytes()).unwrap_or(i64::MAX));
    }

    /// Locks the answers, after it deletes those that are too old.
    fn lock(&self) -> MutexGuard<'_, Shelves<KeptAnswer>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = unix_now();
        answers
            .remove_oldest(|answer| answer.created_seconds.saturating_add(self.seconds_max) < now);
        answers
    }
}

/// The memory of an answer, about.
fn bytes_of(candidate: &Candidate) -> usize {
    let calls = candidate.tool_calls.iter().map(|call| call.name.len() + call.arguments.len());
    let tokens = candidate.tokens.iter().map(|token| TOKEN_BYTES * (1 + token.top.len()));
    size_of::<Candidate>() + candidate.text.len() + calls.sum::<usize>() + tokens.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use shoal_consensus::{
        outcome::{Ranking, RoundId, Timings},
        reputation::KindPosterior,
    };
    use shoal_proto::NodeId;
    use std::time::Duration;

    use super::*;

    const ALICE: Owner = Owner(0);
    const BOB: Owner = Owner(1);

    fn cache(bytes_max: usize) -> AnswerCache {
        let config = HttpConfig { cache_bytes_max: bytes_max, ..HttpConfig::default() };
        AnswerCache::new(&config, CacheMetrics::register(&Registry::new()).expect("metrics"))
    }

    fn outcome(text: &str, finish: Finish) -> Outcome {
        let candidate = Candidate {
            writer: NodeId([0; 32]),
            model: String::new(),
            text: text.to_owned(),
            tool_calls: Vec::new(),
            tokens: Vec::new(),
            finish,
            prompt_tokens: 1,
            completion_tokens: 1,
            cached_tokens: 0,
            reasoning_tokens: 0,
            logprob: None,
            took: Duration::ZERO,
            first_piece: Duration::ZERO,
            pool: 0,
        };
        Outcome {
            round: RoundId(String::new()),
            winner: 0,
            decided: Decision::Single,
            kind: KindPosterior::default(),
            candidates: vec![candidate],
            ballots: Vec::new(),
            ranking: Ranking::default(),
            fused: None,
            timings: Timings::default(),
        }
    }

    fn key(cache: &AnswerCache, owner: Owner, body: &str, greedy: bool) -> Option<CacheKey> {
        let request = TestRequest::with_uri("/v1/chat/completions").to_http_request();
        cache.key(&request, owner, body.as_bytes(), greedy)
    }

    #[test]
    fn only_what_is_repeated_by_the_same_key_is_found() {
        let cache = cache(100_000);
        let first = key(&cache, ALICE, "a", true).expect("greedy");
        cache.keep(&first, &outcome("4", Finish::Stop));
        let text = |key: &CacheKey| {
            cache.find(key).and_then(|outcome| Some(outcome.winner()?.text.clone()))
        };
        assert_eq!(text(&first).as_deref(), Some("4"));
        for other in [key(&cache, BOB, "a", true), key(&cache, ALICE, "b", true)] {
            assert_eq!(text(&other.expect("greedy")), None);
        }
        assert_eq!(text(&first.of_ask(1)), None);
    }

    #[test]
    fn answers_that_would_be_others_later_are_not_kept() {
        let cache = cache(100_000);
        let key = key(&cache, ALICE, "a", true).expect("greedy");
        cache.keep(&key, &outcome("4", Finish::Length));
        let abstained = Outcome { decided: Decision::Abstained, ..outcome("?", Finish::Stop) };
        cache.keep(&key, &abstained);
        assert!(cache.find(&key).is_none());
    }

    #[test]
    fn it_is_off_without_memory_and_for_requests_that_may_vary() {
        assert_eq!(key(&cache(0), ALICE, "a", true), None);
        let cache = cache(100_000);
        assert_eq!(key(&cache, ALICE, "a", false), None);
        for (wish, greedy, is_kept) in [("true", false, true), ("false", true, false)] {
            let request = TestRequest::default().insert_header((CACHE, wish)).to_http_request();
            assert_eq!(cache.key(&request, ALICE, b"a", greedy).is_some(), is_kept);
        }
    }

    #[test]
    fn the_answers_are_bounded_by_their_bytes() {
        let cache = cache(10_000);
        for body in 0..100 {
            let key = key(&cache, ALICE, &body.to_string(), true).expect("greedy");
            cache.keep(&key, &outcome(&"x".repeat(1_000), Finish::Stop));
        }
        let bytes = cache.lock().bytes();
        assert!((1_000..=10_000).contains(&bytes), "{bytes}");
        assert_eq!(cache.metrics.bytes.get(), i64::try_from(bytes).expect("small"));
    }
}
