//! Text to tokens and back for one model: conversations, candidates, questions, sampling defaults.

use std::sync::OnceLock;

use shoal_engine::{EngineError, judge::question};
use shoal_proto::{
    generate::{ChatMessage, Fault, Prompt, Sampling},
    judge::{BallotKind, Judge, Pair},
    tools::{Function, ToolCall, Tools},
};

use super::{
    defaults::Defaults,
    grammar::Grammars,
    sample::LogSum,
    step::Broken,
    template::Template,
    tokenizer::{Marks, TokenKind, Tokenizer},
};

/// The text side of a loaded model: everything but its arithmetic.
#[derive(Debug)]
pub struct TextPipeline {
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    pub(crate) template: Template,
    pub(crate) defaults: Defaults,
    /// How an embedding is made from rows.
    pub(crate) pooling: Pooling,
    /// Built for the first answer with a required format: building takes up to a second.
    grammars: OnceLock<Option<Grammars>>,
}

/// A conversation, with the rest of what its chat template uses.
#[derive(Clone, Copy, Debug)]
pub struct PromptInput<'a> {
    /// The messages so far.
    pub messages: &'a [ChatMessage],
    /// A text to continue, in place of answering the messages.
    pub prompt: Option<&'a Prompt>,
    /// The functions that the model may call.
    pub tools: Option<&'a Tools>,
    /// Template variables: a JSON object, or empty.
    pub variables: &'a str,
}

/// How the rows of a text become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all rows.
    Mean,
    /// The last row.
    Last,
}

impl TextPipeline {
    /// Combines the parts of a model.
    pub fn new(
        tokenizer: Tokenizer,
        template: Template,
        defaults: Defaults,
        pooling: Pooling,
    ) -> Self {
        Self { tokenizer, template, defaults, pooling, grammars: OnceLock::new() }
    }

    /// The vocabulary as grammars need it.
    ///
    /// # Errors
    /// `Unsupported` when the vocabulary does not allow grammars.
    pub(crate) fn grammars(&self) -> Result<&Grammars, EngineError> {
        let grammars = self.grammars.get_or_init(|| Grammars::new(&self.tokenizer));
        grammars.as_ref().ok_or_else(|| {
            let why = "this model's answers cannot be held to a format";
            EngineError::new(Fault::Unsupported, why)
        })
    }

    /// The tokens of a conversation, up to the start of the answer: at least one, and fewer than
    /// `context`.
    ///
    /// # Errors
    /// `ContextLength` when it does not fit, `BadRequest` when it has no tokens or the template refuses it.
    pub fn prompt(&self, talk: PromptInput<'_>, context: usize) -> Result<Vec<u32>, EngineError> {
        let tokens = match talk.prompt {
            Some(prompt) => self.raw_prompt(prompt)?,
            None => self.conversation(talk)?,
        };
        if tokens.len() < context {
            return Ok(tokens);
        }
        Err(EngineError::context_length(u32::try_from(context).unwrap_or(u32::MAX)))
    }

    fn conversation(&self, talk: PromptInput<'_>) -> Result<Vec<u32>, EngineError> {
        // What people and other models wrote is text, whatever control tokens it spells.
        let marks = self.tokenizer.marks();
        let messages: Vec<ChatMessage> =
            talk.messages.iter().map(|message| without_marks(message, marks)).collect();
        let tools = talk.tools.map(|tools| functions_without_marks(tools, marks));
        let text = self
            .template
            .render(&messages, tools.as_ref(), &marks.break_in_json(talk.variables))
            .map_err(|_| bad_request("the model's chat template refuses this conversation"))?;
        let tokens = self.tokenizer.encode(&text).filter(|tokens| !tokens.is_empty());
        tokens.ok_or_else(|| bad_request("the conversation has no tokens"))
    }

