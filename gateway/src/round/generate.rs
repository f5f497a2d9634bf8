//! Candidates: many members write at the same time, and the round does not wait for the slowest.
//!
//! Once a quorum has finished, the rest get a grace period. It is longer while a writer is not done
//! that knows this kind of question better, by its gold record, than all that have finished. A spare
//! replaces a writer that fails, and starts beside a writer that stalls. Without any candidate at the
//! writing deadline, other members get one more try for the rest of the round. Dropping the future
//! cancels every writer.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use shoal_proto::{NodeId, generate::Fault};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{Round, writer};
use shoal_consensus::{Candidate, outcome::Progress};
use shoal_consensus::{RoundError, agree, judging::quorum, select::Panel};
use shoal_swarm::{AnswerPart, AnswerStream, WorkError};

/// The candidates that were finished in time, in the order in which they finished, with their pools.
///
/// # Errors
/// [`RoundError::NoCandidate`], or [`RoundError::ContextLength`] when every writer failed with it.
pub(super) async fn candidates(
    round: &Round<'_>,
    panel: &Panel,
) -> Result<Vec<Candidate>, RoundError> {
    let (stall_sender, mut stalls) = mpsc::channel(1 + panel.writers.len() + panel.spare.len());
    let mut collector = Collector::new(round, panel);
    collector.report();
    let mut writers = FuturesUnordered::new();
    let mut next = panel.writers.clone();
    loop {
        writers.extend(next.iter().map(|id| write(round, *id, stall_sender.clone())));
        if writers.is_empty() {
            break;
        }
        next = tokio::select! {
            biased;
            Some((writer, result)) = writers.next() => collector.collect(writer, result),
            Some(_) = stalls.recv() => collector.replacement("stalled"),
            () = sleep_until(collector.deadline) => match collector.retry() {
                Some(spares) => spares,
                None => break,
            },
        };
    }
    round.metrics.candidates("cut", writers.len());
    collector.finish(panel)
}

/// Collects candidates, and decides which members are asked next and when writing ends.
struct Collector<'a> {
    round: &'a Round<'a>,
    candidates: Vec<Candidate>,
    /// Writers that were asked and are not done.
    active: Vec<NodeId>,
    spare: std::slice::Iter<'a, NodeId>,
    /// How many members were asked.
    writer_count: usize,
    quorum: usize,
    deadline: Instant,
    /// When the quorum was reached.
    quorum_since: Option<Instant>,
    has_retried: bool,
    /// Of `writer_count`, those for which the conversation is too long.
    too_long: usize,
    /// Of `writer_count`, those that cannot do what the request asks.
    unable: usize,
    /// Answers that did not keep to the response format.
    misfits: usize,
}

impl<'a> Collector<'a> {
    fn new(round: &'a Round<'a>, panel: &'a Panel) -> Self {
        let writer_count = panel.writers.len();
        Self {
            round,
            candidates: Vec::new(),
            active: panel.writers.clone(),
            spare: panel.spare.iter(),
            writer_count,
            // A request for several answers waits for as many, if there are as many writers.
            quorum: quorum(writer_count, round.config.generate.quorum)
                .max(round.ask.choices.min(writer_count)),
            deadline: round.clock.generate_end,
            quorum_since: None,
            has_retried: false,
            too_long: 0,
            unable: 0,
            misfits: 0,
        }
    }

    /// Takes a writer's result; returns the members that write in its place.
    fn collect(&mut self, writer: NodeId, result: Result<Candidate, WorkError>) -> Vec<NodeId> {
        self.active.retain(|id| *id != writer);
        match result {
            Ok(candidate) => {
                self.round.metrics.candidates("finished", 1);
                self.candidates.push(candidate);
                self.report();
                self.set_deadline();
                Vec::new()
            }
            Err(error) => {
                self.round.metrics.candidates(error.label(), 1);
                match &error {
                    WorkError::Failed { fault: Fault::ContextLength, .. } => self.too_long += 1,
                    WorkError::Failed { fault: Fault::Unsupported | Fault::BadRequest, .. } => {
                        self.unable += 1;
                    }
                    WorkError::Unsuitable(_) => self.misfits += 1,
                    _ => {}
                }
                self.replacement("failed")
            }
        }
    }

    fn report(&self) {
        self.round.report(Progress::Writing {
            finished: self.candidates.len(),
            asked: self.writer_count,
        });
    }

    /// The next spare, if there is no quorum yet and there is time.
    fn replacement(&mut self, reason: &str) -> Vec<NodeId> {
        if self.candidates.len() >= self.quorum || Instant::now() >= self.deadline {
            return Vec::new();
        }
        let Some(spare) = self.spare.next() else { return Vec::new() };
        self.round.metrics.hedge(reason);
        self.writer_count += 1;
        self.active.push(*spare);
        vec![*spare]
    }

