//! `/v1/responses`: made, followed, fetched, cancelled and forgotten.

mod teller;
pub(super) mod store;
mod background;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App, chat,
    error::ApiError,
    opening::{self, Asked},
    told::{self, Events, Tell, Telling},
};
use shoal_api::responses::wire::Response;
use shoal_api::{
    chat::ChatRequest,
    responses::{NAMES, ResponseRequest},
};
use shoal_store::unix_now;
use store::Kept;
use teller::Teller;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (asked, meter) = opening::open::<Turn>(&app, &request, payload).await?;
    let Turn { asked, chat, earlier } = asked;
    let context = earlier.into_iter().chain(store::resources(&asked.input)).collect();
    let response = Response::begun(&asked, unix_now());
    let kept = asked.store.then(|| Kept::new(context, asked.background));
    if asked.background {
        return background::begin(app, meter, chat.ask, response, kept, asked.stream);
    }
    let telling =
        Telling { app: app.clone(), model: asked.model, meter, agreed: None, names: NAMES };
    let teller = Teller::new(response, kept.map(|kept| (app, kept)));
    if asked.stream {
        return told::stream(telling, teller, [chat.ask]).await;
    }
    whole(telling, teller, chat).await
}

/// A request with the turns before it, and all of them as a chat.
struct Turn {
    asked: ResponseRequest,
    chat: ChatRequest,
    earlier: Vec<Value>,
}

impl Asked for Turn {
    fn read(body: &[u8], app: &App) -> Result<Self, ApiError> {
        let asked = ResponseRequest::parse(body, &app.limits)?;
        let earlier = match &asked.previous {
            Some(id) => app.responses.context(id, unix_now())?,
            None => Vec::new(),
        };
        let chat = asked.ask(&earlier, &app.limits)?;
        Ok(Self { asked, chat, earlier })
    }

    fn model(&self) -> &str {
        &self.asked.model
    }

    fn streams(&self) -> bool {
        self.asked.stream
    }
}

/// One JSON object at the end.
async fn whole(
    mut telling: Telling,
    mut teller: Teller,
    chat: ChatRequest,
) -> Result<HttpResponse, ApiError> {
    let outcome = match telling.whole(chat.ask).await {
        Ok(outcome) => outcome,
        Err(error) => return Err(telling.meter.refuses(error)),
    };
    let Some(usage) = teller.ends(&outcome, true, &mut Events::default()) else {
        return Err(telling.meter.refuses(ApiError::Internal));
    };
    telling.meter.counts(usage.prompt_tokens, usage.completion_tokens);
    let mut response = HttpResponse::Ok();
    response.insert_header((chat::ROUND, outcome.round.0.as_str()));
    Ok(response.json(teller.response()))
}

/// What the query of a fetch may say.
#[derive(Debug, Deserialize)]
pub(super) struct Fetch {
    stream: Option<String>,
    starting_after: Option<String>,
}

pub(super) async fn one(
    app: web::Data<App>,
    id: web::Path<String>,
    fetch: web::Query<Fetch>,
) -> Result<HttpResponse, ApiError> {
    if fetch.stream.as_deref() == Some("true") {
        const AFTER: &str = "Invalid 'starting_after': give the number of an event.";
        let from = match fetch.starting_after.as_deref().map(str::parse::<usize>) {
            None => 0,
            Some(Ok(number)) => number.saturating_add(1),
            Some(Err(_)) => return Err(ApiError::Unsupported(AFTER, "starting_after")),
        };
        return background::follow(app, id.into_inner(), from);
    }
    Ok(HttpResponse::Ok().json(app.responses.find(&id, unix_now())?))
}

pub(super) async fn delete(
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    app.responses.delete(&id, unix_now())?;
    let gone = json!({ "id": id.as_str(), "object": "response", "deleted": true });
    Ok(HttpResponse::Ok().json(gone))
}

pub(super) async fn cancel(
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(app.responses.cancel(&id, unix_now())?))
}

/// Which part of the items is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    order: Option<String>,
    after: Option<String>,
}

/// Items of one page at most, and without a word about it (OpenAI's limits).
const PAGE_MAX: usize = 100;
const PAGE: usize = 20;

pub(super) async fn input_items(
    app: web::Data<App>,
    id: web::Path<String>,
    page: web::Query<Page>,
) -> Result<HttpResponse, ApiError> {
    const LIMIT: &str = "Invalid 'limit': give a number from 1 to 100.";
    let limit = match &page.limit {
        None => PAGE,
        Some(limit) => match limit.parse() {
            Ok(limit) if (1..=PAGE_MAX).contains(&limit) => limit,
            _ => return Err(ApiError::Unsupported(LIMIT, "limit")),
        },
    };
    let mut items = app.responses.input(&id, unix_now())?;
    match page.order.as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => {
            return Err(ApiError::Unsupported("Invalid 'order': give 'asc' or 'desc'.", "order"));
        }
    }
    if let Some(after) = &page.after {
        let at = items.iter().position(|item| item["id"] == after.as_str());
        let Some(at) = at else {
            let message = "Invalid 'after': there is no such item.";
            return Err(ApiError::Unsupported(message, "after"));
        };
        items.drain(..=at);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let name = |item: Option<&Value>| item.map(|item| item["id"].clone()).unwrap_or_default();
    let list = json!({
        "object": "list",
        "first_id": name(items.first()),
        "last_id": name(items.last()),
        "has_more": has_more,
        "data": items,
    });
    Ok(HttpResponse::Ok().json(list))
}
