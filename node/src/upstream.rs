//! An existing OpenAI-compatible endpoint (Ollama, vLLM, llama.cpp's server, a paid one) as a
//! writer in the swarm. Nobody can recompute its log-probabilities, so it claims no certainty. It judges
//! pairs if its owner allows it.

mod abilities;
mod breaker;
mod call;
mod chunks;
mod endpoint;
mod fault;
mod fields;
mod probe;
mod reply;
mod request;
mod transport;
mod vectors;
mod verdict;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use shoal_proto::{
    Secret,
    embed::{Embed, Embedded},
    generate::{Done, Fault, Generate},
    hello::{Model, model_name},
    judge::{Ballot, Judge},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub use self::{abilities::Abilities, fault::ConnectError};
use self::{
    call::{CHAT, COMPLETIONS},
    chunks::Chunk,
    endpoint::{AnswerStream, Endpoint},
    fault::CallError,
    fields::FieldPolicy,
    reply::Reply,
    transport::{FIRST_BYTE, Transport},
};
use shoal_engine::{Engine, EngineError, Event};

/// Longest wait between two chunks: a slower answer would be too late for a round.
const IDLE: Duration = Duration::from_secs(30);

/// Pieces that wait for a slow gateway before the upstream is no longer read.
const EVENTS: usize = 32;

/// The settings of an upstream.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Base URL, as OpenAI clients take it: `http://127.0.0.1:11434/v1`. Without a path, `/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The key, for endpoints that ask for one.
    pub key: Secret,
    /// The name in the swarm, if not that of the model there.
    pub name: Option<String>,
    /// What it is good at, by its owner's account.
    pub tags: Vec<String>,
    /// Tokens of context, in place of the endpoint's own number.
    pub context: Option<u32>,
    /// Gives pairwise ballots too, a request for each pair.
    pub judges: bool,
    /// What its model can do besides writing; `None`: found out by asking.
    pub can: Option<Abilities>,
}

/// A checked upstream.
#[derive(Debug)]
pub struct Upstream {
    endpoint: Arc<Endpoint>,
    model: Model,
    /// Each task ends when its receiver is dropped.
    writers: TaskTracker,
}

impl Upstream {
    /// Connects to the endpoint once, to find a wrong URL, key or model before the first request.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub async fn connect(settings: &Settings) -> Result<Self, ConnectError> {
        let span = tracing::info_span!("upstream", model = settings.model);
        Self::probe_and_describe(settings).instrument(span).await
    }

    async fn probe_and_describe(settings: &Settings) -> Result<Self, ConnectError> {
        let (transport, policy) = (Transport::new(settings)?, FieldPolicy::default());
        let listing = probe::probe(&transport, &policy, settings).await?;
        let (can, refusal) = match settings.can {
            Some(can) => (can, None),
            None => Abilities::find(&transport, &policy, &settings.model).await,
        };
        let context = settings.context.or(listing.context).unwrap_or(probe::CONTEXT);
        let endpoint = Endpoint {
            transport,
            model: settings.model.clone(),
            context,
            can,
            policy,
            breaker: Mutex::default(),
            costs: endpoint::Costs::default(),
            has_answered: (can != Abilities::default() && settings.can.is_none()).into(),
        };
        match &refusal {
            Some(why) => endpoint.rest(why),
            None => tracing::info!(
                "a gateway asks an endpoint about 8 questions of at most 512 tokens before it joins, and at \
                 most 64 later: the log says what the endpoint was asked in all"
            ),
        }
        let model = description(settings, can, context);
        Ok(Self { endpoint: Arc::new(endpoint), model, writers: TaskTracker::new() })
    }
}

/// The description of the model for the gateway.
fn description(settings: &Settings, can: Abilities, context: u32) -> Model {
    let name = settings.name.clone().unwrap_or_else(|| settings.model.clone());
    Model {
        name: model_name(&name),
        family: "upstream".to_owned(),
        context,
        pairwise: settings.judges,
        reasoned: settings.judges,
        tools: can.tools,
        constrained: can.json,
        vision: can.vision,
        embeds: can.embeddings,
        completes: can.completions,
        tags: settings.tags.clone(),
        description: format!("{} behind an OpenAI-compatible endpoint", settings.model),
        ..Model::default()
    }
}

impl Engine for Upstream {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (events, receiver) = mpsc::channel(EVENTS);
        let endpoint = Arc::clone(&self.endpoint);
        let writer = async move {
            let last = tokio::select! {
                biased;
                () = events.closed() => return,
                result = endpoint.write(ask, &events) => result.map(Event::Done),
            };
            // Fails only when nobody listens any more.
            let _ = events.send(last).await;
        };
        self.writers.spawn(writer.in_current_span());
        receiver
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        async move { self.endpoint.ballot(&ask).await }.boxed()
    }

    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embedded, EngineError>> {
        async move { self.endpoint.vectors(&ask).await }.boxed()
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        self.endpoint.ready().boxed()
    }
}

impl Endpoint {
    async fn write(
        &self,
        ask: Generate,
        events: &mpsc::Sender<Result<Event, EngineError>>,
    ) -> Result<Done, EngineError> {
        let stream = self.begin(&ask).await?;
        let mut reply = Reply::new(&ask, stream.has_limit);
        let result = match read(stream, &mut reply, events).await {
            Ok(ReadEnd::Left) => return Err(EngineError::new(Fault::Engine, "nobody listens")),
            Ok(ReadEnd::Complete) => reply.into_done(),
            Err(error) => Err(error),
        };
        self.record(result.as_ref().err()).await;
        match result {
            Ok((rest, end)) => {
                self.costs.count(end.prompt_tokens, end.completion_tokens);
                if !rest.is_empty() {
                    // Fails only when nobody listens any more.
                    let _ = events.send(Ok(Event::Piece(rest))).await;
                }
                Ok(end)
            }
            Err(error) => Err(error.fault(self.context)),
        }
    }

    /// A conversation goes to one path, a text to continue to another.
    async fn begin(&self, ask: &Generate) -> Result<AnswerStream, EngineError> {
        let (path, body) = match &ask.prompt {
            Some(prompt) => (COMPLETIONS, request::completion(&self.model, prompt, ask, self.can)?),
            None => (CHAT, request::body(&self.model, ask, self.can)?),
        };
        self.open(path, body).await
    }
}

/// How the reading of an answer ended.
enum ReadEnd {
    /// The answer is complete, or the rest is not needed.
    Complete,
    /// The receiver is gone.
    Left,
}

async fn read(
    AnswerStream { mut chunks, .. }: AnswerStream,
    reply: &mut Reply,
    events: &mpsc::Sender<Result<Event, EngineError>>,
) -> Result<ReadEnd, CallError> {
    let mut patience = FIRST_BYTE;
    while !reply.is_cut() {
        let chunk = timeout(patience, chunks.next()).await.map_err(|_| CallError::Silent)??;
        patience = IDLE;
        let text = match chunk {
            None => break,
            Some(Chunk::End) => {
                reply.end();
                break;
            }
            Some(Chunk::Json(chunk)) => reply.read(&chunk)?,
        };
        if let Some(text) = text
            && events.send(Ok(Event::Piece(text))).await.is_err()
        {
            return Ok(ReadEnd::Left);
        }
    }
    Ok(ReadEnd::Complete)
}

#[cfg(test)]
mod tests;
