//! An ask becomes jobs: token sequences, and what is to be learnt from each. Done on a thread of
//! its own, so that no answer waits while a long prompt is cut into tokens.

use std::fmt;

use shoal_engine::{
    EngineError,
    judge::{question, skip_oversized},
};
use shoal_proto::{
    embed::Embed,
    generate::{Fault, Generate, Sampling},
    judge::{CRITIQUE_TOKENS, Judge, Kind, Pair},
    tools::ToolChoice,
};

use crate::{
    grammar::Constraint,
    pipeline::{Pooling, Talk, TextPipeline},
    tools::CallParser,
};

/// What is asked.
#[derive(Debug)]
pub(super) enum Work {
    Generate(Box<Generate>),
    Judge(Box<Judge>),
    Embed(Embed),
}

/// A sequence to be read, and why.
#[derive(Debug)]
pub(super) struct Job {
    /// Never empty, and no longer than the context.
    pub(super) tokens: Vec<u32>,
    /// The first token after which somebody wants to know what comes next.
    pub(super) next: usize,
    pub(super) purpose: Purpose,
}

/// What is to be learnt from a sequence.
#[derive(Debug)]
pub(super) enum Purpose {
    /// How it goes on: an answer of at most so many tokens.
    Write(Box<Answer>),
    /// How likely these tokens are from `next` on; `beyond` more do not fit the context.
    Score { targets: Vec<u32>, beyond: usize },
    /// Which letter is likeliest after it.
    Verdict(Letters),
    /// The same after a critique.
    Reason(Box<Reasoning>),
    /// Its place in the model's space.
    Embed(Pooling),
}

/// Tokens that say a verdict, each letter in all its spellings.
#[derive(Clone, Debug)]
pub(super) struct Letters {
    pub(super) first: Vec<u32>,
    pub(super) second: Vec<u32>,
    /// Counts one half for each; empty where it was not offered.
    pub(super) undecided: Vec<u32>,
}

/// A critique, and the verdict after it.
#[derive(Debug)]
pub(super) struct Reasoning {
    pub(super) critique: Answer,
    /// What is put after a critique that has not come to its verdict.
    pub(super) lead: Vec<u32>,
    pub(super) letters: Letters,
}

