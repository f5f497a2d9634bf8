//! Constrained decoding: which tokens may come next, so that an answer has the form that was asked
//! for. The automata are llguidance's; what the grammars say of calls stands in [`calls`].

mod calls;
mod trie;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};

use llguidance::{
    Matcher, ParserFactory,
    api::{GrammarWithLexer, TopLevelGrammar},
    toktrie::{InferenceCapabilities, SimpleVob},
};
use serde_json::{Value, json};
use shoal_engine::EngineError;
use shoal_proto::{
    generate::{Fault, Format, FormatKind},
    tools::{ToolChoice, Tools},
};

use super::{step::Broken, tokenizer::Tokenizer, tools::Dialect};
use watch::Watch;

/// Bytes of a schema, expression or grammar: what a client may write that costs a node time before
/// it can refuse. The largest schemas in use (FHIR's) are below a megabyte.
const SOURCE_MAX: usize = 1 << 20;
/// Between the parts of a JSON text: a space, or a line's end and some indentation. Small models
/// would write blanks for ever.
const BLANKS: &str = r" |\n {0,16}";

/// A model's tokens arranged for grammars: made once for a model, shared by all of its answers.
pub(crate) struct Grammars {
    factory: ParserFactory,
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl Grammars {
    /// Takes a second or less for a vocabulary of 150,000 tokens. `None`: the vocabulary cannot be
    /// arranged, so that the model writes freely or not at all.
    pub(crate) fn new(tokenizer: &Tokenizer) -> Option<Self> {
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let none = InferenceCapabilities::default();
        let built = catch_unwind(AssertUnwindSafe(|| {
            ParserFactory::new(&trie::words(tokenizer), none, &slices)
        }));
        let mut factory = built.ok()?.ok()?;
        factory.quiet();
        // Else its errors quote the answer so far.
        factory.limits_mut().verbose_errors = false;
        Some(Self { factory })
    }

    /// A grammar of calls, or else of an answer in this format. Functions whose schema cannot be
    /// enforced, and need not be, take any object.
    fn calls(
        &self,
        tools: &Tools,
        dialect: Dialect,
        answer: Option<&Format>,
    ) -> Result<Matcher, EngineError> {
        let size = tools.functions.iter().map(|function| function.parameters.len()).sum();
        within(size)?;
        let answer = answer.map(rule).transpose()?;
        let build = |exact| {
            let lark = calls::grammar(tools, dialect, answer.as_deref(), exact);
            self.matcher(TopLevelGrammar::from_lark(lark.map_err(|why| refused(&why))?))
        };
        build(true).or_else(|error| {
            let loose = tools.functions.iter().any(|function| !function.strict);
            if loose { build(false) } else { Err(error) }
        })
    }

    fn matcher(&self, grammar: TopLevelGrammar) -> Result<Matcher, EngineError> {
        let built = catch_unwind(AssertUnwindSafe(|| self.factory.create_parser(grammar)));
        match built {
            Ok(Ok(parser)) => Ok(Matcher::new(Ok(parser))),
            Ok(Err(error)) => Err(refused(&error.to_string())),
            Err(_) => Err(refused("llguidance cannot build it")),
        }
    }
}

/// Holds one answer to its form.
pub(crate) enum Constraint {
    /// From the first token to the last.
    Whole(Box<Matcher>),
    /// Only inside of calls, which the model begins when it likes.
    Calls(Box<Watch>),
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}

/// The tokens that may come next.
#[derive(Clone, Debug)]
pub(crate) struct Mask(SimpleVob);

impl Mask {
    pub(crate) fn allows(&self, token: u32) -> bool {
        usize::try_from(token).is_ok_and(|index| index < self.0.len()) && self.0.is_allowed(token)
    }

    /// Makes the other tokens impossible.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        for (token, logit) in (0..).zip(logits) {
            if !self.allows(token) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

impl Constraint {
    /// What holds an answer of this format, with these functions to call in this dialect. `None`:
    /// the model writes freely.
    ///
    /// # Errors
    /// `BadRequest` when the schema, expression or grammar makes no sense, `Unsupported` when it
    /// asks for what cannot be enforced, with the reason.
    pub(crate) fn new(
        format: Option<&Format>,
        tools: Option<(&Tools, Dialect)>,
        grammars: &Grammars,
    ) -> Result<Option<Self>, EngineError> {
        let tools = tools.filter(|(tools, _)| {
            !calls::allowed(tools).is_empty() && tools.choice != ToolChoice::None as i32
        });
        let Some((tools, dialect)) = tools else {
            let Some(format) = format else { return Ok(None) };
            let grammar = TopLevelGrammar::from_grammar(of_format(format)?);
            return Ok(Some(Self::Whole(Box::new(grammars.matcher(grammar)?))));
        };
        let must = [ToolChoice::Required, ToolChoice::Named].map(|choice| choice as i32);
        if must.contains(&tools.choice) || format.is_some() {
            let answer = if must.contains(&tools.choice) { None } else { format };
            return Ok(Some(Self::Whole(Box::new(grammars.calls(tools, dialect, answer)?))));
        }
        if !tools.functions.iter().any(|function| function.strict) {
            return Ok(None);
        }
        let one = Tools { parallel: false, ..tools.clone() };
        let watch = Watch::new(dialect, grammars.calls(&one, dialect, None)?);
        Ok(Some(Self::Calls(Box::new(watch))))
    }

