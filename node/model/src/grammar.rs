//! Constrained decoding: the tokens that may come next, so that an answer has the required format.
//! llguidance provides the automata; [`calls`] writes the grammars of calls.

mod calls;
mod trie;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};

use llguidance::{
    Matcher, ParserFactory,
    api::{GrammarWithLexer, TopLevelGrammar},
    toktrie::{InferenceCapabilities, SimpleVob},
};
use serde_json::{Map, Value, json};
use shoal_engine::EngineError;
use shoal_proto::{
    generate::{Fault, Format, FormatKind},
    tools::{ToolChoice, Tools},
};

use super::{step::Broken, tokenizer::Tokenizer, tools::Dialect};
use watch::Watch;

/// Most bytes of a schema, expression or grammar, because the node spends time before it can refuse one.
/// The largest schemas in use (FHIR's) are below a megabyte.
const SOURCE_MAX: usize = 1 << 20;
/// Whitespace between the parts of a JSON text: a space, or a line break and some indentation. Without
/// this limit small models write whitespace without end.
const BLANKS: &str = r" |\n {0,16}";

/// A model's vocabulary as grammars need it: built once for a model and shared by its answers.
pub(crate) struct Grammars {
    factory: ParserFactory,
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl Grammars {
    /// Takes a second or less for a vocabulary of 150,000 tokens. `None`: llguidance refuses the
    /// vocabulary, and answers of this model cannot be constrained.
    pub(crate) fn new(tokenizer: &Tokenizer) -> Option<Self> {
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let capabilities = InferenceCapabilities::default();
        let factory = catch_unwind(AssertUnwindSafe(|| {
            ParserFactory::new(&trie::token_env(tokenizer), capabilities, &slices)
        }));
        let mut factory = factory.ok()?.ok()?;
        factory.quiet();
        // Verbose errors quote the answer, which is never logged.
        factory.limits_mut().verbose_errors = false;
        Some(Self { factory })
    }

    /// A grammar of calls, or alternatively of an answer in this format. When a schema cannot be
    /// enforced, functions that are not strict accept any object.
    fn calls(
        &self,
        tools: &Tools,
        dialect: Dialect,
        answer: Option<&Format>,
    ) -> Result<Matcher, EngineError> {
        let size = tools.functions.iter().map(|function| function.parameters.len()).sum();
        within(size)?;
        let answer = answer.map(rule).transpose()?;
        self.calls_matcher(tools, dialect, answer.as_deref(), true).or_else(|error| {
            let is_loose = tools.functions.iter().any(|function| !function.strict);
            match is_loose {
                true => self.calls_matcher(tools, dialect, answer.as_deref(), false),
                false => Err(error),
            }
        })
    }

    fn calls_matcher(
        &self,
        tools: &Tools,
        dialect: Dialect,
        answer: Option<&str>,
        exact: bool,
    ) -> Result<Matcher, EngineError> {
        let lark = calls::grammar(tools, dialect, answer, exact).map_err(|why| refusal(&why))?;
        self.matcher(TopLevelGrammar::from_lark(lark))
    }

    fn matcher(&self, grammar: TopLevelGrammar) -> Result<Matcher, EngineError> {
        let parser = catch_unwind(AssertUnwindSafe(|| self.factory.create_parser(grammar)));
        match parser {
            Ok(Ok(parser)) => Ok(Matcher::new(Ok(parser))),
            Ok(Err(error)) => Err(refusal(&error.to_string())),
            Err(_) => Err(refusal("llguidance cannot build it")),
        }
    }
}

/// Holds one answer to its format.
pub(crate) enum Constraint {
    /// Constrains the answer from the first token to the last.
    Whole(Box<Matcher>),
    /// Constrains calls only; the model may start one at any time.
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

