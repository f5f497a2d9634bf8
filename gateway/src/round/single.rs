//! One model answers alone, by its name; its text goes out as it is made.
//!
//! The member with the least to do is asked. When it fails or stalls before its first piece,
//! another one with the same model starts beside it, and whoever speaks first answers. Several
//! answers are as many generations, beginning with different members. Text whose form must hold is
//! sent only when it does, unless its engine cannot write any other.

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

use super::{Round, generate, written};
use crate::swarm::{WorkError, Writing, Written};
use shoal_consensus::RoundError;
use shoal_consensus::{
    Ask, Candidate, Outcome,
    outcome::{Decided, Ranking, RoundUpdate, Timings},
};

/// Times that one answer is asked for when it does not keep to its form.
const TRIES: usize = 3;

/// The outcome of an ask for one model; the ask's news have its text by then.
///
/// # Errors
/// See [`RoundError`]. A member that is lost in the middle of a text that was told cannot be
/// replaced.
pub(super) async fn answer(mut round: Round<'_>) -> Result<Outcome, RoundError> {
    let line = line(&mut round).await?;
    let round = &round;
    let selected = round.clock.elapsed();
    let wanted = round.ask.choices.max(1);
    let one = |choice| Box::pin(one(round, &line, choice));
    let mut writing = stream::iter(0..wanted).map(one).buffer_unordered(places(round, &line));
    let mut candidates = Vec::with_capacity(wanted);
    while let Some(written) = writing.next().await {
        candidates.push(written?);
    }
    candidates.sort_by_key(|(choice, _)| *choice);
    let mut candidates: Vec<Candidate> = candidates.into_iter().map(|(_, one)| one).collect();
    let took = round.clock.elapsed();
    // Nobody has compared them: each stands for itself, in the order in which they were asked for.
    candidates.iter_mut().enumerate().for_each(|(at, one)| one.pool = at);
    let ranking = Ranking {
        strengths: vec![0.0; wanted],
        p_best: vec![1.0 / wanted as f64; wanted],
        order: (0..wanted).collect(),
        connected: true,
        ..Ranking::default()
    };
    Ok(Outcome {
        round: round.id.clone(),
        winner: 0,
        decided: Decided::Single,
        candidates,
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

/// So many answers at a time: who is asked for more than it has slots for refuses.
fn places(round: &Round<'_>, line: &[NodeId]) -> usize {
    let members = line.iter().filter_map(|id| round.member(*id));
    let free = members.map(|member| member.slots.saturating_sub(member.running)).min();
    line.len() * usize::try_from(free.unwrap_or(1)).unwrap_or(1).max(1)
}

/// One of the answers wanted.
async fn one(
    round: &Round<'_>,
    line: &[NodeId],
    choice: usize,
) -> Result<(usize, Candidate), RoundError> {
    let mut misfits = 0;
    loop {
        let mut line = line.to_vec();
        let turns = (choice + misfits) % line.len().max(1);
        line.rotate_left(turns);
        let turn = choice + misfits * round.ask.choices;
        let speaker = first_to_speak(round, &line, turn).await?;
        let mut told = Told { choice, live: is_live(round, speaker.writer), any: false };
        let asked = speaker.asked;
        let heard = listen(round, speaker, &mut told).await;
        round.metrics.candidates(heard.as_ref().map_or_else(WorkError::label, |_| "finished"), 1);
        match heard {
            Ok(candidate) => return Ok((choice, candidate)),
            Err(WorkError::Misfit(_)) => misfits += 1,
            Err(error) => return Err(failed(round, &[error], asked)),
        }
        if told.any || misfits >= TRIES || Instant::now() >= round.clock.writing {
            return Err(generate::misfit(round, misfits));
        }
    }
}

/// What a client has heard of a text.
struct Told {
    choice: usize,
    /// It hears each piece at once.
    live: bool,
    /// It has heard something.
    any: bool,
}

/// Whether a text may be told before it is complete: it cannot turn out to be of no use, and
/// nothing has to be told along with it that is known only at its end.
fn is_live(round: &Round<'_>, writer: NodeId) -> bool {
    let ask: &Ask = round.ask;
    let constrained = round.member(writer).is_some_and(|member| member.model.constrained);
    let calls = ask.tools.as_ref().map_or(ToolChoice::None, |tools| tools.choice());
    let any_text = !ask.form.is_json() && matches!(calls, ToolChoice::Auto | ToolChoice::None);
    ask.sampling.logprobs.is_none() && (any_text || constrained)
}

/// The rest of a text whose first word was heard.
async fn listen(
    round: &Round<'_>,
    mut speaker: Speaker,
    told: &mut Told,
) -> Result<Candidate, WorkError> {
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
                if told.live {
                    told.any = true;
                    // Who no longer listens drops this future; until then there is nothing to save.
                    let news = RoundUpdate::Piece { choice: told.choice, text: piece };
                    let _ = round.news.send(news).await;
                }
            }
            Ok(Written::Done(done)) => break done,
            // The ask's time is up: what was said was sent, and ends as cut.
            Err(WorkError::Late) if !text.is_empty() => {
                break Done { finish: Finish::Length.into(), ..Done::default() };
            }
            Err(error) => return Err(error),
        }
    };
    let candidate = written::candidate(round, speaker.writer, text, done)?;
    Ok(Candidate { first_piece, ..candidate })
}

/// A member that has said something.
struct Speaker {
    writer: NodeId,
    writing: Writing,
    said: Option<Written>,
    asked: usize,
}

async fn first_to_speak(
    round: &Round<'_>,
    line: &[NodeId],
    turn: usize,
) -> Result<Speaker, RoundError> {
    let stall = round.config.generate.stall();
    let mut line = line.iter();
    let mut asked = 0;
    let mut errors = Vec::new();
    let mut listening = FuturesUnordered::new();
    loop {
        if let Some(writer) = line.next() {
            asked += 1;
            listening.push(first_word(round, *writer, turn));
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
    turn: usize,
) -> (NodeId, Result<(Writing, Written), WorkError>) {
    let spoken = async {
        let ask = written::question(round, writer, turn);
        let mut writing = round.swarm.generate(writer, ask, round.clock.end).await?;
        let said = writing.next().await?;
        Ok((writing, said))
    };
    (writer, spoken.await)
}

fn failed(round: &Round<'_>, errors: &[WorkError], asked: usize) -> RoundError {
    let all = |fits: fn(&Fault) -> bool| {
        let fault =
            |error: &WorkError| matches!(error, WorkError::Failed { fault, .. } if fits(fault));
        !errors.is_empty() && errors.iter().all(fault)
    };
    let contexts = round.members.iter().filter(|member| {
        matches!(&round.ask.target, shoal_consensus::ask::Target::Model(name) if *name == member.model.name)
    });
    match contexts.map(|member| member.model.context).max() {
        Some(context) if all(|fault| *fault == Fault::ContextLength) => {
            RoundError::ContextLength { context }
        }
        _ if all(|fault| matches!(fault, Fault::Unsupported | Fault::BadRequest)) => {
            RoundError::Unsupported { asked }
        }
        _ => RoundError::NoCandidate { asked },
    }
}
