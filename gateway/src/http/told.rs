//! Asks of the other endpoints, answered whole or as events. What an endpoint's events are, its
//! [`Tell`] says; when they are due, and what else an answer leads to, is the same for all.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use actix_web::{HttpResponse, HttpResponseBuilder, http::header, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;

use super::{
    App, chat,
    error::ApiError,
    meter::Meter,
    running::{Running, Said},
};
use crate::export::Agreed;
use shoal_api::Names;
use shoal_api::chat::wire::Usage;
use shoal_consensus::{Ask, Outcome, outcome::RoundUpdate};

/// How one endpoint tells answers as events.
pub(super) trait Tell: 'static {
    /// What stands before everything else.
    fn begins(&mut self, events: &mut Events);

    /// More text of an answer; `choice` counts the answers wanted.
    fn piece(&mut self, choice: usize, text: &str, events: &mut Events);

    /// An ask is answered; with `last`, nothing follows. None: there is no answer in it.
    fn ends(&mut self, outcome: &Outcome, last: bool, events: &mut Events) -> Option<Usage>;

    /// There will be no more of an answer.
    fn fails(&mut self, error: &ApiError, events: &mut Events);

    /// A sign of life on a silent stream.
    fn waits(&mut self, events: &mut Events) {
        events.0.push_back(KEEP_ALIVE);
    }
}

pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Events that wait to be sent, as bytes.
#[derive(Debug, Default)]
pub(super) struct Events(VecDeque<Bytes>);

impl Events {
    /// One event: JSON has no line breaks of its own.
    pub(super) fn push(&mut self, name: Option<&str>, body: &impl Serialize) {
        let line = name.map_or_else(String::new, |name| format!("event: {name}\n"));
        self.0.push_back(match serde_json::to_string(body) {
            Ok(json) => Bytes::from(format!("{line}data: {json}\n\n")),
            // Our own structs have string keys only, so this cannot be; an empty comment harms nobody.
            Err(_) => KEEP_ALIVE,
        });
    }

    /// Takes out what waits.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.0).into()
    }

    /// The last event of OpenAI's older streams.
    pub(super) fn done(&mut self) {
        self.0.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    }
}

/// What answers are told with.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) app: web::Data<App>,
    /// As it was asked for.
    pub(super) model: String,
    pub(super) meter: Meter,
    /// The round is to be kept for training too.
    pub(super) agreed: Option<Agreed>,
    /// What this door calls a chat's fields.
    pub(super) names: Names<'static>,
}

impl Telling {
    /// What every answer leads to, whoever gets it.
    fn keep(&mut self, outcome: &Outcome) {
        self.app.transcripts.keep(&self.model, outcome);
        if let Some(agreed) = self.agreed.take() {
            agreed.keep(&self.model, outcome);
        }
    }

    /// Waits for the whole answer to one ask.
    ///
    /// # Errors
    /// Why there is none; it is not counted yet.
    pub(super) async fn whole(&mut self, ask: Ask) -> Result<Box<Outcome>, ApiError> {
        let outcome = Running::start(&self.app, ask, false).end().await;
        let outcome = outcome.map_err(|error| error.renamed(self.names))?;
        self.keep(&outcome);
        Ok(outcome)
    }
}

/// Answers as events, one ask after the other. The response's head waits for the first thing there
/// is to say, at most as long as a keep-alive: what fails before that is a plain error with its
/// own status.
pub(super) async fn stream(
    telling: Telling,
    teller: impl Tell,
    asks: impl IntoIterator<Item = Ask>,
) -> Result<HttpResponse, ApiError> {
    let mut asks: VecDeque<Ask> = asks.into_iter().collect();
    let Some(first) = asks.pop_front() else { return Err(ApiError::Internal) };
    let patience = telling.app.config.keep_alive();
    let mut running = Running::start(&telling.app, first, false);
    let said = match running.next(patience).await {
        Said::End(Err(error)) => {
            return Err(telling.meter.refuses(error).renamed(telling.names));
        }
        said => said,
    };
    let mut response = head();
    if let Said::End(Ok(outcome)) = &said {
        response.insert_header((chat::ROUND, outcome.round.0.as_str()));
    }
    let spent = Spent::default();
    let events = Events::default();
    let mut told = Told {
        running: Some(running),
        telling: Some(telling),
        teller,
        asks,
        spent,
        events,
        patience,
    };
    told.teller.begins(&mut told.events);
    told.hear(said);
    Ok(response.streaming(stream::unfold(told, |mut told| async {
        let bytes = told.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), told))
    })))
}

/// What stands before a stream of events.
pub(super) fn head() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        // nginx and its kin hold events back without this.
        .insert_header(("x-accel-buffering", "no"));
    response
}

/// Tokens of all asks so far.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    input: u32,
    output: u32,
}

struct Told<T> {
    /// Until its end was heard.
    running: Option<Running>,
    /// Until the end was told.
    telling: Option<Telling>,
    teller: T,
    /// What is asked when this is answered.
    asks: VecDeque<Ask>,
    spent: Spent,
    events: Events,
    patience: Duration,
}

impl<T: Tell> Told<T> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.events.0.pop_front() {
                return Some(bytes);
            }
            let said = self.running.as_mut()?.next(self.patience).await;
            self.hear(said);
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Nothing => self.teller.waits(&mut self.events),
            Said::RoundUpdate(RoundUpdate::Piece { choice, text }) => {
                if let Some(telling) = &mut self.telling {
                    telling.meter.piece();
                }
                self.teller.piece(choice, &text, &mut self.events);
            }
            Said::RoundUpdate(RoundUpdate::Progress(_)) => {}
            Said::End(Ok(outcome)) => self.end(&outcome),
            Said::End(Err(error)) => {
                let names = self.telling.as_ref().map_or(&[][..], |telling| telling.names);
                self.fail(&error.renamed(names));
            }
        }
    }

    fn end(&mut self, outcome: &Outcome) {
        self.running = None;
        let Some(telling) = &mut self.telling else { return };
        telling.meter.piece();
        telling.keep(outcome);
        let next = self.asks.pop_front();
        let Some(usage) = self.teller.ends(outcome, next.is_none(), &mut self.events) else {
            return self.fail(&ApiError::Internal);
        };
        self.spent.input = self.spent.input.saturating_add(usage.prompt_tokens);
        self.spent.output = self.spent.output.saturating_add(usage.completion_tokens);
        if let Some(ask) = next {
            self.running = Some(Running::start(&telling.app, ask, false));
        } else if let Some(telling) = self.telling.take() {
            telling.meter.counts(self.spent.input, self.spent.output);
        }
    }

    /// The error as the last event.
    fn fail(&mut self, error: &ApiError) {
        self.running = None;
        self.asks.clear();
        self.teller.fails(error, &mut self.events);
        if let Some(telling) = self.telling.take() {
            telling.meter.fails(error.label());
        }
    }
}