/// How an answer is to be written.
pub(super) struct Answer {
    pub(super) sampling: Sampling,
    /// Tokens at most.
    pub(super) limit: usize,
    /// The form that it must have.
    pub(super) constraint: Option<Constraint>,
    /// Takes the calls out of it, where it may call functions.
    pub(super) calls: Option<CallParser>,
    /// Whether a judge can read it after the same prompt.
    pub(super) certain: bool,
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

/// The jobs of an ask, one for each part of its result, and the tokens to be read for it. `None`:
/// this pair stays undecided, nothing is read. Refused before any of them is begun when one of them
/// cannot be done.
pub(super) fn jobs(
    words: &TextPipeline,
    work: &Work,
    limits: Limits,
) -> Result<(Vec<Option<Job>>, usize), EngineError> {
    let jobs = match work {
        Work::Generate(ask) => vec![Some(answer(words, ask, limits)?)],
        Work::Judge(ask) if ask.kind() == Kind::Pairwise => {
            skip_oversized(ask.pairs.iter().map(|pair| verdict(words, ask, pair, limits)))?
        }
        Work::Judge(ask) if ask.kind() == Kind::Reasoned => {
            skip_oversized(ask.pairs.iter().map(|pair| reason(words, ask, pair, limits)))?
        }
        Work::Judge(ask) => return scores(words, ask, limits),
        Work::Embed(ask) => {
            let vector = |text: &String| vector(words, text, limits).map(Some);
            ask.inputs.iter().map(vector).collect::<Result<_, _>>()?
        }
    };
    if jobs.is_empty() {
        return Err(EngineError::new(Fault::BadRequest, "there is nothing to do"));
    }
    let read = jobs.iter().flatten().map(|job| job.tokens.len()).sum();
    Ok((jobs, read))
}

fn answer(words: &TextPipeline, ask: &Generate, limits: Limits) -> Result<Job, EngineError> {
    let sampling = words.sampling(ask.sampling.as_ref());
    let tools = ask
        .tools
        .as_ref()
        .filter(|tools| !tools.functions.is_empty() && tools.choice() != ToolChoice::None);
    let variables = ask.template_variables.as_str();
    let (messages, prompt) = (ask.messages.as_slice(), ask.prompt.as_ref());
    let talk = Talk { messages, prompt, tools: ask.tools.as_ref(), variables };
    let free = tools.is_some_and(|tools| tools.choice() == ToolChoice::Auto);
    let tokens = match words.prompt(talk, limits.context) {
        // Held to its calls while it writes, or kept from any, a model of a short context can do
        // without their description.
        Err(error) if error.fault == Fault::ContextLength && !free => {
            words.prompt(Talk { tools: None, ..talk }, limits.context)?
        }
        read => read?,
    };
    let asked = sampling.max_tokens.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
    let limit = asked.unwrap_or(limits.answer_tokens).min(limits.context - tokens.len());
    let dialect = words.template.dialect();
    let held = tools.is_some_and(|tools| {
        tools.choice() != ToolChoice::Auto || tools.functions.iter().any(|each| each.strict)
    });
    let constraint = if ask.format.is_some() || held {
        let called = tools.map(|tools| (tools, dialect));
        Constraint::new(ask.format.as_ref(), called, words.grammars()?)?
    } else {
        None
    };
    let answer = Answer {
        sampling,
        limit,
        constraint,
        calls: tools.map(|tools| CallParser::new(dialect, tools)),
        // A judge is told of no variables, and an auditor of no prompt.
        certain: variables.is_empty() && prompt.is_none(),
    };
    Ok(Job { next: tokens.len() - 1, tokens, purpose: Purpose::Write(Box::new(answer)) })
}

/// The conversation counts once: that is how often it is read.
fn scores(
    words: &TextPipeline,
    ask: &Judge,
    limits: Limits,
) -> Result<(Vec<Option<Job>>, usize), EngineError> {
    let (messages, prompt) = (ask.messages.as_slice(), ask.prompt.as_ref());
    let talk = Talk { messages, prompt, tools: ask.tools.as_ref(), variables: "" };
    let prompt = words.prompt(talk, limits.context)?;
    let next = prompt.len() - 1;
    let mut read = prompt.len();
    let score = |candidate: &String| {
        let mut targets = words.candidate(candidate)?;
        read += targets.len();
        // What does not fit the context has no place in it: no opinion, every token alike.
        let fits = targets.len().min(limits.context - next);
        let beyond = targets.len() - fits;
        targets.truncate(fits);
        // Nothing is asked after the last of them.
        let before = targets.split_last().map_or(&[][..], |(_, before)| before);
        let tokens = [&prompt[..], before].concat();
        Ok(Some(Job { tokens, next, purpose: Purpose::Score { targets, beyond } }))
    };
    let jobs = ask.candidates.iter().map(score).collect::<Result<_, EngineError>>()?;
    Ok((jobs, read))
}

fn verdict(
    words: &TextPipeline,
    ask: &Judge,
    pair: &Pair,
    limits: Limits,
) -> Result<Job, EngineError> {
    let tokens = words.question(ask, pair, limits.context)?;
    let purpose = Purpose::Verdict(letters(words, Vec::new())?);
    Ok(Job { next: tokens.len() - 1, tokens, purpose })
}

fn reason(
    words: &TextPipeline,
    ask: &Judge,
    pair: &Pair,
    limits: Limits,
) -> Result<Job, EngineError> {
    let lead = words.tokenizer.encode(&format!("\n\n{}", question::VERDICT));
    let unreadable = || EngineError::new(Fault::Engine, "the model cannot read its own question");
    let lead = lead.ok_or_else(unreadable)?;
    let limit = usize::try_from(CRITIQUE_TOKENS).unwrap_or(usize::MAX);
    // Room for the critique and its verdict is kept from the start.
    let room = limits.context.saturating_sub(limit + lead.len());
    let tokens = words.question(ask, pair, room)?;
    let sampling = words.sampling(Some(&Sampling {
        temperature: Some(0.0),
        stop: vec![question::VERDICT.to_owned()],
        ..Sampling::default()
    }));
    let critique = Answer { sampling, limit, constraint: None, calls: None, certain: false };
    let letters = letters(words, words.letter('U'))?;
    let purpose = Purpose::Reason(Box::new(Reasoning { critique, lead, letters }));
    Ok(Job { next: tokens.len() - 1, tokens, purpose })
}

fn letters(words: &TextPipeline, undecided: Vec<u32>) -> Result<Letters, EngineError> {
    let (first, second) = (words.letter('A'), words.letter('B'));
    if first.is_empty() || second.is_empty() {
        return Err(EngineError::new(Fault::Unsupported, "the model has no letters to judge with"));
    }
    Ok(Letters { first, second, undecided })
}

fn vector(words: &TextPipeline, text: &str, limits: Limits) -> Result<Job, EngineError> {
    let tokens = words.tokenizer.encode(text).filter(|tokens| !tokens.is_empty());
    let tokens = tokens
        .ok_or_else(|| EngineError::new(Fault::BadRequest, "the model has no words for a text"))?;
    if tokens.len() > limits.context {
        let limit = u32::try_from(limits.context).unwrap_or(u32::MAX);
        return Err(EngineError::context_length(limit));
    }
    let next = match words.pooling {
        Pooling::Mean => 0,
        Pooling::Last => tokens.len() - 1,
    };
    Ok(Job { tokens, next, purpose: Purpose::Embed(words.pooling) })
}
