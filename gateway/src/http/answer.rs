//! How an endpoint answers: as one JSON object or as a stream of events. A format is an
//! [`Encoder`]; everything else is the same for all endpoints.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::header::{self, HeaderName},
    web,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use tracing::{Instrument as _, Span};

use super::{
    App,
    cache::CACHE,
    error::ApiError,
    meter::Meter,
    task::{self, Answer, AskTask, Job, RoundEvent},
};
use crate::export::Consent;
use shoal_api::{Encoder, FieldNames, Usage, sse::Events};
use shoal_consensus::{Ask, Outcome, RoundError, outcome::RoundUpdate};

/// The header with the round's id, which `GET /v1/rounds/{id}` takes.
pub(super) const ROUND: HeaderName = HeaderName::from_static("x-shoal-round");

/// The header with P(the answer is right), where it is known.
const CONFIDENCE: HeaderName = HeaderName::from_static("x-shoal-confidence");

/// Asks of one request that run at a time. The swarm serves other requests in between.
const ASKS_AT_A_TIME: usize = 4;

/// What every answer leads to, in whatever form it is sent: a transcript if it comes from a round, the
/// round for training if the client agrees, and the metrics.
#[derive(Debug)]
pub(super) struct AnswerEnd {
    /// The name that the client sent.
    pub(super) model: String,
    pub(super) meter: Meter,
    /// The client and the operator agree that the round is kept for training.
    pub(super) consent: Option<Consent>,
    /// The endpoint's names for a chat's fields.
    pub(super) names: FieldNames<'static>,
}

impl AnswerEnd {
    /// Runs work that has no updates to its end.
    ///
    /// # Errors
    /// Why the work failed. It is counted.
    pub(super) async fn run<T: Send + 'static>(
        self,
        app: &App,
        work: impl Future<Output = Result<T, RoundError>> + Send + 'static,
    ) -> Result<(Self, T), ApiError> {
        match task::run_to_end(app, work).await {
            Ok(result) => Ok((self, result)),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Keeps the transcript of a round.
    pub(super) fn keep_transcript(&self, app: &App, outcome: &Outcome) {
        app.transcripts.keep(self.meter.owner(), &self.model, outcome);
    }

    /// The asks of the request, with who asks and where the answers are kept.
    fn jobs(&self, asks: Vec<Ask>) -> VecDeque<Job> {
        let client = self.meter.client();
        let jobs = asks.into_iter().enumerate().map(|(index, ask)| {
            let cache = self.meter.cache().map(|key| key.of_ask(index));
            Job { ask, client, cache }
        });
        jobs.collect()
    }

    /// Records the answer of one ask. One that was kept is recorded already.
    fn record(&mut self, app: &App, answer: &Answer) {
        let Answer { outcome, is_kept } = answer;
        self.meter.piece();
        if *is_kept {
            return;
        }
        self.keep_transcript(app, outcome);
        if let Some(consent) = self.consent.take() {
            consent.record(&self.model, outcome);
        }
    }

    /// Counts an answer that is complete.
    pub(super) fn finish(self, input_tokens: u32, output_tokens: u32) {
        self.meter.finish(input_tokens, output_tokens);
    }

    /// Counts a failure. The error names the endpoint's fields.
    pub(super) fn fail(self, error: ApiError) -> ApiError {
        self.meter.fail(error).rename(self.names)
    }
}

/// Answers with one JSON object when all asks have ended. `encode` returns what the answers cost
/// and the body, or `None` if an outcome has no answer.
///
/// # Errors
/// Why there is no answer. It is counted.
pub(super) async fn json<B: Serialize>(
    app: &App,
    mut end: AnswerEnd,
    asks: Vec<Ask>,
    encode: impl FnOnce(&[Box<Outcome>]) -> Option<(Usage, B)>,
) -> Result<HttpResponse, ApiError> {
    let jobs = end.jobs(asks).into_iter();
    let tasks = jobs.map(|job| async { AskTask::start(app, job, false).end().await });
    let tasks: Vec<_> = tasks.collect();
    let answers = stream::iter(tasks).buffered(ASKS_AT_A_TIME).try_collect::<Vec<_>>().await;
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => return Err(end.fail(error)),
    };
    answers.iter().for_each(|answer| end.record(app, answer));
    let all_kept = end.meter.cache().map(|_| answers.iter().all(|answer| answer.is_kept));
    let outcomes: Vec<Box<Outcome>> = answers.into_iter().map(|answer| answer.outcome).collect();
    let Some((usage, body)) = encode(&outcomes) else {
        return Err(end.fail(ApiError::Internal));
    };
    end.finish(usage.prompt_tokens, usage.completion_tokens);
    let mut response = HttpResponse::Ok();
    add_cache_header(&mut response, all_kept);
    if let [outcome] = outcomes.as_slice() {
        add_headers(&mut response, outcome);
    }
    Ok(response.json(body))
}

/// Adds the headers of the round that an answer comes from.
fn add_headers(response: &mut HttpResponseBuilder, outcome: &Outcome) {
    response.insert_header((ROUND, outcome.round.0.as_str()));
    if let Some(confidence) = outcome.confidence() {
        response.insert_header((CONFIDENCE, format!("{confidence:.3}")));
    }
}

/// Says whether the answer was kept; nothing if it may not be.
fn add_cache_header(response: &mut HttpResponseBuilder, is_kept: Option<bool>) {
    if let Some(is_kept) = is_kept {
        response.insert_header((CACHE, if is_kept { "hit" } else { "miss" }));
    }
}

