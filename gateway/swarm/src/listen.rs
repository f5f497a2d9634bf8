//! Accepts links and runs a session for each.

use std::{pin::pin, sync::Arc, time::Duration};

use shoal_link::{Link, quic::Listener};
use tokio::{task::JoinSet, time::timeout};

use super::Swarm;

/// Time for all members to read the gateway's goodbye; it does not wait longer for a silent one.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sessions beyond the number of members: a full gateway says that it is full, and takes back members that
/// it knows.
const APPLICANTS_MAX: usize = 64;

impl Swarm {
    /// Runs a session for each link, and saves the members' records, until [`Swarm::close`]; then
    /// says goodbye to all members and returns. Dropping this future ends every link at once.
    pub async fn listen(&self, mut listener: Listener) {
        let mut sessions = JoinSet::new();
        self.accept(&mut listener, &mut sessions).await;
        let _ = timeout(FAREWELL, async { while sessions.join_next().await.is_some() {} }).await;
        self.0.reputation.save().await;
        listener.close("shutdown").await;
    }

    /// Accepts links and saves records. When it returns, no save is held up halfway: it would keep the turn
    /// of the last one.
    async fn accept(&self, listener: &mut Listener, sessions: &mut JoinSet<()>) {
        let mut saves = pin!(self.0.reputation.run());
        loop {
            tokio::select! {
                () = self.0.shutdown.cancelled() => break,
                never = &mut saves => match never {},
                Some(_) = sessions.join_next() => {}
                link = listener.accept() => match link {
                    Some(Ok(link)) => self.start_session(Arc::new(link), sessions),
                    Some(Err(rejection)) => self.0.metrics.admission(rejection.label()),
                    None => {
                        tracing::warn!("the QUIC listener has ended");
                        break;
                    }
                },
            }
        }
    }

    fn start_session(&self, link: Arc<dyn Link>, sessions: &mut JoinSet<()>) {
        if sessions.len() >= self.0.config.members_max.saturating_add(APPLICANTS_MAX) {
            self.0.metrics.admission("full");
            link.close("full");
            return;
        }
        let swarm = self.clone();
        sessions.spawn(async move {
            let _ = swarm.admit(link).await;
        });
    }
}
