use std::{
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
};

use futures_util::FutureExt;
use prometheus::Registry;
use shoal_engine::testing::{BEAT, Play, Script};
use shoal_link::pipe::{self, PipeLink};
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Fault, Finish, Generate},
    hello::{Challenge, RefusalReason, Welcome},
};

use super::*;
use crate::metrics::Metrics;

const HEARTBEAT_MS: u32 = 1_000;

fn member(engine: &Script, drain: Duration) -> Member {
    let metrics = Metrics::register(&Registry::new()).unwrap();
    Member {
        identity: Arc::new(Identity::from_secret([7; 32])),
        operator: "somebody".to_owned(),
        queue: Arc::new(WorkQueue::new(Arc::new(engine.clone()), 2, metrics)),
        drain,
        audit: Secret::default(),
    }
}

/// A gateway that speaks by hand.
struct Gateway {
    identity: Identity,
    link: PipeLink,
}

/// Both ends of a link between `member` and a gateway.
fn link_pair(member: &Member) -> (Gateway, Arc<dyn Link>) {
    let identity = Identity::from_secret([9; 32]);
    let (link, node) = pipe::pair(identity.id(), member.identity.id());
    (Gateway { identity, link }, Arc::new(node))
}

impl Gateway {
    /// Checks hello and proof, and welcomes.
    async fn admit(&self) -> Stream {
        self.admit_with(1).await
    }

    /// The same, with another version of the protocol.
    async fn admit_with(&self, version: u32) -> Stream {
        let mut control = self.examine().await;
        let welcome = Welcome { version, heartbeat_ms: HEARTBEAT_MS };
        control.sender.send(&Message::Welcome(welcome)).await.unwrap();
        control
    }

    /// Checks hello and proof.
    async fn examine(&self) -> Stream {
        let mut control = self.link.accept().await.unwrap();
        let Ok(Some(Message::Hello(hello))) = control.receiver.next().await else { panic!() };
        assert_eq!((hello.slots, hello.operator.as_str()), (2, "somebody"));
        assert_eq!(hello.model.unwrap().name, "script");
        let challenge = Challenge::generate();
        control.sender.send(&Message::Challenge(challenge.clone())).await.unwrap();
        let Ok(Some(Message::Proof(proof))) = control.receiver.next().await else { panic!() };
        proof.verify(self.link.peer(), self.identity.id(), &challenge).unwrap();
        control
    }

    async fn refuse(&self, retry_ms: u32) {
        let mut control = self.link.accept().await.unwrap();
        control.receiver.next().await.unwrap();
        let message = "no room".to_owned();
        let refusal = Refusal { reason: RefusalReason::Full.into(), message, retry_ms };
        control.sender.send(&Message::Refusal(refusal)).await.unwrap();
        control.sender.finish().await.unwrap();
        self.link.closed().await;
    }

    async fn ask(&self) -> Stream {
        let message = ChatMessage {
            role: "user".to_owned(),
            content: "hello".to_owned(),
            ..ChatMessage::default()
        };
        let ask = Generate { messages: vec![message], sampling: None, ..Generate::default() };
        let mut stream = self.link.open().await.unwrap();
        stream.sender.send(&Message::Generate(ask)).await.unwrap();
        stream
    }
}

/// Dials that reach `gateways` one after the other, then nobody.
fn dials(member: &Member, count: usize) -> (Vec<Gateway>, Box<Dial>) {
    let (gateways, links): (Vec<_>, Vec<_>) = (0..count).map(|_| link_pair(member)).unzip();
    let links = std::sync::Mutex::new(links.into_iter());
    let dial = move || {
        let link = links.lock().unwrap().next();
        async move { link.ok_or_else(no_gateway) }.boxed()
    };
    (gateways, Box::new(dial))
}

fn no_gateway() -> LinkError {
    LinkError::Unreachable { address: "gateway".to_owned(), message: "nobody".to_owned() }
}

