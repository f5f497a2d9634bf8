use jsonschema::validator_for;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shoal_proto::tools::Function;
use tempfile::TempDir;

use super::*;
use crate::{
    files::Files,
    testing::{Kept, put, tiny, tokenizer},
    tools::CallParser,
};

/// Tokens that cross the borders of JSON's parts, which a mask has to get right.
const LONGER: [&str; 22] = [
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

fn words() -> (Tokenizer, TempDir) {
    let folder = tiny(64, Kept::F32);
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    let mut letters: Vec<char> = alphabet.into_iter().collect();
    letters.sort_unstable();
    let mut json = tokenizer(letters.into_iter());
    let vocab = json["model"]["vocab"].as_object_mut().unwrap();
    for (index, longer) in LONGER.iter().enumerate() {
        vocab.insert((*longer).to_owned(), json!(300 + index));
    }
    put(&folder, "tokenizer.json", &json);
    let words = Tokenizer::read(&Files::folder(folder.path()).unwrap(), 330).unwrap();
    (words, folder)
}

fn grammars() -> (Tokenizer, Grammars) {
    let (words, _folder) = words();
    let grammars = Grammars::new(&words).unwrap();
    (words, grammars)
}

fn schema(schema: &Value, strict: bool) -> Format {
    Format {
        kind: FormatKind::JsonSchema as i32,
        body: schema.to_string(),
        strict,
        ..Format::default()
    }
}

/// An answer of tokens drawn from what the masks allow, which tends to an end after a while: no
/// model is half as wild. `free`: what is written where everything is allowed.
fn write(constraint: &mut Constraint, words: &Tokenizer, seed: u64, free: &[u32]) -> String {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut decoder = words.decoder();
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
                let known = u32::try_from(words.known()).unwrap();
                let allowed: Vec<u32> = (0..known).filter(|token| mask.allows(*token)).collect();
                assert!(!allowed.is_empty(), "nothing may follow {text:?}");
                let closes = |token: &&u32| {
                    let bytes = words.token_bytes(**token);
                    words.is_end(**token) || bytes.iter().all(|byte| b"\"}],:".contains(byte))
                };
                let closing: Vec<u32> = allowed.iter().filter(closes).copied().collect();
                let closing = if step > 40 && !closing.is_empty() { closing } else { allowed };
                closing[chance.random_range(0..closing.len())]
            }
        };
        if words.is_end(token) {
            break;
        }
        constraint.accept(token).unwrap();
        text.push_str(&decoder.push(token));
    }
    text.push_str(&decoder.finish());
    text
}

/// Written with words in place of numbers of tokens.
fn tokens(words: &Tokenizer, text: &str) -> Vec<u32> {
    words.encode(text).unwrap()
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

/// `None`: it holds a number that is too large for a float. JSON knows no largest one, and random
/// digits are fond of exponents.
fn read(text: &str) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(json) => Some(json),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(error) => panic!("{text:?}: {error}"),
    }
}

#[test]
fn whatever_a_model_likes_its_answer_keeps_to_the_schema() {
    let (words, grammars) = grammars();
    for schema_of in schemas() {
        let validator = validator_for(&schema_of).unwrap();
        for seed in 0..12 {
            let format = schema(&schema_of, true);
            let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
            let text = write(&mut constraint, &words, seed, &[]);
            let Some(json) = read(&text) else { continue };
            assert!(validator.is_valid(&json), "{text:?} against {schema_of}");
        }
    }
}

#[test]
fn any_object_is_an_object() {
    let (words, grammars) = grammars();
    let format = Format { kind: FormatKind::JsonObject as i32, ..Format::default() };
    for seed in 0..20 {
        let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
        let text = write(&mut constraint, &words, seed, &[]);
        assert!(read(&text).is_none_or(|json| json.is_object()), "{text:?}");
    }
}

#[test]
fn expressions_and_grammars_are_kept_to() {
    let (words, grammars) = grammars();
    let of = |kind: FormatKind, body: &str| Format {
        kind: kind as i32,
        body: body.to_owned(),
        ..Format::default()
    };
    for format in [
        of(FormatKind::Regex, "(yes|no), [0-9]{3}"),
        of(FormatKind::Lark, "start: WORD \", \" /[0-9]{3}/\nWORD: \"yes\" | \"no\""),
    ] {
        for seed in 0..10 {
            let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
            let text = write(&mut constraint, &words, seed, &[]);
            let (word, number) = text.split_once(", ").unwrap();
            assert!(["yes", "no"].contains(&word) && number.len() == 3, "{text:?}");
            assert!(number.chars().all(|digit| digit.is_ascii_digit()), "{text:?}");
        }
    }
}

