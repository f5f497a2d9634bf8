//! Candidates: many members write at the same time, the slowest are not waited for.
//!
//! A soft quorum closes the writing after a grace, which is longer while somebody is still writing
//! whom gold shows to know this kind of question better than all who have finished; a writer that fails is replaced, one that
//! stalls gets a spare beside it; nothing at all by the writing deadline means one more try with
//! other members for the rest of the round. Dropping the future cancels every writer.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use shoal_proto::{NodeId, generate::Fault};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{Round, written};
use crate::swarm::{WorkError, Writing, Written};
use shoal_consensus::{Candidate, outcome::Progress};
use shoal_consensus::{RoundError, agree, judging::quorum, select::Panel};

/// All candidates that were finished in time, in the order in which they were, with their pools.
///
/// # Errors
/// [`RoundError::NoCandidate`], or [`RoundError::ContextLength`] when all said so.
pub(super) async fn candidates(
    round: &Round<'_>,
    panel: &Panel,
) -> Result<Vec<Candidate>, RoundError> {
    let (stalled, mut stalls) = mpsc::channel(1 + panel.writers.len() + panel.spare.len());
    let mut desk = Desk::new(round, panel);
    desk.tell();
    let mut writers = FuturesUnordered::new();
    let start = |id: &NodeId| write(round, *id, stalled.clone());
    writers.extend(panel.writers.iter().map(start));
    while !writers.is_empty() {
        let more = tokio::select! {
            biased;
            Some((writer, written)) = writers.next() => desk.take(writer, written),
            Some(_) = stalls.recv() => desk.replacement("stalled"),
            () = sleep_until(desk.until) => match desk.retry() {
                Some(others) => {
                    writers.extend(others.iter().map(start));
                    None
                }
                None => break,
            },
        };
        writers.extend(more.iter().map(start));
    }
    round.metrics.candidates("cut", writers.len());
    desk.close(panel)
}

/// What has come in, and who may still be asked.
struct Desk<'a> {
    round: &'a Round<'a>,
    finished: Vec<Candidate>,
    /// Who has been asked and is not done.
    writing: Vec<NodeId>,
    spare: std::slice::Iter<'a, NodeId>,
    asked: usize,
    needed: usize,
    until: Instant,
    /// When the quorum was there.
    enough_since: Option<Instant>,
    retried: bool,
    /// Writers that said the conversation is too long for them, as a share of `asked`.
    too_long: usize,
    /// Writers that said they cannot do that, as a share of `asked`.
    unable: usize,
    /// Answers that did not keep to the form.
    misfits: usize,
}

impl<'a> Desk<'a> {
    fn new(round: &'a Round<'a>, panel: &'a Panel) -> Self {
        let asked = panel.writers.len();
        Self {
            round,
            finished: Vec::new(),
            writing: panel.writers.clone(),
            spare: panel.spare.iter(),
            asked,
            // Who wants several answers waits for as many, as far as there are writers.
            needed: quorum(asked, round.config.generate.quorum).max(round.ask.choices.min(asked)),
            until: round.clock.writing,
            enough_since: None,
            retried: false,
            too_long: 0,
            unable: 0,
            misfits: 0,
        }
    }

    /// Takes in what a writer's work came to; returns who shall write in its place.
    fn take(&mut self, writer: NodeId, written: Result<Candidate, WorkError>) -> Option<NodeId> {
        self.writing.retain(|id| *id != writer);
        match written {
            Ok(candidate) => {
                self.round.metrics.candidates("finished", 1);
                self.finished.push(candidate);
                self.tell();
                self.close_soon();
                None
            }
            Err(error) => {
                self.round.metrics.candidates(error.label(), 1);
                match &error {
                    WorkError::Failed { fault: Fault::ContextLength, .. } => self.too_long += 1,
                    WorkError::Failed { fault: Fault::Unsupported | Fault::BadRequest, .. } => {
                        self.unable += 1;
                    }
                    WorkError::Misfit(_) => self.misfits += 1,
                    _ => {}
                }
                self.replacement("failed")
            }
        }
    }

    fn tell(&self) {
        let (finished, asked) = (self.finished.len(), self.asked);
        self.round.tell(Progress::Writing { finished, asked });
    }

    /// The next spare, as long as the quorum is not there and there is time.
    fn replacement(&mut self, why: &str) -> Option<NodeId> {
        if self.finished.len() >= self.needed || Instant::now() >= self.until {
            return None;
        }
        let spare = self.spare.next()?;
        self.round.metrics.hedge(why);
        self.asked += 1;
        self.writing.push(*spare);
        Some(*spare)
    }

