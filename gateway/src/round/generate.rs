//! Candidates: many members write at the same time, and waiting for each is a decision.
//!
//! The round waits while the answer of a writer at work is expected to gain more than the time costs
//! ([`shoal_consensus::waiting`]); how many have finished decides nothing. A spare replaces a writer
//! that fails or abstains, and starts beside a writer that stalls, by the same reckoning. Without any
//! candidate at the writing deadline, other members get one more try for the rest of the round.
//! Dropping the future cancels every writer.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use shoal_proto::{NodeId, generate::Fault};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{Round, writer};
use shoal_consensus::{
    Ask, Candidate, MemberView, RoundError, agree,
    ask::question,
    outcome::Progress,
    reputation::Features,
    select::{Panel, expected_accuracy},
    stats,
    waiting::{ActiveWriter, courtesy, patience},
};
use shoal_swarm::{AnswerPart, AnswerStream, WorkError};

/// What the writers came to.
#[derive(Debug)]
pub(super) struct Written {
    /// The candidates that were finished in time, in the order in which they finished, with their
    /// pools. Empty if every writer abstained.
    pub(super) candidates: Vec<Candidate>,
    /// The writers that said that they cannot answer.
    pub(super) abstained: Vec<NodeId>,
    /// How many members were asked and did not abstain.
    pub(super) writer_count: usize,
}

impl Written {
    /// Adds what a second wave of writers came to; equal answers of both waves are one pool.
    pub(super) fn add(&mut self, more: Self, ask: &Ask) {
        self.candidates.extend(more.candidates);
        self.abstained.extend(more.abstained);
        self.writer_count += more.writer_count;
        set_pools(ask, &mut self.candidates);
    }
}

fn set_pools(ask: &Ask, candidates: &mut [Candidate]) {
    let pools = agree::pools_of(ask, &*candidates);
    for (candidate, pool) in candidates.iter_mut().zip(pools) {
        candidate.pool = pool;
    }
}

