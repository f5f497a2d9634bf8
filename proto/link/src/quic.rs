//! Links over QUIC: a node dials, a gateway listens.

mod limits;
mod admission;
mod link;
mod listen;
mod dial;

pub use admission::Rejection;
pub use dial::dial;
pub use limits::Limits;
pub use link::QuicLink;
pub use listen::Listener;
