//! The checks around a judge's engine: it refuses an ask that cannot be judged, and it never returns
//! an invalid ballot. [`shoal_proto::judge`] has the rules for both messages.

pub mod question;

use shoal_proto::{
    generate::Fault,
    hello::Model,
    judge::{Ballot, BallotKind, Judge},
};

use crate::{Engine, EngineError};

/// Whether `model` can be asked for this ballot.
///
/// # Errors
/// [`Fault::BadRequest`] for an ask that no judge can answer, [`Fault::Unsupported`] for an ask that
/// this model cannot answer.
pub fn check(ask: &Judge, model: &Model) -> Result<(), EngineError> {
    ask.check()
        .and_then(|()| ask.check_request())
        .map_err(|error| EngineError::new(Fault::BadRequest, error.to_string()))?;
    let (is_supported, rule) = match ask.kind() {
        BallotKind::Likelihood => (model.likelihood, "this model gives no likelihood ballots"),
        BallotKind::Pairwise => (model.pairwise, "this model gives no pairwise ballots"),
        BallotKind::Reasoned => (model.reasoned, "this model gives no reasoned ballots"),
        BallotKind::Unspecified => (false, "the ballot's kind is not known"),
    };
    if is_supported { Ok(()) } else { Err(EngineError::new(Fault::Unsupported, rule)) }
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
