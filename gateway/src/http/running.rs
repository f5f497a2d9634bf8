//! An ask under way. Dropping it stops the round, and with it every engine that works for it.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{App, error::ApiError};
use shoal_consensus::{Ask, Outcome, RoundError, outcome::RoundUpdate};

/// Pieces that may wait for a slow client before its writer is slowed down.
const NEWS_WAITING: usize = 32;

#[derive(Debug)]
pub(super) struct Running {
    news: mpsc::Receiver<RoundUpdate>,
    /// Somebody wants to know how far the round is.
    progress: bool,
    outcome: AbortOnDropHandle<Result<Outcome, RoundError>>,
}

/// What an ask under way says next.
#[derive(Debug)]
pub(super) enum Said {
    /// What is known before the end.
    RoundUpdate(RoundUpdate),
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
    /// connections. How far the round is is told only to those who want to know.
    pub(super) fn start(app: &App, ask: Ask, progress: bool) -> Self {
        let (sender, news) = mpsc::channel(NEWS_WAITING);
        let rounds = app.rounds.clone();
        let answering = async move { rounds.answer(&ask, &sender).await };
        Self { news, progress, outcome: AbortOnDropHandle::new(app.runtime.spawn(answering)) }
    }

    /// Waits for the next thing there is to say, at most for `patience`.
    pub(super) async fn next(&mut self, patience: Duration) -> Said {
        let patience = sleep_until(Instant::now() + patience);
        tokio::select! {
            biased;
            said = self.say() => said,
            () = patience => Said::Nothing,
        }
    }

    /// Waits for the end.
    pub(super) async fn end(mut self) -> Result<Box<Outcome>, ApiError> {
        loop {
            if let Said::End(end) = self.say().await {
                return end;
            }
        }
    }

    /// May be dropped at any time: nothing of what was said is lost.
    async fn say(&mut self) -> Said {
        while let Some(news) = self.news.recv().await {
            if self.progress || !matches!(news, RoundUpdate::Progress(_)) {
                return Said::RoundUpdate(news);
            }
        }
        // All news are told, so the outcome is near.
        Said::End(match (&mut self.outcome).await {
            Ok(Ok(outcome)) => Ok(Box::new(outcome)),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(panicked = error.is_panic(), "a round did not end by itself");
                Err(ApiError::Internal)
            }
        })
    }
}
