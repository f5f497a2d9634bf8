//! `POST /v1/completions`: the older door. A prompt is asked as a user's message, because members
//! answer conversations; what the answer adds to the prompt is the completion.

use serde_json::{Value, json};
use shoal_proto::generate::ChatMessage;

use super::{Ask, AskError, ChatRequest, Limits, Mode, door, fields::Fields, parse::object};

/// Most prompts in one request: each is an ask of its own.
const PROMPTS_MAX: usize = 128;
/// Most completions that one is chosen from (OpenAI's limit).
const BEST_OF_MAX: i64 = 20;
/// Most alternatives to a token (OpenAI's limit).
const LOGPROBS_MAX: i64 = 5;
/// Tokens of a completion where nothing is said (OpenAI's default).
const TOKENS: i64 = 16;

/// What chat calls what this door calls otherwise.
pub(crate) const NAMES: door::Names<'_> = &[
    ("messages", "prompt."),
    ("max_completion_tokens", "max_tokens"),
    ("top_logprobs", "logprobs"),
];

/// Fields of this door's own; others are ignored, or refused where the operator is strict.
const FIELDS: [&str; 8] =
    ["prompt", "best_of", "echo", "logprobs", "max_tokens", "n", "stream_options", "suffix"];

/// A whole request.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    /// As a chat, with the first prompt.
    pub chat: ChatRequest,
    /// At least one.
    pub prompts: Vec<String>,
    /// The prompt stands before its completion.
    pub echo: bool,
    /// So many of the likeliest tokens beside each one.
    pub logprobs: Option<usize>,
}

impl CompletionRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Fields::root(&map);
        door::refuse_unknown(request.names(), &FIELDS, limits)?;
        let mut chat = door::chat(&map);
        let named = request.string("model")?.is_some_and(|name| Mode::of_model(name).is_none());
        let prompts = prompts(&request)?;
        let echo = request.boolean("echo")?.unwrap_or(false);
        if request.string("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
            let why = "The models here write at the end of a text only: leave it out.";
            return Err(AskError::unsupported_parameter("suffix", why));
        }
        let logprobs = request.integer("logprobs", 0..=LOGPROBS_MAX)?;
        if let Some(count) = logprobs {
            if echo {
                let why = "Log probabilities of the prompt are not known: leave out 'echo'.";
                return Err(AskError::unsupported_value("logprobs", why));
            }
            chat.insert("logprobs".into(), true.into());
            chat.insert("top_logprobs".into(), count.into());
        }
        let max_tokens = request.integer("max_tokens", 0..=i64::MAX)?.unwrap_or(TOKENS);
        if max_tokens == 0 {
            let why = "With 0 tokens there is nothing to write: give at least 1.";
            return Err(AskError::unsupported_value("max_tokens", why));
        }
        chat.insert("max_completion_tokens".into(), max_tokens.into());
        chat.extend(map.get("n").map(|n| ("n".to_owned(), n.clone())));
        chat.extend(map.get("stream_options").map(|o| ("stream_options".to_owned(), o.clone())));
        best_of(&request, named, &mut chat)?;
        let first = prompts.first().map_or("", String::as_str);
        chat.insert("messages".into(), json!([{ "role": "user", "content": first }]));
        let chat = door::parse(&chat, limits, NAMES)?;
        let logprobs = logprobs.and_then(|count| usize::try_from(count).ok());
        Ok(Self { chat, prompts, echo, logprobs })
    }

    /// What is asked for one of the prompts.
    pub fn ask(&self, prompt: &str) -> Ask {
        Ask { messages: vec![ChatMessage::new("user", prompt)], ..self.chat.ask.clone() }
    }
}

/// The swarm always chooses the best of several; this says of how many.
fn best_of(
    request: &Fields<'_>,
    named: bool,
    chat: &mut serde_json::Map<String, Value>,
) -> Result<(), AskError> {
    let Some(best_of) = request.integer("best_of", 0..=BEST_OF_MAX)? else { return Ok(()) };
    let n = request.integer("n", 1..=i64::MAX)?.unwrap_or(1);
    if best_of < n {
        let message = "Invalid 'best_of': it must be at least 'n'.";
        return Err(AskError::plain(Some("best_of"), message));
    }
    if named && best_of > n {
        let why =
            "One member asked by name writes once: ask the model 'shoal' for the best of many.";
        return Err(AskError::unsupported_value("best_of", why));
    }
    if named || request.object("shoal")?.is_some_and(|wish| wish.value("writers").is_some()) {
        return Ok(());
    }
    let shoal = chat.entry("shoal").or_insert(Value::Null);
    if shoal.is_null() {
        *shoal = json!({});
    }
    if let Some(wish) = shoal.as_object_mut() {
        wish.insert("writers".into(), best_of.into());
    }
    Ok(())
}

/// One text or an array of them.
fn prompts(request: &Fields<'_>) -> Result<Vec<String>, AskError> {
    const EXPECTED: &str = "a string or an array of strings";
    let values = match request.value("prompt") {
        None => return Err(request.absent("prompt", EXPECTED)),
        Some(Value::Array(values)) => values.as_slice(),
        Some(single @ Value::String(_)) => std::slice::from_ref(single),
        Some(other) => return Err(AskError::wrong_type("prompt", EXPECTED, other)),
    };
    if values.is_empty() {
        return Err(AskError::empty_array("prompt"));
    }
    if values.len() > PROMPTS_MAX {
        return Err(AskError::array_too_long("prompt", PROMPTS_MAX, values.len()));
    }
    let read = |(index, value): (usize, &Value)| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Array(_) => Err(AskError::unsupported_value(
            "prompt",
            "Token numbers mean something to one tokenizer only: send text.",
        )),
        other => Err(AskError::wrong_type(&format!("prompt[{index}]"), "a string", other)),
    };
    values.iter().enumerate().map(read).collect()
}
