//! A request as the JSON of an OpenAI-compatible endpoint.

use serde_json::{Map, Value, json};
use shoal_engine::EngineError;
use shoal_proto::{
    generate::{ChatMessage, Fault, Format, FormatKind, Generate, Prompt, Sampling},
    tools::{Function, ToolCall, ToolChoice, Tools},
};

use super::Abilities;

fn refuse<T>(feature: &str) -> Result<T, EngineError> {
    let why = format!("the upstream's model {feature}");
    Err(EngineError::new(Fault::Unsupported, why))
}

/// The body of a streaming completion of a text.
///
/// # Errors
/// The endpoint's model cannot do what is asked.
pub(super) fn completion(
    model: &str,
    prompt: &Prompt,
    ask: &Generate,
    can: Abilities,
) -> Result<Value, EngineError> {
    if !can.completions {
        return refuse("goes on with no text");
    }
    let text = if prompt.tokens.is_empty() { json!(prompt.text) } else { json!(prompt.tokens) };
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("prompt".to_owned(), text);
    body.insert("stream".to_owned(), json!(true));
    body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    let options = ask.sampling.clone().unwrap_or_default();
    sampling(&mut body, &options);
    // In this API one number says both.
    body.remove("top_logprobs");
    if let Some(top) = options.logprobs {
        body.insert("logprobs".to_owned(), json!(top));
    }
    Ok(Value::Object(body))
}

/// The body of a streaming chat completion.
///
/// # Errors
/// The endpoint's model cannot do what is asked.
pub(super) fn body(model: &str, ask: &Generate, can: Abilities) -> Result<Value, EngineError> {
    if ask.tools.is_some() && !can.tools {
        return refuse("calls no functions");
    }
    if !can.vision && ask.messages.iter().any(|message| !message.images.is_empty()) {
        return refuse("looks at no images");
    }
    let messages: Vec<Value> =
        ask.messages.iter().map(|message_item| message(message_item, can)).collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), json!(messages));
    body.insert("stream".to_owned(), json!(true));
    body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    sampling(&mut body, &ask.sampling.clone().unwrap_or_default());
    if let Some(tools_offer) = &ask.tools {
        tools(&mut body, tools_offer);
    }
    if let Some(schema_format) = &ask.format {
        let Some(format) = format(schema_format) else {
            return refuse("keeps to JSON only, not to other grammars");
        };
        body.insert("response_format".to_owned(), format);
    }
    template(&mut body, &ask.template_variables);
    Ok(Value::Object(body))
}

/// `developer` is a word of OpenAI's that most other endpoints refuse, and what concerns tools is
/// refused by models that know none: these read it as text.
fn message(message: &ChatMessage, can: Abilities) -> Value {
    let role = match message.role.as_str() {
        "developer" => "system",
        "tool" if !can.tools => "user",
        role => role,
    };
    let mut entry = Map::new();
    entry.insert("role".to_owned(), json!(role));
    let calls = &message.tool_calls;
    if can.tools && !calls.is_empty() {
        let calls: Vec<Value> = calls.iter().map(call).collect();
        entry.insert("tool_calls".to_owned(), json!(calls));
        let content = (!message.content.is_empty()).then_some(&message.content);
        entry.insert("content".to_owned(), json!(content));
        return Value::Object(entry);
    }
    entry.insert("content".to_owned(), content(message));
    if role == "tool" {
        entry.insert("tool_call_id".to_owned(), json!(message.tool_call_id));
    } else if !message.name.is_empty() {
        entry.insert("name".to_owned(), json!(message.name));
    }
    Value::Object(entry)
}

/// Text, with calls as lines of JSON behind it; parts only where there are images, because many
/// endpoints read nothing but text.
fn content(message: &ChatMessage) -> Value {
    let calls = message
        .tool_calls
        .iter()
        .map(|call| json!({ "name": call.name, "arguments": call.object() }).to_string());
    let content = Some(message.content.clone()).filter(|content| !content.is_empty());
    let lines: Vec<String> = content.into_iter().chain(calls).collect();
    let text = lines.join("\n");
    if message.images.is_empty() {
        return json!(text);
    }
    let images = message.images.iter();
    let images = images.map(|url| json!({ "type": "image_url", "image_url": { "url": url } }));
    let text = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
    text.into_iter().chain(images).collect()
}

