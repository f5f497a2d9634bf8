//! PROTOCOL.md and shoal.proto agree with the code: both decode every example, and every table
//! is compared.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use shoal_proto::{
    Identity, Message, NodeId,
    embed::{Embed, Embedded, INPUTS_MAX, Vector},
    generate::{
        ChatMessage, Done, Failed, Fault, Finish, Format, FormatKind, Generate, LOGPROBS_MAX,
        MESSAGES_MAX, Piece, Prompt, STOPS_MAX, Sampling, TokenBias, TokenLogprob,
    },
    goodbye::Goodbye,
    heartbeat::Heartbeat,
    hello::{Challenge, Hello, Model, Proof, Refusal, RefusalReason, Speed, Welcome, audit_proof},
    judge::{
        Ballot, BallotKind, CANDIDATES_MAX, Judge, PAIRS_MAX, Pair, REASONED_PAIRS_MAX, Score,
    },
    tools::{CALLS_MAX, Function, ToolCall, ToolChoice, Tools},
    wire::{FrameDecoder, HEADER_BYTES, KINDS, Side},
};

fn node_identity() -> Identity {
    Identity::from_secret([1; 32])
}

fn gateway_identity() -> Identity {
    Identity::from_secret([2; 32])
}

const PAGE: &str = include_str!("../../../PROTOCOL.md");

/// A message as the page shows it.
struct Example {
    name: &'static str,
    frame: Vec<u8>,
    json: serde_json::Value,
}

fn examples() -> Vec<Example> {
    let sections = PAGE.split("\n### ").skip(1);
    sections
        .map(|section| {
            let name = section.lines().next().unwrap();
            let digits = code_block(section, "hex").lines();
            let digits = digits.flat_map(|line| line.split('#').next().unwrap().split_whitespace());
            let frame = digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            let json = serde_json::from_str(code_block(section, "json")).unwrap();
            Example { name, frame, json }
        })
        .collect()
}