async fn last_word(stream: &mut Stream) -> Option<Message> {
    loop {
        match stream.receiver.next().await.unwrap() {
            Some(Message::Piece(_)) => {}
            last => return last,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_gives_signs_of_life_with_its_load() {
    let member = member(&Script::new(Play::Endless), Duration::ZERO);
    let (gateway, link) = link_pair(&member);
    let stop = CancellationToken::new();
    let watch = async {
        let mut control = gateway.admit().await;
        let _work = gateway.ask().await;
        for sequence in 1..=3 {
            let beat = Heartbeat { sequence, running: 1, waiting: 0 };
            assert_eq!(control.receiver.next().await.unwrap(), Some(Message::Heartbeat(beat)));
        }
    };
    tokio::select! {
        end = run_session(link, &member, &stop) => panic!("{end:?}"),
        () = watch => {}
    }
}

#[tokio::test(start_paused = true)]
async fn an_abstention_is_told_in_words_of_the_version_that_the_gateway_chose() {
    let member = member(&Script::new(Play::Abstains), Duration::ZERO);
    for version in [4, 5] {
        let (gateway, link) = link_pair(&member);
        let stop = CancellationToken::new();
        let watch = async {
            let _control = gateway.admit_with(version).await;
            let message = last_word(&mut gateway.ask().await).await;
            stop.cancel();
            message
        };
        let (_, message) = tokio::join!(run_session(link, &member, &stop), watch);
        match message {
            Some(Message::Failed(failure)) => {
                assert_eq!((failure.fault(), version), (Fault::Unsupported, 4));
            }
            Some(Message::Done(end)) => {
                assert_eq!((end.finish(), version), (Finish::Abstained, 5));
            }
            message => panic!("{message:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_no_other_try_helps_is_the_end() {
    let member = member(&Script::new(Play::Endless), Duration::ZERO);
    let (gateways, dial) = dials(&member, 1);
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(keep_linked(&dial, &member, &stop), gateways[0].refuse(0));
    assert_eq!(result.unwrap_err().to_string(), "the gateway refuses this node: no room");
}

#[tokio::test(start_paused = true)]
async fn a_node_waits_as_long_as_the_gateway_asks() {
    let member = member(&Script::new(Play::Endless), Duration::ZERO);
    let (gateways, dial) = dials(&member, 2);
    let stop = CancellationToken::new();
    let start = Instant::now();
    let watch = async {
        gateways[0].refuse(90_000).await;
        gateways[1].admit().await
    };
    tokio::select! {
        result = keep_linked(&dial, &member, &stop) => panic!("{result:?}"),
        _ = watch => {}
    }
    // On the paused clock.
    assert!(start.elapsed() >= Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn a_node_comes_back_when_its_link_is_lost() {
    let member = member(&Script::new(Play::Endless), Duration::ZERO);
    let (gateways, dial) = dials(&member, 3);
    let stop = CancellationToken::new();
    let watch = async {
        let _control = gateways[0].admit().await;
        gateways[0].link.close("gone");
        // Also when the gateway ends the control stream alone.
        drop(gateways[1].admit().await);
        gateways[2].admit().await
    };
    tokio::select! {
        result = keep_linked(&dial, &member, &stop) => panic!("{result:?}"),
        _ = watch => {}
    }
    assert_eq!(member.queue.metrics().reconnects.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_with_another_key_is_not_tried_again() {
    let member = member(&Script::new(Play::Endless), Duration::ZERO);
    let tries = Arc::new(AtomicU32::new(0));
    let tries_of_dial = Arc::clone(&tries);
    let dial = move || {
        tries_of_dial.fetch_add(1, Ordering::SeqCst);
        let (pin, key) = (NodeId([1; 32]), NodeId([2; 32]));
        async move { Err(LinkError::WrongKey { expected: pin, found: key }) }.boxed()
    };
    let result = keep_linked(&dial, &member, &CancellationToken::new()).await;
    assert!(matches!(result, Err(Fatal::WrongKey(_))));
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_a_node_finishes_what_it_began_and_takes_nothing_new() {
    let member = member(&Script::new(Play::Says(&["a", "b", "c"])), Duration::from_secs(10));
    let (gateway, link) = link_pair(&member);
    let stop = CancellationToken::new();
    let watch = async {
        let mut control = gateway.admit().await;
        let mut start = gateway.ask().await;
        sleep(BEAT + BEAT / 2).await;
        stop.cancel();
        let message = control.receiver.next().await.unwrap();
        assert!(matches!(message, Some(Message::Goodbye(_))), "{message:?}");
        let mut late = gateway.ask().await;
        let Some(Message::Failed(failure)) = last_word(&mut late).await else { panic!() };
        assert_eq!(failure.fault(), Fault::Draining);
        assert!(matches!(last_word(&mut start).await, Some(Message::Done(_))));
        gateway.link.closed().await
    };
    let (end, _) = tokio::join!(run_session(link, &member, &stop), watch);
    assert!(matches!(end, SessionEnd::Stopped), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn work_without_end_does_not_keep_a_node_from_stopping() {
    let engine = Script::new(Play::Endless);
    let member = member(&engine, Duration::from_secs(5));
    let (gateway, link) = link_pair(&member);
    let stop = CancellationToken::new();
    let watch = async {
        let control = gateway.admit().await;
        let mut work = gateway.ask().await;
        work.receiver.next().await.unwrap();
        stop.cancel();
        while let Ok(Some(_)) = work.receiver.next().await {}
        drop(control);
    };
    let (end, ()) = tokio::join!(run_session(link, &member, &stop), watch);
    assert!(matches!(end, SessionEnd::Stopped), "{end:?}");
    let tokens = engine.tokens();
    sleep(BEAT * 100).await;
    assert!(engine.tokens() <= tokens + 1, "the engine goes on for nobody");
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_while_its_welcome_is_on_the_way_a_node_still_says_goodbye() {
    let member = member(&Script::new(Play::Endless), Duration::from_secs(5));
    let (gateway, link) = link_pair(&member);
    let stop = CancellationToken::new();
    let watch = async {
        let mut control = gateway.examine().await;
        stop.cancel();
        sleep(BEAT).await;
        let welcome = Welcome { version: 1, heartbeat_ms: HEARTBEAT_MS };
        control.sender.send(&Message::Welcome(welcome)).await.unwrap();
        control.receiver.next().await.unwrap()
    };
    let (end, message) = tokio::join!(run_session(link, &member, &stop), watch);
    assert!(matches!(end, SessionEnd::Stopped), "{end:?}");
    assert!(matches!(message, Some(Message::Goodbye(_))), "{message:?}");
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_while_the_gateway_ponders_a_node_does_not_wait_for_it() {
    let member = member(&Script::new(Play::Endless), Duration::from_secs(5));
    let (gateway, link) = link_pair(&member);
    let stop = CancellationToken::new();
    let start = Instant::now();
    let watch = async {
        let _control = gateway.examine().await;
        stop.cancel();
        gateway.link.closed().await
    };
    let (end, _) = tokio::join!(run_session(link, &member, &stop), watch);
    assert!(matches!(end, SessionEnd::Stopped), "{end:?}");
    // On the paused clock.
    assert!(start.elapsed() <= FAREWELL * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stopping_while_nobody_answers_is_at_once() {
    let member = member(&Script::new(Play::Endless), Duration::from_secs(5));
    let stop = CancellationToken::new();
    let dial = || pending().boxed();
    let watch = async {
        sleep(BEAT).await;
        stop.cancel();
    };
    let (result, ()) = tokio::join!(keep_linked(&dial, &member, &stop), watch);
    assert!(result.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_leaves_the_script_is_left() {
    let member = member(&Script::new(Play::Endless), Duration::ZERO);
    let (gateway, link) = link_pair(&member);
    let stop = CancellationToken::new();
    let watch = async {
        let mut control = gateway.link.accept().await.unwrap();
        let welcome = Welcome { version: 1, heartbeat_ms: HEARTBEAT_MS };
        control.sender.send(&Message::Welcome(welcome)).await.unwrap();
        gateway.link.closed().await
    };
    let (end, _) = tokio::join!(run_session(link, &member, &stop), watch);
    let SessionEnd::Refused(RegisterError::UnexpectedMessage("welcome")) = end else {
        panic!("{end:?}")
    };
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_says_nothing_is_given_up() {
    let member = member(&Script::new(Play::Endless), Duration::ZERO);
    let (gateway, link) = link_pair(&member);
    let end = run_session(link, &member, &CancellationToken::new()).await;
    assert!(matches!(end, SessionEnd::Refused(RegisterError::Late)), "{end:?}");
    drop(gateway);
}

#[tokio::test(start_paused = true)]
async fn an_auditor_leaves_a_gateway_that_knows_no_auditors() {
    let engine = Script::new(Play::Endless);
    let token = Secret::new("lantern");
    let auditor = Member { audit: token, ..member(&engine, Duration::ZERO) };
    let (gateway, link) = link_pair(&auditor);
    let stop = CancellationToken::new();
    let (_control, end) = tokio::join!(gateway.admit(), run_session(link, &auditor, &stop));
    assert!(matches!(end, SessionEnd::Refused(RegisterError::TooOldForAuditors)), "{end:?}");
}