fn call(call: &ToolCall) -> Value {
    let function = json!({ "name": call.name, "arguments": call.object() });
    json!({ "id": call.id, "type": "function", "function": function })
}

fn sampling(body: &mut Map<String, Value>, sampling: &Sampling) {
    let biases: Map<String, Value> = sampling
        .logit_bias
        .iter()
        .map(|bias| (bias.token.to_string(), json!(decimal(bias.bias))))
        .collect();
    let top = sampling.logprobs.filter(|top| *top > 0);
    let options = [
        ("temperature", number(sampling.temperature)),
        ("top_p", number(sampling.top_p)),
        ("seed", sampling.seed.map(|seed| json!(seed))),
        ("max_tokens", sampling.max_tokens.map(|max| json!(max))),
        ("stop", (!sampling.stop.is_empty()).then(|| json!(sampling.stop))),
        ("top_k", sampling.top_k.map(|k| json!(k))),
        ("min_p", number(sampling.min_p)),
        ("repetition_penalty", number(sampling.repetition_penalty)),
        ("presence_penalty", number(sampling.presence_penalty)),
        ("frequency_penalty", number(sampling.frequency_penalty)),
        ("logit_bias", (!biases.is_empty()).then_some(Value::Object(biases))),
        ("logprobs", sampling.logprobs.map(|_| json!(true))),
        ("top_logprobs", top.map(|top| json!(top))),
    ];
    body.extend(options.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
}

fn number(value: Option<f32>) -> Option<Value> {
    value.map(|value| json!(decimal(value)))
}

/// A field whose default is the same everywhere is left out, because not every endpoint knows it.
fn tools(body: &mut Map<String, Value>, tools_offer: &Tools) {
    let functions: Vec<Value> = tools_offer.functions.iter().map(function).collect();
    body.insert("tools".to_owned(), json!(functions));
    let choice = match tools_offer.choice() {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Named => {
            Some(json!({ "type": "function", "function": { "name": tools_offer.named } }))
        }
    };
    body.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
    if !tools_offer.parallel {
        body.insert("parallel_tool_calls".to_owned(), json!(false));
    }
}

fn function(function: &Function) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(function.name));
    if !function.description.is_empty() {
        entry.insert("description".to_owned(), json!(function.description));
    }
    // A function without arguments takes an object without members: some endpoints insist.
    let schema = serde_json::from_str(&function.parameters);
    let schema = schema.unwrap_or_else(|_| json!({ "type": "object", "properties": {} }));
    entry.insert("parameters".to_owned(), schema);
    if function.strict {
        entry.insert("strict".to_owned(), json!(true));
    }
    json!({ "type": "function", "function": entry })
}

/// `None`: a language that this API does not have.
fn format(schema_format: &Format) -> Option<Value> {
    match schema_format.kind() {
        FormatKind::JsonSchema if !schema_format.body.is_empty() => {
            let schema: Value = serde_json::from_str(&schema_format.body).ok()?;
            let name = if schema_format.name.is_empty() { "answer" } else { &schema_format.name };
            let schema = json!({ "name": name, "schema": schema, "strict": schema_format.strict });
            Some(json!({ "type": "json_schema", "json_schema": schema }))
        }
        FormatKind::JsonSchema | FormatKind::JsonObject => Some(json!({ "type": "json_object" })),
        FormatKind::Unspecified | FormatKind::Regex | FormatKind::Lark => None,
    }
}

/// vLLM, SGLang and llama.cpp take template variables in a field of their own; `reasoning_effort`
/// is one that OpenAI's API has a field for.
fn template(body: &mut Map<String, Value>, variables: &str) {
    let Ok(Value::Object(mut variables)) = serde_json::from_str(variables) else { return };
    if let Some(effort @ Value::String(_)) = variables.remove("reasoning_effort") {
        body.insert("reasoning_effort".to_owned(), effort);
    }
    if !variables.is_empty() {
        body.insert("chat_template_kwargs".to_owned(), Value::Object(variables));
    }
}

/// 0.7 as `f32` is 0.699999988: the request had the shortest decimal that has this `f32`.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}
