//! The engine of a model in this process, around the batch.

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

/// A running model and its description.
#[derive(Debug)]
pub struct Local {
    model: Model,
    batch: Batch,
}

impl Local {
    /// Starts the model's threads. `model` describes the files; this adds the engine's abilities (calls,
    /// formats, vectors, and the context that fits into the cache). A model with tags that can abstain
    /// is a specialist. `judges`: whether the model
    /// follows instructions well enough to judge pairs.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start<D: Decode>(
        decoder: D,
        pipeline: TextPipeline,
        model: Model,
        (options, judges): (&Options, bool),
        metrics: Metrics,
    ) -> io::Result<Self> {
        let letters = !pipeline.letter('A').is_empty() && !pipeline.letter('B').is_empty();
        let specialist = pipeline.tokenizer.abstention().is_some() && !model.tags.is_empty();
        let batch = Batch::start(decoder, Arc::new(pipeline), options, metrics)?;
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
            specialist,
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
