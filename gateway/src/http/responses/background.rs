//! Responses that are worked on while nobody waits. The store owns the work: forgetting or
//! cancelling the response stops it. Whoever wants to can follow it, from the start or from any
//! event on.

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

use super::{
    store::{Course, Kept},
    teller::Teller,
};
use crate::http::{
    App,
    error::ApiError,
    meter::Meter,
    running::{Running, Said},
    told::{self, Events, Tell as _},
};
use shoal_api::responses::NAMES;
use shoal_api::responses::wire::Response;
use shoal_consensus::{Ask, outcome::RoundUpdate};
use shoal_store::unix_now;

/// Begins the work and answers at once.
pub(super) fn begin(
    app: web::Data<App>,
    meter: Meter,
    ask: Ask,
    response: Response,
    kept: Option<Kept>,
    stream: bool,
) -> Result<HttpResponse, ApiError> {
    // Parsing refuses what shall not be stored.
    let Some(kept) = kept else { return Err(ApiError::Internal) };
    if let Err(error) = app.responses.begin(kept, &response) {
        return Err(meter.refuses(error));
    }
    let id = response.id.clone();
    let begun = HttpResponse::Ok().json(&response);
    let running = Running::start(&app, ask, false);
    // The work must not keep its owner alive.
    let owner = Arc::downgrade(&app.clone().into_inner());
    let task = AbortOnDropHandle::new(app.runtime.spawn(work(owner, meter, running, response)));
    app.responses.own(&id, task);
    if stream { follow(app, id, 0) } else { Ok(begun) }
}

/// Tells the work's events to the store until its end.
async fn work(owner: Weak<App>, mut meter: Meter, mut running: Running, response: Response) {
    let mut teller = Teller::new(response, None);
    let mut events = Events::default();
    teller.begins(&mut events);
    loop {
        let Some(app) = owner.upgrade() else { return };
        app.responses.tell(&teller.response().id, events.take());
        let patience = app.config.keep_alive();
        drop(app);
        match running.next(patience).await {
            Said::Nothing | Said::RoundUpdate(RoundUpdate::Progress(_)) => {}
            Said::RoundUpdate(RoundUpdate::Piece { choice, text }) => {
                meter.piece();
                teller.piece(choice, &text, &mut events);
            }
            Said::End(ended) => {
                let Some(app) = owner.upgrade() else { return };
                let ended = ended.map_err(|error| error.renamed(NAMES)).and_then(|outcome| {
                    app.transcripts.keep(&teller.response().model, &outcome);
                    teller.ends(&outcome, true, &mut events).ok_or(ApiError::Internal)
                });
                match ended {
                    Ok(usage) => meter.counts(usage.prompt_tokens, usage.completion_tokens),
                    Err(error) => {
                        meter.fails(error.label());
                        teller.fails(&error, &mut events);
                    }
                }
                app.responses.tell(&teller.response().id, events.take());
                return app.responses.finish(teller.response());
            }
        }
    }
}

/// The events of work in the background, the given one first, until its end. Leaving stops
/// nothing but the telling.
pub(super) fn follow(
    app: web::Data<App>,
    id: String,
    from: usize,
) -> Result<HttpResponse, ApiError> {
    let told = app.responses.follow(&id, unix_now())?;
    let follower = Follower { app, id, from, told, ended: false };
    Ok(told::head().streaming(stream::unfold(follower, |mut follower| async {
        let bytes = follower.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), follower))
    })))
}

/// The last event of what was stopped: silence would look like a short answer.
fn stopped(number: usize) -> Bytes {
    let mut events = Events::default();
    let body = json!({
        "type": "error", "sequence_number": number, "code": null, "param": null,
        "message": "The response was cancelled or deleted.",
    });
    events.push(Some("error"), &body);
    Bytes::from(events.take().concat())
}

struct Follower {
    app: web::Data<App>,
    id: String,
    /// The next event to send.
    from: usize,
    told: watch::Receiver<usize>,
    /// Its last event was told.
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // Seen before what there is is read, so that nothing told meanwhile is missed.
            self.told.mark_unchanged();
            if self.ended {
                return None;
            }
            let (events, course) = self.app.responses.told(&self.id, self.from, unix_now());
            if !events.is_empty() {
                self.from += events.len();
                return Some(Bytes::from(events.concat()));
            }
            match course {
                Course::Running => {}
                Course::Ended => return None,
                Course::Stopped => {
                    self.ended = true;
                    return Some(stopped(self.from));
                }
            }
            if timeout(self.app.config.keep_alive(), self.told.changed()).await.is_err() {
                return Some(told::KEEP_ALIVE);
            }
        }
    }
}