#[test]
fn an_answer_ends_where_its_form_is_whole_and_not_before() {
    let (words, grammars) = grammars();
    let format =
        Format { kind: FormatKind::Regex as i32, body: "ab?".to_owned(), ..Format::default() };
    let mut constraint = Constraint::new(Some(&format), None, &grammars).unwrap().unwrap();
    let end = words.ends().next().unwrap();
    let a = tokens(&words, "a")[0];
    let first = constraint.mask().unwrap().unwrap();
    assert!(first.allows(a) && !first.allows(end));
    constraint.accept(a).unwrap();
    let then = constraint.mask().unwrap().unwrap();
    assert!(then.allows(tokens(&words, "b")[0]) && then.allows(end) && !then.allows(a));
    let mut logits = vec![0.0; words.known() + 2];
    then.apply(&mut logits);
    assert_eq!(logits.iter().filter(|logit| logit.is_finite()).count(), 2);
    assert!(constraint.accept(a).is_err(), "a token that the mask forbids is not taken");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let (_, grammars) = grammars();
    let fault = |kind: FormatKind, body: &str| {
        let format =
            Format { kind: kind as i32, body: body.to_owned(), strict: true, ..Format::default() };
        let error = Constraint::new(Some(&format), None, &grammars).unwrap_err();
        assert!(error.message.starts_with("the answer's format cannot be"), "{error}");
        error.fault
    };
    assert_eq!(fault(FormatKind::JsonSchema, "{"), Fault::BadRequest);
    assert_eq!(fault(FormatKind::JsonSchema, r#"{"type": "fish"}"#), Fault::BadRequest);
    assert_eq!(fault(FormatKind::Regex, "(a"), Fault::BadRequest);
    assert_eq!(fault(FormatKind::Lark, "start: nothing"), Fault::BadRequest);
    let not = r#"{"type": "string", "not": {"const": "x"}}"#;
    assert_eq!(fault(FormatKind::JsonSchema, not), Fault::Unsupported);
    let large = format!(r#"{{"description": "{}"}}"#, "x".repeat(SOURCE_MAX));
    assert_eq!(fault(FormatKind::JsonSchema, &large), Fault::Unsupported);
}

fn functions(choice: ToolChoice, strict: bool) -> Tools {
    let function = |name: &str, parameters: &str| Function {
        name: name.to_owned(),
        parameters: parameters.to_owned(),
        strict,
        ..Function::default()
    };
    let city = r##"{"type": "object", "properties": {"city": {"type": "string", "maxLength": 5},
        "days": {"$ref": "#/$defs/n"}}, "required": ["city", "days"],
        "additionalProperties": false, "$defs": {"n": {"type": "integer"}}}"##;
    Tools {
        functions: vec![function("weather", city), function("now", "")],
        choice: choice as i32,
        named: "weather".to_owned(),
        parallel: true,
    }
}

fn holds(call: &shoal_proto::tools::ToolCall, tools: &Tools) {
    let function = tools.functions.iter().find(|each| each.name == call.name).unwrap();
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
    let (words, grammars) = grammars();
    for dialect in DIALECTS {
        for (choice, seed) in [(ToolChoice::Required, 1), (ToolChoice::Named, 2)] {
            let tools = functions(choice, false);
            let mut constraint =
                Constraint::new(None, Some((&tools, dialect)), &grammars).unwrap().unwrap();
            let text = write(&mut constraint, &words, seed, &[]);
            let mut parser = CallParser::new(dialect, &tools);
            let shown = parser.push(&text);
            let (rest, calls) = parser.finish();
            assert_eq!(shown + &rest, "", "{dialect:?}: {text:?}");
            assert!(!calls.is_empty(), "{dialect:?}: {text:?}");
            for call in &calls {
                holds(call, &tools);
                assert!(choice == ToolChoice::Required || call.name == "weather");
            }
        }
    }
}

#[test]
fn a_free_answer_is_free_until_it_calls_a_strict_function() {
    let (words, grammars) = grammars();
    for dialect in DIALECTS {
        let tools = functions(ToolChoice::Auto, true);
        let begin = match dialect {
            Dialect::Llama => r#"{"name": ""#,
            _ => dialect.opener(),
        };
        for seed in 0..4 {
            let mut constraint =
                Constraint::new(None, Some((&tools, dialect)), &grammars).unwrap().unwrap();
            let said = if dialect == Dialect::Llama { "" } else { "Let me see {\"name\"... " };
            let free = tokens(&words, &format!("{said}{begin}"));
            let text = write(&mut constraint, &words, seed, &free);
            let mut parser = CallParser::new(dialect, &tools);
            let shown = parser.push(&text);
            let (rest, calls) = parser.finish();
            assert_eq!((shown + &rest).trim(), said.trim(), "{dialect:?}: {text:?}");
            assert_eq!(calls.len(), 1, "{dialect:?}: {text:?}");
            holds(&calls[0], &tools);
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
    let (words, grammars) = grammars();
    let tools = functions(ToolChoice::Auto, false);
    let format = schema(
        &json!({ "type": "object", "properties": { "a": { "type": "null" } },
        "required": ["a"], "additionalProperties": false }),
        true,
    );
    let tools = Some((&tools, Dialect::Hermes));
    let mut constraint = Constraint::new(Some(&format), tools, &grammars).unwrap().unwrap();
    let mask = constraint.mask().unwrap().unwrap();
    assert!(mask.allows(tokens(&words, "{")[0]) && mask.allows(tokens(&words, "<")[0]));
    assert!(!mask.allows(tokens(&words, "a")[0]));
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
