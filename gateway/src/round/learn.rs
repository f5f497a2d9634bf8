//! Learning: finished rounds update the members' records and give cause for audits. It happens one
//! round after the other, outside of the rounds themselves.

mod audit;

use std::{collections::BTreeSet, convert::Infallible};

use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Sampling},
};
use tokio::sync::mpsc;
use tracing::Span;

use shoal_consensus::{
    Outcome, RoundSettings,
    learn::{abstention, routing_lesson},
    reputation::Features,
    tally::Tally,
};
use shoal_swarm::{Swarm, audit::AuditQueue};

/// Rounds in the queue at most: the rounds of one second on a busy gateway.
pub(super) const QUEUE_MAX: usize = 256;

/// Learns from rounds, one after the other.
#[derive(Debug)]
pub struct Learner {
    swarm: Swarm,
    config: RoundSettings,
    queue: mpsc::Receiver<FinishedRound>,
    audits: AuditQueue,
    /// Draws the audits: no member may foresee them.
    rng: ChaCha8Rng,
}

/// A finished round, with the ask that it answered.
#[derive(Debug)]
pub(super) struct FinishedRound {
    pub(super) outcome: Outcome,
    pub(super) features: Features,
    pub(super) messages: Vec<ChatMessage>,
    pub(super) sampling: Sampling,
    /// The writers got the messages and nothing else.
    pub(super) is_plain: bool,
    /// The writers that said that they cannot answer.
    pub(super) abstainers: Vec<NodeId>,
    /// The writers whose claims were recomputed during the round.
    pub(super) claims_audited: BTreeSet<NodeId>,
    /// The span of the round, for what is logged about it later.
    pub(super) span: Span,
}

impl Learner {
    pub(super) fn new(
        swarm: Swarm,
        config: RoundSettings,
        queue: mpsc::Receiver<FinishedRound>,
        rng: ChaCha8Rng,
    ) -> Self {
        Self { audits: AuditQueue::new(swarm.clone()), swarm, config, queue, rng }
    }

    /// Learns and audits for as long as it is awaited.
    pub async fn run(mut self) -> Infallible {
        loop {
            tokio::select! {
                biased;
                round = self.queue.recv() => match round {
                    Some(round) => round.span.in_scope(|| self.learn(&round)),
                    None => std::future::pending().await,
                },
                () = self.audits.run() => {}
            }
            // Learning is never urgent: rounds go first.
            tokio::task::yield_now().await;
        }
    }

    fn learn(&mut self, round: &FinishedRound) {
        let FinishedRound { outcome, features, .. } = round;
        let kind = &outcome.kind;
        let reputation = self.swarm.reputation();
        let standing = reputation.standing();
        let tally = Tally::from_outcome(outcome, &standing, &self.config);
        for (node, mut evidence) in tally.observations(outcome.decided, &outcome.ranking) {
            let claims = self.swarm.claims(&standing, node, features, kind);
            let offset = standing.writer_log_odds(&node, kind);
            evidence.extend(routing_lesson(&evidence, outcome, (features, claims), offset));
            reputation.learn(node, &evidence);
        }
        for node in &round.abstainers {
            let claims = self.swarm.claims(&standing, *node, features, kind);
            let offset = standing.writer_log_odds(node, kind);
            reputation.learn(*node, &[abstention((features, claims), offset)]);
        }
        reputation.fit_soon();
        for task in audit::draw(round, &standing, &mut self.rng) {
            self.audits.push(task);
        }
    }
}
