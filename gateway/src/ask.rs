//! What a round is given ([`Ask`]) and what it gives back ([`Outcome`]).
//!
//! An `Ask` is made only by [`Ask::parse`], so whatever has one has a valid one.

pub mod parse;
mod messages;
mod sampling;
mod tools;
mod format;
pub mod form;
mod schema;
pub mod known;
pub mod completions;
pub mod responses;
pub mod anthropic;
pub mod embed;
pub mod rank;
pub(crate) mod door;
mod fields;
pub mod error;
pub mod limits;
pub mod mode;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use crate::reputation::{Likelihood, Way};

pub use anthropic::MessageRequest;
pub use completions::CompletionRequest;
pub use embed::{EmbedAsk, EmbedRequest};
pub use error::AskError;
pub use form::Form;
pub use limits::Limits;
pub use mode::Mode;
pub use parse::ChatRequest;
pub use rank::RankRequest;
pub use responses::ResponseRequest;
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Finish, Format, Prompt, Sampling, TokenLogprob},
    tools::{ToolCall, Tools},
};

/// A checked request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who shall answer.
    pub target: Target,
    /// The conversation, never empty, oldest first.
    pub messages: Vec<ChatMessage>,
    pub sampling: Sampling,
    pub effort: Effort,
    /// Functions that the answer may call; None: none.
    pub tools: Option<Tools>,
    /// The form that the answer must have; None: any.
    pub format: Option<Format>,
    /// Holds answers to `tools` and `format`.
    pub form: Arc<Form>,
    /// Further variables of the models' chat templates, as a JSON object; empty: none.
    pub template_variables: String,
    /// Answers wanted, 1 at least.
    pub choices: usize,
    /// Path of the request's first image; None: it has none.
    pub image: Option<String>,
    /// Go on with this as it stands, who can, in the place of answering the conversation, which
    /// says the same.
    pub prompt: Option<Prompt>,
}

impl Ask {
    /// An ask for one answer in words, in whatever form.
    pub fn plain(
        target: Target,
        messages: Vec<ChatMessage>,
        sampling: Sampling,
        effort: Effort,
    ) -> Self {
        Self {
            target,
            messages,
            sampling,
            effort,
            tools: None,
            format: None,
            form: Arc::default(),
            template_variables: String::new(),
            choices: 1,
            image: None,
            prompt: None,
        }
    }
}

impl Ask {
    /// Whether the conversation is all that a writer was given, so that its answer can be looked
    /// at again with nothing but that.
    pub fn is_plain(&self) -> bool {
        self.form.is_free()
            && self.template_variables.is_empty()
            && self.image.is_none()
            && self.prompt.is_none()
    }
}

/// Who shall answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The swarm, in a round.
    Swarm,
    /// One member serving this model, without a round.
    Model(String),
}

impl Target {
    /// The model's name, if there is one.
    pub fn name(&self) -> Option<&String> {
        match self {
            Self::Swarm => None,
            Self::Model(name) => Some(name),
        }
    }
}

/// How hard the swarm works, within the operator's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Members that write: N.
    pub writers: usize,
    /// Members that judge: M.
    pub judges: usize,
    /// Time for the whole round.
    pub deadline: Duration,
    /// When enough is known, and which ballots count for it.
    pub mode: Mode,
    /// A member writes the final answer from the best candidates, instead of the winner's being
    /// sent as it is.
    pub fusion: bool,
}

/// Names one round: 16 random bytes as 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct RoundId(pub String);

/// What a round gives: the winner, and everything that led to it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub round: RoundId,
    /// Index of the winner in `candidates`.
    pub winner: usize,
    pub decided: Decided,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<CastBallot>,
    /// Strength and P(best) of every candidate, by index.
    pub ranking: Ranking,
    /// The answer that a member wrote from the best candidates, if that was asked for and came to
    /// something. It is none of the candidates: nobody judged it.
    pub fused: Option<Candidate>,
    pub timings: Timings,
}

impl Outcome {
    /// The answer whose text is sent: the fused one, else the winning candidate.
    pub fn winner(&self) -> Option<&Candidate> {
        self.fused.as_ref().or_else(|| self.candidates.get(self.winner))
    }

    /// At most `wanted` answers, best first, the winner always first. Those that say something
    /// else come before those that say the same in other words, and these before copies.
    pub fn choices(&self, wanted: usize) -> Vec<&Candidate> {
        let ranked = self.ranking.order.iter().filter_map(|at| self.candidates.get(*at));
        let all: Vec<&Candidate> = self.winner().into_iter().chain(ranked).collect();
        let mut chosen: Vec<&Candidate> = Vec::new();
        let alike: [fn(&Candidate, &Candidate) -> bool; 3] = [
            |a, b| a.pool == b.pool,
            |a, b| a.text == b.text && a.tool_calls == b.tool_calls,
            |a, b| std::ptr::eq(a, b),
        ];
        for alike in alike {
            for candidate in &all {
                if chosen.len() < wanted && !chosen.iter().any(|one| alike(one, candidate)) {
                    chosen.push(candidate);
                }
            }
        }
        chosen
    }
}

