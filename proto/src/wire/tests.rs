use proptest::prelude::*;

use super::*;
use crate::{
    generate::{ChatMessage, Done, Generate, Piece, Sampling},
    hello::{Hello, Model},
    judge::{Ballot, Judge, Pair, Score},
};

fn piece(text: &str) -> Message {
    Message::Piece(Piece { text: text.to_owned() })
}

fn conversation() -> impl Strategy<Value = Vec<ChatMessage>> {
    let message = (any::<String>(), any::<String>());
    let message =
        message.prop_map(|(role, content)| ChatMessage { role, content, ..ChatMessage::default() });
    proptest::collection::vec(message, 0..5)
}

fn sampling() -> impl Strategy<Value = Sampling> {
    (
        proptest::option::of(0.0_f32..2.0),
        proptest::option::of(0.0_f32..1.0),
        any::<Option<i64>>(),
        any::<Option<u32>>(),
        any::<Vec<String>>(),
    )
        .prop_map(|(temperature, top_p, seed, max_tokens, stop)| Sampling {
            temperature,
            top_p,
            seed,
            max_tokens,
            stop,
            ..Sampling::default()
        })
}

fn judge() -> impl Strategy<Value = Judge> {
    let candidates = proptest::collection::vec(any::<String>(), 2..6);
    (conversation(), candidates, 0..3).prop_map(|(messages, candidates, kind)| {
        let count = u32::try_from(candidates.len()).unwrap();
        let pairs = (1..count).map(|second| Pair { first: 0, second }).collect();
        Judge { messages, candidates, kind, pairs, ..Judge::default() }
    })
}

fn ballot() -> impl Strategy<Value = Ballot> {
    let score =
        (-1e6_f64..0.0, any::<u32>()).prop_map(|(logprob, tokens)| Score { logprob, tokens });
    let scores = proptest::collection::vec(score, 0..10);
    let verdicts = proptest::collection::vec(0.0_f64..1.0, 0..10);
    (scores, verdicts, any::<u32>(), any::<u32>()).prop_map(
        |(scores, verdicts, prompt_tokens, completion_tokens)| Ballot {
            scores,
            verdicts,
            prompt_tokens,
            completion_tokens,
        },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<u32>(), any::<String>(), any::<String>(), any::<u64>(), any::<bool>()).prop_map(
        |(number, text, name, parameters, flag)| Hello {
            version: number,
            build: text.clone(),
            model: flag.then(|| Model { name, parameters, certainty: flag, ..Model::default() }),
            operator: text,
            slots: number,
            audit: if flag { vec![7; 32] } else { Vec::new() },
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        hello().prop_map(Message::Hello),
        (conversation(), proptest::option::of(sampling())).prop_map(|(messages, sampling)| {
            Message::Generate(Generate { messages, sampling, ..Generate::default() })
        }),
        any::<String>().prop_map(|text| piece(&text)),
        (0..3, any::<u32>(), proptest::option::of(-1e6_f64..0.0)).prop_map(
            |(finish, tokens, logprob)| Message::Done(Done {
                finish,
                prompt_tokens: tokens,
                completion_tokens: tokens / 2,
                logprob,
                ..Done::default()
            })
        ),
        judge().prop_map(Message::Judge),
        ballot().prop_map(Message::Ballot),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(message in message()) {
        let frame = message.encode().unwrap();
        let (header, body) = frame.split_at(HEADER_BYTES);
        prop_assert_eq!(header[4], message.tag());
        prop_assert_eq!(Message::decode(header[4], body).unwrap(), message);
    }

    #[test]
    fn frames_come_out_however_the_bytes_were_split(
        messages in proptest::collection::vec(message(), 1..6),
        cuts in proptest::collection::vec(1_usize..200, 1..50),
    ) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| bytes.extend(message.encode().unwrap()));
        let mut frames = FrameDecoder::new(Side::Either);
        let mut output = Vec::new();
        let mut rest = bytes.as_slice();
        for length in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, tail) = rest.split_at((*length).min(rest.len()));
            frames.push(chunk);
            while let Some(message) = frames.take().unwrap() {
                output.push(message);
            }
            rest = tail;
        }
        prop_assert!(frames.is_between());
        prop_assert_eq!(output, messages);
    }

    #[test]
    fn decoding_any_bytes_never_panics(tag: u8, body: Vec<u8>) {
        if let Ok(message) = Message::decode(tag, &body) {
            // A decoded message encodes, and the result decodes to the same message.
            let frame = message.encode().unwrap();
            let copy = Message::decode(tag, &frame[HEADER_BYTES..]).unwrap();
            prop_assert_eq!(copy.encode().unwrap(), frame);
        }
    }

    #[test]
    fn decoding_damaged_messages_never_panics(
        message in message(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut: prop::sample::Index,
    ) {
        let mut frame = message.encode().unwrap().to_vec();
        for (position, value) in damage {
            let position = position.index(frame.len());
            frame[position] = value;
        }
        let cut = cut.index(frame.len());
        let _ = Message::decode(frame[4], &frame[HEADER_BYTES.min(cut)..cut]);
        let mut frames = FrameDecoder::new(Side::Either);
        frames.push(&frame);
        while let Ok(Some(_)) = frames.take() {}
    }

    #[test]
    fn any_bytes_on_a_stream_never_panic(chunks: Vec<Vec<u8>>) {
        let mut frames = FrameDecoder::new(Side::Node);
        for bytes in chunks {
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.take() {}
        }
    }
}

