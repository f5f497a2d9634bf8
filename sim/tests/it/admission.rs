//! Admission: a node that is refused learns the reason, and no other node is disturbed.

use std::{sync::Arc, time::Duration};

use shoal_consensus::reputation::{Beta, Record};
use shoal_link::{
    Link, Stream,
    pipe::{self, PipeLink},
};
use shoal_proto::{
    Identity, Message,
    generate::{ChatMessage, Done, Finish, Generate, Piece},
    heartbeat::Heartbeat,
    hello::{Hello, Model, Proof, RefusalReason, audit_proof},
};
use shoal_store::{Memory, RecordKey, ReputationStore, Store as _};
use shoal_swarm::{
    AnswerPart, LeaveReason, NotAdmitted, Swarm, SwarmConfig, SwarmMetrics, WorkError,
};
use tokio::time::{Instant, sleep, timeout};

fn identity(n: u8) -> Identity {
    Identity::from_secret([n; 32])
}

fn swarm(change: impl FnOnce(&mut SwarmConfig)) -> Swarm {
    swarm_with(Arc::new(Memory::default()), change)
}

fn swarm_with(store: Arc<Memory>, change: impl FnOnce(&mut SwarmConfig)) -> Swarm {
    let mut config = SwarmConfig::default();
    config.exam.per_family = 0;
    change(&mut config);
    let registry = prometheus::Registry::new();
    let store = ReputationStore::new(store, Default::default(), &registry).expect("the store");
    let metrics = SwarmMetrics::register(&registry).expect("metrics");
    Swarm::new(config, identity(0).id(), 1, store, metrics)
}

fn hello() -> Hello {
    let model = Model {
        name: "cod".to_owned(),
        family: "scripted".to_owned(),
        context: 512,
        ..Model::default()
    };
    Hello { version: 1, model: Some(model), slots: 1, ..Hello::default() }
}

/// A node's end of a link, and the gateway's.
fn link(n: u8) -> (PipeLink, Arc<PipeLink>) {
    let (node, gateway) = pipe::pair(identity(n).id(), identity(0).id());
    (node, Arc::new(gateway))
}

/// Sends a hello; returns the control stream and the answer.
async fn says(node: &PipeLink, first: Message) -> (Stream, Message) {
    let mut control = node.open().await.expect("a stream");
    control.sender.send(&first).await.expect("sent");
    let reply = control.receiver.next().await.expect("readable").expect("a reply");
    (control, reply)
}

/// A handshake without errors.
async fn joins(node: &PipeLink, n: u8) -> (Stream, Message) {
    let (mut control, reply) = says(node, Message::Hello(hello())).await;
    let Message::Challenge(challenge) = reply else { panic!("a challenge") };
    let proof = identity(n).prove(identity(0).id(), &challenge);
    control.sender.send(&Message::Proof(proof)).await.expect("sent");
    let reply = control.receiver.next().await.expect("readable").expect("a reply");
    (control, reply)
}

/// The refusal of a hello.
async fn refused_for(hello: Hello) -> RefusalReason {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let talk = async {
        let (_control, reply) = says(&node, Message::Hello(hello)).await;
        let Message::Refusal(refusal) = reply else { panic!("a refusal, not {reply:?}") };
        assert!(!refusal.message.is_empty());
        refusal.reason()
    };
    let (admission, reason) = tokio::join!(swarm.admit(gateway), talk);
    assert!(matches!(admission, Err(NotAdmitted::Refused { .. })));
    assert!(swarm.members().is_empty());
    reason
}

