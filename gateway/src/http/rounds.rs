//! `GET /v1/rounds/{id}`: the transcript of a finished round. `GET /v1/rounds` lists the newest rounds, and
//! `GET /v1/rounds/live` sends what happens in rounds as it happens. A key sees its own rounds only.

use std::convert::Infallible;

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

use super::{
    App, access, answer,
    callers::{Callers, Owner},
    error::ApiError,
    share::{Grant, SharedResource},
};
use shoal_console::feed::RoundNotice;

/// Rounds in the list at most: more than a person reads.
const LIST_MAX: usize = 100;

/// Streams of `GET /v1/rounds/live` at a time.
const WATCHERS_MAX: usize = 32;

/// Places for the streams of `GET /v1/rounds/live`.
pub(crate) fn watchers(callers: &Callers) -> SharedResource {
    SharedResource::new(WATCHERS_MAX, callers.count())
}

pub(super) async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match app.transcripts.find(access::caller(&request)?.owner(), &id) {
        Some(body) => Ok(HttpResponse::Ok().insert_header(ContentType::json()).body(body)),
        None => Err(ApiError::NoSuchRound(id.chars().take(64).collect())),
    }
}

/// The newest rounds of the key. Without keys all clients are one owner, and the id of a round opens its
/// transcript: where strangers are among them the list is empty, so that none reads what others asked.
pub(super) async fn list(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let owner = access::caller(&request)?.owner();
    let is_hidden = app.config.has_strangers();
    let rounds = if is_hidden { Vec::new() } else { app.transcripts.newest(owner, LIST_MAX) };
    Ok(HttpResponse::Ok().json(json!({ "object": "list", "data": rounds, "hidden": is_hidden })))
}

/// The rounds of the key as they happen, until the client leaves or the gateway stops.
pub(super) async fn live(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let owner = access::caller(&request)?.owner();
    let max = app.watchers.max();
    let grant = app.watchers.take(owner, 1).ok_or(ApiError::TooMany { max })?;
    let notices = app.rounds.feed().subscribe();
    let feed = LiveFeed { app, owner, notices, _grant: grant };
    // Without a first event the browser would not know that it is connected.
    let first = stream::iter([Ok(Bytes::from_static(b": connected\n\n"))]);
    let rest = stream::unfold(feed, async |mut feed| {
        Some((Ok::<Bytes, Infallible>(feed.next().await?), feed))
    });
    Ok(answer::head().streaming(futures_util::StreamExt::chain(first, rest)))
}

/// The notices for one watcher.
struct LiveFeed {
    app: web::Data<App>,
    owner: Owner,
    notices: Receiver<RoundNotice>,
    _grant: Grant,
}

impl LiveFeed {
    /// The next event; `None` when the gateway stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let notice = tokio::select! {
                () = self.app.closing.cancelled() => return None,
                notice = timeout(self.app.config.keep_alive(), self.notices.recv()) => notice,
            };
            let event = match notice {
                Err(_) => return Some(Bytes::from_static(b": keep-alive\n\n")),
                Ok(Ok(notice)) if notice.client == self.owner.0 => {
                    notice.event(self.app.config.has_strangers())
                }
                Ok(Ok(_)) => continue,
                Ok(Err(RecvError::Lagged(count))) => json!({ "step": "gap", "missed": count }),
                Ok(Err(RecvError::Closed)) => return None,
            };
            return Some(Bytes::from(format!("data: {event}\n\n")));
        }
    }
}
