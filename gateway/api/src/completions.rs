//! `POST /v1/completions`, OpenAI's older endpoint. A member that can continue a text continues the
//! prompt; the others get it as a user's message.

mod encoder;
pub mod wire;

use std::borrow::Cow;

use serde_json::{Value, json};
use shoal_proto::generate::{ChatMessage, Finish, Prompt};

use crate::{
    chat::{ChatRequest, object},
    endpoint,
    error::AskError,
    fields::Fields,
};
pub use encoder::CompletionEncoder;
use shoal_consensus::{Ask, Candidate, Mode, Outcome, ask::Limits};

/// Most prompts in one request: each prompt is an ask of its own.
const PROMPTS_MAX: usize = 128;
/// Most completions that the best is chosen from (OpenAI's limit).
const BEST_OF_MAX: i64 = 20;
/// Most alternatives to a token (OpenAI's limit).
const LOGPROBS_MAX: i64 = 5;
/// Most tokens of a completion without `max_tokens` (OpenAI's default).
const MAX_TOKENS: i64 = 16;

/// This endpoint's names for a chat's fields.
pub const NAMES: endpoint::FieldNames<'_> = &[
    ("messages", "prompt."),
    ("max_completion_tokens", "max_tokens"),
    ("top_logprobs", "logprobs"),
];

/// This endpoint's own fields. Other fields are ignored, or refused if the operator is strict.
const FIELDS: [&str; 8] =
    ["prompt", "best_of", "echo", "logprobs", "max_tokens", "n", "stream_options", "suffix"];

/// A checked request.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    /// The request as a chat with the first prompt.
    pub chat: ChatRequest,
    /// At least one prompt.
    pub prompts: Vec<Prompt>,
    /// The answer repeats the prompt before the completion.
    pub echo: bool,
    /// The number of the likeliest alternatives beside each token.
    pub logprobs: Option<usize>,
    /// The client wants no token (`max_tokens` is 0): the answer has the length of the prompt and an
    /// empty text.
    pub silent: bool,
}

impl CompletionRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Fields::root(&map);
        endpoint::refuse_unknown(request.names(), &FIELDS, limits)?;
        let mut chat = endpoint::chat(&map);
        let is_member = request.string("model")?.is_some_and(|name| Mode::of_model(name).is_none());
        let prompts = prompts(&request, is_member)?;
        let echo = request.boolean("echo")?.unwrap_or(false);
        if echo && prompts.iter().any(|prompt| !prompt.tokens.is_empty()) {
            let why = "Only the model itself knows the text of its token numbers: send text.";
            return Err(AskError::unsupported_value("echo", why));
        }
        if request.string("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
            let why = "The models here write only at the end of a text: leave it out.";
            return Err(AskError::unsupported_parameter("suffix", why));
        }
        let logprobs = request.integer("logprobs", 0..=LOGPROBS_MAX)?;
        if let Some(count) = logprobs {
            if echo {
                let why = "The prompt has no log probabilities: leave out 'echo'.";
                return Err(AskError::unsupported_value("logprobs", why));
            }
            chat.insert("logprobs".into(), true.into());
            chat.insert("top_logprobs".into(), count.into());
        }
        let max_tokens = request.integer("max_tokens", 0..=i64::MAX)?.unwrap_or(MAX_TOKENS);
        let silent = max_tokens == 0;
        chat.insert("max_completion_tokens".into(), max_tokens.max(1).into());
        chat.extend(map.get("n").map(|n| ("n".to_owned(), n.clone())));
        chat.extend(map.get("stream_options").map(|o| ("stream_options".to_owned(), o.clone())));
        best_of(&request, is_member, &mut chat)?;
        let first = prompts.first().map_or("", |prompt| prompt.text.as_str());
        chat.insert("messages".into(), json!([{ "role": "user", "content": first }]));
        let chat = endpoint::parse(&chat, limits, NAMES)?;
        let logprobs = logprobs.and_then(|count| usize::try_from(count).ok());
        Ok(Self { chat, prompts, echo, logprobs, silent })
    }

    /// The ask for one of the prompts.
    pub fn ask(&self, prompt: &Prompt) -> Ask {
        let messages = vec![ChatMessage::new("user", prompt.text.as_str())];
        Ask { messages, prompt: Some(prompt.clone()), ..self.chat.ask.clone() }
    }

    /// The ask for each prompt, in order.
    pub fn asks(&self) -> Vec<Ask> {
        self.prompts.iter().map(|prompt| self.ask(prompt)).collect()
    }

    /// The answers to one prompt as they are sent.
    pub(crate) fn choices<'a>(&self, outcome: &'a Outcome) -> Vec<Cow<'a, Candidate>> {
        let choices = outcome.choices(self.chat.ask.choices).into_iter();
        choices
            .map(
                |candidate| if self.silent { silence(candidate) } else { Cow::Borrowed(candidate) },
            )
            .collect()
    }
}