/// Lets the panel write.
///
/// # Errors
/// [`RoundError::NoCandidate`], or [`RoundError::ContextLength`] when every writer failed with it.
pub(super) async fn candidates(round: &Round<'_>, panel: &Panel) -> Result<Written, RoundError> {
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
    /// Writers that were asked and are not done, with the time of the ask.
    active: Vec<(NodeId, Instant)>,
    /// Writers that said that they cannot answer.
    abstained: Vec<NodeId>,
    /// The words of the ask, for what each writer is expected to know.
    features: Features,
    spare: std::slice::Iter<'a, NodeId>,
    /// How many members were asked.
    writer_count: usize,
    /// Candidates that the request needs: a request for several answers waits for as many, if there
    /// are as many writers.
    needed: usize,
    deadline: Instant,
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
            active: panel.writers.iter().map(|id| (*id, Instant::now())).collect(),
            abstained: Vec::new(),
            features: Features::extract(question(&round.ask.messages)),
            spare: panel.spare.iter(),
            writer_count,
            needed: round.ask.choices.clamp(1, writer_count.max(1)),
            deadline: round.clock.generate_end,
            has_retried: false,
            too_long: 0,
            unable: 0,
            misfits: 0,
        }
    }

    /// Takes a writer's result; returns the members that write in its place.
    fn collect(&mut self, writer: NodeId, result: Result<Candidate, WorkError>) -> Vec<NodeId> {
        self.active.retain(|(id, _)| *id != writer);
        let replacements = match result {
            Ok(candidate) => {
                self.round.metrics.candidates("finished", 1);
                self.candidates.push(candidate);
                set_pools(self.round.ask, &mut self.candidates);
                self.report();
                Vec::new()
            }
            Err(WorkError::Abstained) => {
                self.round.metrics.candidates(WorkError::Abstained.label(), 1);
                self.abstained.push(writer);
                self.replacement("abstained")
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
        };
        self.set_deadline();
        replacements
    }

    fn report(&self) {
        self.round.report(Progress::Writing {
            finished: self.candidates.len(),
            asked: self.writer_count,
        });
    }

    /// The next spare, if its answer is worth its time.
    fn replacement(&mut self, reason: &str) -> Vec<NodeId> {
        let mut rest = self.spare.clone();
        let Some(spare) = rest.next() else { return Vec::new() };
        let now = Instant::now();
        if now >= self.deadline || self.patience(*spare, now, now).is_zero() {
            return Vec::new();
        }
        self.spare = rest;
        self.round.metrics.hedge(reason);
        self.writer_count += 1;
        self.active.push((*spare, now));
        self.set_deadline();
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
        self.active.extend(spares.iter().map(|id| (*id, Instant::now())));
        self.needed = 1;
        self.deadline = self.round.clock.end;
        spares.iter().for_each(|_| self.round.metrics.hedge("late"));
        Some(spares)
    }

    /// Waits for the writer that is worth it longest; for all of them while answers are missing.
    fn set_deadline(&mut self) {
        let last = self.last_deadline();
        let now = Instant::now();
        let patience = self.active.iter().map(|(id, start)| self.patience(*id, *start, now)).max();
        // Candidates are in the order in which they finished.
        let first_took = self.candidates.first().map_or(Duration::ZERO, |first| first.took);
        let free = (first_took + courtesy(first_took)).saturating_sub(self.round.clock.elapsed());
        let wait = patience.unwrap_or_default().max(free);
        self.deadline = now.checked_add(wait).map_or(last, |end| last.min(end));
    }

    /// The time after which no writer is waited for.
    fn last_deadline(&self) -> Instant {
        let clock = &self.round.clock;
        if self.has_retried { clock.end } else { clock.generate_end }
    }

    /// How much longer to wait for a writer that was asked at `start`; not at all if it cannot be in time.
    fn patience(&self, id: NodeId, start: Instant, now: Instant) -> Duration {
        if self.candidates.len() < self.needed {
            return Duration::MAX;
        }
        let Some(member) = self.round.member(id) else { return Duration::ZERO };
        let usual = self.usual_time(member);
        // Twice as fast is likely: it may have been measured while its machine was busy.
        if start.checked_add(usual / 2).is_none_or(|end| end > self.last_deadline()) {
            return Duration::ZERO;
        }
        let (standing, kind) = (&self.round.standing, &self.round.kind);
        let writer = ActiveWriter {
            right: expected_accuracy(standing, member, kind, &self.features).mean(),
            elapsed: now.saturating_duration_since(start),
            usual,
        };
        let current = self.round.tally(&self.candidates, &[]).best_so_far();
        let price = self.round.config.generate.second_price;
        patience(current, &writer, self.round.clock.elapsed(), price)
    }

    /// The time of an answer of this member that is as long as those that are there. If its speed was never
    /// measured, the time of the first of them.
    fn usual_time(&self, member: &MemberView) -> Duration {
        let seconds = member.first_token_seconds;
        if member.bytes_per_second <= 0.0 && seconds <= 0.0 {
            return self.candidates.first().map_or(Duration::ZERO, |first| first.took);
        }
        let lengths = self.candidates.iter().map(|candidate| candidate.text.len() as f64).collect();
        let length = stats::median(lengths).unwrap_or(0.0);
        // Who was seen to answer in one piece only needs the time until that piece.
        let writing =
            if member.bytes_per_second > 0.0 { length / member.bytes_per_second } else { 0.0 };
        Duration::try_from_secs_f64(seconds + writing).unwrap_or(Duration::MAX)
    }

    /// Drops what the token limit cut before it kept to the form, if there is anything else.
    fn drop_cut(&mut self) {
        let form = &self.round.ask.constraint;
        if self.candidates.iter().all(|candidate| form.is_cut(candidate)) {
            return;
        }
        self.candidates.retain(|candidate| !form.is_cut(candidate));
        set_pools(self.round.ask, &mut self.candidates);
    }

    fn finish(mut self, panel: &Panel) -> Result<Written, RoundError> {
        let writer_count = self.writer_count - self.abstained.len();
        if self.candidates.is_empty() && writer_count > 0 {
            let contexts = panel.writers.iter().filter_map(|id| self.round.member(*id));
            return Err(match contexts.map(|member| member.model.context).max() {
                Some(context) if self.too_long == writer_count => {
                    RoundError::ContextLength { context }
                }
                _ if self.misfits > 0 => misfit(self.round, self.misfits),
                _ if self.unable == writer_count => {
                    RoundError::Unsupported { members: writer_count }
                }
                _ => RoundError::NoCandidate { members: self.writer_count },
            });
        }
        self.drop_cut();
        Ok(Written { candidates: self.candidates, abstained: self.abstained, writer_count })
    }
}

/// The error when no answer kept to the response format or the tools.
pub(super) fn misfit(round: &Round<'_>, answers: usize) -> RoundError {
    let calls = round.ask.tools.is_some() && !round.ask.constraint.is_json();
    RoundError::NoValidAnswer { members: answers, calls }
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

/// How long a writer may be quiet before another one starts beside it: three times what it seldom needs to
/// begin, and no longer than the setting.
fn stall(round: &Round<'_>, writer: NodeId) -> Duration {
    const STALL_MIN: Duration = Duration::from_millis(100);
    let most = round.config.generate.stall();
    let late = round.member(writer).map_or(0.0, |member| member.first_token_late);
    let usual = Duration::try_from_secs_f64(3.0 * late).unwrap_or(most);
    if usual.is_zero() { most } else { usual.clamp(STALL_MIN.min(most), most) }
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
        match timeout(stall(round, writer), answer.next()).await {
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
