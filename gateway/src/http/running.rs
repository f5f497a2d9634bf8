//! An ask under way. Dropping it stops the round, and with it every engine that works for it.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{App, error::ApiError};
use crate::{
    ask::{Ask, Outcome},
    round::RoundError,
};

/// Pieces that may wait for a slow client before its writer is slowed down.
const PIECES_WAITING: usize = 32;

#[derive(Debug)]
pub(super) struct Running {
    pieces: mpsc::Receiver<String>,
    outcome: AbortOnDropHandle<Result<Outcome, RoundError>>,
}

/// What an ask under way says next.
#[derive(Debug)]
pub(super) enum Said {
    /// Text of the answer, before its end is known.
    Piece(String),
    /// Nothing for as long as one waited.
    Nothing,
    /// The end; nothing follows.
    End(Result<Box<Outcome>, ApiError>),
}

/// Does work that gives nothing before its end on the gateway's own runtime. Dropping the future
/// stops the work.
pub(super) async fn owned<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, RoundError>> + Send + 'static,
) -> Result<T, ApiError> {
    match AbortOnDropHandle::new(app.runtime.spawn(work)).await {
        Ok(done) => Ok(done?),
        Err(error) => {
            tracing::error!(panicked = error.is_panic(), "a piece of work did not end by itself");
            Err(ApiError::Internal)
        }
    }
}

impl Running {
    /// Starts on the gateway's own runtime: an HTTP worker has one thread, and it belongs to its
    /// connections.
    pub(super) fn start(app: &App, ask: Ask) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_WAITING);
        let rounds = app.rounds.clone();
        let answering = async move { rounds.answer(&ask, &sender).await };
        Self { pieces, outcome: AbortOnDropHandle::new(app.runtime.spawn(answering)) }
    }

    /// Waits for the next thing there is to say, at most for `patience`.
    pub(super) async fn next(&mut self, patience: Duration) -> Said {
        let patience = sleep_until(Instant::now() + patience);
        tokio::select! {
            biased;
            said = Self::say(&mut self.pieces, &mut self.outcome) => said,
            () = patience => Said::Nothing,
        }
    }

    /// Waits for the end.
    pub(super) async fn end(mut self) -> Result<Box<Outcome>, ApiError> {
        loop {
            if let Said::End(end) = Self::say(&mut self.pieces, &mut self.outcome).await {
                return end;
            }
        }
    }

    async fn say(
        pieces: &mut mpsc::Receiver<String>,
        outcome: &mut AbortOnDropHandle<Result<Outcome, RoundError>>,
    ) -> Said {
        if let Some(text) = pieces.recv().await {
            return Said::Piece(text);
        }
        // All pieces are told, so the outcome is near.
        Said::End(match outcome.await {
            Ok(Ok(outcome)) => Ok(Box::new(outcome)),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(panicked = error.is_panic(), "a round did not end by itself");
                Err(ApiError::Internal)
            }
        })
    }
}
