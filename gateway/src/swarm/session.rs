//! A welcomed node's stay: it is examined, it works, it gives signs of life, it leaves.

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use shoal_link::{Receiver, Stream};
use shoal_proto::{Message, WireError, goodbye::Goodbye};
use tokio::time::timeout;

use super::{
    Swarm,
    admit::{Place, Welcomed},
    calibrate,
    roster::{Membership, Seat},
};

/// A node that does not take our goodbye in this time is gone already.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a member is no longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It said goodbye and finished what it had.
    Goodbye,
    /// The link was lost.
    Lost,
    /// No heartbeat for too long.
    Silent,
    /// It spoke out of turn.
    Protocol,
    /// It could answer nothing at all.
    Unfit,
    /// The gateway is shutting down.
    Shutdown,
}

impl Leave {
    /// A name for metrics and for the other side.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
            Self::Unfit => "unfit",
            Self::Shutdown => "shutdown",
        }
    }
}

/// From welcome to leave.
pub(super) async fn live(swarm: &Swarm, welcomed: Welcomed) -> Leave {
    let Welcomed { control: Stream { sender, receiver }, place, seat } = welcomed;
    let mut membership = None;
    let leave = {
        let mut stay = pin!(stay(swarm, &seat, place, &mut membership));
        let mut life = pin!(hear(swarm, &seat, receiver));
        tokio::select! {
            biased;
            () = swarm.0.closing.cancelled() => Leave::Shutdown,
            leave = &mut life => leave,
            Err(leave) = &mut stay => leave,
        }
    };
    if matches!(leave, Leave::Shutdown | Leave::Unfit) {
        let goodbye = Goodbye { reason: leave.label().to_owned() };
        let _ = timeout(FAREWELL, sender.send_last(&Message::Goodbye(goodbye))).await;
    }
    swarm.0.book.close(seat.id).await;
    if let Some(membership) = membership {
        membership.leave(leave);
    }
    leave
}

/// Examined, seated, and then examined as a judge for as long as it is here.
async fn stay(
    swarm: &Swarm,
    seat: &Arc<Seat>,
    place: Place,
    membership: &mut Option<Membership>,
) -> Result<Infallible, Leave> {
    let place = match place {
        Place::Member(place) => place,
        // It waits for work, and has its place for as long as it does.
        Place::Auditor(_auditing) => return Ok(pending().await),
    };
    let measured = calibrate::as_writer(swarm, seat).await?;
    *membership = Some(measured.seat(place));
    Ok(calibrate::as_judge(swarm, seat).await)
}

/// Hears heartbeats until the member is gone.
async fn hear(swarm: &Swarm, seat: &Seat, mut control: Receiver) -> Leave {
    let silence = swarm.0.config.silence();
    let mut on_its_end = Leave::Lost;
    loop {
        let heard = tokio::select! {
            biased;
            // First: a goodbye and the link's end may come together, and then it was no loss.
            heard = timeout(silence, control.next()) => heard,
            _ = seat.link.closed() => return on_its_end,
        };
        match heard {
            // What it has waiting is not used yet: in-flight counts are newer than any heartbeat.
            Ok(Ok(Some(Message::Heartbeat(_)))) => {}
            Ok(Ok(Some(Message::Goodbye(_)))) => {
                seat.drain();
                swarm.0.roster.count();
                on_its_end = Leave::Goodbye;
            }
            Ok(Ok(Some(_))) => return Leave::Protocol,
            Ok(Ok(None) | Err(WireError::Gone(_))) => return on_its_end,
            Ok(Err(_)) => return Leave::Protocol,
            Err(_) => return Leave::Silent,
        }
    }
}