/// Answers with events, one ask after the other. The head of the response waits for the first
/// event, at most for one keep-alive interval: an error before that has its own status.
///
/// # Errors
/// Why there is no answer, if that is known before the head is sent. It is counted.
pub(super) async fn stream(
    app: web::Data<App>,
    end: AnswerEnd,
    encoder: impl Encoder + 'static,
    asks: Vec<Ask>,
) -> Result<HttpResponse, ApiError> {
    let patience = app.config.keep_alive();
    let (mut answer, first) = OpenAnswer::new(end, encoder, asks);
    let Some(job) = first else { return Err(answer.abandon(ApiError::Internal)) };
    let mut task = AskTask::start(&app, job, answer.encoder.wants_progress());
    let event = match task.next(patience).await {
        RoundEvent::End(Err(error)) => return Err(answer.abandon(error)),
        event => event,
    };
    let mut response = head();
    add_cache_header(&mut response, task.is_kept());
    let round = match &event {
        RoundEvent::End(Ok(Answer { outcome, .. })) => {
            add_headers(&mut response, outcome);
            Some(&outcome.round)
        }
        _ => None,
    };
    answer.encoder.start(round, &mut answer.events);
    let mut body = AnswerStream { app, task: Some(task), answer, patience };
    body.push(event);
    let span = Span::current();
    Ok(response.streaming(stream::unfold(body, move |mut body| {
        let next = async move {
            let bytes = body.next().await?;
            Some((Ok::<Bytes, Infallible>(bytes), body))
        };
        next.instrument(span.clone())
    })))
}

/// The head of a stream of events.
pub(super) fn head() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        // Without this header, nginx and similar proxies buffer events.
        .insert_header(("x-accel-buffering", "no"));
    response
}

/// An answer in one format, which grows with the events of its rounds.
pub(super) struct OpenAnswer<E> {
    pub(super) encoder: E,
    /// Events that are not sent yet.
    pub(super) events: Events,
    /// `None` when the answer has ended.
    end: Option<AnswerEnd>,
    /// Asks that follow the one whose events come now.
    jobs: VecDeque<Job>,
    /// What the answers so far cost.
    usage: Usage,
}

impl<E: Encoder> OpenAnswer<E> {
    /// An answer without events, and the first of its asks.
    pub(super) fn new(end: AnswerEnd, encoder: E, asks: Vec<Ask>) -> (Self, Option<Job>) {
        let mut jobs = end.jobs(asks);
        let first = jobs.pop_front();
        let (events, usage) = (Events::default(), Usage::default());
        (Self { encoder, events, end: Some(end), jobs, usage }, first)
    }

    /// Adds an event of the current ask. Returns the next ask when this one has ended.
    pub(super) fn push(&mut self, app: &App, event: RoundEvent) -> Option<Job> {
        match event {
            RoundEvent::Silence => self.encoder.keep_alive(&mut self.events),
            RoundEvent::Update(RoundUpdate::Piece { text, .. }) if text.is_empty() => {}
            RoundEvent::Update(RoundUpdate::Piece { choice, text }) => {
                if let Some(end) = &mut self.end {
                    end.meter.piece();
                }
                self.encoder.text(choice, &text, &mut self.events);
            }
            RoundEvent::Update(RoundUpdate::Progress(progress)) => {
                self.encoder.progress(progress, &mut self.events);
            }
            RoundEvent::End(Ok(answer)) => return self.finish_ask(app, &answer),
            RoundEvent::End(Err(error)) => self.fail(error),
        }
        None
    }

    fn finish_ask(&mut self, app: &App, answer: &Answer) -> Option<Job> {
        let end = self.end.as_mut()?;
        end.record(app, answer);
        let next = self.jobs.pop_front();
        let Some(usage) = self.encoder.finish(&answer.outcome, next.is_none(), &mut self.events)
        else {
            self.fail(ApiError::Internal);
            return None;
        };
        self.usage.add(&usage);
        if next.is_none()
            && let Some(end) = self.end.take()
        {
            end.finish(self.usage.prompt_tokens, self.usage.completion_tokens);
        }
        next
    }

    /// Adds the error as the last event.
    fn fail(&mut self, error: ApiError) {
        self.jobs.clear();
        if let Some(end) = self.end.take() {
            self.encoder.fail(&end.fail(error).failure(), &mut self.events);
        }
    }

    /// Counts an error that is sent in place of the stream.
    pub(super) fn abandon(self, error: ApiError) -> ApiError {
        match self.end {
            Some(end) => end.fail(error),
            None => error,
        }
    }
}

/// The body of a response with events. Dropping it stops the round.
struct AnswerStream<E> {
    app: web::Data<App>,
    /// The ask whose events come now; `None` after the end of the last one.
    task: Option<AskTask>,
    answer: OpenAnswer<E>,
    /// The time without events after which a keep-alive is sent.
    patience: Duration,
}

impl<E: Encoder> AnswerStream<E> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.answer.events.pop() {
                return Some(Bytes::from(event));
            }
            let event = self.task.as_mut()?.next(self.patience).await;
            self.push(event);
        }
    }

    fn push(&mut self, event: RoundEvent) {
        if matches!(event, RoundEvent::End(_)) {
            self.task = None;
        }
        if let Some(job) = self.answer.push(&self.app, event) {
            let wants_progress = self.answer.encoder.wants_progress();
            self.task = Some(AskTask::start(&self.app, job, wants_progress));
        }
    }
}