fn header(length: u32, tag: u8) -> Vec<u8> {
    [length.to_be_bytes().as_slice(), &[tag]].concat()
}

/// What a receiver of messages from `sender` returns for a header without a body.
fn take_header(sender: Side, length: u32, tag: u8) -> Result<Option<Message>, WireError> {
    let mut frames = FrameDecoder::new(sender);
    frames.push(&header(length, tag));
    frames.take()
}

#[test]
fn a_length_over_the_limit_is_refused_by_its_header_alone() {
    for kind in KINDS {
        let limit = u32::try_from(kind.limit).unwrap();
        assert!(matches!(take_header(Side::Either, limit, kind.tag), Ok(None)), "{}", kind.name);
        for length in [limit + 1, u32::MAX] {
            let error = take_header(Side::Either, length, kind.tag).unwrap_err();
            assert!(matches!(error, WireError::TooLong { .. }), "{}: {error}", kind.name);
            assert!(error.to_string().contains(kind.name));
        }
    }
}

#[test]
fn a_header_reserves_nothing_for_its_body() {
    let mut frames = FrameDecoder::new(Side::Either);
    frames.push(&header(4 * 1024 * 1024, 16));
    assert!(matches!(frames.take(), Ok(None)));
    assert!(frames.bytes.capacity() < 1024, "{}", frames.bytes.capacity());
}

#[test]
fn a_long_message_leaves_no_buffer_behind() {
    let mut frames = FrameDecoder::new(Side::Either);
    frames.push(&piece(&"x".repeat(60_000)).encode().unwrap());
    assert!(frames.take().unwrap().is_some());
    assert_eq!(frames.bytes.capacity(), 0);
}

#[test]
fn a_gateway_never_waits_for_what_only_gateways_say() {
    let error = take_header(Side::Node, 100, 16).unwrap_err();
    assert_eq!(error.to_string(), "a generate frame never comes from this side, or on this stream");
    let error = take_header(Side::Gateway, 100, 33).unwrap_err();
    assert_eq!(error.to_string(), "a ballot frame never comes from this side, or on this stream");
    for side in [Side::Node, Side::Gateway] {
        assert!(matches!(take_header(side, 100, 7), Ok(None)), "both say goodbye");
    }
}

#[test]
fn a_stranger_is_never_waited_for_longer_than_a_hello() {
    for kind in KINDS.iter().filter(|kind| kind.says != Side::Gateway) {
        let mut frames = FrameDecoder::control(Side::Node);
        frames.push(&header(u32::try_from(kind.limit).unwrap(), kind.tag));
        assert_eq!(
            frames.take().is_ok(),
            kind.limit <= 16 * 1024 && kind.tag < 16,
            "{}",
            kind.name
        );
    }
}

#[test]
fn a_tag_that_nobody_has_is_refused() {
    assert!(matches!(take_header(Side::Either, 0, 99), Err(WireError::UnknownTag(99))));
    assert!(matches!(Message::decode(0, &[]), Err(WireError::UnknownTag(0))));
}

#[test]
fn tags_and_names_are_each_ones_own() {
    for (n, kind) in KINDS.iter().enumerate() {
        for next in &KINDS[n + 1..] {
            assert!(kind.tag < next.tag && kind.name != next.name, "{} {}", kind.name, next.name);
        }
    }
}

#[test]
fn what_is_too_long_is_not_sent() {
    let error = piece(&"x".repeat(64 * 1024)).encode().unwrap_err();
    assert!(matches!(error, WireError::TooLong { name: "piece", length: 65_540, .. }));
}

