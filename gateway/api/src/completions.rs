//! `POST /v1/completions`: the older door. Members that can go on with the prompt as it stands;
//! where nobody can, it is asked as a user's message.

pub mod wire;

use serde_json::{Value, json};
use shoal_proto::generate::{ChatMessage, Prompt};

use crate::{
    chat::{ChatRequest, object},
    endpoint,
    error::AskError,
    fields::Fields,
};
use shoal_consensus::{Ask, Mode, ask::Limits};

/// Most prompts in one request: each is an ask of its own.
const PROMPTS_MAX: usize = 128;
/// Most completions that one is chosen from (OpenAI's limit).
const BEST_OF_MAX: i64 = 20;
/// Most alternatives to a token (OpenAI's limit).
const LOGPROBS_MAX: i64 = 5;
/// Tokens of a completion where nothing is said (OpenAI's default).
const TOKENS: i64 = 16;

/// What chat calls what this door calls otherwise.
pub const NAMES: endpoint::Names<'_> = &[
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
    pub prompts: Vec<Prompt>,
    /// The prompt stands before its completion.
    pub echo: bool,
    /// So many of the likeliest tokens beside each one.
    pub logprobs: Option<usize>,
    /// No token is wanted: whoever answers says how long the prompt is, and nothing else of it is
    /// told.
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
        let named = request.string("model")?.is_some_and(|name| Mode::of_model(name).is_none());
        let prompts = prompts(&request, named)?;
        let echo = request.boolean("echo")?.unwrap_or(false);
        if echo && prompts.iter().any(|prompt| !prompt.tokens.is_empty()) {
            let why = "Only the model itself can spell its token numbers: send text.";
            return Err(AskError::unsupported_value("echo", why));
        }
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
        let silent = max_tokens == 0;
        chat.insert("max_completion_tokens".into(), max_tokens.max(1).into());
        chat.extend(map.get("n").map(|n| ("n".to_owned(), n.clone())));
        chat.extend(map.get("stream_options").map(|o| ("stream_options".to_owned(), o.clone())));
        best_of(&request, named, &mut chat)?;
        let first = prompts.first().map_or("", |prompt| prompt.text.as_str());
        chat.insert("messages".into(), json!([{ "role": "user", "content": first }]));
        let chat = endpoint::parse(&chat, limits, NAMES)?;
        let logprobs = logprobs.and_then(|count| usize::try_from(count).ok());
        Ok(Self { chat, prompts, echo, logprobs, silent })
    }

    /// What is asked for one of the prompts.
    pub fn ask(&self, prompt: &Prompt) -> Ask {
        let messages = vec![ChatMessage::new("user", prompt.text.as_str())];
        Ask { messages, prompt: Some(prompt.clone()), ..self.chat.ask.clone() }
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

/// One text, its tokens, or an array of either. OpenAI reads null as the beginning of a document.
fn prompts(request: &Fields<'_>, named: bool) -> Result<Vec<Prompt>, AskError> {
    const EXPECTED: &str = "a string, an array of strings, or the same of token numbers";
    let values = match request.value("prompt") {
        None if request.names().any(|name| name == "prompt") => return Ok(vec![Prompt::default()]),
        None => return Err(AskError::missing("prompt")),
        Some(Value::Array(values)) => values.as_slice(),
        Some(single @ Value::String(_)) => std::slice::from_ref(single),
        Some(other) => return Err(AskError::wrong_type("prompt", EXPECTED, other)),
    };
    if values.is_empty() {
        return Err(AskError::empty_array("prompt"));
    }
    let numbers = |values: &[Value], path: &str| match named {
        true => tokens(values, path),
        false => Err(AskError::unsupported_value(
            "prompt",
            "Token numbers mean something to one model only: ask one by its name, or send text.",
        )),
    };
    if values.iter().all(Value::is_number) {
        return Ok(vec![numbers(values, "prompt")?]);
    }
    if values.len() > PROMPTS_MAX {
        return Err(AskError::array_too_long("prompt", PROMPTS_MAX, values.len()));
    }
    let read = |(index, value): (usize, &Value)| match value {
        Value::String(text) => Ok(Prompt::new(text)),
        Value::Array(values) => numbers(values, &format!("prompt[{index}]")),
        other => {
            let path = format!("prompt[{index}]");
            Err(AskError::wrong_type(&path, "a string or an array of token numbers", other))
        }
    };
    values.iter().enumerate().map(read).collect()
}

/// A text by the numbers of its tokens.
fn tokens(values: &[Value], path: &str) -> Result<Prompt, AskError> {
    if values.is_empty() {
        return Err(AskError::empty_array(path));
    }
    let number = |(index, value): (usize, &Value)| {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let path = || format!("{path}[{index}]");
        number.ok_or_else(|| AskError::wrong_type(&path(), "the number of a token", value))
    };
    let tokens = values.iter().enumerate().map(number).collect::<Result<_, _>>()?;
    Ok(Prompt { tokens, ..Prompt::default() })
}
