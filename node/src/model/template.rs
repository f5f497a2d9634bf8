//! The chat template that a model was trained with, rendered as Hugging Face renders it.

use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior, Value, context, syntax::SyntaxConfig,
};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use shoal_proto::generate::ChatMessage;

use super::{
    LoadError,
    files::Files,
    tokenizer::{json, mark},
};

const NAME: &str = "chat";

/// A model's chat template.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "{place} has no chat template (chat_template.jinja, or chat_template in \
         tokenizer_config.json): a base model cannot be talked to"
    )]
    None { place: String },
    #[error("{place}: the chat template: {why}")]
    Syntax { place: String, why: String },
}

impl Template {
    pub(crate) fn read(files: &Files) -> Result<Self, LoadError> {
        let config = json(files, "tokenizer_config.json")?;
        let source = match files.read("chat_template.jinja")? {
            Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            None => default(&config),
        };
        let source = source.ok_or_else(|| TemplateError::None { place: files.place() })?;
        let marked = |name| mark(&config, name).unwrap_or_default();
        let template = Self::new(source, marked("bos_token"), marked("eos_token"));
        Ok(template.map_err(|error| TemplateError::Syntax {
            place: files.place(),
            why: error.to_string(),
        })?)
    }

    fn new(source: String, bos: String, eos: String) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // As transformers sets Jinja up.
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, source)?;
        Ok(Self { environment, bos, eos })
    }

    /// The prompt: the conversation, and the beginning of the assistant's turn. Fails when the
    /// template refuses the conversation.
    pub(crate) fn render(&self, messages: &[ChatMessage]) -> Result<String, Error> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role.as_str(), content => message.content.as_str() })
            .collect();
        self.environment.get_template(NAME)?.render(context! {
            messages,
            add_generation_prompt => true,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
        })
    }
}

/// `chat_template`: a text, or several with names, of which `default` is for talking.
fn default(config: &serde_json::Value) -> Option<String> {
    let template = config.get("chat_template")?;
    let named = template.as_array().and_then(|templates| {
        templates.iter().find(|template| template.get("name").is_some_and(|name| name == "default"))
    });
    let template = named.map_or(Some(template), |named| named.get("template"))?;
    template.as_str().map(str::to_owned)
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// As Python's `json.dumps(value, ensure_ascii=False, indent=indent)`: a space after commas and
/// colons, nothing escaped for HTML. Tool prompts differ with any other form.
fn tojson(value: &Value, options: minijinja::value::Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.get::<Option<bool>>("ensure_ascii")?;
    options.assert_all_used()?;
    let text = match indent {
        Some(spaces) => {
            dumped(value, PrettyFormatter::with_indent(" ".repeat(spaces.min(16)).as_bytes()))
        }
        None => dumped(value, Python),
    };
    text.map(Value::from_safe_string)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

fn dumped(value: &Value, form: impl Formatter) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, form))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The spaces that Python writes.
struct Python;

impl Formatter for Python {
    fn begin_array_value<W>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()>
    where
        W: ?Sized + std::io::Write,
    {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()>
    where
        W: ?Sized + std::io::Write,
    {
        self.begin_array_value(writer, first)
    }

    fn begin_object_value<W>(&mut self, writer: &mut W) -> std::io::Result<()>
    where
        W: ?Sized + std::io::Write,
    {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: &str, content: &str) -> ChatMessage {
        ChatMessage { role: role.to_owned(), content: content.to_owned(), ..ChatMessage::default() }
    }

    fn render(source: &str, messages: &[ChatMessage]) -> Result<String, Error> {
        Template::new(source.to_owned(), "<s>".to_owned(), "</s>".to_owned())?.render(messages)
    }

    const CHATML: &str = "{%- for message in messages -%}
        {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' -}}
    {%- endfor -%}
    {%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";

    #[test]
    fn a_conversation_becomes_a_prompt() {
        let prompt =
            render(CHATML, &[said("system", "Be brief."), said("user", " Hello? ")]).unwrap();
        assert_eq!(
            prompt,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello?<|im_end|>\n\
             <|im_start|>assistant\n"
        );
    }

    #[test]
    fn marks_are_known_and_python_methods_work() {
        let source = "{{ bos_token }}{% if messages[0].content.startswith('a') %}{{ \
                      messages[-1]['content'].upper() }}{% endif %}{{ eos_token }}";
        assert_eq!(render(source, &[said("user", "abc")]).unwrap(), "<s>ABC</s>");
    }

    #[test]
    fn a_template_can_refuse() {
        let source = "{{ raise_exception('roles must alternate') }}";
        let error = render(source, &[said("user", "x")]).unwrap_err();
        assert!(error.to_string().contains("roles must alternate"));
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        let source = "{{ {'a': [1, 2.5, none], 'b': {'c': '<ü\\'>'}} | tojson }}";
        let expected = r#"{"a": [1, 2.5, null], "b": {"c": "<ü'>"}}"#;
        assert_eq!(render(source, &[]).unwrap(), expected);
        let indented = "{{ {'a': [1]} | tojson(indent=4) }}";
        assert_eq!(render(indented, &[]).unwrap(), "{\n    \"a\": [\n        1\n    ]\n}");
    }

    #[test]
    fn of_several_templates_the_default_is_taken() {
        let several = serde_json::json!({ "chat_template": [
            { "name": "tool_use", "template": "tools" },
            { "name": "default", "template": "talk" },
        ] });
        assert_eq!(default(&several).as_deref(), Some("talk"));
        assert_eq!(default(&serde_json::json!({ "chat_template": "one" })).as_deref(), Some("one"));
        assert_eq!(default(&serde_json::json!({})), None);
    }
}
