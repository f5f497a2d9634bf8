//! A model's side of words: conversations to tokens and back, and how it likes to be sampled.

use std::sync::OnceLock;

use shoal_engine::{EngineError, judge::question};
use shoal_proto::{
    generate::{ChatMessage, Fault, Prompt, Sampling},
    judge::{Judge, Kind, Pair},
    tools::Tools,
};

use super::{
    defaults::Defaults,
    grammar::Grammars,
    sample::LogSum,
    step::Broken,
    template::Template,
    tokenizer::{TokenKind, Tokenizer},
};

/// All of a loaded model but its arithmetic.
#[derive(Debug)]
pub struct TextPipeline {
    pub tokenizer: Tokenizer,
    pub(crate) template: Template,
    pub(crate) defaults: Defaults,
    /// What an embedding is made of.
    pub(crate) pooling: Pooling,
    /// Made when an answer is first held to a form: it takes up to a second.
    grammars: OnceLock<Option<Grammars>>,
}

/// A conversation and what a chat template makes of it beside its messages.
#[derive(Clone, Copy, Debug)]
pub struct Talk<'a> {
    pub messages: &'a [ChatMessage],
    /// Goes on with this in the place of answering the messages.
    pub prompt: Option<&'a Prompt>,
    pub tools: Option<&'a Tools>,
    /// A JSON object, or empty.
    pub variables: &'a str,
}

/// How the rows of a text become its one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Mean,
    Last,
}

impl TextPipeline {
    pub fn new(
        tokenizer: Tokenizer,
        template: Template,
        defaults: Defaults,
        pooling: Pooling,
    ) -> Self {
        Self { tokenizer, template, defaults, pooling, grammars: OnceLock::new() }
    }

    /// The vocabulary, arranged for grammars.
    ///
    /// # Errors
    /// When it cannot be.
    pub(crate) fn grammars(&self) -> Result<&Grammars, EngineError> {
        let grammars = self.grammars.get_or_init(|| Grammars::new(&self.tokenizer));
        grammars.as_ref().ok_or_else(|| {
            let why = "this model's answers cannot be held to a form";
            EngineError::new(Fault::Unsupported, why)
        })
    }

    /// The tokens of a conversation, up to where the answer begins; never empty, and with room
    /// for at least one more in `context`.
    pub fn prompt(&self, talk: Talk<'_>, context: usize) -> Result<Vec<u32>, EngineError> {
        let tokens = match talk.prompt {
            Some(prompt) => self.beginning(prompt)?,
            None => self.conversation(talk)?,
        };
        if tokens.len() < context {
            return Ok(tokens);
        }
        Err(EngineError::context_length(u32::try_from(context).unwrap_or(u32::MAX)))
    }

    fn conversation(&self, talk: Talk<'_>) -> Result<Vec<u32>, EngineError> {
        let refused = |why: &str| EngineError::new(Fault::BadRequest, why);
        let text = self
            .template
            .render(talk.messages, talk.tools, talk.variables)
            .map_err(|_| refused("the model's chat template refuses this conversation"))?;
        let tokens = self.tokenizer.encode(&text).filter(|tokens| !tokens.is_empty());
        tokens.ok_or_else(|| refused("the model has no words for this conversation"))
    }

    /// A text as it stands, with the mark that the model expects before every text. Where there is
    /// nothing and no such mark, what ends a document begins the next one.
    fn beginning(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        let refused = |why: &str| EngineError::new(Fault::BadRequest, why);
        if !prompt.tokens.is_empty() {
            let known = |token: &u32| self.tokenizer.kind(*token) != TokenKind::None;
            if !prompt.tokens.iter().all(known) {
                return Err(refused("the model has no token with one of these numbers"));
            }
            return Ok(prompt.tokens.clone());
        }
        let tokens = self.tokenizer.encode_alone(&prompt.text);
        let mut tokens = tokens.ok_or_else(|| refused("the model has no words for this text"))?;
        if tokens.is_empty() {
            tokens.extend(self.tokenizer.ends().next());
        }
        Ok(tokens)
    }

    /// The tokens of the question which of two candidates is better.
    pub(crate) fn question(
        &self,
        ask: &Judge,
        pair: &Pair,
        context: usize,
    ) -> Result<Vec<u32>, EngineError> {
        let question = match ask.kind() {
            Kind::Reasoned => question::reasoned_question(ask, pair),
            _ => question::direct_question(ask, pair),
        };
        let question = question
            .ok_or_else(|| EngineError::new(Fault::BadRequest, "a pair names no candidate"))?;
        let messages = [ChatMessage::new("user", question)];
        self.prompt(Talk { messages: &messages, prompt: None, tools: None, variables: "" }, context)
    }

    /// A candidate's tokens and an end token, which stands for all of the model's.
    pub fn candidate(&self, candidate: &str) -> Result<Vec<u32>, EngineError> {
        let mut tokens = self.tokenizer.encode(candidate).ok_or_else(|| {
            EngineError::new(Fault::Unsupported, "the model has no words for a candidate")
        })?;
        tokens.extend(self.tokenizer.ends().next());
        Ok(tokens)
    }

    /// Tokens that answer a question with this letter, with or without a space before it.
    pub(crate) fn letter(&self, letter: char) -> Vec<u32> {
        let (large, small) = (letter.to_ascii_uppercase(), letter.to_ascii_lowercase());
        let spelled = [large, small].into_iter().flat_map(|c| [format!("{c}"), format!(" {c}")]);
        let mut tokens: Vec<u32> = spelled
            .filter_map(|text| match self.tokenizer.encode(&text)?.as_slice() {
                [token] => Some(*token),
                _ => None,
            })
            .collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// The ask's wishes, and the model's own where it has none.
    pub(crate) fn sampling(&self, asked: Option<&Sampling>) -> Sampling {
        let mut sampling = self.defaults.fill(asked.cloned().unwrap_or_default());
        sampling.stop.extend(self.template.stops().iter().map(|stop| (*stop).to_owned()));
        sampling
    }

    /// Whether who reads `text` sees the tokens that were written, but for the last, which ended
    /// it. A sampled word may be cut into other tokens than the tokenizer would; then nobody who
    /// has only the text can come to the writer's certainty, and there is none to claim.
    pub(crate) fn reads_as(&self, text: &str, written: &[u32]) -> bool {
        let read = self.tokenizer.encode(text);
        read.as_deref() == written.split_last().map(|(_, before)| before)
    }

    /// The natural logarithm of the probability of a token; of any end token, that of the
    /// answer's end in whichever way.
    pub(crate) fn logprob(
        &self,
        logits: &[f32],
        normaliser: &LogSum,
        token: u32,
    ) -> Result<f64, Broken> {
        let index = |token| usize::try_from(token).unwrap_or(usize::MAX);
        if !self.tokenizer.is_end(token) {
            return normaliser.logprob(logits, index(token));
        }
        let ends: Vec<usize> = self.tokenizer.ends().map(index).collect();
        normaliser.logprob_of_any(logits, ends.into_iter())
    }
}
