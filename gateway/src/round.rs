//! One ask, one answer: the swarm writes candidates, judges them, and the best wins.
//!
//! ```text
//! select -> generate -> agree -> judge -> rank -> verify -> decide (-> fuse)    then, off the road: learn
//! ```

pub mod generate;
mod written;
pub mod judge;
mod verify;
pub mod fusion;
pub mod single;
pub mod embed;
pub mod given;
pub mod learn;
pub mod clock;
pub mod metrics;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{NodeId, generate::Prompt};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::round::learn::Settled;
pub use crate::round::learn::Settling;
use crate::swarm::Swarm;
use clock::Clock;
pub use metrics::Metrics;
pub use shoal_consensus::RoundError;
pub use shoal_consensus::RoundSettings;
use shoal_consensus::{
    Ask, Candidate, CastBallot, MemberView, Mode, Outcome,
    ask::Target,
    outcome::{Progress, RoundId, RoundUpdate, Timings},
    reputation::{Features, KindPosterior, Standing},
};
use shoal_consensus::{agree::Agreement, ask::question, select, tally::Tally};

/// How often a round that waits for members looks again: nobody notices a fiftieth of a second.
const LOOK: Duration = Duration::from_millis(20);

/// Runs rounds on one swarm. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rounds(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    swarm: Swarm,
    /// Of each mode, in the order of [`Mode::ALL`].
    configs: [RoundSettings; 3],
    metrics: Metrics,
    /// Draws rounds' names and seeds.
    rng: Mutex<ChaCha8Rng>,
    settled: mpsc::Sender<Settled>,
}

impl Rounds {
    /// Rounds, and what learns from them: [`Settling::run`] must be awaited beside them. `seed`
    /// must be secret and fresh outside of simulations: a round's name is the key to its transcript.
    pub fn new(
        swarm: Swarm,
        config: RoundSettings,
        metrics: Metrics,
        seed: [u8; 32],
    ) -> (Self, Settling) {
        let (settled, waiting) = mpsc::channel(learn::WAITING_MAX);
        let mut rng = ChaCha8Rng::from_seed(seed);
        let audits = ChaCha8Rng::from_seed(rng.random());
        let settling = Settling::new(swarm.clone(), config.clone(), waiting, audits);
        let rng = Mutex::new(rng);
        let configs = Mode::ALL.map(|mode| config.of_mode(mode));
        (Self(Arc::new(Shared { swarm, configs, metrics, rng, settled })), settling)
    }

    pub fn swarm(&self) -> &Swarm {
        &self.0.swarm
    }

    /// Answers an ask, whomever it is for. A single member's text goes into `news` as it is made;
    /// a round's winner is known only at the end. Dropping the future stops all work for it.
    ///
    /// # Errors
    /// See [`RoundError`].
    pub async fn answer(
        &self,
        ask: &Ask,
        news: &mpsc::Sender<RoundUpdate>,
    ) -> Result<Outcome, RoundError> {
        let counted = self.0.metrics.begin();
        let answered = match &ask.target {
            Target::Swarm => Box::pin(self.run(ask, news)).await,
            Target::Model(_) => Box::pin(single::answer(self.begin(ask, news))).await,
        };
        counted.end(&answered);
        answered
    }

    /// One round: the swarm writes candidates, judges them, and the best wins.
    async fn run(
        &self,
        ask: &Ask,
        news: &mpsc::Sender<RoundUpdate>,
    ) -> Result<Outcome, RoundError> {
        let mut round = self.begin(ask, news);
        let panel = round.select().await?;
        let selected = round.clock.elapsed();
        let candidates = generate::candidates(&round, &panel).await?;
        let generated = round.clock.elapsed();
        let agreement = round.agreement(&candidates, panel.writers.len());
        let ballots = match agreement {
            Agreement::Ends(_) => Vec::new(),
            // One alone has won already.
            _ if candidates.len() < 2 => Vec::new(),
            _ => judge::ballots(&round, &candidates, &panel.judges).await,
        };
        let judged = round.clock.elapsed();
        let (ranking, audited) = match agreement {
            Agreement::Ends(_) => (round.tally(&candidates, &ballots).ranking(), BTreeSet::new()),
            _ => verify::settled(&mut round, &candidates, &ballots).await,
        };
        let winner = round.tally(&candidates, &ballots).winner(&ranking, agreement.ends());
        let asked = panel.writers.len();
        let (winner, decided) = winner.ok_or(RoundError::NoCandidate { asked })?;
        let total = round.clock.elapsed();
        let timings = Timings {
            select: selected,
            generate: generated - selected,
            judge: judged - generated,
            rank: total - judged,
            fuse: Duration::ZERO,
            total,
        };
        let id = round.id.clone();
        let mut outcome = Outcome {
            round: id,
            winner,
            decided,
            candidates,
            ballots,
            ranking,
            fused: None,
            timings,
        };
        self.0.metrics.audited(agreement, &outcome);
        self.settle_later(&outcome, &round, audited);
        fusion::fuse(&round, &mut outcome).await;
        Ok(outcome)
    }

