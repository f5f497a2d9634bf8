//! The chat template that a model was trained with, rendered as Hugging Face renders it.

mod python;
mod conversation;
mod plain;
mod source;

use std::time::SystemTime;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig};
use shoal_proto::{generate::ChatMessage, tools::Tools};

use super::{LoadError, error::TemplateError, files::Files, gguf::Metadata, tools::Dialect};
use conversation::Capabilities;
use source::Source;

/// Name of the chat template, and of the template for function calls where it is a separate one.
const CHAT: &str = "chat";
const TOOLS: &str = "tools";
/// Most instructions of one rendering. A turn of a long chat with many functions takes some hundred
/// thousand.
const FUEL: u64 = 50_000_000;

/// A model's chat template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    capabilities: Capabilities,
    dialect: Dialect,
    stops: &'static [&'static str],
}

/// Which chat template a node uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The model's own.
    #[default]
    Own,
    /// `<|im_start|>user ...`: the format of many fine-tuned models without a template.
    Chatml,
    /// A transcript, `User: ...`, `Assistant: ...`, which a base model can continue.
    Plain,
    /// Jinja source, as in `chat_template.jinja`.
    Text(String),
}

impl Template {
    /// The template of a folder, or of a GGUF file.
    ///
    /// # Errors
    /// When there is no template, or it does not parse.
    pub fn read(files: &Files, choice: &Choice) -> Result<Self, LoadError> {
        match files.gguf() {
            Some(gguf) => Self::from_gguf(gguf.metadata(), &files.place(), choice),
            None => Self::from_source(choice, source::from_files(files)?, &files.place()),
        }
    }

    /// The template of a GGUF file.
    pub(crate) fn from_gguf(
        metadata: &Metadata,
        place: &str,
        choice: &Choice,
    ) -> Result<Self, LoadError> {
        Self::from_source(choice, source::from_metadata(metadata), place)
    }

    fn from_source(choice: &Choice, own: Source, place: &str) -> Result<Self, LoadError> {
        let (chat, tools) = match choice {
            Choice::Own => (own.chat, own.tools),
            Choice::Chatml => (Some(plain::CHATML.to_owned()), None),
            Choice::Plain => (Some(plain::TRANSCRIPT.to_owned()), None),
            Choice::Text(text) => (Some(text.clone()), None),
        };
        let chat = chat.ok_or_else(|| TemplateError::None { place: place.to_owned() })?;
        let mut template =
            Self::new(&chat, tools.as_deref(), own.bos, own.eos).map_err(|error| {
                TemplateError::Syntax { place: place.to_owned(), why: error.to_string() }
            })?;
        if *choice == Choice::Plain {
            template.stops = plain::STOPS;
        }
        Ok(template)
    }

    fn new(chat: &str, tools: Option<&str>, bos: String, eos: String) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // The settings that transformers uses for Jinja.
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        python::add_to(&mut environment);
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(CHAT, source::without_generation(chat))?;
        if let Some(tools) = tools {
            environment.add_template_owned(TOOLS, source::without_generation(tools))?;
        }
        let own_dialect = Dialect::from_template(tools.unwrap_or(chat));
        let dialect = own_dialect.unwrap_or(Dialect::Hermes);
        let capabilities = Capabilities::new(tools.unwrap_or(chat), own_dialect.is_some());
        let mut template = Self { environment, bos, eos, capabilities, dialect, stops: &[] };
        template.capabilities.folds_system = template.drops_system();
        Ok(template)
    }

    /// The dialect of the model's function calls.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Texts that end an answer in addition to the end tokens. They are not part of it.
    pub(crate) fn stops(&self) -> &'static [&'static str] {
        self.stops
    }

    /// The prompt: the conversation, and the start of the assistant's turn. `variables` is a JSON object
    /// of further variables, or empty.
    ///
    /// # Errors
    /// When the template refuses the conversation, or the variables are not a JSON object.
    pub(crate) fn render(
        &self,
        messages: &[ChatMessage],
        tools: Option<&Tools>,
        variables: &str,
    ) -> Result<String, Error> {
        let tools = tools.and_then(conversation::callable_tools);
        let messages = self.capabilities.adapt(messages, tools)?;
        self.render_adapted(&messages, tools, variables)
    }

    fn render_adapted(
        &self,
        messages: &[ChatMessage],
        tools: Option<&Tools>,
        variables: &str,
    ) -> Result<String, Error> {
        let name = match tools {
            Some(_) if self.environment.get_template(TOOLS).is_ok() => TOOLS,
            _ => CHAT,
        };
        let mut context = conversation::variables(variables)?;
        let visible = tools.filter(|_| self.capabilities.tools);
        // `None` in Python: the template shows no functions.
        let functions =
            visible.map(conversation::functions).transpose()?.unwrap_or(Value::from(()));
        context.extend(
            [
                ("messages", self.capabilities.messages(messages)?),
                ("tools", functions),
                ("add_generation_prompt", Value::from(true)),
                ("bos_token", Value::from(self.bos.as_str())),
                ("eos_token", Value::from(self.eos.as_str())),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        context.entry("documents".to_owned()).or_insert_with(|| Value::from(()));
        self.environment.get_template(name)?.render(Value::from_pairs(context))
    }

    /// Whether the template fails on a system message, or leaves it out of the prompt.
    fn drops_system(&self) -> bool {
        const PROBE: &str = "system-probe";
        let user = ChatMessage::new("user", "user-probe");
        let messages = [ChatMessage::new("system", PROBE), user.clone()];
        let alone = self.render_adapted(&[user], None, "");
        let with_system = self.render_adapted(&messages, None, "");
        alone.is_ok() && !with_system.is_ok_and(|prompt| prompt.contains(PROBE))
    }
}

fn error(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}

/// In UTC, because the local time would reveal a node's place.
fn now() -> chrono::DateTime<chrono::Utc> {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests;