    /// The tokens of a text as it stands, after the token that the model expects before every text. An
    /// empty text without such a token starts with an end token: the end of a document precedes the
    /// next one.
    fn raw_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        if !prompt.tokens.is_empty() {
            if prompt.tokens.iter().any(|token| self.tokenizer.kind(*token) == TokenKind::None) {
                return Err(bad_request("the model has no token with one of these numbers"));
            }
            return Ok(prompt.tokens.clone());
        }
        let tokens = self.tokenizer.encode_alone(&prompt.text);
        let mut tokens = tokens.ok_or_else(|| bad_request("the text has no tokens"))?;
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
            BallotKind::Reasoned => question::reasoned_question(ask, pair),
            _ => question::direct_question(ask, pair),
        };
        let question = question
            .ok_or_else(|| EngineError::new(Fault::BadRequest, "a pair names no candidate"))?;
        let messages = [ChatMessage::new("user", question)];
        self.prompt(
            PromptInput { messages: &messages, prompt: None, tools: None, variables: "" },
            context,
        )
    }

    /// A candidate's tokens and one end token.
    ///
    /// # Errors
    /// `Unsupported` when the tokenizer cannot encode it.
    pub fn candidate(&self, candidate: &str) -> Result<Vec<u32>, EngineError> {
        let mut tokens = self.tokenizer.encode_text(candidate).ok_or_else(|| {
            EngineError::new(Fault::Unsupported, "the model cannot encode a candidate")
        })?;
        tokens.extend(self.tokenizer.ends().next());
        Ok(tokens)
    }

    /// Tokens that answer a question with this letter, in either case, with or without a space.
    pub(crate) fn letter(&self, letter: char) -> Vec<u32> {
        let (upper, lower) = (letter.to_ascii_uppercase(), letter.to_ascii_lowercase());
        let mut tokens: Vec<u32> = [upper, lower]
            .into_iter()
            .flat_map(|c| [format!("{c}"), format!(" {c}")])
            .filter_map(|text| match self.tokenizer.encode(&text)?.as_slice() {
                [token] => Some(*token),
                _ => None,
            })
            .collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// The ask's sampling, with the model's defaults where the ask sets nothing.
    pub(crate) fn sampling(&self, ask: Option<&Sampling>) -> Sampling {
        let mut sampling = self.defaults.fill(ask.cloned().unwrap_or_default());
        sampling.stop.extend(self.template.stops().iter().map(|stop| (*stop).to_owned()));
        sampling
    }

    /// Whether the tokenizer turns `text` into the `tokens` that were written, except the last one, which
    /// ended the answer. The model may write a word in other tokens than the tokenizer uses. Then an
    /// auditor, who has only the text, cannot recompute the likelihood, and none is reported.
    pub(crate) fn reads_as(&self, text: &str, tokens: &[u32]) -> bool {
        let encoding = self.tokenizer.encode_text(text);
        encoding.as_deref() == tokens.split_last().map(|(_, before)| before)
    }

    /// The natural logarithm of the probability of a token. All end tokens count as one, with the sum
    /// of their probabilities.
    pub(crate) fn logprob(
        &self,
        logits: &[f32],
        normaliser: &LogSum,
        token: u32,
    ) -> Result<f64, Broken> {
        if !self.tokenizer.is_end(token) {
            return normaliser.logprob(logits, index(token));
        }
        let ends: Vec<usize> = self.tokenizer.ends().map(index).collect();
        normaliser.logprob_of_any(logits, ends.into_iter())
    }
}

/// The message with every mark in it broken.
fn without_marks(message: &ChatMessage, marks: &Marks) -> ChatMessage {
    let text = |text: &str| marks.break_in(text).into_owned();
    let calls = message.tool_calls.iter().map(|call| ToolCall {
        id: text(&call.id),
        name: text(&call.name),
        arguments: marks.break_in_json(&call.arguments).into_owned(),
    });
    ChatMessage {
        role: text(&message.role),
        content: text(&message.content),
        name: text(&message.name),
        tool_calls: calls.collect(),
        tool_call_id: text(&message.tool_call_id),
        images: message.images.clone(),
    }
}

/// The functions with every mark in their descriptions broken.
fn functions_without_marks(tools: &Tools, marks: &Marks) -> Tools {
    let functions = tools.functions.iter().map(|function| Function {
        name: marks.break_in(&function.name).into_owned(),
        description: marks.break_in(&function.description).into_owned(),
        parameters: marks.break_in_json(&function.parameters).into_owned(),
        strict: function.strict,
    });
    Tools { functions: functions.collect(), ..tools.clone() }
}

/// A token's index in the logits.
fn index(token: u32) -> usize {
    usize::try_from(token).unwrap_or(usize::MAX)
}

fn bad_request(why: &str) -> EngineError {
    EngineError::new(Fault::BadRequest, why)
}

#[cfg(test)]
mod tests;
