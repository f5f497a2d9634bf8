//! The chat template that a model was trained with, rendered as Hugging Face renders it.

mod python;
mod conversation;
mod plain;
mod source;

use std::time::SystemTime;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig};
use shoal_proto::{generate::ChatMessage, tools::Tools};

use super::{LoadError, error::TemplateError, files::Files, gguf::Metadata, tools::Dialect};
use conversation::Habits;
use source::Source;

/// The template for talking, and the one for talking with functions where there are two.
const TALK: &str = "chat";
const TOOLS: &str = "tools";
/// Instructions that a template turns into a prompt at most: a turn of a long chat with many
/// functions takes some hundred thousand.
const FUEL: u64 = 50_000_000;

/// A model's chat template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    habits: Habits,
    dialect: Dialect,
    stops: &'static [&'static str],
}

/// Which template a node's owner wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The model's own.
    #[default]
    Own,
    /// What many fine-tuned models without one were trained with: `<|im_start|>user ...`.
    Chatml,
    /// A transcript, `User: ...`, `Assistant: ...`: what a base model can go on with.
    Plain,
    /// In Jinja, as in `chat_template.jinja`.
    Text(String),
}

impl Template {
    /// The template of a folder, or of a GGUF file.
    pub fn read(files: &Files, choice: &Choice) -> Result<Self, LoadError> {
        match files.gguf() {
            Some(gguf) => Self::of_gguf(gguf.metadata(), &files.place(), choice),
            None => Self::of(choice, source::of_files(files)?, &files.place()),
        }
    }

    /// The template of a GGUF file.
    pub(crate) fn of_gguf(
        metadata: &Metadata,
        place: &str,
        choice: &Choice,
    ) -> Result<Self, LoadError> {
        Self::of(choice, source::of_metadata(metadata), place)
    }

    fn of(choice: &Choice, own: Source, place: &str) -> Result<Self, LoadError> {
        let (talk, tools) = match choice {
            Choice::Own => (own.talk, own.tools),
            Choice::Chatml => (Some(plain::CHATML.to_owned()), None),
            Choice::Plain => (Some(plain::TRANSCRIPT.to_owned()), None),
            Choice::Text(text) => (Some(text.clone()), None),
        };
        let talk = talk.ok_or_else(|| TemplateError::None { place: place.to_owned() })?;
        let syntax = |error: Error| TemplateError::Syntax {
            place: place.to_owned(),
            why: error.to_string(),
        };
        let mut template = Self::new(&talk, tools.as_deref(), own.bos, own.eos).map_err(syntax)?;
        if *choice == Choice::Plain {
            template.stops = plain::STOPS;
        }
        Ok(template)
    }

    fn new(talk: &str, tools: Option<&str>, bos: String, eos: String) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // As transformers sets Jinja up.
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        python::add_to(&mut environment);
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(TALK, source::without_generation(talk))?;
        if let Some(tools) = tools {
            environment.add_template_owned(TOOLS, source::without_generation(tools))?;
        }
        let taught = Dialect::of_template(tools.unwrap_or(talk));
        let dialect = taught.unwrap_or(Dialect::Hermes);
        let habits = Habits::of(tools.unwrap_or(talk), taught.is_some());
        let mut template = Self { environment, bos, eos, habits, dialect, stops: &[] };
        template.habits.folds_system = template.drops_system();
        Ok(template)
    }

    /// How the model was taught to call functions.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Texts that end an answer beside the model's end tokens, and are no part of it.
    pub(crate) fn stops(&self) -> &'static [&'static str] {
        self.stops
    }

    /// The prompt: the conversation, and the beginning of the assistant's turn. `variables` is a
    /// JSON object of further variables, or empty.
    ///
    /// # Errors
    /// When the template refuses the conversation, or the variables are no JSON object.
    pub(crate) fn render(
        &self,
        messages: &[ChatMessage],
        tools: Option<&Tools>,
        variables: &str,
    ) -> Result<String, Error> {
        let tools = tools.and_then(conversation::offered);
        let messages = self.habits.adapt(messages, tools);
        self.rendered(&messages, tools, variables)
    }

    fn rendered(
        &self,
        messages: &[ChatMessage],
        tools: Option<&Tools>,
        variables: &str,
    ) -> Result<String, Error> {
        let name = match tools {
            Some(_) if self.environment.get_template(TOOLS).is_ok() => TOOLS,
            _ => TALK,
        };
        let mut context = conversation::variables(variables)?;
        let mut put = |name: &str, value: Value| context.insert(name.to_owned(), value);
        put("messages", self.habits.messages(messages)?);
        let shown = tools.filter(|_| self.habits.knows_tools);
        put("tools", shown.map(conversation::functions).transpose()?.unwrap_or(Value::from(())));
        put("add_generation_prompt", Value::from(true));
        put("bos_token", Value::from(self.bos.as_str()));
        put("eos_token", Value::from(self.eos.as_str()));
        context.entry("documents".to_owned()).or_insert_with(|| Value::from(()));
        self.environment.get_template(name)?.render(Value::from_pairs(context))
    }

    /// Whether a system message makes the template fail, or is left out of the prompt.
    fn drops_system(&self) -> bool {
        const PROBE: &str = "system-probe";
        let user = ChatMessage::new("user", "user-probe");
        let both = [ChatMessage::new("system", PROBE), user.clone()];
        let alone = self.rendered(&[user], None, "");
        let with_system = self.rendered(&both, None, "");
        alone.is_ok() && !with_system.is_ok_and(|prompt| prompt.contains(PROBE))
    }
}

fn error(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}

/// UTC: where a node stands is nobody's business.
fn now() -> chrono::DateTime<chrono::Utc> {
    SystemTime::now().into()
}

#[cfg(test)]
mod parity;
#[cfg(test)]
mod tests;
