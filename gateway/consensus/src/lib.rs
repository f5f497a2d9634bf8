//! Which answer is best, and how far each member is believed: the decisions of a gateway, pure.
//!
//! Nothing here waits, reads a clock or opens a file. A round's steps are functions of what they are
//! given: [`select`] a panel, decide how long to wait ([`waiting`]), [`agree`] on pools of equal answers, ask judges ([`judging`]),
//! [`verify`] claims that decide, [`rank`] the candidates, [`learn`] from the result. The gateway runs
//! them between its calls to members; [`replay`] runs the same functions over recorded rounds.

pub mod agree;
pub mod ask;
pub mod ballot;
pub mod calls;
mod candidate;
pub mod constraint;
pub mod decide;
pub mod embedding;
mod error;
pub mod evidence;
pub mod fusion;
pub mod judging;
pub mod learn;
mod linear;
mod member;
pub mod outcome;
pub mod rank;
pub mod replay;
pub mod reputation;
pub mod select;
pub mod settings;
pub mod stats;
pub mod tally;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod waiting;

pub use ask::{Ask, Mode};
pub use ballot::{CastBallot, Verdicts};
pub use candidate::Candidate;
pub use error::RoundError;
pub use member::MemberView;
pub use outcome::Outcome;
pub use settings::RoundSettings;
