use jsonschema::validator_for;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shoal_proto::tools::Function;
use tempfile::TempDir;

use super::*;
use crate::{
    files::Files,
    testing::{self, Kept, put, tiny},
    tools::CallParser,
};

/// Tokens that span several parts of JSON, which a mask has to handle.
const LONG_TOKENS: [&str; 22] = [
    "{\"",
    "\":",
    "\":\u{120}",
    ",\u{120}\"",
    "\"}",
    "}}",
    "[[",
    "],",
    "]}",
    "true",
    "null",
    "12",
    "0.",
    "\u{10a}\u{120}\u{120}",
    "\u{c3}\u{a4}",
    "name",
    "\"name",
    "ell",
    "</",
    "-1",
    "\\u",
    "\\\"",
];

fn json_tokenizer() -> (Tokenizer, TempDir) {
    let folder = tiny(64, Kept::F32);
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    let mut letters: Vec<char> = alphabet.into_iter().collect();
    letters.sort_unstable();
    let mut json = testing::tokenizer(letters.into_iter());
    let vocab = json["model"]["vocab"].as_object_mut().unwrap();
    for (index, token) in LONG_TOKENS.iter().enumerate() {
        vocab.insert((*token).to_owned(), json!(300 + index));
    }
    put(&folder, "tokenizer.json", &json);
    let tokenizer = Tokenizer::read(&Files::folder(folder.path()).unwrap(), 330).unwrap();
    (tokenizer, folder)
}

fn grammars() -> (Tokenizer, Grammars) {
    let (tokenizer, _folder) = json_tokenizer();
    let grammars = Grammars::new(&tokenizer).unwrap();
    (tokenizer, grammars)
}

fn schema(schema: &Value, strict: bool) -> Format {
    Format {
        kind: FormatKind::JsonSchema as i32,
        body: schema.to_string(),
        strict,
        ..Format::default()
    }
}

/// An answer of random tokens that the masks allow. After a while it prefers tokens that close
/// something, so that it ends. `free`: the tokens where everything is allowed.
fn write(constraint: &mut Constraint, tokenizer: &Tokenizer, seed: u64, free: &[u32]) -> String {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut decoder = tokenizer.decoder();
    let mut text = String::new();
    let mut free = free.iter();
    for step in 0..4_000 {
        if constraint.is_done() {
            break;
        }
        let token = match constraint.mask().unwrap() {
            None => match free.next() {
                Some(token) => *token,
                None => break,
            },
            Some(mask) => {
                let count = u32::try_from(tokenizer.count()).unwrap();
                let options: Vec<u32> = (0..count).filter(|token| mask.allows(*token)).collect();
                assert!(!options.is_empty(), "nothing may follow {text:?}");
                let closers: Vec<u32> =
                    options.iter().filter(|token| closes(tokenizer, **token)).copied().collect();
                let options = if step > 40 && !closers.is_empty() { closers } else { options };
                options[chance.random_range(0..options.len())]
            }
        };
        if tokenizer.is_end(token) {
            break;
        }
        constraint.accept(token).unwrap();
        text.push_str(&decoder.push(token).unwrap());
    }
    text.push_str(&decoder.finish().unwrap());
    text
}

/// Whether a token ends the answer or consists of closing characters.
fn closes(tokenizer: &Tokenizer, token: u32) -> bool {
    let bytes = tokenizer.token_bytes(token);
    tokenizer.is_end(token) || bytes.iter().all(|byte| b"\"}],:".contains(byte))
}

/// The tokens of a text.
fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text).unwrap()
}

fn schemas() -> Vec<Value> {
    let person = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 12 },
            "age": { "type": "integer", "minimum": 0, "maximum": 150 },
            "tags": { "type": "array", "items": { "type": "string", "enum": ["a", "b\"", "\u{e4}"] },
                      "minItems": 1, "maxItems": 3 },
            "height": { "type": ["number", "null"] },
        },
        "required": ["name", "age", "tags", "height"],
        "additionalProperties": false,
    });
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": { "node": {
            "type": "object",
            "properties": {
                "value": { "type": "boolean" },
                "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
            },
            "required": ["value", "next"],
            "additionalProperties": false,
        } },
    });
    let either = json!({
        "anyOf": [
            { "type": "object", "properties": { "kind": { "const": "x" }, "at": { "type": "number" } },
              "required": ["kind", "at"], "additionalProperties": false },
            { "type": "array", "items": { "type": "integer" }, "maxItems": 2 },
        ],
    });
    let date = json!({
        "type": "object",
        "properties": {
            "day": { "type": "string", "format": "date" },
            "code": { "type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$" },
        },
        "required": ["day", "code"],
        "additionalProperties": false,
    });
    vec![person, tree, either, date, json!({ "enum": [1, "two", null, [3]] })]
}

/// `None`: the text holds a number too large for a float. JSON has no limit for numbers, and random
/// digits often form large exponents.
fn read(text: &str) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(json) => Some(json),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(error) => panic!("{text:?}: {error}"),
    }
}