    /// At the deadline: None, or, without any candidate, as many spares as there were writers, for
    /// the rest of the round. The late writers go on and may still finish first.
    fn retry(&mut self) -> Option<Vec<NodeId>> {
        if self.has_retried || !self.candidates.is_empty() {
            return None;
        }
        let writers = self.round.ask.effort.writers.max(1);
        let spares: Vec<NodeId> = self.spare.by_ref().take(writers).copied().collect();
        self.has_retried = true;
        self.writer_count += spares.len();
        self.active.extend(&spares);
        self.quorum = 1;
        self.deadline = self.round.clock.end;
        spares.iter().for_each(|_| self.round.metrics.hedge("late"));
        Some(spares)
    }

    /// Once there is a quorum, sets the end of the grace period.
    fn set_deadline(&mut self) {
        let mut times: Vec<Duration> = self.candidates.iter().map(|c| c.took).collect();
        times.sort();
        let Some(median) = times.get(times.len() / 2) else { return };
        if self.candidates.len() < self.quorum {
            return;
        }
        let since = *self.quorum_since.get_or_insert_with(Instant::now);
        let config = &self.round.config.generate;
        let medians =
            if self.favourite_is_active() { config.grace_favourite } else { config.grace };
        let clock = &self.round.clock;
        let last = if self.has_retried { clock.end } else { clock.generate_end };
        self.deadline = last.min(since + median.mul_f64(medians.max(0.0)));
    }

    /// Whether an active writer is more likely right than wrong, and clearly more likely right than
    /// all that have finished. Right answers are often the longest, because they show their work.
    fn favourite_is_active(&self) -> bool {
        let best = self.candidates.iter().map(|c| self.log_odds(c.writer)).fold(0.0, f64::max);
        let threshold = best + self.round.config.generate.favourite_lead;
        self.active.iter().any(|id| self.log_odds(*id) > threshold)
    }

    fn log_odds(&self, writer: NodeId) -> f64 {
        self.round.standing.writer_log_odds(&writer, &self.round.kind)
    }

    fn finish(mut self, panel: &Panel) -> Result<Vec<Candidate>, RoundError> {
        let writer_count = self.writer_count;
        if self.candidates.is_empty() {
            let contexts = panel.writers.iter().filter_map(|id| self.round.member(*id));
            return Err(match contexts.map(|member| member.model.context).max() {
                Some(context) if self.too_long == writer_count => {
                    RoundError::ContextLength { context }
                }
                _ if self.misfits > 0 => misfit(self.round, self.misfits),
                _ if self.unable == writer_count => {
                    RoundError::Unsupported { members: writer_count }
                }
                _ => RoundError::NoCandidate { members: writer_count },
            });
        }
        let pools = agree::pools_of(&self.candidates, self.round.ask.form.is_json());
        for (candidate, pool) in self.candidates.iter_mut().zip(pools) {
            candidate.pool = pool;
        }
        Ok(self.candidates)
    }
}

/// The error when no answer kept to the response format or the tools.
pub(super) fn misfit(round: &Round<'_>, answers: usize) -> RoundError {
    let calls = round.ask.tools.is_some() && !round.ask.form.is_json();
    RoundError::NoSuitableMember { members: answers, calls }
}

/// Lets one member write. When the member stalls, reports it once and goes on.
async fn write(
    round: &Round<'_>,
    writer: NodeId,
    stalls: mpsc::Sender<NodeId>,
) -> (NodeId, Result<Candidate, WorkError>) {
    let result = write_candidate(round, writer, &stalls).await;
    if let Err(error) = &result {
        tracing::debug!(node.id = %writer.short(), %error, "no candidate");
    }
    (writer, result)
}

async fn write_candidate(
    round: &Round<'_>,
    writer: NodeId,
    stalls: &mpsc::Sender<NodeId>,
) -> Result<Candidate, WorkError> {
    let ask = writer::question(round, writer, 0);
    let mut answer = round.swarm.generate(writer, ask, round.clock.end).await?;
    let mut text = String::new();
    let mut first_piece = None;
    let mut has_stalled = false;
    loop {
        match next(&mut answer, round, writer, stalls, &mut has_stalled).await? {
            AnswerPart::Piece(piece) => {
                first_piece.get_or_insert_with(|| round.clock.elapsed());
                text.push_str(&piece);
            }
            AnswerPart::Done(end) => {
                let candidate = writer::candidate(round, writer, text, end)?;
                let first_piece = first_piece.unwrap_or(candidate.took);
                return Ok(Candidate { first_piece, ..candidate });
            }
        }
    }
}

async fn next(
    answer: &mut AnswerStream,
    round: &Round<'_>,
    writer: NodeId,
    stalls: &mpsc::Sender<NodeId>,
    has_stalled: &mut bool,
) -> Result<AnswerPart, WorkError> {
    if !*has_stalled {
        // Dropping `next` loses nothing that the member sends.
        match timeout(round.config.generate.stall(), answer.next()).await {
            Ok(part) => return part,
            Err(_) => {
                *has_stalled = true;
                // The channel has room for every member; a closed channel means that the round ends.
                let _ = stalls.try_send(writer);
            }
        }
    }
    answer.next().await
}
