//! Both ends of a link for the tests.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use shoal_link::{
    Link, pipe,
    quic::{self, Limits, Listener},
};
use shoal_proto::{
    Identity, Message,
    generate::{ChatMessage, Generate, Piece},
};

/// Both ends of one link, with the listener that must live as long.
pub(crate) struct Ends {
    pub(crate) node: Arc<dyn Link>,
    pub(crate) gateway: Arc<dyn Link>,
    _listener: Option<Listener>,
}

pub(crate) fn node_identity() -> Identity {
    Identity::from_secret([1; 32])
}

pub(crate) fn gateway_identity() -> Identity {
    Identity::from_secret([2; 32])
}

pub(crate) fn here() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(crate) fn over_pipe() -> Ends {
    let (node, gateway) = pipe::pair(node_identity().id(), gateway_identity().id());
    Ends { node: Arc::new(node), gateway: Arc::new(gateway), _listener: None }
}

pub(crate) async fn over_quic() -> Ends {
    let mut listener = Listener::bind(here(), &gateway_identity(), Limits::default()).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (identity, pin) = (node_identity(), gateway_identity().id());
    let (node, gateway) =
        tokio::join!(quic::dial(&address, &identity, Some(pin)), listener.accept());
    let (node, gateway) = (node.unwrap(), gateway.unwrap().unwrap());
    Ends { node: Arc::new(node), gateway: Arc::new(gateway), _listener: Some(listener) }
}

pub(crate) fn ask(content: &str) -> Message {
    let messages = vec![ChatMessage {
        role: "user".to_owned(),
        content: content.to_owned(),
        ..ChatMessage::default()
    }];
    Message::Generate(Generate { messages, sampling: None, ..Generate::default() })
}

pub(crate) fn piece(text: &str) -> Message {
    Message::Piece(Piece { text: text.to_owned() })
}