fn code_block(section: &'static str, language: &str) -> &'static str {
    let (_, rest) = section.split_once(&format!("```{language}\n")).expect(language);
    rest.split_once("```").unwrap().0
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn conversation() -> Vec<ChatMessage> {
    vec![ChatMessage {
        role: text("user"),
        content: text("What is 47 + 385?"),
        ..ChatMessage::default()
    }]
}

/// A question, the model's call of a function, and the result of the call.
fn conversation_with_call() -> Vec<ChatMessage> {
    let question = ChatMessage {
        name: text("ada"),
        images: vec![text("https://x.example/1.png")],
        ..ChatMessage::new("user", "What is 47 + 385?")
    };
    let call = ChatMessage { tool_calls: vec![call()], ..ChatMessage::new("assistant", "") };
    let result = ChatMessage { tool_call_id: text("call_1"), ..ChatMessage::new("tool", "432") };
    vec![question, call, result]
}

fn call() -> ToolCall {
    ToolCall { id: text("call_1"), name: text("add"), arguments: text(r#"{"a":47,"b":385}"#) }
}

fn tools() -> Tools {
    Tools {
        functions: vec![Function {
            name: text("add"),
            description: text("Adds."),
            parameters: text(r#"{"type":"object"}"#),
            strict: true,
        }],
        choice: ToolChoice::Named.into(),
        named: text("add"),
        parallel: true,
    }
}

fn challenge() -> Challenge {
    Challenge { nonce: (0..32).collect() }
}

/// The messages of the page's examples, with every field.
fn control_messages() -> Vec<Message> {
    vec![
        Message::Hello(Hello {
            version: 5,
            build: text("shoal-node 0.1.0"),
            model: Some(Model {
                name: text("shoal/arith"),
                family: text("llama"),
                digest: "9f".repeat(32),
                context: 256,
                parameters: 823_296,
                certainty: true,
                likelihood: true,
                pairwise: true,
                description: text("Adds and subtracts."),
                embeds: true,
                tools: true,
                constrained: true,
                vision: true,
                tags: vec![text("math")],
                speed: Some(Speed {
                    prefill: 20_000,
                    decode: 900,
                    decode_eight: 4_000,
                    bandwidth: 21_000,
                }),
                completes: true,
                reasoned: true,
                specialist: true,
            }),
            operator: text("ada"),
            slots: 4,
            audit: audit_proof("herring", gateway_identity().id(), node_identity().id()).to_vec(),
        }),
        Message::Challenge(challenge()),
        Message::Proof(node_identity().prove(gateway_identity().id(), &challenge())),
        Message::Welcome(Welcome { version: 5, heartbeat_ms: 15_000 }),
        Message::Refusal(Refusal {
            reason: RefusalReason::Full.into(),
            message: text("all 1000 places are taken, try another gateway"),
            retry_ms: 30_000,
        }),
        Message::Heartbeat(Heartbeat { sequence: 7, running: 2, waiting: 1 }),
        Message::Goodbye(Goodbye { reason: text("the node is stopping") }),
    ]
}

fn work_messages() -> Vec<Message> {
    vec![
        Message::Generate(Generate {
            messages: conversation_with_call(),
            sampling: Some(Sampling {
                temperature: Some(0.5),
                top_p: Some(0.75),
                seed: Some(-1),
                max_tokens: Some(128),
                stop: vec![text("END")],
                top_k: Some(40),
                min_p: Some(0.0625),
                repetition_penalty: Some(1.25),
                presence_penalty: Some(0.5),
                frequency_penalty: Some(-0.5),
                logit_bias: vec![TokenBias { token: 17, bias: -100.0 }],
                logprobs: Some(1),
            }),
            tools: Some(tools()),
            format: Some(Format {
                kind: FormatKind::JsonSchema.into(),
                body: text(r#"{"type":"object"}"#),
                name: text("sum"),
                strict: true,
            }),
            template_variables: text(r#"{"enable_thinking":false}"#),
            prompt: Some(Prompt { text: String::new(), tokens: vec![1, 300] }),
        }),
        Message::Piece(Piece { text: text("7 + 5 = 12 → 2") }),
        Message::Done(Done {
            finish: Finish::Stop.into(),
            prompt_tokens: 21,
            completion_tokens: 34,
            logprob: Some(-0.125),
            tool_calls: vec![call()],
            tokens: vec![TokenLogprob {
                bytes: b"2".to_vec(),
                logprob: -0.125,
                top: vec![TokenLogprob { bytes: b"2".to_vec(), logprob: -0.125, top: Vec::new() }],
            }],
            cached_tokens: 16,
            reasoning_tokens: 8,
        }),
        Message::Failed(Failed {
            fault: Fault::Busy.into(),
            message: text("4 of 4 slots are taken"),
        }),
        Message::Judge(Judge {
            messages: conversation(),
            candidates: vec![text("Answer: 332"), text("Answer: 432"), text("Answer: 422")],
            kind: BallotKind::Pairwise.into(),
            pairs: vec![Pair { first: 1, second: 2 }, Pair { first: 2, second: 1 }],
            tools: Some(Tools { functions: vec![], ..tools() }),
            prompt: Some(Prompt::new("47 + 385 =")),
        }),
        Message::Ballot(Ballot {
            scores: vec![Score { logprob: -1.5, tokens: 12 }, Score { logprob: -9.25, tokens: 12 }],
            verdicts: vec![0.25, 0.875],
            prompt_tokens: 66,
            completion_tokens: 40,
        }),
        Message::Embed(Embed { inputs: vec![text("What is 47 + 385?")] }),
        Message::Embedded(Embedded {
            vectors: vec![Vector { values: vec![1.0, 0.0] }],
            prompt_tokens: 9,
        }),
    ]
}

#[test]
fn every_example_is_the_message_it_says_and_the_other_way_round() {
    let examples = examples();
    let messages = [control_messages(), work_messages()].concat();
    assert_eq!(examples.len(), messages.len());
    for (example, message) in examples.iter().zip(&messages) {
        let mut frames = FrameDecoder::new(Side::Either);
        frames.push(&example.frame);
        assert_eq!(frames.take().unwrap().as_ref(), Some(message), "{}", example.name);
        assert!(frames.is_between(), "{}", example.name);
        assert_eq!(message.encode().unwrap(), example.frame, "{}", example.name);
        assert_eq!(message.name(), example.name.to_lowercase());
    }
}

#[test]
fn every_message_has_an_example() {
    let names: Vec<_> = examples().iter().map(|example| example.name.to_lowercase()).collect();
    let kinds: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names, kinds);
}

fn schema() -> DescriptorPool {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile(["shoal.proto"], [folder]).unwrap();
    DescriptorPool::from_file_descriptor_set(files).unwrap()
}

/// Decodes the example as a node in another language would: with the `.proto` file.
fn decode_with_proto_file(example: &Example) -> DynamicMessage {
    let kind = schema().get_message_by_name(&format!("shoal.v1.{}", example.name)).unwrap();
    DynamicMessage::decode(kind, &example.frame[HEADER_BYTES..]).unwrap()
}

#[test]
fn the_proto_file_decodes_every_example_to_the_same_values() {
    for example in examples() {
        let message = decode_with_proto_file(&example);
        assert_eq!(message.unknown_fields().count(), 0, "{}", example.name);
        let options =
            SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
        let json = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
        assert_eq!(json, example.json, "{}", example.name);
        let bytes = prost_reflect::prost::Message::encode_to_vec(&message);
        assert_eq!(bytes, example.frame[HEADER_BYTES..], "{}", example.name);
    }
}

/// As the values are equal too, the file has no field that the code lacks.
#[test]
fn the_examples_use_every_field_of_the_proto_file() {
    let mut fields = BTreeSet::new();
    for example in examples() {
        note_fields(&decode_with_proto_file(&example), &mut fields);
    }
    for message in schema().all_messages() {
        for field in message.fields() {
            assert!(fields.contains(field.full_name()), "{} is in no example", field.full_name());
        }
    }
}

/// Adds the full names of the message's fields, nested ones included.
fn note_fields(message: &DynamicMessage, names: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        names.insert(field.full_name().to_owned());
        let values = value.as_list().unwrap_or(std::slice::from_ref(value));
        values.iter().filter_map(|value| value.as_message()).for_each(|m| note_fields(m, names));
    }
}

/// The code's name for a number of an enumeration.
type VariantName = fn(i32) -> Option<String>;

#[test]
fn the_enumerations_of_the_proto_file_are_those_of_the_code() {
    let names: [(&str, VariantName); 6] = [
        ("Reason", |n| RefusalReason::try_from(n).ok().map(|name| format!("{name:?}"))),
        ("Finish", |n| Finish::try_from(n).ok().map(|name| format!("{name:?}"))),
        ("Fault", |n| Fault::try_from(n).ok().map(|name| format!("{name:?}"))),
        ("ToolChoice", |n| ToolChoice::try_from(n).ok().map(|name| format!("{name:?}"))),
        ("FormatKind", |n| FormatKind::try_from(n).ok().map(|name| format!("{name:?}"))),
        ("Kind", |n| BallotKind::try_from(n).ok().map(|name| format!("{name:?}"))),
    ];
    let schema = schema();
    assert_eq!(schema.all_enums().count(), names.len());
    for (name, variant_name) in names {
        let enumeration = schema.get_enum_by_name(&format!("shoal.v1.{name}")).unwrap();
        for n in 0..100 {
            let in_file = enumeration.get_value(n).map(|value| value.name().to_lowercase());
            let in_code = variant_name(n).map(|variant| snake(&format!("{name}{variant}")));
            assert_eq!(in_file, in_code, "{name} {n}");
        }
    }
}

fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[test]
fn the_table_of_frames_is_the_table_in_the_code() {
    let rows: Vec<_> = PAGE
        .lines()
        .skip_while(|line| !line.starts_with("| tag | message "))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" "))
        .collect();
    let table: Vec<_> = KINDS
        .iter()
        .map(|kind| {
            let sender = format!("{:?}", kind.says).to_lowercase();
            format!("{} {} {sender} {}", kind.tag, kind.name, kind.limit)
        })
        .collect();
    assert_eq!(rows, table);
}

#[test]
fn the_limits_of_messages_on_the_page_are_those_of_the_code() {
    for row in [
        format!("| messages in a conversation | {MESSAGES_MAX} |"),
        format!("| candidates | {CANDIDATES_MAX} |"),
        format!("| pairs in one `Judge`; of `KIND_REASONED` | {PAIRS_MAX}; {REASONED_PAIRS_MAX} |"),
        format!("| texts in `stop` | {STOPS_MAX} |"),
        format!("| alternatives in `logprobs` | {LOGPROBS_MAX} |"),
        format!("| calls in one answer | {CALLS_MAX} |"),
        format!("| texts in one `Embed` | {INPUTS_MAX} |"),
    ] {
        assert!(PAGE.lines().any(|line| line == row), "{row}");
    }
}

#[test]
fn the_proof_on_the_page_convinces_and_belongs_to_the_keys_on_the_page() {
    let (node, gateway) = (key_on_page("node     "), key_on_page("gateway  "));
    assert_eq!(node, Identity::from_secret([1; 32]).id());
    assert_eq!(gateway, Identity::from_secret([2; 32]).id());
    let proof = examples().into_iter().find(|example| example.name == "Proof").unwrap();
    let Ok(Message::Proof(Proof { signature })) = Message::decode(3, &proof.frame[HEADER_BYTES..])
    else {
        panic!("not a proof")
    };
    assert_eq!(Proof { signature }.verify(node, gateway, &challenge()), Ok(()));
}

fn key_on_page(name: &str) -> NodeId {
    let line = PAGE.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_version_on_the_page_is_the_one_spoken() {
    let newest = PAGE.split("| version | what it added |").nth(1).unwrap();
    let newest = newest.lines().nth(2).unwrap().split('|').nth(1).unwrap().trim();
    assert_eq!(newest, shoal_proto::version::Version::CURRENT.number().to_string());
    let alpn = String::from_utf8_lossy(shoal_proto::version::ALPN).into_owned();
    assert!(PAGE.contains(&format!("(ALPN) `{alpn}`")));
}
