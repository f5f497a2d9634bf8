//! An existing OpenAI-compatible endpoint (Ollama, vLLM, llama.cpp's server, a paid one) as a
//! writer in the swarm. What log-probabilities it reports nobody can recompute, so it claims no
//! certainty; it judges pairs where its owner wants it to.

mod abilities;
mod fault;
mod probe;
mod reply;
mod request;
mod transport;
mod vectors;
mod verdict;

use std::{sync::Arc, time::Duration};

use async_openai::{
    Client, config::OpenAIConfig, error::OpenAIError, types::stream::StreamResponse,
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use serde_json::Value;
use shoal_proto::{
    Secret,
    embed::{Embed, Embedded},
    generate::{Done, Fault, Generate},
    hello::Model,
    judge::{Ballot, Judge},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::reply::Reply;
pub use self::{abilities::Abilities, probe::ConnectError};
use shoal_engine::{Engine, EngineError, Event, swarm_name};

/// The name must resolve and the port must answer.
const CONNECT: Duration = Duration::from_secs(5);

/// A model may have to be loaded first.
const FIRST_BYTE: Duration = Duration::from_secs(60);

/// Between two chunks; slower than this no answer would be in time for a round.
const IDLE: Duration = Duration::from_secs(30);

/// Pieces that wait for a slow gateway before the upstream is no longer read.
const EVENTS: usize = 32;

/// What a node needs to know of its upstream.
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
    /// Tokens of context, if it is not what the endpoint says.
    pub context: Option<u32>,
    /// Gives pairwise ballots too, a request for each pair.
    pub judges: bool,
    /// What its model can do beside writing; None: what it turns out to.
    pub can: Option<Abilities>,
}

/// A checked upstream.
#[derive(Debug)]
pub struct Upstream {
    endpoint: Arc<Endpoint>,
    model: Model,
    /// Every task ends when its asker is gone.
    writers: TaskTracker,
}

/// How to reach the endpoint.
#[derive(Debug)]
struct Endpoint {
    client: Client<OpenAIConfig>,
    model: String,
    context: u32,
    can: Abilities,
}

impl Upstream {
    /// Reaches for the endpoint once, to find a wrong URL, key or model before anyone asks.
    pub async fn connect(settings: &Settings) -> Result<Self, ConnectError> {
        let client = transport::client(settings)?;
        let listing = probe::probe(&client, settings).await?;
        let can = match settings.can {
            Some(can) => can,
            None => Abilities::find(&client, &settings.model).await,
        };
        let context = settings.context.or(listing.context).unwrap_or(probe::CONTEXT);
        let name = settings.name.clone().unwrap_or_else(|| settings.model.clone());
        let model = Model {
            name: swarm_name(&name),
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
        };
        let endpoint = Endpoint { client, model: settings.model.clone(), context, can };
        Ok(Self { endpoint: Arc::new(endpoint), model, writers: TaskTracker::new() })
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
}

impl Endpoint {
    async fn write(
        &self,
        ask: Generate,
        events: &mpsc::Sender<Result<Event, EngineError>>,
    ) -> Result<Done, EngineError> {
        let mut reply = Reply::new(&ask);
        let mut chunks = timeout(FIRST_BYTE, self.open(&ask)).await.map_err(|_| silence())??;
        let mut patience = FIRST_BYTE;
        while let Some(chunk) = timeout(patience, chunks.next()).await.map_err(|_| silence())? {
            patience = IDLE;
            let chunk = chunk.map_err(|error| self.fault(error))?;
            let text = reply.read(&chunk).map_err(|refusal| refusal.fault(self.context))?;
            if let Some(text) = text
                && events.send(Ok(Event::Piece(text))).await.is_err()
            {
                break;
            }
        }
        reply.into_done()
    }

    /// A conversation goes to one door, a text that is to be gone on with to another.
    async fn open(&self, ask: &Generate) -> Result<StreamResponse<Value>, EngineError> {
        let stream = match &ask.prompt {
            Some(prompt) => {
                let body = request::completion(&self.model, prompt, ask, self.can)?;
                self.client.completions().create_stream_byot::<_, Value>(body).await
            }
            None => {
                let body = request::body(&self.model, ask, self.can)?;
                self.client.chat().create_stream_byot::<_, Value>(body).await
            }
        };
        stream.map_err(|error| self.fault(error))
    }

    fn fault(&self, error: OpenAIError) -> EngineError {
        fault::of(error, self.context)
    }
}

fn silence() -> EngineError {
    EngineError::new(Fault::Engine, "the upstream fell silent")
}

#[cfg(test)]
mod tests;
