//! A response that is stored at its end.

use actix_web::web;

use super::store::StoreRequest;
use crate::http::{App, conversations::ConversationTurn};
use shoal_api::{Encoder, Failure, Usage, responses::ResponseEncoder, sse::Events};
use shoal_consensus::{Outcome, outcome::RoundId};

/// A [`ResponseEncoder`] that stores its response at the end, if the client wants it, and adds its turn to the
/// conversation that it continues.
pub(super) struct StoringEncoder {
    pub(super) encoder: ResponseEncoder,
    pub(super) app: web::Data<App>,
    /// `None` if the response is not stored, or is stored already.
    pub(super) store: Option<StoreRequest>,
    pub(super) turn: Option<ConversationTurn>,
}

impl StoringEncoder {
    fn store(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.add(&self.app, self.encoder.response());
        }
        if let Some(request) = self.store.take() {
            self.app.responses.keep(request, self.encoder.response());
        }
    }
}

impl Encoder for StoringEncoder {
    fn start(&mut self, round: Option<&RoundId>, events: &mut Events) {
        self.encoder.start(round, events);
    }

    fn text(&mut self, choice: usize, text: &str, events: &mut Events) {
        self.encoder.text(choice, text, events);
    }

    fn finish(&mut self, outcome: &Outcome, last: bool, events: &mut Events) -> Option<Usage> {
        let usage = self.encoder.finish(outcome, last, events)?;
        self.store();
        Some(usage)
    }

    fn fail(&mut self, failure: &Failure, events: &mut Events) {
        self.encoder.fail(failure, events);
        self.store();
    }
}
