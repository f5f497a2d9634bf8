//! Responses that are worked on while nobody waits. The store owns the work: forgetting or
//! cancelling the response stops it.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use tokio_util::task::AbortOnDropHandle;

use super::{store::Kept, teller::Teller, wire::Response};
use crate::{
    ask::Ask,
    http::{
        App,
        error::ApiError,
        meter::Meter,
        running::Running,
        told::{Events, Tell as _},
    },
};

/// Begins the work and answers at once.
pub(super) async fn begin(
    app: web::Data<App>,
    meter: Meter,
    ask: Ask,
    response: Response,
    kept: Option<Kept>,
) -> Result<HttpResponse, ApiError> {
    // Parsing refuses what shall not be stored.
    let Some(kept) = kept else { return Err(ApiError::Internal) };
    let begun = match app.responses.begin(kept, &response) {
        Ok(()) => HttpResponse::Ok().json(&response),
        Err(error) => {
            meter.fails(error.label());
            return Err(error);
        }
    };
    let id = response.id.clone();
    let running = Running::start(&app, ask, false);
    // The work must not keep its owner alive.
    let owner = Arc::downgrade(&app.clone().into_inner());
    let work = async move {
        let ended = running.end().await;
        let Some(app) = owner.upgrade() else { return };
        let mut teller = Teller::new(response, web::Data::from(app.clone()), None);
        match &ended {
            Ok(outcome) => {
                let model = teller.response().model.clone();
                app.transcripts.keep(&model, outcome);
                match teller.ends(outcome, true, &mut Events::default()) {
                    Some(usage) => meter.counts(usage.prompt_tokens, usage.completion_tokens),
                    None => {
                        meter.fails(ApiError::Internal.label());
                        teller.fails(&ApiError::Internal, &mut Events::default());
                    }
                }
            }
            Err(error) => {
                meter.fails(error.label());
                teller.fails(error, &mut Events::default());
            }
        }
        app.responses.finish(teller.response());
    };
    let task = AbortOnDropHandle::new(app.runtime.spawn(work));
    app.responses.own(&id, task);
    Ok(begun)
}
