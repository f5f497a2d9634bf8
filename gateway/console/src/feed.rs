//! What happens in the rounds of clients, for those who watch. Nobody waits for a watcher: one that reads too
//! slowly misses the oldest notices, and is told how many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};
use shoal_consensus::{
    Ask, Outcome, RoundError,
    ask::Target,
    outcome::{Decision, Progress, RoundId},
};
use tokio::{sync::broadcast, time::Instant};

/// Notices that are kept for a slow watcher. Rounds have about ten notices each.
const NOTICES_MAX: usize = 256;

/// The notices of all rounds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RoundFeed {
    notices: broadcast::Sender<RoundNotice>,
    /// Rounds so far.
    count: Arc<AtomicU64>,
}

/// Something that happened in a round.
#[derive(Clone, Debug)]
pub struct RoundNotice {
    /// Whose round it is: the number of an API key.
    pub client: usize,
    /// The number of the round since the gateway started. Unlike its id it opens no transcript.
    pub number: u64,
    /// The round.
    pub round: RoundId,
    /// The time since the round's start.
    pub time: Duration,
    /// What happened.
    pub step: RoundStep,
}

/// What happens in a round.
#[derive(Clone, Debug)]
pub enum RoundStep {
    /// It starts, for this model.
    Start(String),
    /// How far it is.
    Progress(Progress),
    /// It has an answer.
    End(RoundSummary),
    /// It has none, for this reason: one of the labels of `shoal_rounds_total`.
    Failure(&'static str),
}

/// A round in one line, without a word that a client or a member wrote, but for the names of models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundSummary {
    /// The round's id.
    pub id: String,
    /// Its end, in Unix seconds.
    #[serde(rename = "created")]
    pub unix_seconds: u64,
    /// The model that was asked for.
    pub model: String,
    /// The model of the winner; None: every member abstained.
    pub winner_model: Option<String>,
    /// How the winner was found.
    #[serde(rename = "decided")]
    pub decision: Decision,
    /// P(the answer is right) in [0, 1].
    pub confidence: Option<f64>,
    /// Number of candidates.
    pub candidates: usize,
    /// Number of ballots.
    pub ballots: usize,
    /// The whole time in milliseconds.
    pub total_ms: u64,
}

impl RoundSummary {
    /// The summary of a round that has ended. `model` is the name that the client sent.
    pub fn new(model: &str, outcome: &Outcome, unix_seconds: u64) -> Self {
        let winner = outcome.winner().filter(|_| outcome.decided != Decision::Abstained);
        Self {
            id: outcome.round.0.clone(),
            unix_seconds,
            model: model.to_owned(),
            winner_model: winner.map(|winner| winner.model.clone()),
            decision: outcome.decided,
            confidence: outcome.confidence(),
            candidates: outcome.candidates.len(),
            ballots: outcome.ballots.len(),
            total_ms: u64::try_from(outcome.timings.total.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl RoundNotice {
    /// The notice as an event for the page. `is_hidden`: without the id, which opens the transcript.
    pub fn event(&self, is_hidden: bool) -> Value {
        let step = match &self.step {
            RoundStep::Start(model) => json!({ "step": "start", "model": model }),
            RoundStep::Progress(Progress::Writing { finished: answers, asked: writers }) => {
                json!({ "step": "writing", "done": answers, "asked": writers })
            }
            RoundStep::Progress(Progress::Judging { heard: ballots, asked: judges }) => {
                json!({ "step": "judging", "done": ballots, "asked": judges })
            }
            RoundStep::End(summary) => {
                let mut summary = summary.clone();
                if is_hidden {
                    summary.id.clear();
                }
                json!({ "step": "end", "round": summary })
            }
            RoundStep::Failure(reason) => json!({ "step": "failure", "reason": reason }),
        };
        let ms = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        let id = (!is_hidden).then_some(self.round.0.as_str());
        let head = json!({ "number": self.number, "elapsed_ms": ms, "id": id });
        let fields = [head, step].into_iter().filter_map(|part| match part {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        Value::Object(fields.flatten().collect())
    }
}

impl Default for RoundFeed {
    fn default() -> Self {
        Self { notices: broadcast::Sender::new(NOTICES_MAX), count: Arc::default() }
    }
}

impl RoundFeed {
    /// The notices from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<RoundNotice> {
        self.notices.subscribe()
    }

    /// Announces a round.
    pub fn watch(&self, client: usize, round: &RoundId, ask: &Ask) -> RoundWatch {
        let model = match &ask.target {
            Target::Swarm => ask.effort.mode.model().to_owned(),
            Target::Model(model) => model.clone(),
        };
        let watch = RoundWatch {
            feed: self.clone(),
            client,
            number: self.count.fetch_add(1, Ordering::Relaxed),
            round: round.clone(),
            start: Instant::now(),
            model,
            has_ended: false,
        };
        watch.send(RoundStep::Start(watch.model.clone()));
        watch
    }
}

/// Announces what happens in one round. Dropped without an end, it announces that the client left.
#[derive(Debug)]
pub struct RoundWatch {
    feed: RoundFeed,
    client: usize,
    number: u64,
    round: RoundId,
    start: Instant,
    model: String,
    has_ended: bool,
}

impl RoundWatch {
    /// Announces how far the round is.
    pub fn progress(&self, progress: Progress) {
        self.send(RoundStep::Progress(progress));
    }

    /// Announces the end of the round, at this time.
    pub fn end(&mut self, result: &Result<Outcome, RoundError>, unix_seconds: u64) {
        self.has_ended = true;
        self.send(match result {
            Ok(outcome) => RoundStep::End(RoundSummary::new(&self.model, outcome, unix_seconds)),
            Err(error) => RoundStep::Failure(error.label()),
        });
    }

    /// Nobody watches most of the time: then nothing is sent, which is no error.
    fn send(&self, step: RoundStep) {
        let Self { client, number, round, start, .. } = self;
        let _ = self.feed.notices.send(RoundNotice {
            client: *client,
            number: *number,
            round: round.clone(),
            time: start.elapsed(),
            step,
        });
    }
}

impl Drop for RoundWatch {
    fn drop(&mut self) {
        if !self.has_ended {
            self.send(RoundStep::Failure("cancelled"));
        }
    }
}
