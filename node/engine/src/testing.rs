//! A scripted engine for tests, which counts its work.
//!
//! Two tests need other engines: those of the gateway script each member's steps and what it prefers
//! (`gateway/tests/it/scripted.rs`), and the simulation plays behaviours from a seed (`sim/src/engine.rs`).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use shoal_proto::{
    embed::{Embed, Embedded, Vector},
    generate::{Done, Finish, Generate},
    hello::Model,
    judge::{Ballot, Judge, Score},
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::task::TaskTracker;

use super::{Engine, EngineError, Event};

/// The pause between two tokens.
pub const BEAT: Duration = Duration::from_millis(10);

/// What the engine answers.
#[derive(Clone, Debug)]
pub enum Play {
    /// These pieces, then the end.
    Says(&'static [&'static str]),
    /// It abstains.
    Abstains,
    /// Text without end.
    Endless,
    /// An error after the first piece.
    Breaks(EngineError),
    /// The thread dies: the stream ends without a last event.
    Dies,
}

/// The scripted engine. Clones share their counters.
#[derive(Clone, Debug)]
pub struct Script {
    play: Play,
    model: Model,
    tokens: Arc<AtomicU32>,
    judging: Arc<AtomicU32>,
    asks: Arc<Mutex<Vec<Generate>>>,
    tasks: TaskTracker,
}

impl Script {
    /// An engine that answers every ask with `play`.
    pub fn new(play: Play) -> Self {
        let model = Model {
            name: "script".to_owned(),
            family: "llama".to_owned(),
            context: 100,
            certainty: true,
            likelihood: true,
            embeds: true,
            ..Model::default()
        };
        Self {
            play,
            model,
            tokens: Arc::default(),
            judging: Arc::default(),
            asks: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Tokens written so far.
    pub fn tokens(&self) -> u32 {
        self.tokens.load(Ordering::SeqCst)
    }

    /// The asks to write, in order.
    pub fn asks(&self) -> Vec<Generate> {
        self.asks.lock().map(|asks| asks.clone()).unwrap_or_default()
    }

    /// Judgments in progress.
    pub fn judging(&self) -> u32 {
        self.judging.load(Ordering::SeqCst)
    }

    async fn run(self, events: mpsc::Sender<Result<Event, EngineError>>) {
        let pieces: Box<dyn Iterator<Item = &str> + Send> = match &self.play {
            Play::Says(pieces) => Box::new(pieces.iter().copied()),
            Play::Abstains => Box::new(std::iter::empty()),
            Play::Endless => Box::new(std::iter::repeat("on and ")),
            Play::Breaks(_) | Play::Dies => Box::new(std::iter::once("well, ")),
        };
        let mut count = 0;
        for piece in pieces {
            sleep(BEAT).await;
            if events.is_closed() {
                return;
            }
            self.tokens.fetch_add(1, Ordering::SeqCst);
            count += 1;
            if events.send(Ok(Event::Piece(piece.to_owned()))).await.is_err() {
                return;
            }
        }
        let last = match &self.play {
            Play::Breaks(error) => Err(error.clone()),
            Play::Dies => return,
            Play::Abstains => Ok(Event::Done(Done {
                finish: Finish::Abstained.into(),
                prompt_tokens: 3,
                completion_tokens: 1,
                ..Done::default()
            })),
            Play::Says(_) | Play::Endless => Ok(Event::Done(Done {
                finish: Finish::Stop.into(),
                prompt_tokens: 3,
                completion_tokens: count,
                logprob: Some(-1.5),
                ..Done::default()
            })),
        };
        let _ = events.send(last).await;
    }
}

impl Engine for Script {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        if let Ok(mut asks) = self.asks.lock() {
            asks.push(ask);
        }
        let (events, receiver) = mpsc::channel(4);
        self.tasks.spawn(self.clone().run(events));
        receiver
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        struct JudgingGuard<'a>(&'a AtomicU32);
        impl Drop for JudgingGuard<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        async move {
            self.judging.fetch_add(1, Ordering::SeqCst);
            let _guard = JudgingGuard(&self.judging);
            if matches!(self.play, Play::Endless) {
                std::future::pending::<()>().await;
            }
            let logprob = if matches!(self.play, Play::Breaks(_)) { f64::NAN } else { -2.0 };
            let score = Score { logprob, tokens: 2 };
            let scores = vec![score; ask.candidates.len()];
            Ok(Ballot { scores, verdicts: Vec::new(), prompt_tokens: 9, ..Ballot::default() })
        }
        .boxed()
    }

    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embedded, EngineError>> {
        let vectors = ask.inputs.iter().map(|_| Vector { values: vec![1.0] }).collect();
        std::future::ready(Ok(Embedded { vectors, prompt_tokens: 2 })).boxed()
    }
}
