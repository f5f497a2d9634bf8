//! A model in this process, shared by all who ask: an engine around the batch.

use std::{io, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use shoal_engine::{Engine, EngineError, Event};
use shoal_proto::{
    embed::{Embed, Embedded},
    generate::Generate,
    hello::Model,
    judge::{Ballot, Judge},
};
use tokio::sync::mpsc;

use crate::{
    batch::{Batch, Metrics, Options},
    pipeline::TextPipeline,
    step::Decode,
};

/// A model at work, and what it says of itself.
#[derive(Debug)]
pub struct Local {
    model: Model,
    batch: Batch,
}

impl Local {
    /// Starts the model's threads. `model` says what the files say; what the engine makes of it
    /// (calls, forms, vectors, the context that the cache holds) is added here. `judges`: whether
    /// the model is good enough at following instructions to judge pairs.
    pub fn start<D: Decode>(
        decoder: D,
        words: TextPipeline,
        model: Model,
        (options, judges): (&Options, bool),
        metrics: Metrics,
    ) -> io::Result<Self> {
        let letters = !words.letter('A').is_empty() && !words.letter('B').is_empty();
        let batch = Batch::start(decoder, Arc::new(words), options, metrics)?;
        let context = u32::try_from(batch.context()).unwrap_or(u32::MAX);
        let model = Model {
            context: model.context.min(context),
            certainty: true,
            likelihood: true,
            pairwise: judges && letters,
            reasoned: judges && letters,
            embeds: true,
            tools: true,
            constrained: true,
            ..model
        };
        Ok(Self { model, batch })
    }
}

impl Engine for Local {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        self.batch.generate(ask)
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        self.batch.judge(ask).boxed()
    }

    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embedded, EngineError>> {
        self.batch.embed(ask).boxed()
    }
}