    /// The tokens that may come next, end tokens among them where the answer may end. `None`: all.
    ///
    /// # Errors
    /// `Unsupported` when the grammar turns out to be too complex.
    pub(crate) fn mask(&mut self) -> Result<Option<Mask>, EngineError> {
        let matcher = match self {
            Self::Whole(matcher) => matcher,
            Self::Calls(watch) => match watch.inside() {
                Some(matcher) => matcher,
                None => return Ok(None),
            },
        };
        let mask = matcher.compute_mask_or_eos();
        mask.map(|mask| Some(Mask(mask))).map_err(|error| refused(&error.to_string()))
    }

    /// Goes on behind a token that the last mask allowed. An end token may be given or not.
    ///
    /// # Errors
    /// `Engine` when it did not.
    pub(crate) fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        let taken = match self {
            Self::Whole(matcher) if matcher.is_stopped() => Ok(()),
            Self::Whole(matcher) => matcher.consume_token(token).map_err(|_| Broken),
            Self::Calls(watch) => watch.accept(token),
        };
        let why = "a token that the grammar does not allow";
        taken.map_err(|Broken| EngineError::new(Fault::Engine, why))
    }

    /// Whether nothing may follow: the answer is over, with or without an end token.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Whole(matcher) => matcher.is_stopped(),
            Self::Calls(_) => false,
        }
    }
}

fn of_format(format: &Format) -> Result<GrammarWithLexer, EngineError> {
    within(format.body.len())?;
    match FormatKind::try_from(format.kind).unwrap_or_default() {
        FormatKind::JsonObject => Ok(of_schema(json!({ "type": "object" }), false)),
        FormatKind::JsonSchema => {
            let schema = serde_json::from_str(&format.body)
                .map_err(|error| refused(&format!("the schema is no JSON: {error}")))?;
            Ok(of_schema(schema, format.strict))
        }
        FormatKind::Regex => Ok(GrammarWithLexer::from_regex(&format.body)),
        FormatKind::Lark => Ok(GrammarWithLexer::from_lark(format.body.clone())),
        FormatKind::Unspecified => {
            Err(EngineError::new(Fault::Unsupported, "an answer format that is not known here"))
        }
    }
}

fn within(size: usize) -> Result<(), EngineError> {
    match size > SOURCE_MAX {
        true => Err(refused(&format!("{size} bytes are too large: {SOURCE_MAX} are read"))),
        false => Ok(()),
    }
}

/// A format as a part of a grammar.
fn rule(format: &Format) -> Result<String, EngineError> {
    let grammar = of_format(format)?;
    match (grammar.json_schema, FormatKind::try_from(format.kind)) {
        (Some(schema), _) => Ok(format!("%json {schema}")),
        (None, Ok(FormatKind::Regex)) => {
            Ok(format!("/{}/", llguidance::regex_to_lark(&format.body, "")))
        }
        _ => Err(EngineError::new(
            Fault::Unsupported,
            "functions beside an answer that is held to a grammar of its own",
        )),
    }
}

/// Strict: what llguidance cannot enforce is refused, else it is left out.
fn of_schema(mut schema: Value, strict: bool) -> GrammarWithLexer {
    guided(&mut schema, strict);
    GrammarWithLexer::from_json_schema(schema)
}

/// llguidance reads how it should write JSON from the schema itself.
fn guided(schema: &mut Value, strict: bool) {
    if *schema == Value::Bool(true) {
        *schema = json!({});
    }
    if !strict {
        close(schema);
    }
    if let Some(schema) = schema.as_object_mut() {
        let how = json!({ "whitespace_pattern": BLANKS, "lenient": !strict });
        schema.insert("x-guidance".to_owned(), how);
    }
}

/// Where a schema leaves open which further properties an object has, none are written: what keeps
/// to that keeps to the schema, and a small model finds an end.
fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let open = ["additionalProperties", "patternProperties", "unevaluatedProperties", "allOf"];
    if fields.contains_key("properties") && !open.iter().any(|key| fields.contains_key(*key)) {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    for key in ["properties", "$defs", "definitions"] {
        if let Some(Value::Object(inside)) = fields.get_mut(key) {
            inside.values_mut().for_each(close);
        }
    }
    for key in ["anyOf", "oneOf", "prefixItems"] {
        if let Some(Value::Array(inside)) = fields.get_mut(key) {
            inside.iter_mut().for_each(close);
        }
    }
    if let Some(items) = fields.get_mut("items") {
        close(items);
    }
}

/// llguidance's reasons, in one line.
fn refused(why: &str) -> EngineError {
    let line = why.lines().next().unwrap_or_default();
    let unsupported = ["nimplemented", "not supported", "too complex", "too large", "too big"];
    let fault = match unsupported.iter().any(|word| line.contains(word)) {
        true => Fault::Unsupported,
        false => Fault::BadRequest,
    };
    let line: String = line.chars().take(300).collect();
    EngineError::new(fault, format!("the answer's format cannot be enforced: {line}"))
}

#[cfg(test)]
mod tests;
