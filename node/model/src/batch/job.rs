//! Turns an ask into jobs: token sequences, and what to learn from each. This runs on a thread of its
//! own, so that tokenizing a long prompt delays no answer.

use std::fmt;

use shoal_engine::{
    EngineError,
    judge::{question, skip_oversized},
};
use shoal_proto::{
    embed::Embed,
    generate::{Fault, Generate, Sampling},
    judge::{BallotKind, CRITIQUE_TOKENS, Judge, Pair},
    tools::ToolChoice,
};

use crate::{
    grammar::Constraint,
    pipeline::{Pooling, PromptInput, TextPipeline},
    tools::CallParser,
};

/// A request of any kind.
#[derive(Debug)]
pub(super) enum Work {
    Generate(Box<Generate>),
    Judge(Box<Judge>),
    Embed(Embed),
}

/// A token sequence to read, and its purpose.
#[derive(Debug)]
pub(super) struct Job {
    /// Never empty, and no longer than the context.
    pub(super) tokens: Vec<u32>,
    /// Index of the first token after which a row is wanted.
    pub(super) next: usize,
    pub(super) purpose: Purpose,
}

/// What to learn from a sequence.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Its continuation: an answer of limited length.
    Write(Box<Answer>),
    /// The likelihood of these tokens from `next` on; `beyond` more do not fit into the context.
    Score { targets: Vec<u32>, beyond: usize },
    /// The likeliest letter after it.
    Verdict(Letters),
    /// The same after a critique.
    Reason(Box<ReasonedVerdict>),
    /// Its embedding.
    Embed(Pooling),
}

/// Tokens of the letters of a verdict, each letter in all its spellings.
#[derive(Clone, Debug)]
pub(super) struct Letters {
    pub(super) first: Vec<u32>,
    pub(super) second: Vec<u32>,
    /// Counts one half for each side; empty where the question does not offer it.
    pub(super) tie: Vec<u32>,
}

/// A critique, and the verdict after it.
#[derive(Debug)]
pub(super) struct ReasonedVerdict {
    pub(super) critique: Answer,
    /// Tokens that follow a critique without a verdict.
    pub(super) lead: Vec<u32>,
    pub(super) letters: Letters,
}

/// The settings of one answer.
pub(super) struct Answer {
    pub(super) sampling: Sampling,
    /// Most tokens of the answer.
    pub(super) limit: usize,
    /// The required format.
    pub(super) constraint: Option<Constraint>,
    /// Extracts the calls, where functions are offered.
    pub(super) calls: Option<CallParser>,
    /// Whether a judge can read the answer after the same prompt.
    pub(super) certain: bool,
    /// Whether the model may abstain, if it can. A format and a text to continue leave no room for it.
    pub(super) may_abstain: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// What limits an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Tokens of prompt and answer together.
    pub(super) context: usize,
    /// Tokens of an answer for which the ask sets no limit.
    pub(super) answer_tokens: usize,
}

/// The jobs of an ask, one for each part of its result, and the tokens that it reads. `None`: the pair
/// stays undecided and is not read. Fails before any job starts when one of them is impossible.
pub(super) fn jobs(
    pipeline: &TextPipeline,
    work: &Work,
    limits: Limits,
) -> Result<(Vec<Option<Job>>, usize), EngineError> {
    let jobs = match work {
        Work::Generate(ask) => vec![Some(answer(pipeline, ask, limits)?)],
        Work::Judge(ask) if ask.kind() == BallotKind::Pairwise => {
            skip_oversized(ask.pairs.iter().map(|pair| verdict(pipeline, ask, pair, limits)))?
        }
        Work::Judge(ask) if ask.kind() == BallotKind::Reasoned => {
            skip_oversized(ask.pairs.iter().map(|pair| reason(pipeline, ask, pair, limits)))?
        }
        Work::Judge(ask) => return scores(pipeline, ask, limits),
        Work::Embed(ask) => ask
            .inputs
            .iter()
            .map(|text| vector(pipeline, text, limits).map(Some))
            .collect::<Result<_, _>>()?,
    };
    if jobs.is_empty() {
        return Err(EngineError::new(Fault::BadRequest, "the request is empty"));
    }
    let read = jobs.iter().flatten().map(|job| job.tokens.len()).sum();
    Ok((jobs, read))
}