#[test]
fn whatever_a_model_likes_its_answer_keeps_to_the_schema() {
    let (tokenizer, grammars) = grammars();
    for schema_of in schemas() {
        let validator = validator_for(&schema_of).unwrap();
        for seed in 0..12 {
            let format = schema(&schema_of, true);
            let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
            let text = write(&mut constraint, &tokenizer, seed, &[]);
            let Some(json) = read(&text) else { continue };
            assert!(validator.is_valid(&json), "{text:?} against {schema_of}");
        }
    }
}

#[test]
fn any_object_is_an_object() {
    let (tokenizer, grammars) = grammars();
    let format = Format { kind: FormatKind::JsonObject as i32, ..Format::default() };
    for seed in 0..20 {
        let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
        let text = write(&mut constraint, &tokenizer, seed, &[]);
        assert!(read(&text).is_none_or(|json| json.is_object()), "{text:?}");
    }
}

#[test]
fn expressions_and_grammars_are_kept_to() {
    let (tokenizer, grammars) = grammars();
    for (kind, body) in [
        (FormatKind::Regex, "(yes|no), [0-9]{3}"),
        (FormatKind::Lark, "start: WORD \", \" /[0-9]{3}/\nWORD: \"yes\" | \"no\""),
    ] {
        let format = Format { kind: kind as i32, body: body.to_owned(), ..Format::default() };
        for seed in 0..10 {
            let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
            let text = write(&mut constraint, &tokenizer, seed, &[]);
            let (word, number) = text.split_once(", ").unwrap();
            assert!(["yes", "no"].contains(&word) && number.len() == 3, "{text:?}");
            assert!(number.chars().all(|digit| digit.is_ascii_digit()), "{text:?}");
        }
    }
}

#[test]
fn an_answer_ends_where_its_form_is_whole_and_not_before() {
    let (tokenizer, grammars) = grammars();
    let format =
        Format { kind: FormatKind::Regex as i32, body: "ab?".to_owned(), ..Format::default() };
    let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
    let end = tokenizer.ends().next().unwrap();
    let a = tokens(&tokenizer, "a")[0];
    let first = constraint.mask().unwrap().unwrap();
    assert!(first.allows(a) && !first.allows(end));
    constraint.accept(a).unwrap();
    let second = constraint.mask().unwrap().unwrap();
    assert!(second.allows(tokens(&tokenizer, "b")[0]) && second.allows(end) && !second.allows(a));
    let mut logits = vec![0.0; tokenizer.count() + 2];
    second.apply(&mut logits);
    assert_eq!(logits.iter().filter(|logit| logit.is_finite()).count(), 2);
    assert!(constraint.accept(a).is_err(), "a token that the mask forbids is not taken");
}