/// A candidate without its tokens.
fn silence(candidate: &Candidate) -> Cow<'static, Candidate> {
    Cow::Owned(Candidate {
        text: String::new(),
        tokens: Vec::new(),
        completion_tokens: 0,
        finish: Finish::Length,
        ..candidate.clone()
    })
}

/// `best_of` as the number of writers: the swarm always chooses the best of several.
fn best_of(
    request: &Fields<'_>,
    is_member: bool,
    chat: &mut serde_json::Map<String, Value>,
) -> Result<(), AskError> {
    let Some(best_of) = request.integer("best_of", 0..=BEST_OF_MAX)? else { return Ok(()) };
    let n = request.integer("n", 1..=i64::MAX)?.unwrap_or(1);
    if best_of < n {
        let message = "Invalid 'best_of': it must be at least 'n'.";
        return Err(AskError::plain(Some("best_of"), message));
    }
    if is_member && best_of > n {
        let why = "A member that is asked by name writes once: ask the model 'shoal' for the best of several.";
        return Err(AskError::unsupported_value("best_of", why));
    }
    if is_member || request.object("shoal")?.is_some_and(|shoal| shoal.value("writers").is_some()) {
        return Ok(());
    }
    let shoal = chat.entry("shoal").or_insert(Value::Null);
    if shoal.is_null() {
        *shoal = json!({});
    }
    if let Some(shoal) = shoal.as_object_mut() {
        shoal.insert("writers".into(), best_of.into());
    }
    Ok(())
}

/// `prompt`: a text, its tokens, or an array of these. For OpenAI, null is the beginning of a
/// document.
fn prompts(request: &Fields<'_>, is_member: bool) -> Result<Vec<Prompt>, AskError> {
    const FORM: &str = "a string, an array of strings, or the same of token numbers";
    let values = match request.value("prompt") {
        None if request.names().any(|name| name == "prompt") => return Ok(vec![Prompt::default()]),
        None => return Err(AskError::missing_parameter("prompt")),
        Some(Value::Array(values)) => values.as_slice(),
        Some(single @ Value::String(_)) => std::slice::from_ref(single),
        Some(value) => return Err(AskError::wrong_type("prompt", FORM, value)),
    };
    if values.is_empty() {
        return Err(AskError::empty_array("prompt"));
    }
    if values.iter().all(Value::is_number) {
        return Ok(vec![tokens(values, "prompt", is_member)?]);
    }
    if values.len() > PROMPTS_MAX {
        return Err(AskError::array_too_long("prompt", PROMPTS_MAX, values.len()));
    }
    let values = values.iter().enumerate();
    values.map(|(index, value)| prompt(value, &format!("prompt[{index}]"), is_member)).collect()
}

/// One element of an array of prompts.
fn prompt(value: &Value, path: &str, is_member: bool) -> Result<Prompt, AskError> {
    match value {
        Value::String(text) => Ok(Prompt::new(text)),
        Value::Array(values) => tokens(values, path, is_member),
        _ => Err(AskError::wrong_type(path, "a string or an array of token numbers", value)),
    }
}

/// A text as the numbers of its tokens, which only one model's vocabulary explains.
fn tokens(values: &[Value], path: &str, is_member: bool) -> Result<Prompt, AskError> {
    if !is_member {
        let why = "A token number has a meaning for one model only: ask a model by its name, or send text.";
        return Err(AskError::unsupported_value("prompt", why));
    }
    if values.is_empty() {
        return Err(AskError::empty_array(path));
    }
    let mut tokens = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        tokens.push(number.ok_or_else(|| {
            AskError::wrong_type(&format!("{path}[{index}]"), "the number of a token", value)
        })?);
    }
    Ok(Prompt { tokens, ..Prompt::default() })
}
