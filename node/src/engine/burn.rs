//! The burn engine: a decoder-only model in this process, on the CPU.

pub mod llama;
pub mod fused;
pub mod decoder;
mod load;
mod write;
mod score;
mod work;
pub mod bench;

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use shoal_proto::{
    generate::{Fault, Generate},
    hello::Model,
    judge::{Ballot, Judge},
};
use tokio::sync::{mpsc, oneshot};

use self::{
    load::Loaded,
    work::{Job, Workers},
};
use super::{Engine, EngineError, Event};
pub use crate::model::{
    LoadError,
    files::{Files, bundled_names},
    template::TemplateError,
};

/// Pieces that wait for a slow gateway before the model waits too.
const EVENTS: usize = 32;

/// How a model is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The model's name in the swarm, if not its folder's.
    pub name: Option<String>,
    /// Threads: pieces of work done at the same time.
    pub slots: u32,
    /// Tokens of an answer for which the ask sets no limit.
    pub answer_tokens: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: None, slots: 1, answer_tokens: 1024 }
    }
}

/// A model in this process.
#[derive(Debug)]
pub struct Burn {
    model: Model,
    workers: Workers,
}

impl Burn {
    /// Loads a model and starts its threads. Blocks for as long as that takes.
    pub fn open(files: &Files, options: &Options) -> Result<Self, LoadError> {
        let loaded = Loaded::open(files, options)?;
        let model = loaded.card.clone();
        let workers = Workers::start(Arc::new(loaded), options.slots).map_err(LoadError::Thread)?;
        Ok(Self { model, workers })
    }
}

impl Engine for Burn {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (events, receiver) = mpsc::channel(EVENTS);
        if let Err(Job::Generate { events, .. }) = self.workers.take(Job::Generate { ask, events })
        {
            // The channel is new and has room.
            let _ = events.try_send(Err(busy()));
        }
        receiver
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        let (reply, ballot) = oneshot::channel();
        let taken = self.workers.take(Job::Judge { ask, reply }).is_ok();
        async move {
            if !taken {
                return Err(busy());
            }
            let died = |_| EngineError::new(Fault::Engine, "the model's thread died");
            ballot.await.unwrap_or_else(|gone| Err(died(gone)))
        }
        .boxed()
    }
}

fn busy() -> EngineError {
    EngineError::new(Fault::Busy, "all of the model's threads are at work")
}

#[cfg(test)]
mod tests;