/// The fault for a format that is refused.
fn fault(grammars: &Grammars, kind: FormatKind, body: &str) -> Fault {
    let format =
        Format { kind: kind as i32, body: body.to_owned(), strict: true, ..Format::default() };
    let error = Constraint::new(Some(&format), None, grammars).unwrap_err();
    assert!(error.message.starts_with("the answer's format cannot be"), "{error}");
    error.fault
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let (_, grammars) = grammars();
    assert_eq!(fault(&grammars, FormatKind::JsonSchema, "{"), Fault::BadRequest);
    assert_eq!(fault(&grammars, FormatKind::JsonSchema, r#"{"type": "fish"}"#), Fault::BadRequest);
    assert_eq!(fault(&grammars, FormatKind::Regex, "(a"), Fault::BadRequest);
    assert_eq!(fault(&grammars, FormatKind::Lark, "start: nothing"), Fault::BadRequest);
    let not = r#"{"type": "string", "not": {"const": "x"}}"#;
    assert_eq!(fault(&grammars, FormatKind::JsonSchema, not), Fault::Unsupported);
    let large = format!(r#"{{"description": "{}"}}"#, "x".repeat(SOURCE_MAX));
    assert_eq!(fault(&grammars, FormatKind::JsonSchema, &large), Fault::Unsupported);
}

fn function(name: &str, parameters: &str, strict: bool) -> Function {
    Function {
        name: name.to_owned(),
        parameters: parameters.to_owned(),
        strict,
        ..Function::default()
    }
}

fn functions(choice: ToolChoice, strict: bool) -> Tools {
    let city = r##"{"type": "object", "properties": {"city": {"type": "string", "maxLength": 5},
        "days": {"$ref": "#/$defs/n"}}, "required": ["city", "days"],
        "additionalProperties": false, "$defs": {"n": {"type": "integer"}}}"##;
    Tools {
        functions: vec![function("weather", city, strict), function("now", "", strict)],
        choice: choice as i32,
        named: "weather".to_owned(),
        parallel: true,
    }
}

fn assert_valid(call: &shoal_proto::tools::ToolCall, tools: &Tools) {
    let function = tools.functions.iter().find(|function| function.name == call.name).unwrap();
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
    if !function.parameters.is_empty() {
        let schema: Value = serde_json::from_str(&function.parameters).unwrap();
        assert!(validator_for(&schema).unwrap().is_valid(&arguments), "{arguments}");
    }
}

const DIALECTS: [Dialect; 4] =
    [Dialect::Hermes, Dialect::Llama, Dialect::Mistral, Dialect::MistralArgs];

#[test]
fn a_required_call_is_made_in_every_dialect_and_with_valid_arguments() {
    let (tokenizer, grammars) = grammars();
    for dialect in DIALECTS {
        for (choice, seed) in [(ToolChoice::Required, 1), (ToolChoice::Named, 2)] {
            let tools = functions(choice, false);
            let mut constraint =
                Constraint::new(None, Some((&tools, dialect)), &grammars).unwrap().unwrap();
            let text = write(&mut constraint, &tokenizer, seed, &[]);
            let mut parser = CallParser::new(dialect, &tools);
            let visible = parser.push(&text);
            let (rest, calls) = parser.finish();
            assert_eq!(visible + &rest, "", "{dialect:?}: {text:?}");
            assert!(!calls.is_empty(), "{dialect:?}: {text:?}");
            for call in &calls {
                assert_valid(call, &tools);
                assert!(choice == ToolChoice::Required || call.name == "weather");
            }
        }
    }
}

#[test]
fn a_free_answer_is_free_until_it_calls_a_strict_function() {
    let (tokenizer, grammars) = grammars();
    for dialect in DIALECTS {
        let tools = functions(ToolChoice::Auto, true);
        let begin = match dialect {
            Dialect::Llama => r#"{"name": ""#,
            _ => dialect.opener(),
        };
        for seed in 0..4 {
            let mut constraint =
                Constraint::new(None, Some((&tools, dialect)), &grammars).unwrap().unwrap();
            let speech = if dialect == Dialect::Llama { "" } else { "Let me see {\"name\"... " };
            let free = tokens(&tokenizer, &format!("{speech}{begin}"));
            let text = write(&mut constraint, &tokenizer, seed, &free);
            let mut parser = CallParser::new(dialect, &tools);
            let visible = parser.push(&text);
            let (rest, calls) = parser.finish();
            assert_eq!((visible + &rest).trim(), speech.trim(), "{dialect:?}: {text:?}");
            assert_eq!(calls.len(), 1, "{dialect:?}: {text:?}");
            assert_valid(&calls[0], &tools);
        }
    }
}

#[test]
fn functions_nobody_is_strict_about_leave_the_model_free() {
    let (_, grammars) = grammars();
    for (choice, strict) in [(ToolChoice::Auto, false), (ToolChoice::None, true)] {
        let tools = functions(choice, strict);
        let constraint = Constraint::new(None, Some((&tools, Dialect::Hermes)), &grammars);
        assert!(constraint.unwrap().is_none());
    }
}

#[test]
fn an_answer_with_a_form_may_be_a_call_instead() {
    let (tokenizer, grammars) = grammars();
    let tools = functions(ToolChoice::Auto, false);
    let format = schema(
        &json!({ "type": "object", "properties": { "a": { "type": "null" } },
        "required": ["a"], "additionalProperties": false }),
        true,
    );
    let tools = Some((&tools, Dialect::Hermes));
    let mut constraint = Constraint::new(Some(&format), tools, &grammars).unwrap().unwrap();
    let mask = constraint.mask().unwrap().unwrap();
    assert!(mask.allows(tokens(&tokenizer, "{")[0]) && mask.allows(tokens(&tokenizer, "<")[0]));
    assert!(!mask.allows(tokens(&tokenizer, "a")[0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_schema_makes_a_node_panic(body in "[\\[\\]{}\":,a-z0-9$#/ ]{0,60}", kind in 0..5i32) {
        static GRAMMARS: std::sync::LazyLock<Grammars> = std::sync::LazyLock::new(|| grammars().1);
        let format = Format { kind, body, ..Format::default() };
        if let Ok(Some(mut constraint)) = Constraint::new(Some(&format), None, &GRAMMARS) {
            let _ = constraint.mask();
        }
    }
}

#[test]
fn divisors_that_cost_too_much_are_left_to_the_gateways_check() {
    let bomb = |divisor: Value| {
        let mut schema = json!({"properties": {"a": {"type": "integer", "multipleOf": divisor}}});
        add_guidance(&mut schema, true);
        schema.pointer("/properties/a/multipleOf").cloned()
    };
    for divisor in [json!(1), json!(7), json!(1000), json!(0.25), json!(0.01)] {
        assert_eq!(bomb(divisor.clone()), Some(divisor));
    }
    for divisor in [json!(99_999_989), json!(1001), json!(0.12345), json!(1e-9), json!(1e300)] {
        assert_eq!(bomb(divisor.clone()), None, "{divisor}");
    }
    // Each is small, but the automaton has a state for each pair of remainders.
    let mut together =
        json!({"allOf": [{"multipleOf": 997}, {"multipleOf": 991}], "const": {"multipleOf": 5}});
    add_guidance(&mut together, true);
    assert!(
        together["allOf"].as_array().unwrap().iter().all(|part| part.get("multipleOf").is_none())
    );
    assert_eq!(together["const"], json!({"multipleOf": 5}), "a value is no schema");
}