    /// Makes all tokens impossible that may not come next.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        for (token, logit) in (0..).zip(logits) {
            if !self.allows(token) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

impl Constraint {
    /// The constraint for an answer in this format, with these functions to call in this dialect.
    /// `None`: the answer is unconstrained.
    ///
    /// # Errors
    /// `BadRequest` when the schema, expression or grammar is invalid, `Unsupported` when it cannot be
    /// enforced, both with the reason.
    pub(crate) fn new(
        format: Option<&Format>,
        tools: Option<(&Tools, Dialect)>,
        grammars: &Grammars,
    ) -> Result<Option<Self>, EngineError> {
        let tools = tools.filter(|(tools, _)| {
            !calls::callable_functions(tools).is_empty() && tools.choice != ToolChoice::None as i32
        });
        let Some((tools, dialect)) = tools else {
            let Some(format) = format else { return Ok(None) };
            let grammar = TopLevelGrammar::from_grammar(format_grammar(format)?);
            return Ok(Some(Self::Whole(Box::new(grammars.matcher(grammar)?))));
        };
        let must_call = [ToolChoice::Required, ToolChoice::Named]
            .map(|choice| choice as i32)
            .contains(&tools.choice);
        if must_call || format.is_some() {
            let answer = if must_call { None } else { format };
            return Ok(Some(Self::Whole(Box::new(grammars.calls(tools, dialect, answer)?))));
        }
        if !tools.functions.iter().any(|function| function.strict) {
            return Ok(None);
        }
        let sequential = Tools { parallel: false, ..tools.clone() };
        let watch = Watch::new(dialect, grammars.calls(&sequential, dialect, None)?);
        Ok(Some(Self::Calls(Box::new(watch))))
    }

    /// The tokens that may come next, with the end tokens where the answer may end. `None`: any token.
    ///
    /// # Errors
    /// `Unsupported` when the grammar turns out to be too complex.
    pub(crate) fn mask(&mut self) -> Result<Option<Mask>, EngineError> {
        let matcher = match self {
            Self::Whole(matcher) => matcher,
            Self::Calls(watch) => match watch.matcher() {
                Some(matcher) => matcher,
                None => return Ok(None),
            },
        };
        let mask = matcher.compute_mask_or_eos();
        mask.map(|mask| Some(Mask(mask))).map_err(|error| refusal(&error.to_string()))
    }

    /// Advances by a token that the last mask allowed. An end token may be passed or not.
    ///
    /// # Errors
    /// `Engine` when the mask did not allow the token.
    pub(crate) fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        let result = match self {
            Self::Whole(matcher) if matcher.is_stopped() => Ok(()),
            Self::Whole(matcher) => matcher.consume_token(token).map_err(|_| Broken),
            Self::Calls(watch) => watch.accept(token),
        };
        let why = "a token that the grammar does not allow";
        result.map_err(|Broken| EngineError::new(Fault::Engine, why))
    }

    /// Whether the answer is complete: nothing may follow, with or without an end token.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Whole(matcher) => matcher.is_stopped(),
            Self::Calls(_) => false,
        }
    }
}

fn format_grammar(format: &Format) -> Result<GrammarWithLexer, EngineError> {
    within(format.body.len())?;
    match FormatKind::try_from(format.kind).unwrap_or_default() {
        FormatKind::JsonObject => Ok(schema_grammar(json!({ "type": "object" }), false)),
        FormatKind::JsonSchema => {
            let schema = serde_json::from_str(&format.body)
                .map_err(|error| refusal(&format!("the schema is not JSON: {error}")))?;
            Ok(schema_grammar(schema, format.strict))
        }
        FormatKind::Regex => Ok(GrammarWithLexer::from_regex(&format.body)),
        FormatKind::Lark => Ok(GrammarWithLexer::from_lark(format.body.clone())),
        FormatKind::Unspecified => {
            Err(EngineError::new(Fault::Unsupported, "an unknown kind of answer format"))
        }
    }
}

fn within(size: usize) -> Result<(), EngineError> {
    match size > SOURCE_MAX {
        true => Err(refusal(&format!("{size} bytes are too large: the limit is {SOURCE_MAX}"))),
        false => Ok(()),
    }
}

