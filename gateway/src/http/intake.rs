//! The start of every ask, whatever its endpoint: it is counted, admitted, read and checked. All of
//! this comes before the first byte of an answer, so that a refusal is an error with a status.

use actix_web::{HttpRequest, web};

use super::{
    App, access,
    admission::Permit,
    body,
    cache::CacheKey,
    callers::Owner,
    error::ApiError,
    meter::{Measurement, Meter},
};
use shoal_api::{
    anthropic::MessageRequest, chat::ChatRequest, completions::CompletionRequest,
    embeddings::EmbedRequest, rank::RankRequest,
};
use shoal_consensus::Ask;
use shoal_proto::{generate::ChatMessage, tools::ToolCall};

/// Most bytes of an ask. A frame to a node has at most 4 MiB (PROTOCOL.md), and an ask to a judge also has
/// candidates and instructions.
const ASK_BYTES_MAX: usize = 4 * 1024 * 1024 - 256 * 1024;

/// Texts that are embedded in one frame.
const TEXTS_A_FRAME: usize = 64;

/// What a message or a function takes in a frame beside its texts.
const FIELD_BYTES: usize = 32;

/// The bytes of an ask in a frame, about.
pub(super) fn bytes_of(ask: &Ask) -> usize {
    let functions = ask.tools.iter().flat_map(|tools| &tools.functions);
    let functions = functions.map(|function| {
        let texts = [&function.name, &function.description, &function.parameters];
        texts.map(String::len).iter().sum::<usize>() + FIELD_BYTES
    });
    let format = ask.format.as_ref().map_or(0, |format| format.body.len());
    let messages: usize = ask.messages.iter().map(message_bytes).sum();
    messages + functions.sum::<usize>() + format + ask.template_variables.len()
}

/// Whether the temperature is 0.
pub(super) fn is_greedy(ask: &Ask) -> bool {
    ask.sampling.temperature == Some(0.0)
}

fn message_bytes(message: &ChatMessage) -> usize {
    let images: usize = message.images.iter().map(String::len).sum();
    let calls: usize = message.tool_calls.iter().map(call_bytes).sum();
    message.content.len() + images + calls + FIELD_BYTES
}

fn call_bytes(call: &ToolCall) -> usize {
    call.id.len() + call.name.len() + call.arguments.len()
}

/// A checked request of one endpoint.
pub(super) trait EndpointRequest: Sized {
    /// Checks a body, which may refer to what its owner has stored.
    ///
    /// # Errors
    /// The first field that is wrong.
    fn parse(body: &[u8], app: &App, owner: Owner) -> Result<Self, ApiError>;

    /// The model's name as the client sent it.
    fn model(&self) -> &str;

    /// The bytes of its largest ask in a frame, about.
    fn ask_bytes(&self) -> usize;

    /// Whether the answer is sent as events.
    fn streams(&self) -> bool {
        false
    }

    /// Whether its temperature is 0; `None` if an equal request may mean something else later, or if its answer is
    /// not kept.
    fn repeatable(&self) -> Option<bool> {
        None
    }
}

/// Admits and checks a request in OpenAI's order: the limits, the body, the fields, the model.
///
/// # Errors
/// Why the request is refused. It is counted.
pub(super) async fn accept<T: EndpointRequest>(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, Meter), ApiError> {
    let measurement = Measurement::start(&app.metrics);
    match check::<T>(app, request, payload).await {
        Ok((request, permit, cache)) => {
            let meter = measurement.admit(permit, request.model(), request.streams());
            Ok((request, meter.with_cache(cache)))
        }
        Err(error) => Err(measurement.fail(error)),
    }
}

async fn check<T: EndpointRequest>(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, Permit, Option<CacheKey>), ApiError> {
    let caller = access::caller(request)?;
    let owner = caller.owner();
    let mut permit = app.admission.enter(caller)?;
    let body = body::read(&app.config, request, payload, &mut permit).await?;
    let parsed = T::parse(&body, app, owner)?;
    let repeatable = parsed.repeatable();
    let cache = repeatable.and_then(|is_greedy| app.cache.key(request, owner, &body, is_greedy));
    // The parsed request is about as large as the body, which is dropped here.
    drop(body);
    let read = parsed.ask_bytes();
    if read > ASK_BYTES_MAX {
        return Err(ApiError::AskTooLarge { max: ASK_BYTES_MAX, read });
    }
    app.check_model(parsed.model())?;
    Ok((parsed, permit, cache))
}

impl EndpointRequest for ChatRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn ask_bytes(&self) -> usize {
        bytes_of(&self.ask)
    }

    fn streams(&self) -> bool {
        self.stream
    }

    fn repeatable(&self) -> Option<bool> {
        Some(is_greedy(&self.ask))
    }
}

impl EndpointRequest for CompletionRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn ask_bytes(&self) -> usize {
        self.prompts.iter().map(|prompt| 2 * prompt.text.len()).max().unwrap_or_default()
    }

    fn streams(&self) -> bool {
        self.chat.stream
    }

    fn repeatable(&self) -> Option<bool> {
        Some(is_greedy(&self.chat.ask))
    }
}

impl EndpointRequest for MessageRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn ask_bytes(&self) -> usize {
        bytes_of(&self.chat.ask)
    }

    fn streams(&self) -> bool {
        self.chat.stream
    }

    fn repeatable(&self) -> Option<bool> {
        Some(is_greedy(&self.chat.ask))
    }
}

impl EndpointRequest for EmbedRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn ask_bytes(&self) -> usize {
        let frames = self.ask.inputs.chunks(TEXTS_A_FRAME);
        frames.map(|texts| texts.iter().map(String::len).sum()).max().unwrap_or_default()
    }
}

impl EndpointRequest for RankRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn ask_bytes(&self) -> usize {
        bytes_of(&self.ask) + self.candidates.iter().map(String::len).sum::<usize>()
    }
}
