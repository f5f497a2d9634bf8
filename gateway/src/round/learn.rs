//! Off the road: finished rounds are learned from and give cause for audits, one after the other.

mod audit;

use std::{collections::BTreeSet, convert::Infallible};

use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Sampling},
};
use tokio::sync::mpsc;

use crate::swarm::{Swarm, audit::Audits};
use shoal_consensus::{
    Outcome, RoundSettings,
    learn::routed,
    reputation::{Features, KindPosterior},
    tally::Tally,
};

/// Rounds that wait to be learned from: a second's worth for a busy gateway.
pub(super) const WAITING_MAX: usize = 256;

/// Learns from rounds, one after the other.
#[derive(Debug)]
pub struct Settling {
    swarm: Swarm,
    config: RoundSettings,
    waiting: mpsc::Receiver<Settled>,
    audits: Audits,
    /// Draws what is audited: nobody may foresee it.
    rng: ChaCha8Rng,
}

/// A finished round with what it answered, and of which kind that was.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) kind: KindPosterior,
    pub(super) asked: Features,
    pub(super) messages: Vec<ChatMessage>,
    pub(super) sampling: Sampling,
    /// The messages are all that the writers were given.
    pub(super) plain: bool,
    /// Whose claims were recomputed before they counted.
    pub(super) audited: BTreeSet<NodeId>,
}

impl Settling {
    pub(super) fn new(
        swarm: Swarm,
        config: RoundSettings,
        waiting: mpsc::Receiver<Settled>,
        rng: ChaCha8Rng,
    ) -> Self {
        Self { audits: Audits::new(swarm.clone()), swarm, config, waiting, rng }
    }

    /// Learns and audits for as long as it is awaited.
    pub async fn run(mut self) -> Infallible {
        loop {
            tokio::select! {
                biased;
                settled = self.waiting.recv() => match settled {
                    Some(settled) => self.learn(&settled),
                    None => std::future::pending().await,
                },
                () = self.audits.work() => {}
            }
            // Learning is never urgent: whoever answers goes first.
            tokio::task::yield_now().await;
        }
    }

    fn learn(&mut self, settled: &Settled) {
        let Settled { outcome, kind, asked, .. } = settled;
        let book = self.swarm.book();
        let standing = book.standing();
        let tally = Tally::from_outcome(outcome, &standing, kind, &self.config);
        for (node, mut seen) in tally.observations(outcome.decided, &outcome.ranking) {
            let claims = self.swarm.claims(&standing, node, asked, kind);
            let offset = standing.writer_log_odds(&node, kind);
            seen.extend(routed(&seen, outcome, (asked, claims), offset));
            book.learn(node, &seen);
        }
        book.fit_soon();
        for task in audit::drawn(settled, &standing, &mut self.rng) {
            self.audits.offer(task);
        }
    }
}
