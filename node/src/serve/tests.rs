use std::sync::Arc;

use prometheus::Registry;
use shoal_engine::{
    persona::{Persona, PersonaEngine},
    testing::{BEAT, Play, Script},
};
use shoal_link::{
    Link,
    pipe::{self, PipeLink},
};
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Finish},
    judge::{BallotKind, Pair},
};
use tokio::{task::JoinSet, time::sleep};

use super::*;
use crate::metrics::Metrics;

/// A queue, and a gateway that hands work in.
struct Office {
    engine: Script,
    queue: Arc<WorkQueue>,
    gateway: PipeLink,
    node: PipeLink,
    pieces: JoinSet<()>,
    version: Version,
}

impl Office {
    fn new(play: Play, slots: u32) -> Self {
        let engine = Script::new(play);
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let queue = Arc::new(WorkQueue::new(Arc::new(engine.clone()), slots, metrics));
        let (gateway, node) = pipe::pair(NodeId([1; 32]), NodeId([2; 32]));
        Self { engine, queue, gateway, node, pieces: JoinSet::new(), version: Version::CURRENT }
    }

    /// Hands a piece of work in; the node is at it when this returns.
    async fn ask(&mut self, message: Message) -> Stream {
        let mut stream = self.gateway.open().await.unwrap();
        stream.sender.send(&message).await.unwrap();
        let work = self.node.accept().await.unwrap();
        let (queue, version) = (Arc::clone(&self.queue), self.version);
        self.pieces.spawn(async move { piece(work, &queue, version).await });
        stream
    }
}

fn conversation() -> Vec<ChatMessage> {
    vec![ChatMessage {
        role: "user".to_owned(),
        content: "hello".to_owned(),
        ..ChatMessage::default()
    }]
}

fn write() -> Message {
    Message::Generate(Generate { messages: conversation(), sampling: None, ..Generate::default() })
}

fn judge(ask: Judge) -> Message {
    Message::Judge(Judge { messages: conversation(), ..ask })
}

fn likelihood() -> Judge {
    let candidates = vec!["a".to_owned(), "b".to_owned()];
    Judge { candidates, kind: BallotKind::Likelihood.into(), ..Judge::default() }
}

/// All text of an answer, and its last message.
async fn answer(stream: &mut Stream) -> (String, Option<Message>) {
    let mut text = String::new();
    loop {
        match stream.receiver.next().await.unwrap() {
            Some(Message::Piece(piece)) => text.push_str(&piece.text),
            last => return (text, last),
        }
    }
}

