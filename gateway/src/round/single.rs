//! One model answers alone, chosen by its name; its text is sent as it is written.
//!
//! The least busy member is asked. When it fails or stalls before its first piece, another member with
//! the same model starts beside it, and the first to send text answers. Several answers are as many
//! generations, which start with different members. A text that must keep to a response format is sent
//! only when it is complete and does, unless its engine cannot write any other.

use futures_util::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};
use shoal_proto::{
    NodeId,
    generate::{Done, Fault, Finish},
    tools::ToolChoice,
};
use tokio::time::{Instant, sleep};

use super::{Round, abstention, generate, writer};
use shoal_consensus::RoundError;
use shoal_consensus::{
    Ask, Candidate, Outcome,
    outcome::{Decision, Ranking, RoundUpdate, Timings},
    select::Panel,
};
use shoal_swarm::{AnswerPart, AnswerStream, WorkError};

/// Attempts at one answer when it does not keep to the response format.
const TRIES: usize = 3;

/// The outcome of an ask to one model. By then its text has gone into the round's updates.
///
/// # Errors
/// See [`RoundError`]. A member that is lost after a part of its text was sent cannot be replaced.
pub(super) async fn answer(mut round: Round<'_>) -> Result<Outcome, RoundError> {
    let (panel, place) = round.queue(round.clock.end).await?;
    let line = line(&round, panel);
    let round = &round;
    let select_end = round.clock.elapsed();
    let choices = round.ask.choices.max(1);
    let mut answers = stream::iter(0..choices)
        .map(|choice| Box::pin(answer_choice(round, &line, choice)))
        .buffer_unordered(answers_at_once(round, &line));
    let mut results = Vec::with_capacity(choices);
    let mut next = place.start(answers.next()).await;
    while let Some(result) = next {
        results.push(result?);
        next = answers.next().await;
    }
    results.sort_by_key(|(choice, _)| *choice);
    let took = round.clock.elapsed();
    // No judge has compared them: each is its own pool, in the order of the request.
    let candidates: Vec<Candidate> =
        results.into_iter().map(|(choice, answer)| Candidate { pool: choice, ..answer }).collect();
    let ranking = Ranking {
        strengths: vec![0.0; choices],
        p_best: vec![1.0 / choices as f64; choices],
        order: (0..choices).collect(),
        connected: true,
        ..Ranking::default()
    };
    Ok(Outcome {
        round: round.id.clone(),
        kind: round.kind.clone(),
        winner: 0,
        decided: Decision::Single,
        candidates,
        ballots: Vec::new(),
        fused: None,
        ranking,
        timings: Timings {
            select: select_end,
            generate: took - select_end,
            total: took,
            ..Timings::default()
        },
    })
}

/// The members that serve the model, the least busy first; members with equal load keep the order of
/// the selection.
fn line(round: &Round<'_>, panel: Panel) -> Vec<NodeId> {
    let mut line: Vec<NodeId> = panel.writers.into_iter().chain(panel.spare).collect();
    line.sort_by_key(|id| load(round, *id));
    line
}

/// Load per slot in thousandths; the maximum for a member that has left.
fn load(round: &Round<'_>, id: NodeId) -> u64 {
    round.member(id).map_or(u64::MAX, |member| {
        u64::from(member.running) * 1_000 / u64::from(member.slots.max(1))
    })
}

/// How many answers to ask for at a time: a member refuses work beyond its slots.
fn answers_at_once(round: &Round<'_>, line: &[NodeId]) -> usize {
    let members = line.iter().filter_map(|id| round.member(*id));
    let free = members.map(|member| member.slots.saturating_sub(member.running)).min();
    line.len() * usize::try_from(free.unwrap_or(1)).unwrap_or(1).max(1)
}

/// One of the answers that the request wants.
async fn answer_choice(
    round: &Round<'_>,
    line: &[NodeId],
    choice: usize,
) -> Result<(usize, Candidate), RoundError> {
    let mut violations = 0;
    loop {
        let mut line = line.to_vec();
        let turns = (choice + violations) % line.len().max(1);
        line.rotate_left(turns);
        let turn = choice + violations * round.ask.choices;
        let speaker = first_speaker(round, &line, turn).await?;
        let mut output =
            Output { choice, is_live: is_live(round, speaker.writer), has_text: false };
        let attempts = speaker.attempts;
        let result = read_answer(round, speaker, &mut output).await;
        round.metrics.candidates(result.as_ref().map_or_else(WorkError::label, |_| "finished"), 1);
        match result {
            Ok(candidate) => return Ok((choice, candidate)),
            Err(WorkError::Unsuitable(_)) => violations += 1,
            Err(WorkError::Abstained) => return Err(RoundError::Abstained { members: attempts }),
            Err(error) => return Err(round_error(round, &[error], attempts)),
        }
        if output.has_text || violations >= TRIES || Instant::now() >= round.clock.generate_end {
            return Err(generate::misfit(round, violations));
        }
    }
}

/// The part of a text that the client has got.
struct Output {
    choice: usize,
    /// Each piece is sent at once.
    is_live: bool,
    /// Some text was sent.
    has_text: bool,
}

