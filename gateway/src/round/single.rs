//! One member answers alone, by the name of its model; its text goes out as it is made.
//!
//! The member with the least to do is asked. When it fails or stalls before its first piece,
//! another one with the same model starts beside it, and whoever speaks first answers.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use shoal_proto::{
    NodeId,
    generate::{Fault, Finish},
};
use tokio::{sync::mpsc, time::sleep};

use super::{Round, RoundError, generate};
use crate::{
    ask::{Candidate, Decided, Outcome, Ranking, Timings},
    swarm::{WorkError, Writing, Written},
};

/// The outcome of an ask for one model; `pieces` has its text by then.
///
/// # Errors
/// See [`RoundError`]. A member that is lost in the middle of its text cannot be replaced.
pub(super) async fn answer(
    mut round: Round<'_>,
    pieces: &mpsc::Sender<String>,
) -> Result<Outcome, RoundError> {
    let line = line(&mut round).await?;
    let round = &round;
    let selected = round.clock.elapsed();
    let mut speaker = first_to_speak(round, &line).await?;
    let first_piece = round.clock.elapsed();
    let mut text = String::new();
    let done = loop {
        let said = match speaker.said.take() {
            Some(said) => Ok(said),
            None => speaker.writing.next().await,
        };
        match said {
            Ok(Written::Piece(piece)) => {
                text.push_str(&piece);
                // Who no longer listens drops this future; until then there is nothing to save.
                let _ = pieces.send(piece).await;
            }
            Ok(Written::Done(done)) => break Some(done),
            // The ask's time is up: what was said was sent, and ends as cut.
            Err(WorkError::Late) if !text.is_empty() => break None,
            Err(error) => {
                round.metrics.candidates(error.label(), 1);
                return Err(failed(round, &[error], speaker.asked));
            }
        }
    };
    round.metrics.candidates(if done.is_some() { "finished" } else { "late" }, 1);
    let took = round.clock.elapsed();
    let done = done.unwrap_or_default();
    let finish = Finish::try_from(done.finish).unwrap_or(Finish::Unspecified);
    let candidate = Candidate {
        writer: speaker.writer,
        model: round.model(speaker.writer),
        text,
        finish: if finish == Finish::Unspecified { Finish::Length } else { finish },
        prompt_tokens: done.prompt_tokens,
        completion_tokens: done.completion_tokens,
        logprob: done.logprob,
        took,
        first_piece,
        pool: 0,
    };
    let ranking = Ranking {
        strengths: vec![0.0],
        p_best: vec![1.0],
        order: vec![0],
        connected: true,
        ..Ranking::default()
    };
    Ok(Outcome {
        round: round.id.clone(),
        winner: 0,
        decided: Decided::Single,
        candidates: vec![candidate],
        ballots: Vec::new(),
        fused: None,
        ranking,
        timings: Timings {
            select: selected,
            generate: took - selected,
            total: took,
            ..Timings::default()
        },
    })
}

/// Everybody who serves the model, the least busy first; among equals select's order counts.
async fn line(round: &mut Round<'_>) -> Result<Vec<NodeId>, RoundError> {
    let panel = round.select().await?;
    let mut line: Vec<NodeId> = panel.writers.into_iter().chain(panel.spare).collect();
    let load = |id: &NodeId| {
        round.member(*id).map_or(u64::MAX, |member| {
            u64::from(member.running) * 1_000 / u64::from(member.slots.max(1))
        })
    };
    line.sort_by_key(load);
    Ok(line)
}

/// A member that has said something.
struct Speaker {
    writer: NodeId,
    writing: Writing,
    said: Option<Written>,
    asked: usize,
}

async fn first_to_speak(round: &Round<'_>, line: &[NodeId]) -> Result<Speaker, RoundError> {
    let stall = round.config.generate.stall();
    let mut line = line.iter();
    let mut asked = 0;
    let mut errors = Vec::new();
    let mut listening = FuturesUnordered::new();
    loop {
        if let Some(writer) = line.next() {
            asked += 1;
            listening.push(first_word(round, *writer));
        }
        let why = tokio::select! {
            biased;
            heard = listening.next() => match heard {
                Some((writer, Ok((writing, said)))) => {
                    return Ok(Speaker { writer, writing, said: Some(said), asked });
                }
                Some((_, Err(error))) => {
                    round.metrics.candidates(error.label(), 1);
                    errors.push(error);
                    "failed"
                }
                None => return Err(failed(round, &errors, asked)),
            },
            () = sleep(stall), if line.len() > 0 => "stalled",
        };
        if line.len() > 0 {
            round.metrics.hedge(why);
        }
    }
}

async fn first_word(
    round: &Round<'_>,
    writer: NodeId,
) -> (NodeId, Result<(Writing, Written), WorkError>) {
    let spoken = async {
        let mut writing = generate::begin(round, writer).await?;
        let said = writing.next().await?;
        Ok((writing, said))
    };
    (writer, spoken.await)
}

fn failed(round: &Round<'_>, errors: &[WorkError], asked: usize) -> RoundError {
    let too_long =
        |error: &WorkError| matches!(error, WorkError::Failed { fault: Fault::ContextLength, .. });
    let contexts = round.members.iter().filter(|member| {
        matches!(&round.ask.target, crate::ask::Target::Model(name) if *name == member.model.name)
    });
    match contexts.map(|member| member.model.context).max() {
        Some(context) if !errors.is_empty() && errors.iter().all(too_long) => {
            RoundError::ContextLength { context }
        }
        _ => RoundError::NoCandidate { asked },
    }
}