    fn begin<'a>(&'a self, ask: &'a Ask, news: &'a mpsc::Sender<RoundUpdate>) -> Round<'a> {
        let (name, seed) = {
            let mut rng = self.0.rng.lock().unwrap_or_else(PoisonError::into_inner);
            (rng.random::<[u8; 16]>(), rng.random())
        };
        let standing = self.0.swarm.standing();
        let [balanced, fast, deep] = &self.0.configs;
        let config = match ask.effort.mode {
            Mode::Balanced => balanced,
            Mode::Fast => fast,
            Mode::Deep => deep,
        };
        Round {
            id: RoundId(name.iter().map(|byte| format!("{byte:02x}")).collect()),
            seed,
            ask,
            news,
            swarm: &self.0.swarm,
            members: self.0.swarm.members(),
            kind: standing.kind_of(question(&ask.messages)),
            standing,
            clock: Clock::start(ask.effort.deadline, config),
            config,
            metrics: &self.0.metrics,
        }
    }

    /// What is learned from a round must never hold one up: when too many wait, it is not learned.
    fn settle_later(&self, outcome: &Outcome, round: &Round<'_>, audited: BTreeSet<NodeId>) {
        let (messages, sampling) = (round.ask.messages.clone(), round.ask.sampling.clone());
        let (kind, asked) = (round.kind.clone(), Features::of(question(&messages)));
        let plain = round.ask.is_plain();
        let mut outcome = outcome.clone();
        // Many times the texts' own size, and nothing is learned from them.
        outcome.candidates.iter_mut().for_each(|one| one.tokens = Vec::new());
        let settled = Settled { outcome, kind, asked, messages, sampling, plain, audited };
        if self.0.settled.try_send(settled).is_err() {
            self.0.metrics.unsettled();
        }
    }
}

/// All that one round has to go by: a snapshot that nothing learned meanwhile disturbs.
pub(crate) struct Round<'a> {
    id: RoundId,
    seed: u64,
    ask: &'a Ask,
    news: &'a mpsc::Sender<RoundUpdate>,
    swarm: &'a Swarm,
    members: Arc<[MemberView]>,
    standing: Standing,
    kind: KindPosterior,
    clock: Clock,
    config: &'a RoundSettings,
    metrics: &'a Metrics,
}

impl Round<'_> {
    /// Who takes part. When too few are free, waits a little: a full panel that starts a second
    /// later is worth more than half a panel now.
    async fn select(&mut self) -> Result<select::Panel, RoundError> {
        loop {
            let panel = self.panel(&self.members);
            let short = match &panel {
                Ok(panel) => panel.writers.len() < self.ask.effort.writers && self.is_short(panel),
                Err(RoundError::NoMember) => !self.members.is_empty(),
                Err(_) => false,
            };
            if !short || Instant::now() >= self.clock.patience {
                return panel;
            }
            sleep(LOOK).await;
            self.members = self.swarm.members();
        }
    }

    /// There would be more writers if those here were not busy.
    fn is_short(&self, panel: &select::Panel) -> bool {
        let idle = |member: &MemberView| MemberView { running: 0, ..member.clone() };
        let idle: Vec<MemberView> = self.members.iter().map(idle).collect();
        self.panel(&idle).is_ok_and(|at_best| at_best.writers.len() > panel.writers.len())
    }

    fn panel(&self, members: &[MemberView]) -> Result<select::Panel, RoundError> {
        let settings = &self.config.select;
        select::panel(self.ask, members, &self.standing, settings, self.seed)
    }

    /// Whether enough writers agree to spare the judging.
    fn agreement(&self, candidates: &[Candidate], asked: usize) -> Agreement {
        let draw = ChaCha8Rng::seed_from_u64(self.seed).random();
        self.tally(candidates, &[]).agreement(asked, draw)
    }

    /// What the round has come to so far.
    fn tally<'b>(&'b self, candidates: &'b [Candidate], ballots: &'b [CastBallot]) -> Tally<'b> {
        let (standing, kind, config) = (&self.standing, &self.kind, self.config);
        Tally { candidates, ballots, standing, kind, config }
    }

    /// Says how far the round is, if somebody listens who is not busy.
    fn tell(&self, progress: Progress) {
        let _ = self.news.try_send(RoundUpdate::Progress(progress));
    }

    fn member(&self, id: NodeId) -> Option<&MemberView> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The text that this member goes on with; None: it answers the conversation.
    fn prompt_for(&self, id: NodeId) -> Option<Prompt> {
        let completes = self.member(id).is_some_and(|member| member.model.completes);
        self.ask.prompt.clone().filter(|_| completes)
    }

    fn model(&self, id: NodeId) -> String {
        self.member(id).map_or_else(String::new, |member| member.model.name.clone())
    }
}
