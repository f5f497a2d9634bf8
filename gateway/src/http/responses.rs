//! `/v1/responses`: created, followed, read, cancelled and deleted.

mod encoder;
pub(super) mod store;
mod background;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App, access,
    answer::{self, AnswerEnd},
    callers::Owner,
    conversations::ConversationTurn,
    error::ApiError,
    intake::{self, EndpointRequest},
    items::{self, PageQuery},
};
use background::BackgroundTurn;
use encoder::StoringEncoder;
use shoal_api::responses::wire::Response;
use shoal_api::{
    Encoder as _,
    chat::ChatRequest,
    responses::{
        NAMES, ResponseEncoder, ResponseRequest,
        compaction::{Compaction, is_user_message},
    },
    sse::Events,
};
use shoal_store::unix_now;
use store::StoreRequest;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (turn, meter) = intake::accept::<Turn>(&app, &request, payload).await?;
    let Turn { request, chat: ChatRequest { ask, .. }, earlier } = turn;
    let input = items::resources(&request.input);
    let turn = request.conversation.clone().map(|id| {
        // Its items have the same ids in the conversation and in the response's input.
        ConversationTurn::new(meter.owner(), id, input.clone())
    });
    let context = earlier.into_iter().chain(input).collect();
    let response = Response::new(&request, unix_now());
    let store =
        request.store.then(|| StoreRequest::new(meter.owner(), context, request.background));
    let ResponseRequest { model, stream, background, .. } = request;
    let end = AnswerEnd { model, meter, consent: None, names: NAMES };
    if background {
        return background::start(app, end, BackgroundTurn { ask, response, store, turn }, stream);
    }
    let encoder = ResponseEncoder::new(response, unix_now);
    let mut encoder = StoringEncoder { encoder, app: app.clone(), store, turn };
    if stream {
        return answer::stream(app, end, encoder, vec![ask]).await;
    }
    answer::json(&app, end, vec![ask], |outcomes| {
        // The events build the response.
        let usage = encoder.finish(outcomes.first()?, true, &mut Events::default())?;
        Some((usage, encoder.encoder.response().clone()))
    })
    .await
}

/// Compacts a conversation: its user's messages, and a summary of the whole.
pub(super) async fn compact(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (turn, meter) = intake::accept::<CompactTurn>(&app, &request, payload).await?;
    let CompactTurn { chat: ChatRequest { ask, model, .. }, user_messages } = turn;
    let end = AnswerEnd { model, meter, consent: None, names: NAMES };
    answer::json(&app, end, vec![ask], |outcomes| {
        let winner = outcomes.first()?.winner()?;
        let usage = winner.into();
        let compaction = Compaction::new(user_messages, &winner.text, &usage, unix_now());
        Some((usage, compaction))
    })
    .await
}

/// A request to compact a conversation.
struct CompactTurn {
    chat: ChatRequest,
    user_messages: Vec<Value>,
}

impl EndpointRequest for CompactTurn {
    fn parse(body: &[u8], app: &App, owner: Owner) -> Result<Self, ApiError> {
        let (request, items) = ResponseRequest::parse_compaction(body, &app.limits)?;
        let earlier = earlier_items(&request, app, owner)?;
        let mut chat = request.ask(&earlier, &app.limits)?;
        // What a swarm says of itself when all members abstain is no summary. Only its confidence is 0.
        let effort = &mut chat.ask.effort;
        effort.min_confidence = effort.min_confidence.max(f64::MIN_POSITIVE);
        let user_messages = earlier.iter().chain(&items).filter(|item| is_user_message(item));
        let user_messages: Vec<Value> = user_messages.cloned().collect();
        Ok(Self { chat, user_messages: items::resources(&user_messages) })
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn ask_bytes(&self) -> usize {
        intake::bytes_of(&self.chat.ask)
    }
}

/// The items that the input of a request continues.
fn earlier_items(
    request: &ResponseRequest,
    app: &App,
    owner: Owner,
) -> Result<Vec<Value>, ApiError> {
    match (&request.previous, &request.conversation) {
        (Some(id), _) => app.responses.context(owner, id, unix_now()),
        (None, Some(id)) => app.conversations.items(owner, id),
        (None, None) => Ok(Vec::new()),
    }
}

/// A request with the items before it, and the chat of both.
struct Turn {
    request: ResponseRequest,
    chat: ChatRequest,
    earlier: Vec<Value>,
}

impl EndpointRequest for Turn {
    fn parse(body: &[u8], app: &App, owner: Owner) -> Result<Self, ApiError> {
        let request = ResponseRequest::parse(body, &app.limits)?;
        let earlier = earlier_items(&request, app, owner)?;
        let chat = request.ask(&earlier, &app.limits)?;
        Ok(Self { request, chat, earlier })
    }

    fn model(&self) -> &str {
        &self.request.model
    }

    fn ask_bytes(&self) -> usize {
        intake::bytes_of(&self.chat.ask)
    }

    fn streams(&self) -> bool {
        self.request.stream
    }

    /// A stored conversation grows with each turn.
    fn repeatable(&self) -> Option<bool> {
        let ResponseRequest { conversation, background, .. } = &self.request;
        let is_whole = conversation.is_none() && !background;
        is_whole.then(|| intake::is_greedy(&self.chat.ask))
    }
}

/// The query of `GET /v1/responses/{id}`.
#[derive(Debug, Deserialize)]
pub(super) struct GetQuery {
    stream: Option<String>,
    starting_after: Option<String>,
}

pub(super) async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<GetQuery>,
) -> Result<HttpResponse, ApiError> {
    let owner = access::caller(&request)?.owner();
    if query.stream.as_deref() == Some("true") {
        const AFTER: &str = "Invalid 'starting_after': give the number of an event.";
        let from = match query.starting_after.as_deref().map(str::parse::<usize>) {
            None => 0,
            Some(Ok(number)) => number.saturating_add(1),
            Some(Err(_)) => return Err(ApiError::Unsupported(AFTER, "starting_after")),
        };
        return background::follow(app, owner, id.into_inner(), from);
    }
    Ok(HttpResponse::Ok().json(app.responses.find(owner, &id, unix_now())?))
}

pub(super) async fn delete(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    app.responses.delete(access::caller(&request)?.owner(), &id, unix_now())?;
    let body = json!({ "id": id.as_str(), "object": "response", "deleted": true });
    Ok(HttpResponse::Ok().json(body))
}

pub(super) async fn cancel(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let owner = access::caller(&request)?.owner();
    Ok(HttpResponse::Ok().json(app.responses.cancel(owner, &id, unix_now())?))
}

pub(super) async fn input_items(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let items = app.responses.input(access::caller(&request)?.owner(), &id, unix_now())?;
    Ok(HttpResponse::Ok().json(items::page(items, &query)?))
}
