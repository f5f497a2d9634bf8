//! An ask whose round runs. Dropping it stops the round and every engine that works for it.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{App, error::ApiError};
use shoal_consensus::{Ask, Outcome, RoundError, outcome::RoundUpdate};

/// Updates in the queue for a slow client before its writer has to wait.
const UPDATES_MAX: usize = 32;

/// The task of one ask's round.
#[derive(Debug)]
pub(super) struct AskTask {
    updates: mpsc::Receiver<RoundUpdate>,
    /// The client wants to know how far the round is.
    wants_progress: bool,
    outcome: AbortOnDropHandle<Result<Outcome, RoundError>>,
}

/// What happens next in a round.
#[derive(Debug)]
pub(super) enum RoundEvent {
    /// Text, or how far the round is.
    Update(RoundUpdate),
    /// Nothing for as long as the caller wants to wait.
    Silence,
    /// The end of the round, which is the last event.
    End(Result<Box<Outcome>, ApiError>),
}

/// Runs work that has no updates on the gateway's own runtime. Dropping the future stops the work.
pub(super) async fn run_to_end<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, RoundError>> + Send + 'static,
) -> Result<T, ApiError> {
    match AbortOnDropHandle::new(app.runtime.spawn(work.in_current_span())).await {
        Ok(result) => Ok(result?),
        Err(error) => {
            tracing::error!(panicked = error.is_panic(), "the task of a request was stopped");
            Err(ApiError::Internal)
        }
    }
}

impl AskTask {
    /// Starts a round on the gateway's own runtime: an HTTP worker has one thread, which serves its
    /// connections.
    pub(super) fn start(app: &App, ask: Ask, wants_progress: bool) -> Self {
        let (sender, updates) = mpsc::channel(UPDATES_MAX);
        let rounds = app.rounds.clone();
        let round = async move { rounds.answer(&ask, &sender).await }.in_current_span();
        let outcome = AbortOnDropHandle::new(app.runtime.spawn(round));
        Self { updates, wants_progress, outcome }
    }

    /// Waits for the next event, at most for `patience`.
    pub(super) async fn next(&mut self, patience: Duration) -> RoundEvent {
        let deadline = sleep_until(Instant::now() + patience);
        tokio::select! {
            biased;
            event = self.event() => event,
            () = deadline => RoundEvent::Silence,
        }
    }

    /// Waits for the end.
    pub(super) async fn end(mut self) -> Result<Box<Outcome>, ApiError> {
        loop {
            if let RoundEvent::End(end) = self.event().await {
                return end;
            }
        }
    }

    /// Waits for an event other than silence. The future can be dropped at any time without the
    /// loss of an event.
    async fn event(&mut self) -> RoundEvent {
        while let Some(update) = self.updates.recv().await {
            if self.wants_progress || !matches!(update, RoundUpdate::Progress(_)) {
                return RoundEvent::Update(update);
            }
        }
        // The round has closed the queue of updates, so that its outcome comes soon.
        RoundEvent::End(match (&mut self.outcome).await {
            Ok(Ok(outcome)) => Ok(Box::new(outcome)),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(panicked = error.is_panic(), "the task of a round was stopped");
                Err(ApiError::Internal)
            }
        })
    }
}
