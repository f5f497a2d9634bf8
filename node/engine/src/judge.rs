//! A judge's duties around its engine: refuse what cannot be judged, and never hand out a ballot
//! that is not sound.

pub mod question;

use shoal_proto::{
    generate::Fault,
    hello::Model,
    judge::{Ballot, Judge, Kind},
};

use crate::{Engine, EngineError};

/// More candidates than any round has; each costs a pass over its text.
const CANDIDATES_MAX: usize = 64;

/// Every ordered pair of a round of 32.
const PAIRS_MAX: usize = 1_024;

/// Each costs a critique: both orders of every pair of eight pools and some more.
const CRITIQUES_MAX: usize = 64;

/// Whether `model` can be asked for this ballot.
pub fn check(ask: &Judge, model: &Model) -> Result<(), EngineError> {
    let refuse = |fault, why: &str| Err(EngineError::new(fault, why));
    if ask.messages.is_empty() {
        return refuse(Fault::BadRequest, "there is no conversation to judge by");
    }
    if ask.candidates.is_empty() || ask.candidates.len() > CANDIDATES_MAX {
        return refuse(Fault::BadRequest, "there are 1 to 64 candidates");
    }
    match ask.kind() {
        Kind::Unspecified => refuse(Fault::BadRequest, "the ballot's kind is not known"),
        Kind::Likelihood if !model.likelihood => {
            refuse(Fault::Unsupported, "this model gives no likelihood ballots")
        }
        Kind::Pairwise if !model.pairwise => {
            refuse(Fault::Unsupported, "this model gives no pairwise ballots")
        }
        Kind::Reasoned if !model.reasoned => {
            refuse(Fault::Unsupported, "this model gives no reasoned ballots")
        }
        Kind::Reasoned if ask.pairs.len() > CRITIQUES_MAX => {
            refuse(Fault::BadRequest, "a reasoned ballot is of at most 64 pairs")
        }
        Kind::Likelihood => Ok(()),
        Kind::Pairwise | Kind::Reasoned => check_pairs(ask),
    }
}

fn check_pairs(ask: &Judge) -> Result<(), EngineError> {
    let known = |index: u32| usize::try_from(index).is_ok_and(|index| index < ask.candidates.len());
    let sound = ask
        .pairs
        .iter()
        .all(|pair| known(pair.first) && known(pair.second) && pair.first != pair.second);
    if sound && (1..=PAIRS_MAX).contains(&ask.pairs.len()) {
        return Ok(());
    }
    let rule = "a pairwise ballot names 1 to 1024 pairs of two different candidates";
    Err(EngineError::new(Fault::BadRequest, rule))
}

/// The verdict on a pair of which a judge can say nothing.
pub const UNDECIDED: f64 = 0.5;

/// What became of the pairs: `None` for one that does not fit the judge's context, so that a candidate
/// of great length does not silence it on the others. Refused where none fits, and at any other
/// error.
pub fn fitting<T>(
    pairs: impl IntoIterator<Item = Result<T, EngineError>>,
) -> Result<Vec<Option<T>>, EngineError> {
    let (mut fits, mut refused) = (Vec::new(), None);
    for pair in pairs {
        match pair {
            Err(error) if error.fault == Fault::ContextLength => {
                fits.push(None);
                refused = Some(error);
            }
            pair => fits.push(Some(pair?)),
        }
    }
    match refused {
        Some(error) if fits.iter().all(Option::is_none) => Err(error),
        _ => Ok(fits),
    }
}

/// The engine's ballot on a checked ask, checked in its turn.
pub async fn ballot(ask: Judge, engine: &dyn Engine) -> Result<Ballot, EngineError> {
    let (kind, candidates, pairs) = (ask.kind(), ask.candidates.len(), ask.pairs.len());
    let ballot = engine.judge(ask).await?;
    let sound = match kind {
        Kind::Likelihood => {
            ballot.scores.len() == candidates
                && ballot.scores.iter().all(|s| s.logprob.is_finite() && s.logprob <= 0.0)
        }
        Kind::Pairwise | Kind::Reasoned => {
            ballot.verdicts.len() == pairs
                && ballot.verdicts.iter().all(|p| (0.0..=1.0).contains(p))
        }
        Kind::Unspecified => false,
    };
    if sound {
        Ok(ballot)
    } else {
        Err(EngineError::new(Fault::Engine, "the engine's ballot is not sound"))
    }
}