fn answer(pipeline: &TextPipeline, ask: &Generate, limits: Limits) -> Result<Job, EngineError> {
    let sampling = pipeline.sampling(ask.sampling.as_ref());
    let tools = ask
        .tools
        .as_ref()
        .filter(|tools| !tools.functions.is_empty() && tools.choice() != ToolChoice::None);
    let variables = ask.template_variables.as_str();
    let (messages, prompt) = (ask.messages.as_slice(), ask.prompt.as_ref());
    let talk = PromptInput { messages, prompt, tools: ask.tools.as_ref(), variables };
    let is_optional = tools.is_some_and(|tools| tools.choice() == ToolChoice::Auto);
    let tokens = match pipeline.prompt(talk, limits.context) {
        // A grammar holds the model to its calls or keeps it from any, so a short context can omit the
        // description of the functions.
        Err(error) if error.fault == Fault::ContextLength && !is_optional => {
            pipeline.prompt(PromptInput { tools: None, ..talk }, limits.context)?
        }
        tokens => tokens?,
    };
    let max_tokens = sampling.max_tokens.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
    let limit = max_tokens.unwrap_or(limits.answer_tokens).min(limits.context - tokens.len());
    let dialect = pipeline.template.dialect();
    let is_constrained = tools.is_some_and(|tools| {
        tools.choice() != ToolChoice::Auto || tools.functions.iter().any(|function| function.strict)
    });
    let constraint = if ask.format.is_some() || is_constrained {
        let calls = tools.map(|tools| (tools, dialect));
        Constraint::new(ask.format.as_ref(), calls, pipeline.grammars()?)?
    } else {
        None
    };
    let answer = Answer {
        sampling,
        limit,
        may_abstain: constraint.is_none() && prompt.is_none(),
        constraint,
        calls: tools.map(|tools| CallParser::new(dialect, tools)),
        // A judge does not get the template's variables, and an auditor does not get the prompt.
        certain: variables.is_empty() && prompt.is_none(),
    };
    Ok(Job { next: tokens.len() - 1, tokens, purpose: Purpose::Write(Box::new(answer)) })
}

/// The conversation counts once, because it is read once.
fn scores(
    pipeline: &TextPipeline,
    ask: &Judge,
    limits: Limits,
) -> Result<(Vec<Option<Job>>, usize), EngineError> {
    let (messages, prompt) = (ask.messages.as_slice(), ask.prompt.as_ref());
    let talk = PromptInput { messages, prompt, tools: ask.tools.as_ref(), variables: "" };
    let prompt = pipeline.prompt(talk, limits.context)?;
    let next = prompt.len() - 1;
    let mut read = prompt.len();
    let mut jobs = Vec::with_capacity(ask.candidates.len());
    for candidate in &ask.candidates {
        let mut targets = pipeline.candidate(candidate)?;
        read += targets.len();
        // The model has no opinion on tokens beyond the context: each counts as likely as any token.
        let fits = targets.len().min(limits.context - next);
        let beyond = targets.len() - fits;
        targets.truncate(fits);
        // No row is wanted after the last target.
        let before = targets.split_last().map_or(&[][..], |(_, before)| before);
        let tokens = [&prompt[..], before].concat();
        jobs.push(Some(Job { tokens, next, purpose: Purpose::Score { targets, beyond } }));
    }
    Ok((jobs, read))
}

fn verdict(
    pipeline: &TextPipeline,
    ask: &Judge,
    pair: &Pair,
    limits: Limits,
) -> Result<Job, EngineError> {
    let tokens = pipeline.question(ask, pair, limits.context)?;
    let purpose = Purpose::Verdict(letters(pipeline, Vec::new())?);
    Ok(Job { next: tokens.len() - 1, tokens, purpose })
}

fn reason(
    pipeline: &TextPipeline,
    ask: &Judge,
    pair: &Pair,
    limits: Limits,
) -> Result<Job, EngineError> {
    let lead = pipeline
        .tokenizer
        .encode(&format!("\n\n{}", question::VERDICT))
        .ok_or_else(|| EngineError::new(Fault::Engine, "the model cannot read its own question"))?;
    let limit = usize::try_from(CRITIQUE_TOKENS).unwrap_or(usize::MAX);
    // The context must have room for the critique and its verdict.
    let room = limits.context.saturating_sub(limit + lead.len());
    let tokens = pipeline.question(ask, pair, room)?;
    let sampling = pipeline.sampling(Some(&Sampling {
        temperature: Some(0.0),
        stop: vec![question::VERDICT.to_owned()],
        ..Sampling::default()
    }));
    let critique = Answer {
        sampling,
        limit,
        constraint: None,
        calls: None,
        certain: false,
        may_abstain: false,
    };
    let letters = letters(pipeline, pipeline.letter('U'))?;
    let purpose = Purpose::Reason(Box::new(ReasonedVerdict { critique, lead, letters }));
    Ok(Job { next: tokens.len() - 1, tokens, purpose })
}

fn letters(pipeline: &TextPipeline, tie: Vec<u32>) -> Result<Letters, EngineError> {
    let (first, second) = (pipeline.letter('A'), pipeline.letter('B'));
    if first.is_empty() || second.is_empty() {
        return Err(EngineError::new(
            Fault::Unsupported,
            "the vocabulary has no tokens for the letters of a verdict",
        ));
    }
    Ok(Letters { first, second, tie })
}

fn vector(pipeline: &TextPipeline, text: &str, limits: Limits) -> Result<Job, EngineError> {
    let tokens = pipeline.tokenizer.encode_text(text).filter(|tokens| !tokens.is_empty());
    let tokens =
        tokens.ok_or_else(|| EngineError::new(Fault::BadRequest, "an input has no tokens"))?;
    if tokens.len() > limits.context {
        let limit = u32::try_from(limits.context).unwrap_or(u32::MAX);
        return Err(EngineError::context_length(limit));
    }
    let next = match pipeline.pooling {
        Pooling::Mean => 0,
        Pooling::Last => tokens.len() - 1,
    };
    Ok(Job { tokens, next, purpose: Purpose::Embed(pipeline.pooling) })
}