/// A format as a rule of a Lark grammar.
fn rule(format: &Format) -> Result<String, EngineError> {
    let grammar = format_grammar(format)?;
    match (grammar.json_schema, FormatKind::try_from(format.kind)) {
        (Some(schema), _) => Ok(format!("%json {schema}")),
        (None, Ok(FormatKind::Regex)) => {
            Ok(format!("/{}/", llguidance::regex_to_lark(&format.body, "")))
        }
        _ => Err(EngineError::new(
            Fault::Unsupported,
            "functions together with a grammar for the answer",
        )),
    }
}

/// `strict`: llguidance refuses what it cannot enforce; otherwise it ignores that.
fn schema_grammar(mut schema: Value, strict: bool) -> GrammarWithLexer {
    add_guidance(&mut schema, strict);
    GrammarWithLexer::from_json_schema(schema)
}

/// Adds the options that llguidance reads from the schema itself.
fn add_guidance(schema: &mut Value, strict: bool) {
    if *schema == Value::Bool(true) {
        *schema = json!({});
    }
    if product_of_divisors(schema) > DIVISORS_MAX {
        drop_divisors(schema);
    }
    if !strict {
        close(schema);
    }
    if let Some(schema) = schema.as_object_mut() {
        let options = json!({ "whitespace_pattern": BLANKS, "lenient": !strict });
        schema.insert("x-guidance".to_owned(), options);
    }
}

/// Largest product of the divisors of a schema (`multipleOf`) that an answer is held to while it is written: an
/// automaton has a state for each remainder. The gateway checks the complete answer in any case.
const DIVISORS_MAX: f64 = 1000.0;

/// Fields of a schema that hold values, not schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// The product of all divisors in a schema, each as an integer without its decimal point.
fn product_of_divisors(schema: &Value) -> f64 {
    match schema {
        Value::Object(fields) => {
            let divisor =
                fields.get("multipleOf").and_then(Value::as_f64).map_or(1.0, without_point);
            divisor
                * schemas(fields).map(|(_, schema)| product_of_divisors(schema)).product::<f64>()
        }
        Value::Array(items) => items.iter().map(product_of_divisors).product(),
        _ => 1.0,
    }
}

/// The values of a schema's fields that are no data.
fn schemas(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    fields.iter().filter(|(name, _)| !DATA.contains(&name.as_str()))
}

/// `0.25` is 25. Infinite for a number of more than six decimals.
fn without_point(divisor: f64) -> f64 {
    let powers = (0..=6).map(|decimals| divisor.abs() * 10f64.powi(decimals));
    let mut integers = powers.filter(|number| (number - number.round()).abs() < 1e-9);
    integers.next().map_or(f64::INFINITY, |number| number.round().max(1.0))
}

fn drop_divisors(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A property of this name has a schema; the keyword has a number.
            if fields.get("multipleOf").is_some_and(Value::is_number) {
                fields.remove("multipleOf");
            }
            let schemas = fields.iter_mut().filter(|(name, _)| !DATA.contains(&name.as_str()));
            schemas.for_each(|(_, schema)| drop_divisors(schema));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_divisors),
        _ => {}
    }
}

/// Forbids additional properties where a schema says nothing about them. Such an answer still satisfies
/// the schema, and a small model comes to an end.
fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let keywords = ["additionalProperties", "patternProperties", "unevaluatedProperties", "allOf"];
    if fields.contains_key("properties") && !keywords.iter().any(|key| fields.contains_key(*key)) {
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

/// The error for a reason of llguidance's, cut to one line.
fn refusal(why: &str) -> EngineError {
    let line = why.lines().next().unwrap_or_default();
    let unsupported_words =
        ["nimplemented", "not supported", "too complex", "too large", "too big"];
    let fault = match unsupported_words.iter().any(|word| line.contains(word)) {
        true => Fault::Unsupported,
        false => Fault::BadRequest,
    };
    let line: String = line.chars().take(300).collect();
    EngineError::new(fault, format!("the answer's format cannot be enforced: {line}"))
}

#[cfg(test)]
mod tests;
