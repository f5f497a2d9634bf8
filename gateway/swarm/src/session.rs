//! The session of one node: admission, exam, work, heartbeats, and its end.

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use shoal_link::{Link, Receiver, Stream};
use shoal_proto::{Message, WireError, goodbye::Goodbye};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{
    LeaveReason, NotAdmitted, Swarm,
    admit::{self, Newcomer, Place},
    exam,
    roster::{MemberHandle, Membership},
};

/// A node that does not take the goodbye in this time has lost its link.
const FAREWELL: Duration = Duration::from_secs(1);

impl Swarm {
    /// Runs the whole session of one link, from its first message to its end. Dropping the future
    /// ends the session. Its log lines stand in the span `session` with the field `node.id`.
    ///
    /// # Errors
    /// When the node was not admitted; it has been sent the reason, and the link is closed.
    pub async fn admit(&self, link: Arc<dyn Link>) -> Result<LeaveReason, NotAdmitted> {
        let span = tracing::info_span!("session", node.id = %link.peer().short());
        self.admit_and_run(link).instrument(span).await
    }

    async fn admit_and_run(&self, link: Arc<dyn Link>) -> Result<LeaveReason, NotAdmitted> {
        match admit::admit(self, &link).await {
            Ok(newcomer) => {
                self.0.metrics.admission("welcomed");
                tracing::info!(model = newcomer.member.model.name, "welcome");
                let reason = Box::pin(run_session(self, newcomer)).await;
                tracing::info!(why = reason.label(), "gone");
                link.close(reason.label());
                Ok(reason)
            }
            Err(error) => {
                self.0.metrics.admission(error.label());
                tracing::info!(why = %error, "not admitted");
                link.close(error.label());
                Err(error)
            }
        }
    }
}

/// From the welcome to the end.
async fn run_session(swarm: &Swarm, newcomer: Newcomer) -> LeaveReason {
    let Newcomer { control: Stream { sender, receiver }, place, member } = newcomer;
    let mut membership = None;
    let reason = {
        let mut work = pin!(examine_and_seat(swarm, &member, place, &mut membership));
        let mut control = pin!(watch_control_stream(swarm, &member, receiver));
        tokio::select! {
            biased;
            () = swarm.0.shutdown.cancelled() => LeaveReason::Shutdown,
            reason = &mut control => member.end_reason().unwrap_or(reason),
            Err(reason) = &mut work => reason,
        }
    };
    if matches!(reason, LeaveReason::Shutdown | LeaveReason::Unfit) {
        let goodbye = Goodbye { reason: reason.label().to_owned() };
        let _ = timeout(FAREWELL, sender.send_last(&Message::Goodbye(goodbye))).await;
    }
    swarm.0.reputation.close(member.id).await;
    if let Some(membership) = membership {
        membership.leave(reason);
    }
    reason
}

/// Examines a newcomer as a writer, puts it into the roster, and then examines it further for as long
/// as the future is awaited.
async fn examine_and_seat(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    place: Place,
    membership: &mut Option<Membership>,
) -> Result<Infallible, LeaveReason> {
    let place = match place {
        Place::Member(place) => place,
        // An auditor waits for work, and keeps its place while this future lives.
        Place::Auditor(_place) => return Ok(pending().await),
    };
    let graduate = exam::examine_writer(swarm, member).await?;
    let (seat, remainder) = graduate.seat(place);
    *membership = Some(seat);
    Ok(Box::pin(exam::examine_member(swarm, member, remainder)).await)
}

/// Reads heartbeats and the goodbye until the member is gone.
async fn watch_control_stream(
    swarm: &Swarm,
    member: &MemberHandle,
    mut control: Receiver,
) -> LeaveReason {
    let silence = swarm.0.config.silence();
    let mut reason_at_end = LeaveReason::Lost;
    loop {
        let message = tokio::select! {
            biased;
            // First: a goodbye and the link's end may come together, and then it was no loss.
            message = timeout(silence, control.next()) => message,
            _ = member.link.closed() => return reason_at_end,
        };
        match message {
            // The node's own load is not used yet: in-flight counts are newer than any heartbeat.
            Ok(Ok(Some(Message::Heartbeat(_)))) => {}
            Ok(Ok(Some(Message::Goodbye(_)))) => {
                member.drain();
                swarm.0.roster.update_gauges();
                reason_at_end = LeaveReason::Goodbye;
            }
            Ok(Ok(Some(_))) => return LeaveReason::Protocol,
            Ok(Ok(None) | Err(WireError::Closed(_))) => return reason_at_end,
            Ok(Err(_)) => return LeaveReason::Protocol,
            Err(_) => return LeaveReason::Silent,
        }
    }
}
