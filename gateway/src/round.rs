//! One ask, one answer: the swarm writes candidates, judges them, and the best wins.
//!
//! Contract (lead): the sentence below; owners fill the chapters.
//! ```ignore
//! pub async fn run(ask: &Ask, swarm: &Swarm, standing: &Standing, clock: Clock) -> Result<Outcome, RoundError> {
//!     let panel = select::panel(&ask, &swarm.members(), standing, seed)?;
//!     let candidates = generate::candidates(ask, &panel.writers, swarm, clock.writing()).await?;
//!     let pools = agree::pool(&candidates);
//!     let ballots = judge::ballots(&candidates, &panel.judges, swarm, clock.judging()).await;
//!     let ranking = rank::map(&candidates, &ballots, standing);
//!     Ok(Outcome { .. })
//! }
//! ```

pub mod select;
pub mod agree;
pub mod evidence;
pub mod rank;

/// Why a round has no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RoundError {
    /// Another model may work: nobody here serves this one.
    #[error("no member serves the model {model}")]
    NoSuchModel { model: String },
    /// The same ask may work a moment later: nobody is alive and free.
    #[error("no member can take work now")]
    NoMember,
    /// The same ask may work a moment later: members were asked, none finished in time.
    #[error("no candidate in time: {asked} members were asked")]
    NoCandidate { asked: usize },
    /// Prompt and answer do not fit any member's context.
    #[error("the conversation does not fit the model's context of {context} tokens")]
    ContextLength { context: u32 },
}