#[test]
fn an_error_names_the_message_and_nothing_of_its_content() {
    // A piece whose text is not UTF-8.
    let error = Message::decode(17, b"\x0a\x06secret\xff").unwrap_err().to_string();
    assert!(error.starts_with("a piece frame does not decode"), "{error}");
    let error = Message::decode(17, b"\x0a\x07secret\xff").unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

fn judge_with(candidates: usize, pairs: &[(u32, u32)]) -> Judge {
    let pairs = pairs.iter().map(|&(first, second)| Pair { first, second }).collect();
    Judge { candidates: vec![String::new(); candidates], pairs, kind: 2, ..Judge::default() }
}

#[test]
fn a_judge_is_never_asked_about_more_than_it_can_hold_or_what_is_not_there() {
    for (request, reason) in [
        (judge_with(65, &[]), "more than 64 candidates"),
        (judge_with(2, &[(0, 2)]), "a pair of a candidate that is not there"),
        (judge_with(2, &[(1, 1)]), "a pair of a candidate with itself"),
        (judge_with(2, &[(0, 1); 4033]), "more pairs than candidates can form"),
    ] {
        let frame = Message::Judge(request).encode().unwrap();
        let error = Message::decode(32, &frame[HEADER_BYTES..]).unwrap_err();
        assert_eq!(error.to_string(), format!("a judge frame makes no sense: {reason}"));
    }
    assert_eq!(judge_with(64, &[(63, 0)]).check(), Ok(()));
}

#[test]
fn a_conversation_has_a_bounded_number_of_messages() {
    assert_eq!(generate_with(4096).check(), Ok(()));
    let frame = Message::Generate(generate_with(4097)).encode().unwrap();
    let error = Message::decode(16, &frame[HEADER_BYTES..]).unwrap_err();
    assert_eq!(error.to_string(), "a generate frame makes no sense: more than 4096 messages");
}

fn generate_with(messages: usize) -> Generate {
    Generate { messages: vec![ChatMessage::default(); messages], ..Generate::default() }
}

#[test]
fn a_ballot_counts_only_when_it_fits_what_was_asked() {
    let likelihood = Judge { kind: 1, ..judge_with(2, &[]) };
    let pairwise = judge_with(2, &[(0, 1)]);
    assert_eq!(scores(&[-1.0, 0.0]).check(&likelihood), Ok(()));
    assert_eq!(verdicts(&[0.5]).check(&pairwise), Ok(()));
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1] {
        assert!(scores(&[-1.0, wrong]).check(&likelihood).is_err(), "{wrong}");
    }
    for wrong in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
        assert!(verdicts(&[wrong]).check(&pairwise).is_err(), "{wrong}");
    }
    assert!(scores(&[-1.0]).check(&likelihood).is_err(), "one is missing");
    assert!(scores(&[-1.0; 3]).check(&likelihood).is_err(), "one is too many");
    assert!(verdicts(&[]).check(&pairwise).is_err());
    let critique = Judge { kind: 3, ..judge_with(2, &[(0, 1)]) };
    assert_eq!(verdicts(&[0.5]).check(&critique), Ok(()));
    assert!(scores(&[-1.0, -1.0]).check(&critique).is_err());
    assert!(verdicts(&[0.5]).check(&likelihood).is_err(), "not what was asked");
    assert!(scores(&[-1.0, -1.0]).check(&pairwise).is_err(), "not what was asked");
}

fn scores(logprobs: &[f64]) -> Ballot {
    let scores = logprobs.iter().map(|&logprob| Score { logprob, tokens: 1 }).collect();
    Ballot { scores, ..Ballot::default() }
}

fn verdicts(verdicts: &[f64]) -> Ballot {
    Ballot { verdicts: verdicts.to_vec(), ..Ballot::default() }
}

#[test]
fn a_writers_certainty_is_a_log_probability_or_none() {
    assert_eq!(check_certainty(None), Ok(()));
    assert_eq!(check_certainty(Some(-3.5)), Ok(()));
    for wrong in [f64::NAN, f64::NEG_INFINITY, 0.5] {
        assert!(check_certainty(Some(wrong)).is_err(), "{wrong}");
    }
}

fn check_certainty(logprob: Option<f64>) -> Result<(), InvalidMessage> {
    Done { logprob, ..Done::default() }.check()
}

#[test]
fn a_hello_says_what_is_wrong_with_it() {
    let good = hello_with(model());
    assert_eq!(good.check(), Ok(()));
    for (hello, part) in [
        (Hello { slots: 0, ..good.clone() }, "slots"),
        (Hello { model: None, ..good.clone() }, "model"),
        (Hello { build: "x".repeat(257), ..good.clone() }, "build"),
        (hello_with(Model { name: String::new(), ..model() }), "name"),
        (hello_with(Model { name: "a b".to_owned(), ..model() }), "name"),
        (hello_with(Model { name: "x".repeat(97), ..model() }), "name"),
        (hello_with(Model { context: 0, ..model() }), "context"),
        (hello_with(Model { digest: "AB".repeat(32), ..model() }), "digest"),
    ] {
        let error = hello.check().unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

fn model() -> Model {
    Model { name: "shoal/arith-1".to_owned(), context: 256, ..Model::default() }
}

fn hello_with(model: Model) -> Hello {
    Hello { slots: 1, model: Some(model), ..Hello::default() }
}
