//! Sends every request to the endpoint, with the fields that it accepts. While it refuses everything, no
//! requests are sent.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use shoal_engine::EngineError;
use shoal_proto::generate::Fault;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Abilities,
    breaker::Breaker,
    call::{CHAT, EMBEDDINGS, ask, greeting},
    chunks::Chunks,
    fault::{CallError, Refusal},
    fields::FieldPolicy,
    transport::{FIRST_BYTE, Transport},
};

/// How to reach the endpoint, and what is known about it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) transport: Transport,
    pub(super) model: String,
    pub(super) context: u32,
    pub(super) can: Abilities,
    pub(super) policy: FieldPolicy,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) costs: Costs,
    /// It has answered at least once.
    pub(super) has_answered: AtomicBool,
}

/// An answer that has begun.
#[derive(Debug)]
pub(super) struct AnswerStream {
    pub(super) chunks: Chunks,
    /// The endpoint was told the limit of tokens, if there is one.
    pub(super) has_limit: bool,
}

/// What the endpoint was asked so far.
#[derive(Debug, Default)]
pub(super) struct Costs {
    requests: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

impl Costs {
    /// Counts one answer, and logs the sums from time to time for the owner, who pays.
    pub(super) fn count(&self, prompt_tokens: u32, completion_tokens: u32) {
        let requests = self.requests.fetch_add(1, Relaxed) + 1;
        let prompt_tokens =
            self.prompt_tokens.fetch_add(prompt_tokens.into(), Relaxed) + u64::from(prompt_tokens);
        let completion_tokens = self.completion_tokens.fetch_add(completion_tokens.into(), Relaxed)
            + u64::from(completion_tokens);
        if requests == 8 || requests.is_power_of_two() && requests > 32 {
            tracing::info!(requests, prompt_tokens, completion_tokens, "the endpoint has answered");
        }
    }
}

impl Endpoint {
    /// The JSON that answers `body`.
    pub(super) async fn ask(&self, path: &'static str, body: Value) -> Result<Value, EngineError> {
        self.admit()?;
        let result = ask(&self.transport, &self.policy, path, body).await;
        self.record(result.as_ref().err()).await;
        result.map_err(|error| error.fault(self.context))
    }

    /// The answer to `body` as it comes.
    pub(super) async fn open(
        &self,
        path: &'static str,
        body: Value,
    ) -> Result<AnswerStream, EngineError> {
        self.admit()?;
        let mut request = self.policy.adapt(path, body);
        let attempts = async {
            loop {
                match self.transport.open(path, &request.body).await {
                    Ok(response) => break Ok(response),
                    Err(error) if request.change(&error) => {}
                    Err(error) => break Err(error),
                }
            }
        };
        let result = timeout(FIRST_BYTE, attempts).await.unwrap_or(Err(CallError::Silent));
        match result {
            Ok(response) => {
                request.accept();
                let has_limit = request.has_limit();
                Ok(AnswerStream { chunks: Chunks::new(response), has_limit })
            }
            Err(error) => {
                self.record(Some(&error)).await;
                Err(error.fault(self.context))
            }
        }
    }

    fn admit(&self) -> Result<(), EngineError> {
        self.breaker().admit(Instant::now()).map_err(|_| {
            EngineError::new(Fault::Busy, "the upstream refuses everything and is left alone")
        })
    }

    /// Records how a request ended.
    pub(super) async fn record(&self, error: Option<&CallError>) {
        let Some(error) = error else {
            self.has_answered.store(true, Relaxed);
            if self.breaker().succeed() {
                tracing::info!("the endpoint answers again");
            }
            return;
        };
        if !self.counts(error) {
            return;
        }
        let wait = self.breaker().fail(Instant::now());
        if let Some(wait) = wait {
            self.warn(wait).await;
        }
    }

    /// Whether an error says that the endpoint serves nobody. A busy one does, and one that has
    /// answered before may refuse what a client asks.
    fn counts(&self, error: &CallError) -> bool {
        match error.refusal() {
            None => true,
            Some(refusal) if refusal.is_too_long() => false,
            Some(Refusal { status: Some(408 | 429 | 503), .. }) => false,
            Some(Refusal { status: Some(400 | 413 | 422), .. }) => !self.has_answered.load(Relaxed),
            Some(_) => true,
        }
    }

    /// Tells the owner why the endpoint is left alone: in its answer to a question of the node's own,
    /// because other refusals may repeat a prompt.
    async fn warn(&self, wait: Duration) {
        match self.greet().await {
            Ok(()) => {
                self.has_answered.store(true, Relaxed);
                self.breaker().succeed();
            }
            Err(why) => warn_of_refusal(&why, wait),
        }
    }

    /// Sends the smallest request that it can answer.
    async fn greet(&self) -> Result<(), CallError> {
        let chat = ask(&self.transport, &self.policy, CHAT, greeting(&self.model)).await;
        let Err(error) = chat else { return Ok(()) };
        if error.is_an_answer() {
            return Ok(());
        }
        if self.can.embeddings {
            let body = json!({ "model": self.model, "input": ["Hi"] });
            return ask(&self.transport, &self.policy, EMBEDDINGS, body).await.map(drop);
        }
        Err(error)
    }

    /// Resolves when the endpoint is not left alone. While it is, it is asked for one token after each
    /// wait.
    pub(super) async fn ready(&self) {
        loop {
            let admission = self.breaker().admit(Instant::now());
            match admission {
                Err(wait) => sleep(wait).await,
                Ok(()) if !self.breaker().is_open() => return,
                Ok(()) => {
                    let result = self.greet().await;
                    self.record(result.as_ref().err()).await;
                }
            }
        }
    }

    /// Leaves the endpoint alone from the start, because it has refused what it was asked so far.
    pub(super) fn rest(&self, why: &CallError) {
        let wait = self.breaker().open(Instant::now());
        warn_of_refusal(why, wait);
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_of_refusal(why: &CallError, wait: Duration) {
    tracing::warn!(
        %why,
        wait_s = wait.as_secs(),
        "the endpoint refuses every request: it is left alone for a while"
    );
}
