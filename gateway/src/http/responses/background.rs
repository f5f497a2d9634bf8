//! Responses that are made in the background. The store owns the work: deleting or cancelling the
//! response stops it. Clients can follow it, from the start or from any event.

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
};

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::store::{Status, StoreRequest};
use crate::http::{
    App,
    answer::{self, AnswerEnd, OpenAnswer},
    callers::Owner,
    conversations::ConversationTurn,
    error::ApiError,
    task::{AskTask, RoundEvent},
};
use shoal_api::{
    Encoder as _,
    responses::{ResponseEncoder, wire::Response},
    sse::{Events, KEEP_ALIVE},
};
use shoal_consensus::Ask;
use shoal_store::unix_now;

/// What is done in the background.
#[derive(Debug)]
pub(super) struct BackgroundTurn {
    pub(super) ask: Ask,
    pub(super) response: Response,
    pub(super) store: Option<StoreRequest>,
    /// The turn of the conversation that the response continues.
    pub(super) turn: Option<ConversationTurn>,
}

/// Starts the work and answers at once.
pub(super) fn start(
    app: web::Data<App>,
    end: AnswerEnd,
    work: BackgroundTurn,
    stream: bool,
) -> Result<HttpResponse, ApiError> {
    let BackgroundTurn { ask, response, store, turn } = work;
    let (id, owner) = (response.id.clone(), end.meter.owner());
    let body = HttpResponse::Ok().json(&response);
    // The parser refuses a background request that is not stored.
    let slot =
        store.ok_or(ApiError::Internal).and_then(|store| app.responses.start(store, &response));
    let (answer, job) = OpenAnswer::new(end, ResponseEncoder::new(response, unix_now), vec![ask]);
    let job = match (slot, job) {
        (Ok(()), Some(job)) => job,
        (Err(error), _) => return Err(answer.abandon(error)),
        (_, None) => return Err(answer.abandon(ApiError::Internal)),
    };
    let task = AskTask::start(&app, job, false);
    // The work must not keep the app alive, because the app owns the work.
    let gateway = Arc::downgrade(&app.clone().into_inner());
    let work = self::work(gateway, owner, answer, task, turn).in_current_span();
    app.responses.adopt(owner, &id, AbortOnDropHandle::new(app.runtime.spawn(work)));
    if stream { follow(app, owner, id, 0) } else { Ok(body) }
}

/// Stores the work's events until its end.
async fn work(
    gateway: Weak<App>,
    owner: Owner,
    mut answer: OpenAnswer<ResponseEncoder>,
    mut task: AskTask,
    turn: Option<ConversationTurn>,
) {
    answer.encoder.start(None, &mut answer.events);
    loop {
        let Some(app) = gateway.upgrade() else { return };
        store_events(&app, owner, &mut answer);
        let patience = app.config.keep_alive();
        drop(app);
        let event = task.next(patience).await;
        let is_end = matches!(event, RoundEvent::End(_));
        if matches!(event, RoundEvent::Silence) {
            continue;
        }
        let Some(app) = gateway.upgrade() else { return };
        answer.push(&app, event);
        if is_end {
            store_events(&app, owner, &mut answer);
            if let Some(turn) = turn {
                turn.add(&app, answer.encoder.response());
            }
            return app.responses.finish(owner, answer.encoder.response());
        }
    }
}

fn store_events(app: &App, owner: Owner, answer: &mut OpenAnswer<ResponseEncoder>) {
    let events = std::iter::from_fn(|| answer.events.pop()).map(Bytes::from).collect();
    app.responses.append(owner, &answer.encoder.response().id, events);
}

/// Sends the events of work in the background, from the event number `from` to the end. The work
/// goes on if the client leaves.
pub(super) fn follow(
    app: web::Data<App>,
    owner: Owner,
    id: String,
    from: usize,
) -> Result<HttpResponse, ApiError> {
    let count = app.responses.follow(owner, &id, unix_now())?;
    let follower = Follower { app, owner, id, from, count, is_finished: false };
    Ok(answer::head().streaming(stream::unfold(follower, |mut follower| async {
        let bytes = follower.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), follower))
    })))
}

/// The last event of work that is stopped: a stream that only ends looks like a short answer.
fn stop_event(number: usize) -> Bytes {
    let mut events = Events::default();
    let body = json!({
        "type": "error", "sequence_number": number, "code": null, "param": null,
        "message": "The response was cancelled or deleted.",
    });
    events.push(Some("error"), &body);
    Bytes::from(events.pop().unwrap_or_default())
}

/// The body of a response that follows work in the background.
struct Follower {
    app: web::Data<App>,
    owner: Owner,
    id: String,
    /// The next event to send.
    from: usize,
    /// The number of the work's events.
    count: watch::Receiver<usize>,
    /// The last event is sent.
    is_finished: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // This comes before the events are read, so that no event in between is missed.
            self.count.mark_unchanged();
            if self.is_finished {
                return None;
            }
            let (events, status) =
                self.app.responses.events(self.owner, &self.id, self.from, unix_now());
            if !events.is_empty() {
                self.from += events.len();
                return Some(Bytes::from(events.concat()));
            }
            match status {
                Status::Running => {}
                Status::Ended => return None,
                Status::Stopped => {
                    self.is_finished = true;
                    return Some(stop_event(self.from));
                }
            }
            if timeout(self.app.config.keep_alive(), self.count.changed()).await.is_err() {
                return Some(Bytes::from_static(KEEP_ALIVE.as_bytes()));
            }
        }
    }
}
