//! The decisions of a gateway: who writes, who judges, which answer is best, how much each member is trusted.
//! All are pure functions, which do not wait, read a clock or open a file. The steps of a round are [`select`],
//! [`waiting`], [`agree`], [`judging`], [`rank`] and [`learn`], most of them methods of a [`Tally`]. Trust is
//! a [`Standing`] in [`reputation`]. The gateway runs these functions between its calls to members; [`replay`]
//! runs them over recorded rounds.

pub mod agree;
pub mod ask;
pub mod ballot;
mod calls;
mod candidate;
pub mod constraint;
mod decide;
pub mod embedding;
mod error;
mod evidence;
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
mod verify;
pub mod waiting;

pub use ask::{Ask, Mode};
pub use ballot::{CastBallot, Verdicts};
pub use candidate::Candidate;
pub use error::RoundError;
pub use member::MemberView;
pub use outcome::Outcome;
pub use reputation::Standing;
pub use settings::RoundSettings;
pub use tally::Tally;