fn with_model(change: impl FnOnce(&mut Model)) -> Hello {
    let mut hello = hello();
    hello.model.iter_mut().for_each(|model| *model = model.clone());
    if let Some(model) = &mut hello.model {
        change(model);
    }
    hello
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_makes_no_sense_is_refused_by_name() {
    for bad in [
        Hello { model: None, ..hello() },
        Hello { slots: 0, ..hello() },
        Hello { operator: "x".repeat(2_000), ..hello() },
        with_model(|model| model.name = String::new()),
        with_model(|model| model.name = "x".repeat(97)),
        with_model(|model| model.name = "two words".to_owned()),
        with_model(|model| model.name = "shoal".to_owned()),
        with_model(|model| model.context = 0),
        with_model(|model| model.description = "\u{1b}[2J".to_owned()),
    ] {
        assert_eq!(refused_for(bad).await, RefusalReason::BadHello);
    }
    assert_eq!(refused_for(Hello { version: 0, ..hello() }).await, RefusalReason::Version);
}

/// The hello of node 1 as an auditor that knows this token.
fn auditor(token: &str) -> Hello {
    let audit = audit_proof(token, identity(0).id(), identity(1).id()).to_vec();
    Hello { version: 2, audit, ..hello() }
}

/// What the gateway, whose token is "lantern", answers to a hello of node 1 with a good proof.
async fn answers(hello: Hello, token: &str) -> (Message, usize) {
    let swarm = swarm(|config| config.audit.token = shoal_proto::Secret::new(token));
    let (node, gateway) = link(1);
    let talk = async {
        let (mut control, reply) = says(&node, Message::Hello(hello)).await;
        let Message::Challenge(challenge) = reply else { return (reply, 0) };
        let proof = identity(1).prove(identity(0).id(), &challenge);
        control.sender.send(&Message::Proof(proof)).await.expect("sent");
        let reply = control.receiver.next().await.expect("readable").expect("a reply");
        sleep(Duration::from_secs(1)).await;
        let members = swarm.members().len();
        node.close("enough");
        (reply, members)
    };
    tokio::join!(swarm.admit(gateway), talk).1
}

fn reason(reply: &Message) -> RefusalReason {
    let Message::Refusal(refusal) = reply else { panic!("a refusal, not {reply:?}") };
    refusal.reason()
}

#[tokio::test(start_paused = true)]
async fn who_knows_the_token_audits_and_is_no_member() {
    let (reply, members) = answers(auditor("lantern"), "lantern").await;
    assert!(matches!(reply, Message::Welcome(_)), "{reply:?}");
    assert_eq!(members, 0);
}

#[tokio::test(start_paused = true)]
async fn who_knows_another_token_or_shows_anothers_proof_is_refused() {
    let of_another = audit_proof("lantern", identity(0).id(), identity(2).id()).to_vec();
    let wrong = [
        (auditor("candle"), "lantern"),
        (auditor(""), ""),
        (auditor("lantern"), ""),
        (Hello { audit: of_another, ..auditor("") }, "lantern"),
        (Hello { audit: vec![0; 3], ..auditor("") }, "lantern"),
    ];
    for (hello, token) in wrong {
        let (reply, members) = answers(hello, token).await;
        assert_eq!((reason(&reply), members), (RefusalReason::BadHello, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_auditor_from_before_there_were_any_is_refused() {
    let old = Hello { version: 1, ..auditor("lantern") };
    assert_eq!(reason(&answers(old, "lantern").await.0), RefusalReason::Version);
}

#[tokio::test(start_paused = true)]
async fn a_newer_node_is_spoken_to_in_our_version() {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let talk = async {
        let newer = Hello { version: 99, ..hello() };
        let (_control, reply) = says(&node, Message::Hello(newer)).await;
        assert!(matches!(reply, Message::Challenge(_)));
        node.close("enough");
    };
    let (admission, ()) = tokio::join!(swarm.admit(gateway), talk);
    assert!(matches!(admission, Err(NotAdmitted::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_refused() {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let talk = async {
        // It goes by the key of 1 and signs with that of 2.
        let (_control, reply) = joins(&node, 2).await;
        let Message::Refusal(refusal) = reply else { panic!("a refusal") };
        refusal.reason()
    };
    let (_, reason) = tokio::join!(swarm.admit(gateway), talk);
    assert_eq!(reason, RefusalReason::WrongKey);
    assert!(swarm.members().is_empty());
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_signature_are_a_wrong_key() {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let talk = async {
        let (mut control, _challenge) = says(&node, Message::Hello(hello())).await;
        let proof = Proof { signature: vec![7; 3] };
        control.sender.send(&Message::Proof(proof)).await.expect("sent");
        let reply = control.receiver.next().await.expect("readable");
        let Some(Message::Refusal(refusal)) = reply else { panic!("a refusal") };
        refusal.reason()
    };
    let (_, reason) = tokio::join!(swarm.admit(gateway), talk);
    assert_eq!(reason, RefusalReason::WrongKey);
}

#[tokio::test(start_paused = true)]
async fn speaking_out_of_turn_is_refused() {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let first = Message::Heartbeat(Heartbeat::default());
    let (_, (_control, reply)) = tokio::join!(swarm.admit(gateway), says(&node, first));
    let Message::Refusal(refusal) = reply else { panic!("a refusal") };
    assert_eq!(refusal.reason(), RefusalReason::Protocol);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_says_nothing_is_not_waited_for() {
    let swarm = swarm(|_| {});
    let (_node, gateway) = link(1);
    let admission = timeout(Duration::from_secs(30), swarm.admit(gateway)).await.expect("in time");
    assert!(matches!(admission, Err(NotAdmitted::Refused { reason: RefusalReason::Protocol, .. })));
}

#[tokio::test(start_paused = true)]
async fn the_newest_link_of_a_key_replaces_the_earlier_one_at_once() {
    let swarm = swarm(|_| {});
    let (first, gateway_first) = link(1);
    let (second, gateway_second) = link(1);
    let talk = async {
        let (_control, welcome) = joins(&first, 1).await;
        assert!(matches!(welcome, Message::Welcome(_)));
        // Its process was killed: the first link is silent, and its time-out is far away.
        let start = Instant::now();
        let (_second_control, reply) = joins(&second, 1).await;
        assert!(matches!(reply, Message::Welcome(_)), "{reply:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(first.closed().await.is_replaced(), "the first is told why");
        while swarm.members().len() != 1 {
            sleep(Duration::from_millis(10)).await;
        }
        second.close("done");
    };
    let (first_outcome, second_outcome, ()) =
        tokio::join!(swarm.admit(gateway_first), swarm.admit(gateway_second), talk);
    assert_eq!(first_outcome, Ok(LeaveReason::Replaced));
    assert_eq!(second_outcome, Ok(LeaveReason::Lost));
    assert!(swarm.members().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_gateway_says_so() {
    let swarm = swarm(|config| config.members_max = 1);
    let (first, gateway_first) = link(1);
    let (second, gateway_second) = link(2);
    let talk = async {
        let (_control, _welcome) = joins(&first, 1).await;
        let (_second_control, reply) = joins(&second, 2).await;
        let Message::Refusal(refusal) = reply else { panic!("a refusal") };
        assert_eq!(refusal.reason(), RefusalReason::Full);
        second.close("refused");
        first.close("done");
    };
    let (_, _, ()) = tokio::join!(swarm.admit(gateway_first), swarm.admit(gateway_second), talk);
}

/// A store that knows node `n` for right answers.
async fn store_that_knows(n: u8) -> Arc<Memory> {
    let store = Arc::new(Memory::default());
    let writer = Beta { a: 60.0, b: 2.0 };
    let record = Record { writer, gold_seen: 12, ..Record::default() };
    let key = RecordKey { node: identity(n).id(), digest: "cod".to_owned() };
    store.save(&[(key, record)]).await.expect("memory");
    store
}

#[tokio::test(start_paused = true)]
async fn strangers_that_fill_all_places_make_room_for_a_member_that_is_known() {
    let swarm = swarm_with(store_that_knows(3).await, |config| config.members_max = 2);
    let [(first, gateway_first), (second, gateway_second), (known, gateway_known)] =
        [link(1), link(2), link(3)];
    let talk = async {
        let (_control_first, welcome) = joins(&first, 1).await;
        assert!(matches!(welcome, Message::Welcome(_)));
        let (_control_second, welcome) = joins(&second, 2).await;
        assert!(matches!(welcome, Message::Welcome(_)));
        let (_control_known, reply) = joins(&known, 3).await;
        assert!(matches!(reply, Message::Welcome(_)), "{reply:?}");
        while swarm.members().len() != 2 {
            sleep(Duration::from_millis(10)).await;
        }
        let ids: Vec<_> = swarm.members().iter().map(|member| member.id).collect();
        assert!(ids.contains(&identity(3).id()) && ids.contains(&identity(2).id()), "{ids:?}");
        second.close("done");
        known.close("done");
    };
    let (first_outcome, _, _, ()) = tokio::join!(
        swarm.admit(gateway_first),
        swarm.admit(gateway_second),
        swarm.admit(gateway_known),
        talk
    );
    assert_eq!(first_outcome, Ok(LeaveReason::Displaced));
}

/// What a node answers to every question.
async fn answer_everything(node: &PipeLink, parts: &[Message]) {
    // A stream that is dropped is lost.
    let mut streams = Vec::new();
    while let Ok(mut stream) = node.accept().await {
        let _question = stream.receiver.next().await;
        for part in parts {
            // The gateway may have had enough.
            if stream.sender.send(part).await.is_err() {
                break;
            }
        }
        streams.push(stream);
    }
}

/// The answer of a node that says this to everything.
async fn answer_of(parts: Vec<Message>) -> Result<(String, Done), WorkError> {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let talk = async {
        let (_control, _welcome) = joins(&node, 1).await;
        while swarm.members().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        let messages = vec![ChatMessage::new("user", "hello")];
        let ask = Generate { messages, ..Generate::default() };
        let deadline = Instant::now() + Duration::from_secs(60);
        let answer = async {
            let mut stream = swarm.generate(identity(1).id(), ask, deadline).await?;
            let mut text = String::new();
            loop {
                match stream.next().await? {
                    AnswerPart::Piece(piece) => {
                        assert!(!piece.is_empty(), "nobody sees a piece without text");
                        text.push_str(&piece);
                    }
                    AnswerPart::Done(end) => return Ok((text, end)),
                }
            }
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = answer_everything(&node, &parts) => panic!("the link ended"),
        };
        node.close("done");
        answer
    };
    tokio::join!(swarm.admit(gateway), talk).1
}

fn piece(text: &str) -> Message {
    Message::Piece(Piece { text: text.to_owned() })
}

#[tokio::test(start_paused = true)]
async fn what_a_member_says_of_its_tokens_is_bounded_at_the_border() {
    let boast = Done {
        finish: Finish::Stop.into(),
        prompt_tokens: u32::MAX,
        completion_tokens: u32::MAX,
        ..Done::default()
    };
    let (text, end) =
        answer_of(vec![piece("Answer: 1"), Message::Done(boast)]).await.expect("an end");
    assert_eq!(text, "Answer: 1");
    assert!(end.prompt_tokens < 1_500 && end.completion_tokens <= 512, "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn pieces_without_text_are_not_pieces_and_end_an_answer() {
    let end = Message::Done(Done { finish: Finish::Stop.into(), ..Done::default() });
    let (text, _) = answer_of(vec![piece(""), piece("a"), piece(""), end]).await.expect("an end");
    assert_eq!(text, "a");
    let error = answer_of(vec![piece(""); 2_000]).await.expect_err("it says nothing");
    assert!(matches!(error, WorkError::InvalidMessage(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn who_gives_no_sign_of_life_is_dead_after_three_heartbeats() {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let talk = async {
        let (control, _welcome) = joins(&node, 1).await;
        sleep(Duration::from_secs(50)).await;
        assert_eq!(swarm.members().len(), 1, "three may be missed");
        control
    };
    let (left, _control) = tokio::join!(swarm.admit(gateway), talk);
    assert_eq!(left, Ok(LeaveReason::Silent));
    assert!(swarm.members().is_empty());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_member() {
    let swarm = swarm(|_| {});
    let (node, gateway) = link(1);
    let talk = async {
        let (mut control, _welcome) = joins(&node, 1).await;
        for sequence in 1..20 {
            sleep(Duration::from_secs(15)).await;
            let beat = Heartbeat { sequence, ..Heartbeat::default() };
            control.sender.send(&Message::Heartbeat(beat)).await.expect("sent");
        }
        assert_eq!(swarm.members().len(), 1);
        // A welcome is nothing that a node says.
        let nonsense = Message::Hello(hello());
        control.sender.send(&nonsense).await.expect("sent");
        sleep(Duration::from_secs(1)).await;
    };
    let (left, ()) = tokio::join!(swarm.admit(gateway), talk);
    assert_eq!(left, Ok(LeaveReason::Protocol));
}