impl Output {
    /// Sends a piece of the text, if pieces may be sent.
    async fn send(&mut self, round: &Round<'_>, piece: &str) {
        if self.is_live {
            self.has_text = true;
            // A closed channel needs no action: a client that leaves drops this future.
            let update = RoundUpdate::Piece { choice: self.choice, text: piece.to_owned() };
            let _ = round.updates.send(update).await;
        }
    }
}

/// Whether a text may be sent before it is complete: it cannot break the response format, and nothing
/// must be sent with it that is known only at its end.
fn is_live(round: &Round<'_>, writer: NodeId) -> bool {
    let ask: &Ask = round.ask;
    let is_constrained = round.member(writer).is_some_and(|member| member.model.constrained);
    let calls = ask.tools.as_ref().map_or(ToolChoice::None, |tools| tools.choice());
    let any_text =
        !ask.constraint.is_json() && matches!(calls, ToolChoice::Auto | ToolChoice::None);
    ask.sampling.logprobs.is_none() && (any_text || is_constrained)
}

/// Reads an answer to its end and sends its pieces.
async fn read_answer(
    round: &Round<'_>,
    mut speaker: Speaker,
    output: &mut Output,
) -> Result<Candidate, WorkError> {
    let first_piece = round.clock.elapsed();
    let mut text = String::new();
    let end = loop {
        let part = match speaker.first_part.take() {
            Some(part) => Ok(part),
            None => speaker.answer.next().await,
        };
        match part {
            Ok(AnswerPart::Piece(piece)) => {
                text.push_str(&piece);
                output.send(round, &piece).await;
            }
            Ok(AnswerPart::Done(end)) if end.finish() == Finish::Abstained => {
                // As in a round: a client that wants certainty wants an error, and not a statement.
                if round.ask.effort.min_confidence > 0.0 {
                    return Err(WorkError::Abstained);
                }
                text = abstention::statement(&round.ask.target, &round.members);
                output.send(round, &text).await;
                break Done { finish: Finish::Stop.into(), logprob: None, ..end };
            }
            Ok(AnswerPart::Done(end)) => break end,
            // The deadline has passed: the text so far was sent, and ends as cut.
            Err(WorkError::Late) if !text.is_empty() => {
                break Done { finish: Finish::Length.into(), ..Done::default() };
            }
            Err(error) => return Err(error),
        }
    };
    let candidate = writer::candidate(round, speaker.writer, text, end)?;
    Ok(Candidate { first_piece, ..candidate })
}

/// A member that has sent the first part of its answer.
struct Speaker {
    writer: NodeId,
    answer: AnswerStream,
    first_part: Option<AnswerPart>,
    /// How many members were asked until then.
    attempts: usize,
}

async fn first_speaker(
    round: &Round<'_>,
    line: &[NodeId],
    turn: usize,
) -> Result<Speaker, RoundError> {
    let stall = round.config.generate.stall();
    let mut line = line.iter();
    let mut attempts = 0;
    let mut errors = Vec::new();
    let mut answers = FuturesUnordered::new();
    loop {
        if let Some(writer) = line.next() {
            attempts += 1;
            answers.push(start_answer(round, *writer, turn));
        }
        let reason = tokio::select! {
            biased;
            result = answers.next() => match result {
                Some((writer, Ok((answer, part)))) => {
                    return Ok(Speaker { writer, answer, first_part: Some(part), attempts });
                }
                Some((_, Err(error))) => {
                    round.metrics.candidates(error.label(), 1);
                    errors.push(error);
                    "failed"
                }
                None => return Err(round_error(round, &errors, attempts)),
            },
            () = sleep(stall), if line.len() > 0 => "stalled",
        };
        if line.len() > 0 {
            round.metrics.hedge(reason);
        }
    }
}

/// Asks a member, and waits for the first part of its answer.
async fn start_answer(
    round: &Round<'_>,
    writer: NodeId,
    turn: usize,
) -> (NodeId, Result<(AnswerStream, AnswerPart), WorkError>) {
    let first_part = async {
        let ask = writer::question(round, writer, turn);
        let answer = round.swarm.generate(writer, ask, round.clock.end).await?;
        // Its pieces wait for the client.
        let mut answer = answer.unmeasured();
        let part = answer.next().await?;
        Ok((answer, part))
    };
    (writer, first_part.await)
}

/// The error of the round when every member failed with one of these errors.
fn round_error(round: &Round<'_>, errors: &[WorkError], attempts: usize) -> RoundError {
    let contexts = round.members.iter().filter(|member| {
        matches!(&round.ask.target, shoal_consensus::ask::Target::Model(name) if *name == member.model.name)
    });
    match contexts.map(|member| member.model.context).max() {
        Some(context) if is_fault(errors, |fault| *fault == Fault::ContextLength) => {
            RoundError::ContextLength { context }
        }
        _ if is_fault(errors, |fault| matches!(fault, Fault::Unsupported | Fault::BadRequest)) => {
            RoundError::Unsupported { members: attempts }
        }
        _ => RoundError::NoCandidate { members: attempts },
    }
}

/// Whether there are errors and each of them is a fault of this kind.
fn is_fault(errors: &[WorkError], is_kind: fn(&Fault) -> bool) -> bool {
    !errors.is_empty()
        && errors
            .iter()
            .all(|error| matches!(error, WorkError::Failed { fault, .. } if is_kind(fault)))
}
