//! The halves of a stream in memory: a channel for each direction.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use shoal_proto::{
    Message, WireError,
    wire::{FrameDecoder, Side},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{error::LinkError, stream::Stream};

/// Messages in transit on one stream before its sender waits: about as many pieces as fit QUIC's
/// window of 256 KiB.
const IN_TRANSIT: usize = 64;

/// The state that both ends and all streams of a link share: whether it is closed, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkState {
    token: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

impl LinkState {
    /// Closes the link. The first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        self.reason.get_or_init(|| reason.to_owned());
        self.token.cancel();
    }

    /// Resolves when the link is closed.
    pub(crate) async fn wait_for_close(&self) -> LinkError {
        self.token.cancelled().await;
        self.error()
    }

    /// The error of a closed link.
    pub(crate) fn error(&self) -> LinkError {
        LinkError::Closed(self.reason.get().cloned().unwrap_or_default())
    }

    fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }

    fn wire_error(&self) -> WireError {
        WireError::Closed(self.error().to_string())
    }
}

/// Both ends of one stream.
pub(crate) fn streams(delay: Duration, link: &LinkState) -> (Stream, Stream) {
    let (first_sender, second_receiver) = lane(delay, link);
    let (second_sender, first_receiver) = lane(delay, link);
    ((first_sender, first_receiver).into(), (second_sender, second_receiver).into())
}

/// One direction of a stream.
fn lane(delay: Duration, link: &LinkState) -> (SendHalf, RecvHalf) {
    let (sender, receiver) = mpsc::channel(IN_TRANSIT);
    let reset = CancellationToken::new();
    (
        SendHalf {
            channel: sender,
            delay,
            reset: reset.clone(),
            is_finished: false,
            link: link.clone(),
        },
        RecvHalf { channel: receiver, next: None, reset, link: link.clone() },
    )
}

/// A frame and the time of its arrival.
#[derive(Debug)]
struct Parcel {
    arrival: Instant,
    frame: Bytes,
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    channel: mpsc::Sender<Parcel>,
    delay: Duration,
    reset: CancellationToken,
    is_finished: bool,
    link: LinkState,
}

impl SendHalf {
    pub(super) async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        let frame = message.encode()?;
        tokio::select! {
            biased;
            _ = self.link.wait_for_close() => Err(self.link.wire_error()),
            permit = self.channel.reserve() => match permit {
                Ok(permit) => {
                    permit.send(Parcel { arrival: Instant::now() + self.delay, frame });
                    Ok(())
                }
                Err(_) => Err(reset_error()),
            },
        }
    }

    /// Messages in the lane arrive even when the link is closed, so there is nothing to await.
    pub(super) fn finish(mut self) -> Result<(), WireError> {
        self.is_finished = true;
        if self.link.is_closed() { Err(self.link.wire_error()) } else { Ok(()) }
    }

    pub(super) async fn wait_for_cancel(&mut self) {
        tokio::select! {
            () = self.channel.closed() => {}
            _ = self.link.wait_for_close() => {}
        }
    }
}

impl Drop for SendHalf {
    /// Runs before the channel is dropped, so that a receiver at the end of the channel sees
    /// whether the stream was reset.
    fn drop(&mut self) {
        if !self.is_finished {
            self.reset.cancel();
        }
    }
}

#[derive(Debug)]
pub(crate) struct RecvHalf {
    channel: mpsc::Receiver<Parcel>,
    /// The parcel that left the channel before its arrival. It is a field so that dropping the
    /// future of `next` does not lose it.
    next: Option<Parcel>,
    reset: CancellationToken,
    link: LinkState,
}

impl RecvHalf {
    pub(super) async fn next(&mut self) -> Result<Option<Message>, WireError> {
        let reset = self.reset.clone();
        let frame = tokio::select! {
            biased;
            () = reset.cancelled() => return Err(reset_error()),
            frame = self.next_frame() => frame?,
        };
        match frame {
            Some(frame) => {
                let mut frames = FrameDecoder::new(Side::Either);
                frames.push(&frame);
                frames.take()
            }
            None if self.reset.is_cancelled() => Err(reset_error()),
            None => Ok(None),
        }
    }

    /// Waits for the arrival of the next frame. `None` at the end of the lane.
    async fn next_frame(&mut self) -> Result<Option<Bytes>, WireError> {
        if self.next.is_none() {
            self.next = tokio::select! {
                biased;
                parcel = self.channel.recv() => parcel,
                _ = self.link.wait_for_close() => return Err(self.link.wire_error()),
            };
        }
        if let Some(parcel) = &self.next {
            sleep_until(parcel.arrival).await;
        }
        Ok(self.next.take().map(|parcel| parcel.frame))
    }
}

fn reset_error() -> WireError {
    WireError::Closed("the peer dropped the stream".to_owned())
}
