//! The door: links come in here and each lives its own life.

use std::{pin::pin, sync::Arc, time::Duration};

use shoal_link::{Link, quic::Listener};
use tokio::{task::JoinSet, time::timeout};

use super::Swarm;

/// A member that does not hear our goodbye in this time does not hear it.
const FAREWELL: Duration = Duration::from_secs(2);

impl Swarm {
    /// Admits whoever dials in and keeps the book until [`Swarm::close`]; then says goodbye to all and returns.
    /// Dropping this future ends every link at once.
    pub async fn listen(&self, mut listener: Listener) {
        let mut lives = JoinSet::new();
        let mut keep = pin!(self.0.book.keep());
        loop {
            tokio::select! {
                () = self.0.closing.cancelled() => break,
                never = &mut keep => match never {},
                Some(_) = lives.join_next() => {}
                dialled = listener.accept() => match dialled {
                    Some(Ok(link)) => self.receive(Arc::new(link), &mut lives),
                    Some(Err(rejected)) => self.0.metrics.admission(rejected.label()),
                    None => {
                        tracing::warn!("the QUIC listener has ended");
                        break;
                    }
                },
            }
        }
        let all_gone = async { while lives.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL, all_gone).await;
        self.0.book.save().await;
        listener.close("shutdown").await;
    }

    fn receive(&self, link: Arc<dyn Link>, lives: &mut JoinSet<()>) {
        // One place more than members, so that a full gateway can still say that it is full.
        if lives.len() > self.0.config.members_max {
            self.0.metrics.admission("full");
            link.close("full");
            return;
        }
        let swarm = self.clone();
        lives.spawn(async move {
            let _ = swarm.admit(link).await;
        });
    }
}
