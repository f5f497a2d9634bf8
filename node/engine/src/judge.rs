//! The checks around a judge's engine: it refuses an ask that cannot be judged, and it never returns
//! an invalid ballot. [`shoal_proto::judge`] has the rules for both messages.

pub mod question;

use shoal_proto::{
    generate::Fault,
    hello::Model,
    judge::{Ballot, BallotKind, Judge},
};

use crate::{Engine, EngineError};

/// Each pair costs a critique. 64 pairs are both orders of every pair of eight pools (56) and some more.
const CRITIQUES_MAX: usize = 64;

/// Whether `model` can be asked for this ballot.
///
/// # Errors
/// [`Fault::BadRequest`] for an ask that no judge can answer, [`Fault::Unsupported`] for an ask that
/// this model cannot answer.
pub fn check(ask: &Judge, model: &Model) -> Result<(), EngineError> {
    ask.check().map_err(|error| EngineError::new(Fault::BadRequest, error.to_string()))?;
    if ask.messages.is_empty() {
        return Err(EngineError::new(Fault::BadRequest, "there is no conversation to judge by"));
    }
    if ask.candidates.is_empty() {
        return Err(EngineError::new(Fault::BadRequest, "there is no candidate to judge"));
    }
    let (is_supported, rule) = match ask.kind() {
        BallotKind::Unspecified => {
            return Err(EngineError::new(Fault::BadRequest, "the ballot's kind is not known"));
        }
        BallotKind::Likelihood => (model.likelihood, "this model gives no likelihood ballots"),
        BallotKind::Pairwise => (model.pairwise, "this model gives no pairwise ballots"),
        BallotKind::Reasoned => (model.reasoned, "this model gives no reasoned ballots"),
    };
    if !is_supported {
        return Err(EngineError::new(Fault::Unsupported, rule));
    }
    match (ask.kind(), ask.pairs.len()) {
        (BallotKind::Pairwise | BallotKind::Reasoned, 0) => {
            Err(EngineError::new(Fault::BadRequest, "there is no pair to compare"))
        }
        (BallotKind::Reasoned, pairs) if pairs > CRITIQUES_MAX => {
            Err(EngineError::new(Fault::BadRequest, "a reasoned ballot is of at most 64 pairs"))
        }
        _ => Ok(()),
    }
}

/// The verdict on a pair when a judge cannot tell which answer is better.
pub const TIE: f64 = 0.5;

/// The results of the pairs: `None` for a pair that does not fit the judge's context, so that one long
/// candidate does not cost the verdicts on the others.
///
/// # Errors
/// [`Fault::ContextLength`] when no pair fits, and any other error of a pair.
pub fn skip_oversized<T>(
    pairs: impl IntoIterator<Item = Result<T, EngineError>>,
) -> Result<Vec<Option<T>>, EngineError> {
    let (mut results, mut oversize) = (Vec::new(), None);
    for pair in pairs {
        match pair {
            Err(error) if error.fault == Fault::ContextLength => {
                results.push(None);
                oversize = Some(error);
            }
            pair => results.push(Some(pair?)),
        }
    }
    match oversize {
        Some(error) if results.iter().all(Option::is_none) => Err(error),
        _ => Ok(results),
    }
}

/// The engine's ballot on a checked ask; the ballot is checked too.
///
/// # Errors
/// What the engine answers, or [`Fault::Engine`] for a ballot that is not sound.
pub async fn ballot(ask: Judge, engine: &dyn Engine) -> Result<Ballot, EngineError> {
    let ballot = engine.judge(ask.clone()).await?;
    match ballot.check(&ask) {
        Ok(()) => Ok(ballot),
        Err(error) => {
            let message = format!("the engine's ballot is not sound: {error}");
            Err(EngineError::new(Fault::Engine, message))
        }
    }
}
