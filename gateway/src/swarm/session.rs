//! A welcomed node's stay: it is examined, it works, it gives signs of life, it leaves.

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use shoal_link::{Receiver, Stream};
use shoal_proto::{Message, WireError, goodbye::Goodbye};
use tokio::time::timeout;

use super::{
    LeaveReason, Swarm,
    audit::Auditing,
    exam,
    roster::{MemberHandle, Membership, Reservation},
};

/// A node that does not take our goodbye in this time is gone already.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where a newcomer belongs.
pub(super) enum Place {
    Member(Reservation),
    Auditor(Auditing),
}

/// A node that was told that it is in. It has a place, but no round sees it until it was examined.
pub(super) struct Welcomed {
    pub(super) control: Stream,
    pub(super) place: Place,
    pub(super) seat: Arc<MemberHandle>,
}

/// From welcome to leave.
pub(super) async fn run_session(swarm: &Swarm, welcomed: Welcomed) -> LeaveReason {
    let Welcomed { control: Stream { sender, receiver }, place, seat } = welcomed;
    let mut membership = None;
    let leave = {
        let mut stay = pin!(examine_and_seat(swarm, &seat, place, &mut membership));
        let mut life = pin!(watch_control_stream(swarm, &seat, receiver));
        tokio::select! {
            biased;
            () = swarm.0.closing.cancelled() => LeaveReason::Shutdown,
            leave = &mut life => leave,
            Err(leave) = &mut stay => leave,
        }
    };
    if matches!(leave, LeaveReason::Shutdown | LeaveReason::Unfit) {
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
async fn examine_and_seat(
    swarm: &Swarm,
    seat: &Arc<MemberHandle>,
    place: Place,
    membership: &mut Option<Membership>,
) -> Result<Infallible, LeaveReason> {
    let place = match place {
        Place::Member(place) => place,
        // It waits for work, and has its place for as long as it does.
        Place::Auditor(_auditing) => return Ok(pending().await),
    };
    let measured = exam::as_writer(swarm, seat).await?;
    *membership = Some(measured.seat(place));
    Ok(exam::as_judge(swarm, seat).await)
}

/// Hears heartbeats until the member is gone.
async fn watch_control_stream(
    swarm: &Swarm,
    seat: &MemberHandle,
    mut control: Receiver,
) -> LeaveReason {
    let silence = swarm.0.config.silence();
    let mut on_its_end = LeaveReason::Lost;
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
                on_its_end = LeaveReason::Goodbye;
            }
            Ok(Ok(Some(_))) => return LeaveReason::Protocol,
            Ok(Ok(None) | Err(WireError::Gone(_))) => return on_its_end,
            Ok(Err(_)) => return LeaveReason::Protocol,
            Err(_) => return LeaveReason::Silent,
        }
    }
}