/// What is known of an answer before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Text as it is made, where one member answers alone; `choice` counts the answers wanted.
    Piece { choice: usize, text: String },
    /// How far the round is.
    Progress(Progress),
}

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many of the writers that were asked have finished.
    Writing { finished: usize, asked: usize },
    /// So many of the judges have spoken.
    Judging { heard: usize, asked: usize },
}

/// How the winner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// Ballots were counted.
    Judged,
    /// Enough writers said the same.
    Agreement,
    /// No ballot arrived: largest pool by weight, then standing, then the earliest.
    Fallback,
    /// There was one candidate only (or one member was asked by name).
    Single,
    /// A member wrote the answer from the best candidates.
    Fused,
}

/// One writer's finished answer.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub writer: NodeId,
    /// The writer's model name.
    pub model: String,
    pub text: String,
    /// Functions that it calls; each has an id of its own and a JSON object of arguments.
    pub tool_calls: Vec<ToolCall>,
    /// The text's tokens, where they were asked for and its engine knows them.
    pub tokens: Vec<TokenLogprob>,
    pub finish: Finish,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    /// Tokens of the prompt that its model had read before.
    pub cached_tokens: u32,
    /// Natural log-probability that the writer claims for its text, if its engine knows it.
    pub logprob: Option<f64>,
    /// From the start of the round to its end of writing.
    pub took: Duration,
    /// From the start of the round to its first piece.
    pub first_piece: Duration,
    /// Which pool of equal answers it belongs to; pools are numbered in order of appearance.
    pub pool: usize,
}

impl Candidate {
    /// What its writer claims, where it claims anything.
    pub fn claim(&self) -> Option<Likelihood> {
        self.logprob.map(|logprob| self.likelihood(logprob))
    }

    /// Somebody finds it so likely: natural log, summed.
    pub fn likelihood(&self, logprob: f64) -> Likelihood {
        Likelihood::of(logprob, &self.shown())
    }

    /// As judges and people read it: the text, and the calls as the JSON that
    /// [`shoal_proto::judge::Judge::tools`] describes.
    pub fn shown(&self) -> String {
        if self.tool_calls.is_empty() {
            return self.text.clone();
        }
        let calls = form::calls_as_json(&self.tool_calls);
        if self.text.is_empty() { calls } else { format!("{}\n{calls}", self.text) }
    }
}

/// One judge's verdicts.
#[derive(Clone, Debug)]
pub struct CastBallot {
    pub judge: NodeId,
    /// The judge's model name.
    pub model: String,
    /// It said why before it said which; never where it gave scores.
    pub reasoned: bool,
    pub verdicts: Verdicts,
    /// Tokens read for it, and written where the judge said why.
    pub prompt_tokens: u32,
    pub took: Duration,
}

impl CastBallot {
    /// How it compared, where it did.
    pub fn way(&self) -> Way {
        if self.reasoned { Way::Reasoned } else { Way::AtOnce }
    }
}

/// What a judge said. Indices are into [`Outcome::candidates`]; a judge never scores its own.
#[derive(Clone, Debug)]
pub enum Verdicts {
    /// log P(candidate | question) under the judge's weights.
    Scores(Vec<CandidateScore>),
    /// P(first is better), both orders averaged.
    Pairs(Vec<PairVerdict>),
}

/// A likelihood score for one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CandidateScore {
    pub candidate: usize,
    /// Natural log, summed, <= 0.
    pub logprob: f64,
    pub tokens: u32,
}

/// A comparison of two candidates with position bias averaged out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairVerdict {
    pub a: usize,
    pub b: usize,
    /// P(a is better than b) in [0, 1].
    pub p: f64,
    /// The two orders disagreed about who is better.
    pub flipped: bool,
}

/// The strength of every candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// θ: log-odds strengths, by candidate index (equal within a pool).
    pub strengths: Vec<f64>,
    /// P(this candidate's pool is best), by candidate index.
    pub p_best: Vec<f64>,
    /// Candidates from best to worst.
    pub order: Vec<usize>,
    /// Every pool is reachable from every other through comparisons or scores.
    pub connected: bool,
    /// The pairwise majorities contain a cycle.
    pub cyclic: bool,
    /// θ(best) - θ(second best pool); 0 with one pool.
    pub margin: f64,
}

/// How long each phase took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    pub select: Duration,
    pub generate: Duration,
    pub judge: Duration,
    pub rank: Duration,
    /// 0 unless fusion was asked for.
    pub fuse: Duration,
    pub total: Duration,
}
