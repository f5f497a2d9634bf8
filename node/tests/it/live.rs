//! A node's whole life on a real link: QUIC on this machine, an endpoint behind it.

use std::{net::SocketAddr, path::Path, time::Duration};

use shoal_engine::persona::Persona;
use shoal_link::{
    Link, Stream,
    quic::{Limits, Listener, QuicLink},
};
use shoal_node::{
    config::{Config, Settings},
    node,
};
use shoal_proto::{
    Message, NodeId,
    generate::{ChatMessage, Generate},
    hello::{Challenge, Hello, Welcome},
    identity::Identity,
};
use tokio_util::sync::CancellationToken;

use crate::endpoint;

struct Gateway {
    identity: Identity,
    listener: Listener,
}

impl Gateway {
    fn start() -> Self {
        let identity = Identity::from_secret([9; 32]);
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, &identity, Limits::default()).unwrap();
        Self { identity, listener }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// The next node that joins, and its control stream.
    async fn admit(&mut self) -> (QuicLink, Stream, Hello) {
        let link = self.listener.accept().await.unwrap().unwrap();
        let mut control = link.accept().await.unwrap();
        let Ok(Some(Message::Hello(hello))) = control.receiver.next().await else { panic!() };
        let challenge = Challenge::generate();
        control.sender.send(&Message::Challenge(challenge.clone())).await.unwrap();
        let Ok(Some(Message::Proof(proof))) = control.receiver.next().await else { panic!() };
        proof.verify(link.peer(), self.identity.id(), &challenge).unwrap();
        let welcome = Welcome { version: 1, heartbeat_ms: 15_000 };
        control.sender.send(&Message::Welcome(welcome)).await.unwrap();
        (link, control, hello)
    }
}

fn settings(gateway: &str, data: &Path, change: impl FnOnce(&mut Config)) -> Settings {
    let mut config = Config {
        gateway: vec![gateway.to_owned()],
        upstream: Some(format!("http://{}", endpoint::start())),
        upstream_model: Some("parrot".to_owned()),
        data: Some(data.display().to_string()),
        ..Config::default()
    };
    change(&mut config);
    config.check().unwrap()
}

/// Asks the node behind `link`; the text, if it ended well.
async fn answer(link: &QuicLink) -> Option<String> {
    let message = ChatMessage {
        role: "user".to_owned(),
        content: "hello".to_owned(),
        ..ChatMessage::default()
    };
    let ask = Generate { messages: vec![message], sampling: None, ..Generate::default() };
    let mut stream = link.open().await.ok()?;
    stream.sender.send(&Message::Generate(ask)).await.ok()?;
    let mut text = String::new();
    loop {
        match stream.receiver.next().await.ok()?? {
            Message::Piece(piece) => text.push_str(&piece.text),
            Message::Done(_) => return Some(text),
            _ => return None,
        }
    }
}

#[tokio::test]
async fn a_node_joins_answers_and_leaves() {
    let mut gateway = Gateway::start();
    let data = tempfile::tempdir().unwrap();
    let settings = settings(&gateway.address(), data.path(), |_| {});
    let stop = CancellationToken::new();
    let watch = async {
        let (link, mut control, hello) = gateway.admit().await;
        assert_eq!(hello.model.unwrap().name, "parrot");
        assert_eq!(answer(&link).await.as_deref(), Some("Hello there"));
        stop.cancel();
        assert!(matches!(control.receiver.next().await, Ok(Some(Message::Goodbye(_)))));
        link.closed().await;
    };
    let (outcome, ()) = tokio::join!(node::run_node(settings, &stop), watch);
    outcome.unwrap();
    let pins = std::fs::read_to_string(data.path().join("known_gateways")).unwrap();
    assert!(pins.contains(&gateway.identity.id().to_string()), "{pins}");
}

#[tokio::test]
async fn a_node_is_heard_when_it_leaves_however_soon_it_closes() {
    let mut gateway = Gateway::start();
    let data = tempfile::tempdir().unwrap();
    // Whether a link's last words are sent before it is closed was a matter of luck once.
    for _ in 0..20 {
        let settings = settings(&gateway.address(), data.path(), |_| {});
        let stop = CancellationToken::new();
        let watch = async {
            let (link, mut control, _) = gateway.admit().await;
            assert!(answer(&link).await.is_some(), "it has read the welcome");
            stop.cancel();
            let message = control.receiver.next().await;
            assert!(matches!(message, Ok(Some(Message::Goodbye(_)))), "{message:?}");
            link.closed().await;
        };
        let (outcome, ()) = tokio::join!(node::run_node(settings, &stop), watch);
        outcome.unwrap();
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_the_one_given_is_refused_for_good() {
    let gateway = Gateway::start();
    let data = tempfile::tempdir().unwrap();
    let wrong_id = NodeId([5; 32]);
    let settings = settings(&gateway.address(), data.path(), |config| {
        config.gateway_id = Some(wrong_id.to_string());
    });
    let Gateway { mut listener, .. } = gateway;
    let stop = CancellationToken::new();
    let outcome = tokio::select! {
        outcome = node::run_node(settings, &stop) => outcome,
        () = async { while listener.accept().await.is_some() {} } => panic!("the listener ended"),
    };
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains(&wrong_id.to_string()), "{error}");
}

#[tokio::test]
async fn two_gateways_share_one_node() {
    let (mut first_gateway, mut second_gateway) = (Gateway::start(), Gateway::start());
    let data = tempfile::tempdir().unwrap();
    let second = second_gateway.address();
    let settings =
        settings(&first_gateway.address(), data.path(), |config| config.gateway.push(second));
    let stop = CancellationToken::new();
    let watch = async {
        let ((first, _a, _), (second, _b, _)) =
            tokio::join!(first_gateway.admit(), second_gateway.admit());
        assert_eq!(answer(&first).await, answer(&second).await);
        stop.cancel();
        tokio::join!(first.closed(), second.closed())
    };
    let run = async { tokio::join!(node::run_node(settings, &stop), watch).0 };
    // Not a promise about speed: only that a test that hangs says so.
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
}

#[tokio::test]
async fn personas_are_members_of_one_operator_that_answer_by_their_own_rules() {
    let mut gateway = Gateway::start();
    let data = tempfile::tempdir().unwrap();
    let settings = settings(&gateway.address(), data.path(), |config| {
        config.persona = vec![persona("ada"), persona("bob")];
    });
    let stop = CancellationToken::new();
    let watch = async {
        let (first, _a, first_hello) = gateway.admit().await;
        let (second, _b, second_hello) = gateway.admit().await;
        assert_ne!(first.peer(), second.peer(), "each has a key of its own");
        let mut names = [first_hello.model.unwrap().name, second_hello.model.unwrap().name];
        names.sort();
        assert_eq!(names, ["ada", "bob"]);
        assert!(!first_hello.operator.is_empty() && first_hello.operator == second_hello.operator);
        assert_eq!(answer(&first).await, answer(&second).await);
        stop.cancel();
        tokio::join!(first.closed(), second.closed())
    };
    let run = async { tokio::join!(node::run_node(settings, &stop), watch).0 };
    // Not a promise about speed: only that a test that hangs says so.
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    assert!(data.path().join("ada/identity.pem").is_file());
}

fn persona(name: &str) -> Persona {
    Persona { name: name.to_owned(), ..Persona::default() }
}
