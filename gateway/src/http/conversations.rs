//! `/v1/conversations`: stored conversations and their items, which `/v1/responses` continues.

pub(super) mod store;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    App, access,
    admission::Permit,
    body,
    callers::Owner,
    error::ApiError,
    items::{self, PageQuery, resources},
};
use shoal_api::{
    conversations::{self, ConversationRequest},
    responses::wire::Response,
};

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (body, permit) = read(&app, &request, payload).await?;
    let ConversationRequest { items, metadata } = ConversationRequest::parse(&body)?;
    let object = app.conversations.create(permit.owner(), &resources(&items), metadata)?;
    Ok(HttpResponse::Ok().json(object))
}

pub(super) async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let owner = access::caller(&request)?.owner();
    Ok(HttpResponse::Ok().json(app.conversations.find(owner, &id)?))
}

/// Replaces the metadata.
pub(super) async fn update(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (body, permit) = read(&app, &request, payload).await?;
    let metadata = conversations::parse_metadata(&body)?;
    Ok(HttpResponse::Ok().json(app.conversations.update(permit.owner(), &id, metadata)?))
}

pub(super) async fn delete(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    app.conversations.delete(access::caller(&request)?.owner(), &id)?;
    let body = json!({ "id": id.as_str(), "object": "conversation.deleted", "deleted": true });
    Ok(HttpResponse::Ok().json(body))
}

pub(super) async fn add_items(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (body, permit) = read(&app, &request, payload).await?;
    let items = resources(&conversations::parse_items(&body)?);
    app.conversations.add(permit.owner(), &id, &items)?;
    Ok(HttpResponse::Ok().json(items::list(items, false)))
}

pub(super) async fn list_items(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let items = app.conversations.items(access::caller(&request)?.owner(), &id)?;
    Ok(HttpResponse::Ok().json(items::page(items, &query)?))
}

pub(super) async fn item(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (id, item) = path.into_inner();
    let owner = access::caller(&request)?.owner();
    Ok(HttpResponse::Ok().json(app.conversations.item(owner, &id, &item)?))
}

pub(super) async fn delete_item(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (id, item) = path.into_inner();
    let owner = access::caller(&request)?.owner();
    Ok(HttpResponse::Ok().json(app.conversations.delete_item(owner, &id, &item)?))
}

/// Admits a request and reads its body. The permit holds the body's memory.
async fn read(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Bytes, Permit), ApiError> {
    let mut permit = app.admission.enter(access::caller(request)?)?;
    let body = body::read(&app.config, request, payload, &mut permit).await?;
    Ok((body, permit))
}

/// A turn that a response adds to a conversation.
#[derive(Debug)]
pub(super) struct ConversationTurn {
    owner: Owner,
    id: String,
    input: Vec<Value>,
}

impl ConversationTurn {
    /// A turn that begins with these items.
    pub(super) fn new(owner: Owner, id: String, input: Vec<Value>) -> Self {
        Self { owner, id, input }
    }

    /// Adds the input and the output of the response, unless it has failed. A conversation that was deleted
    /// meanwhile, or that is full, stays as it is.
    pub(super) fn add(mut self, app: &App, response: &Response) {
        if response.error.is_some() {
            return;
        }
        self.input.extend(response.output.iter().map(|item| json!(item)));
        if let Err(error) = app.conversations.add(self.owner, &self.id, &self.input) {
            tracing::debug!(%error, "a turn is not added to its conversation");
        }
    }
}