    /// The time is up: nobody else, or, with nothing in hand, as many others as there were
    /// writers, for the rest of the round. Those who are late may still be the first.
    fn retry(&mut self) -> Option<Vec<NodeId>> {
        if self.retried || !self.finished.is_empty() {
            return None;
        }
        let writers = self.round.ask.effort.writers.max(1);
        let others: Vec<NodeId> = self.spare.by_ref().take(writers).copied().collect();
        self.retried = true;
        self.asked += others.len();
        self.writing.extend(&others);
        self.needed = 1;
        self.until = self.round.clock.end;
        others.iter().for_each(|_| self.round.metrics.hedge("late"));
        Some(others)
    }

    /// With the quorum there, sets when the rest are cut.
    fn close_soon(&mut self) {
        if self.finished.len() < self.needed {
            return;
        }
        let since = *self.enough_since.get_or_insert_with(Instant::now);
        let mut times: Vec<Duration> = self.finished.iter().map(|one| one.took).collect();
        times.sort();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let config = &self.round.config.generate;
        let medians =
            if self.favourite_is_writing() { config.grace_favourite } else { config.grace };
        let last = if self.retried { self.round.clock.end } else { self.round.clock.writing };
        self.until = last.min(since + median.mul_f64(medians.max(0.0)));
    }

    /// Somebody still writing is more likely right than not, and clearly more likely than anybody
    /// who has finished. Right answers are often the longest, because their work is written out.
    fn favourite_is_writing(&self) -> bool {
        let odds = |id: &NodeId| self.round.standing.writer_log_odds(id, &self.round.kind);
        let finished = self.finished.iter().map(|one| odds(&one.writer));
        let best = finished.fold(0.0, f64::max);
        self.writing.iter().any(|id| odds(id) > best + self.round.config.generate.favourite_lead)
    }

    fn close(mut self, panel: &Panel) -> Result<Vec<Candidate>, RoundError> {
        if self.finished.is_empty() {
            let contexts = panel.writers.iter().filter_map(|id| self.round.member(*id));
            return Err(match contexts.map(|member| member.model.context).max() {
                Some(context) if self.too_long == self.asked => {
                    RoundError::ContextLength { context }
                }
                _ if self.misfits > 0 => misfit(self.round, self.misfits),
                _ if self.unable == self.asked => RoundError::Unsupported { asked: self.asked },
                _ => RoundError::NoCandidate { asked: self.asked },
            });
        }
        let pools = agree::pools_of(&self.finished, self.round.ask.form.is_json());
        for (candidate, pool) in self.finished.iter_mut().zip(pools) {
            candidate.pool = pool;
        }
        Ok(self.finished)
    }
}

/// Nothing kept to the form.
pub(super) fn misfit(round: &Round<'_>, asked: usize) -> RoundError {
    RoundError::Misfit { asked, calls: round.ask.tools.is_some() && !round.ask.form.is_json() }
}

/// One member's work. It says once when it stalls, and goes on.
async fn write(
    round: &Round<'_>,
    writer: NodeId,
    stalled: mpsc::Sender<NodeId>,
) -> (NodeId, Result<Candidate, WorkError>) {
    let work = async {
        let ask = written::question(round, writer, 0);
        let mut writing = round.swarm.generate(writer, ask, round.clock.end).await?;
        let mut text = String::new();
        let mut first_piece = None;
        let mut told = false;
        loop {
            match next(&mut writing, round, writer, &stalled, &mut told).await? {
                Written::Piece(piece) => {
                    first_piece.get_or_insert_with(|| round.clock.elapsed());
                    text.push_str(&piece);
                }
                Written::Done(done) => {
                    let candidate = written::candidate(round, writer, text, done)?;
                    let first_piece = first_piece.unwrap_or(candidate.took);
                    return Ok(Candidate { first_piece, ..candidate });
                }
            }
        }
    };
    let written = work.await;
    if let Err(error) = &written {
        tracing::debug!(node.id = %writer.short(), %error, "no candidate");
    }
    (writer, written)
}

async fn next(
    writing: &mut Writing,
    round: &Round<'_>,
    writer: NodeId,
    stalled: &mpsc::Sender<NodeId>,
    told: &mut bool,
) -> Result<Written, WorkError> {
    if !*told {
        // Dropping `next` loses nothing of what the member says.
        match timeout(round.config.generate.stall(), writing.next()).await {
            Ok(written) => return written,
            Err(_) => {
                *told = true;
                // There is a place for every member; a closed channel means that nobody waits.
                let _ = stalled.try_send(writer);
            }
        }
    }
    writing.next().await
}
