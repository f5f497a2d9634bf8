//! A link in memory: what QUIC promises, on tokio's clock, which a test may pause.
//!
//! Messages go through the same frames as on QUIC, so a simulation finds what does not encode.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Link, LinkError, Receiver, Receiving as ReceivingEnd, Sender, Sending as SendingEnd, Stream,
};
use shoal_proto::{
    Message, NodeId, WireError,
    wire::{Frames, Side},
};

/// Messages on their way on one stream before its sender waits: about what QUIC's 256 KiB window
/// holds of pieces.
const ON_THE_WAY: usize = 64;

/// Streams that the peer opened and nobody accepted yet, before [`Link::open`] waits.
const UNACCEPTED: usize = 64;

/// How long a message is on its way, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay(pub Duration);

/// Two ends of one link: the first is held by `a` and sees `b` as its peer, and the reverse.
pub fn pair(a: NodeId, b: NodeId) -> (PipeLink, PipeLink) {
    pair_with(a, b, Delay::default())
}

/// As [`pair`], with messages that take their time.
pub fn pair_with(a: NodeId, b: NodeId, delay: Delay) -> (PipeLink, PipeLink) {
    let life = Life::default();
    let (to_b, from_a) = mpsc::channel(UNACCEPTED);
    let (to_a, from_b) = mpsc::channel(UNACCEPTED);
    let end = |peer, opening, accepting| PipeLink {
        peer,
        delay,
        opening,
        accepting: Mutex::new(accepting),
        life: life.clone(),
    };
    (end(b, to_b, from_b), end(a, to_a, from_a))
}

/// One end of a link in memory.
#[derive(Debug)]
pub struct PipeLink {
    peer: NodeId,
    delay: Delay,
    opening: mpsc::Sender<Stream>,
    accepting: Mutex<mpsc::Receiver<Stream>>,
    life: Life,
}

/// What both ends and all streams of a link share: whether it is closed, and why.
#[derive(Clone, Debug, Default)]
struct Life {
    closed: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

impl Life {
    fn reason(&self) -> String {
        self.reason.get().cloned().unwrap_or_default()
    }

    fn error(&self) -> LinkError {
        LinkError::Closed(self.reason())
    }

    fn gone(&self) -> WireError {
        WireError::Gone(self.error().to_string())
    }
}

impl Link for PipeLink {
    fn peer(&self) -> NodeId {
        self.peer
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            let (ours, theirs) = streams(self.delay, &self.life);
            tokio::select! {
                biased;
                () = self.life.closed.cancelled() => Err(self.life.error()),
                sent = self.opening.send(theirs) => {
                    sent.map(|()| ours).map_err(|_| self.life.error())
                }
            }
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            tokio::select! {
                biased;
                () = self.life.closed.cancelled() => Err(self.life.error()),
                stream = async { self.accepting.lock().await.recv().await } => {
                    stream.ok_or_else(|| self.life.error())
                }
            }
        })
    }

    fn closed(&self) -> BoxFuture<'_, LinkError> {
        Box::pin(async {
            self.life.closed.cancelled().await;
            self.life.error()
        })
    }

    fn close(&self, reason: &str) {
        self.life.reason.get_or_init(|| reason.to_owned());
        self.life.closed.cancel();
    }

    fn rtt(&self) -> Duration {
        self.delay.0 * 2
    }
}

impl Drop for PipeLink {
    fn drop(&mut self) {
        self.close("dropped");
    }
}

/// Both ends of one stream.
fn streams(delay: Delay, life: &Life) -> (Stream, Stream) {
    let (our_sending, their_receiving) = lane(delay, life);
    let (their_sending, our_receiving) = lane(delay, life);
    (
        Stream { sender: our_sending, receiver: our_receiving },
        Stream { sender: their_sending, receiver: their_receiving },
    )
}

/// One direction of a stream.
fn lane(delay: Delay, life: &Life) -> (Sender, Receiver) {
    let (into, from) = mpsc::channel(ON_THE_WAY);
    let reset = CancellationToken::new();
    let sending =
        Sending { into, delay, reset: reset.clone(), finished: false, life: life.clone() };
    let receiving = Receiving { from, due: None, reset, life: life.clone() };
    (Sender(SendingEnd::Pipe(sending)), Receiver(ReceivingEnd::Pipe(receiving)))
}

/// A frame and when it is there.
#[derive(Debug)]
struct Parcel {
    due: Instant,
    frame: Bytes,
}

#[derive(Debug)]
pub(super) struct Sending {
    into: mpsc::Sender<Parcel>,
    delay: Delay,
    reset: CancellationToken,
    finished: bool,
    life: Life,
}

impl Sending {
    pub(super) async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        let frame = message.encode()?;
        tokio::select! {
            biased;
            () = self.life.closed.cancelled() => Err(self.life.gone()),
            place = self.into.reserve() => match place {
                Ok(place) => {
                    place.send(Parcel { due: Instant::now() + self.delay.0, frame });
                    Ok(())
                }
                Err(_) => Err(dropped()),
            },
        }
    }

    /// What is in the lane arrives even when the link is closed, so there is nothing to wait for.
    pub(super) fn finish(mut self) -> Result<(), WireError> {
        self.finished = true;
        if self.life.closed.is_cancelled() { Err(self.life.gone()) } else { Ok(()) }
    }

    pub(super) async fn cancelled(&mut self) {
        tokio::select! {
            () = self.into.closed() => {}
            () = self.life.closed.cancelled() => {}
        }
    }
}

impl Drop for Sending {
    /// Runs before the lane itself is dropped: who finds the lane ended knows how it ended.
    fn drop(&mut self) {
        if !self.finished {
            self.reset.cancel();
        }
    }
}

#[derive(Debug)]
pub(super) struct Receiving {
    from: mpsc::Receiver<Parcel>,
    /// Taken from the lane and not there yet; kept here so that a dropped `next` loses nothing.
    due: Option<Parcel>,
    reset: CancellationToken,
    life: Life,
}

impl Receiving {
    pub(super) async fn next(&mut self) -> Result<Option<Message>, WireError> {
        let reset = self.reset.clone();
        let frame = tokio::select! {
            biased;
            () = reset.cancelled() => return Err(dropped()),
            frame = self.arrived() => frame?,
        };
        match frame {
            Some(frame) => {
                let mut frames = Frames::new(Side::Either);
                frames.push(&frame);
                frames.take()
            }
            None if self.reset.is_cancelled() => Err(dropped()),
            None => Ok(None),
        }
    }

    /// The next frame once it is due, `None` at the end of the lane.
    async fn arrived(&mut self) -> Result<Option<Bytes>, WireError> {
        if self.due.is_none() {
            self.due = tokio::select! {
                biased;
                parcel = self.from.recv() => parcel,
                () = self.life.closed.cancelled() => return Err(self.life.gone()),
            };
        }
        if let Some(parcel) = &self.due {
            sleep_until(parcel.due).await;
        }
        Ok(self.due.take().map(|parcel| parcel.frame))
    }
}

fn dropped() -> WireError {
    WireError::Gone("the peer dropped the stream".to_owned())
}
