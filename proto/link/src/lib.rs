//! The connection between a gateway and a node: one link with many streams of messages.
//!
//! Both sides program against the trait [`Link`]. The real link is [`quic`]: TLS 1.3 with the raw
//! keys of both sides and no certificates. [`pipe`] is a link in memory on tokio's clock, for
//! simulations and tests. Both pass the same conformance tests. Only this crate uses quinn and
//! rustls.
//!
//! The public names:
//! - [`Link`] is a connection to one peer, [`Stream`] a stream of it with a [`Sender`] and a
//!   [`Receiver`], and [`LinkError`] says why a link or stream is not available.
//! - [`quic::dial`] connects to a gateway, [`quic::Listener`] accepts nodes within its
//!   [`quic::Limits`]; both give a [`quic::QuicLink`].
//! - [`pipe::pair`] makes two connected [`pipe::PipeLink`]s.

mod error;
mod close;
mod tls;
mod stream;
mod link;
pub mod quic;
pub mod pipe;

pub use error::{LinkError, REPLACED};
pub use link::Link;
pub use stream::{Receiver, Sender, Stream};