async fn fault(stream: &mut Stream) -> Fault {
    match answer(stream).await.1 {
        Some(Message::Failed(failure)) => failure.fault(),
        message => panic!("{message:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_arrives_in_pieces_and_ends_with_its_usage() {
    let mut office = Office::new(Play::Says(&["one ", "two ", "three"]), 1);
    let mut stream = office.ask(write()).await;
    let (text, last) = answer(&mut stream).await;
    assert_eq!(text, "one two three");
    let Some(Message::Done(end)) = last else { panic!("{last:?}") };
    assert_eq!((end.finish(), end.completion_tokens, end.logprob), (Finish::Stop, 3, Some(-1.5)));
    assert!(matches!(stream.receiver.next().await, Ok(None)), "the stream is finished");
}

#[tokio::test(start_paused = true)]
async fn an_abstention_reaches_a_gateway_that_has_a_word_for_it() {
    let mut office = Office::new(Play::Abstains, 1);
    let mut stream = office.ask(write()).await;
    let (text, last) = answer(&mut stream).await;
    let Some(Message::Done(end)) = last else { panic!("{last:?}") };
    assert_eq!((text.as_str(), end.finish(), end.logprob), ("", Finish::Abstained, None));
}

#[tokio::test(start_paused = true)]
async fn to_an_older_gateway_an_abstention_is_work_that_the_model_cannot_do() {
    for version in [Version::V4, Version::V3, Version::V2, Version::V1] {
        let mut office = Office { version, ..Office::new(Play::Abstains, 1) };
        let mut stream = office.ask(write()).await;
        assert_eq!(fault(&mut stream).await, Fault::Unsupported);
        let mut office = Office { version, ..Office::new(Play::Says(&["yes"]), 1) };
        let mut stream = office.ask(write()).await;
        assert_eq!(answer(&mut stream).await.0, "yes");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_persona_writes_by_its_own_rules_carries_no_claim() {
    let persona = Persona { system: "Be brief.".to_owned(), ..Persona::default() };
    let mut office = Office::new(Play::Says(&["one"]), 1);
    let persona_engine = PersonaEngine::new(Arc::new(office.engine.clone()), persona);
    let metrics = Metrics::register(&Registry::new()).unwrap();
    office.queue = Arc::new(WorkQueue::new(Arc::new(persona_engine), 1, metrics));
    let mut stream = office.ask(write()).await;
    let (_, last) = answer(&mut stream).await;
    let Some(Message::Done(end)) = last else { panic!("{last:?}") };
    assert_eq!(end.logprob, None);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_stops_the_engine_within_one_token() {
    let mut office = Office::new(Play::Endless, 1);
    let mut stream = office.ask(write()).await;
    stream.receiver.next().await.unwrap();
    drop(stream);
    office.pieces.join_next().await;
    let tokens = office.engine.tokens();
    sleep(BEAT * 100).await;
    assert!(office.engine.tokens() <= tokens + 1);
    assert_eq!(office.queue.load(), Load { running: 0, waiting: 0 });
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_stops_a_judgment() {
    let mut office = Office::new(Play::Endless, 1);
    let stream = office.ask(judge(likelihood())).await;
    sleep(BEAT).await;
    assert_eq!(office.engine.judging(), 1);
    drop(stream);
    office.pieces.join_next().await;
    assert_eq!(office.engine.judging(), 0);
}

#[tokio::test(start_paused = true)]
async fn beyond_slots_and_queue_a_node_is_busy() {
    let mut office = Office::new(Play::Endless, 2);
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(office.ask(write()).await);
    }
    sleep(BEAT * 3).await;
    assert_eq!(office.queue.load(), Load { running: 2, waiting: 2 });
    let mut third = office.ask(write()).await;
    assert_eq!(fault(&mut third).await, Fault::Busy);

    // Who waits comes in when a slot is free, in the order of arrival.
    drop(streams.remove(0));
    let mut third = streams.remove(1);
    assert!(matches!(third.receiver.next().await, Ok(Some(Message::Piece(_)))));
    assert_eq!(office.queue.load(), Load { running: 2, waiting: 1 });
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_frees_its_place() {
    let mut office = Office::new(Play::Endless, 1);
    let _first = office.ask(write()).await;
    let second = office.ask(write()).await;
    sleep(BEAT).await;
    assert_eq!(office.queue.load().waiting, 1);
    drop(second);
    office.pieces.join_next().await;
    assert_eq!(office.queue.load(), Load { running: 1, waiting: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_judge_gives_a_score_for_each_candidate() {
    let mut office = Office::new(Play::Says(&[]), 1);
    let mut stream = office.ask(judge(likelihood())).await;
    let Ok(Some(Message::Ballot(ballot))) = stream.receiver.next().await else { panic!() };
    assert_eq!(ballot.scores.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_ballot_that_is_not_sound_never_leaves() {
    let error = EngineError::new(Fault::Engine, "numbers");
    let mut office = Office::new(Play::Breaks(error), 1);
    let mut stream = office.ask(judge(likelihood())).await;
    assert_eq!(fault(&mut stream).await, Fault::Engine);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_judged_is_refused_before_any_work() {
    let asks = [
        (Judge { candidates: Vec::new(), ..likelihood() }, Fault::BadRequest),
        (Judge { kind: 0, ..likelihood() }, Fault::BadRequest),
        (
            Judge {
                kind: BallotKind::Pairwise.into(),
                pairs: vec![Pair { first: 0, second: 1 }],
                ..likelihood()
            },
            Fault::Unsupported,
        ),
    ];
    for (ask, reason) in asks {
        let mut office = Office::new(Play::Endless, 1);
        let mut stream = office.ask(judge(ask)).await;
        assert_eq!(fault(&mut stream).await, reason);
        assert_eq!(office.engine.judging(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_engine_is_told_with_its_fault() {
    let error = EngineError::context_length(100);
    let mut office = Office::new(Play::Breaks(error), 1);
    let mut stream = office.ask(write()).await;
    let (text, last) = answer(&mut stream).await;
    assert_eq!(text, "well, ");
    let Some(Message::Failed(failure)) = last else { panic!("{last:?}") };
    assert_eq!(failure.fault(), Fault::ContextLength);
    assert_eq!(failure.message, "This model's maximum context length is 100 tokens");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_dies_is_a_failure_and_not_silence() {
    let mut office = Office::new(Play::Dies, 1);
    let mut stream = office.ask(write()).await;
    assert_eq!(fault(&mut stream).await, Fault::Engine);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_nothing_is_let_go() {
    let mut office = Office::new(Play::Endless, 1);
    let stream = office.gateway.open().await.unwrap();
    let work = office.node.accept().await.unwrap();
    let queue = Arc::clone(&office.queue);
    office
        .pieces
        .spawn(async move { piece(work, &queue, shoal_proto::version::Version::CURRENT).await });
    office.pieces.join_next().await;
    drop(stream);
    assert_eq!(office.engine.tokens(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_at_once_arrives_whole() {
    // More than a frame may hold, cut in the middle of two-byte characters.
    let page: &'static str = "ä".repeat(70_000).leak();
    let mut office = Office::new(Play::Says(Box::leak(Box::new([page]))), 1);
    let mut stream = office.ask(write()).await;
    let (text, last) = answer(&mut stream).await;
    assert!(text == page && matches!(last, Some(Message::Done(_))));
}

#[tokio::test(start_paused = true)]
async fn texts_become_vectors_where_the_model_makes_some() {
    let mut office = Office::new(Play::Says(&[]), 1);
    let mut stream = office.ask(embed_request(&["a", "bc"])).await;
    let Ok(Some(Message::Embedded(reply))) = stream.receiver.next().await else { panic!() };
    assert_eq!(reply.vectors.len(), 2);
    let mut stream = office.ask(embed_request(&[])).await;
    assert_eq!(fault(&mut stream).await, Fault::BadRequest);
}

fn embed_request(inputs: &[&str]) -> Message {
    Message::Embed(Embed { inputs: inputs.iter().map(|text| (*text).to_owned()).collect() })
}
