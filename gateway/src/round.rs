//! Answers one ask: members write candidates, judge them, and the best one wins.
//!
//! ```text
//! select -> generate -> agree -> judge -> rank -> verify -> decide (-> fuse)    afterwards: learn
//! ```
//!
//! The span `round` with the field `round.id` covers all of it, learning and audits included, so that
//! each log line of a round carries the id.

mod generate;
mod abstention;
mod calibrate;
mod writer;
mod judge;
mod verify;
mod fusion;
mod single;
mod embed;
mod queue;
mod texts;
mod learn;
mod clock;
mod metrics;

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
    time::{Instant, sleep, timeout_at},
};
use tracing::{Instrument as _, Span};

pub use calibrate::Calibrator;
use clock::Clock;
use generate::Written;
use learn::FinishedRound;
pub use learn::Learner;
pub use metrics::RoundMetrics;
pub use queue::Client;
use queue::{Place, Queues};
use shoal_consensus::{
    Ask, Candidate, CastBallot, MemberView, Mode, Outcome, RoundError, RoundSettings,
    ask::Target,
    outcome::{Progress, RoundId, RoundUpdate, Timings},
    reputation::{Features, KindPosterior, Standing},
};
use shoal_consensus::{agree::Agreement, ask::question, select, tally::Tally};
use shoal_console::feed::{RoundFeed, RoundWatch};
use shoal_store::unix_now;
use shoal_swarm::Swarm;

/// How often a round that waits for members looks again: no client notices a fiftieth of a second.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often members are chosen for a round while all of them fail: nodes may die together.
const ATTEMPTS_MAX: u32 = 3;

/// Runs rounds on one swarm. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rounds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    swarm: Swarm,
    /// The settings of each mode, in the order of [`Mode::ALL`].
    configs: [RoundSettings; 3],
    metrics: RoundMetrics,
    feed: RoundFeed,
    /// Asks that wait for a free member.
    queues: Queues,
    /// Draws the ids and seeds of rounds.
    rng: Mutex<ChaCha8Rng>,
    learn_queue: mpsc::Sender<FinishedRound>,
}

impl Rounds {
    /// Rounds, and the learner that learns from them: [`Learner::run`] must be awaited beside them.
    /// Outside of simulations `seed` must be secret and new: a round's id is the key to its transcript.
    pub fn new(
        swarm: Swarm,
        config: RoundSettings,
        metrics: RoundMetrics,
        seed: [u8; 32],
    ) -> (Self, Learner) {
        let (learn_queue, finished_rounds) = mpsc::channel(learn::QUEUE_MAX);
        let mut rng = ChaCha8Rng::from_seed(seed);
        let audit_rng = ChaCha8Rng::from_seed(rng.random());
        let learner = Learner::new(swarm.clone(), config.clone(), finished_rounds, audit_rng);
        let rng = Mutex::new(rng);
        let configs = Mode::ALL.map(|mode| config.of_mode(mode));
        let queues = Queues::new(config.queue_max, metrics.waiting());
        let feed = RoundFeed::default();
        (Self(Arc::new(Inner { swarm, configs, metrics, feed, queues, rng, learn_queue })), learner)
    }

    /// The swarm that the rounds run on.
    pub fn swarm(&self) -> &Swarm {
        &self.0.swarm
    }

    /// What happens in the rounds of clients, as it happens.
    pub fn feed(&self) -> &RoundFeed {
        &self.0.feed
    }

    /// Answers a client's ask, of the whole swarm or of one model. The text of a single member goes into
    /// `updates` as it is written; the winner of a round is known only at the end. Dropping the future
    /// stops all work for it.
    ///
    /// # Errors
    /// See [`RoundError`].
    pub async fn answer(
        &self,
        ask: &Ask,
        client: Client,
        updates: &mpsc::Sender<RoundUpdate>,
    ) -> Result<Outcome, RoundError> {
        let count = self.0.metrics.begin();
        let mut round = self.begin(ask, client, updates);
        let mut watch = self.0.feed.watch(client.0, &round.id, ask);
        round.watch = Some(&watch);
        let span = round.span();
        let result = match &ask.target {
            Target::Swarm => Box::pin(self.run(round)).instrument(span).await,
            Target::Model(_) => Box::pin(single::answer(round)).instrument(span).await,
        };
        count.end(&result);
        watch.end(&result, unix_now());
        result
    }

    /// One round: members write candidates, judge them, and the best one wins. If the answer is less
    /// certain than the request wants, members that have not written yet write too.
    async fn run(&self, mut round: Round<'_>) -> Result<Outcome, RoundError> {
        let RoundResult { mut outcome, abstained, claims_audited } =
            self.decide(&mut round).await?;
        self.learn_later(&outcome, &round, abstained, claims_audited);
        if round.is_doubtful(&outcome) {
            let percent = 100.0 * outcome.confidence().unwrap_or(0.0);
            return Err(RoundError::Doubtful { percent: percent.clamp(0.0, 100.0) as u8 });
        }
        fusion::fuse(&round, &mut outcome).await;
        Ok(outcome)
    }

    /// A round up to its decision, of which nothing is learned yet.
    async fn decide(&self, round: &mut Round<'_>) -> Result<RoundResult, RoundError> {
        let mut panel = round.select().await?;
        round.count_absences(&panel);
        let mut timings = Timings { select: round.clock.elapsed(), ..Timings::default() };
        let mut attempts = 1..ATTEMPTS_MAX;
        let mut written = loop {
            match generate::candidates(round, &panel).await {
                Err(RoundError::NoCandidate { .. })
                    if attempts.next().is_some() && round.leave_out(&panel.writers) =>
                {
                    panel = round.select().await?;
                }
                written => break written?,
            }
        };
        timings.generate = round.clock.elapsed().saturating_sub(timings.select);
        if written.candidates.is_empty() {
            let outcome = abstention::outcome(round, &written.abstained, timings)?;
            let (abstained, claims_audited) = (written.abstained, BTreeSet::new());
            return Ok(RoundResult { outcome, abstained, claims_audited });
        }
        // A member that cannot answer a question cannot judge answers to it.
        let mut judges = panel.judges.clone();
        judges.retain(|judge| !written.abstained.contains(judge));
        let (mut outcome, mut claims_audited) =
            self.choose(round, &written, &judges, timings).await?;
        if round.is_doubtful(&outcome) && round.write_more(&panel, &mut written).await {
            timings.generate = round.clock.elapsed().saturating_sub(timings.select);
            (outcome, claims_audited) = self.choose(round, &written, &judges, timings).await?;
        }
        Ok(RoundResult { outcome, abstained: written.abstained, claims_audited })
    }

    /// Lets members judge the candidates, unless they agree, and decides which one wins. Returns also
    /// the writers whose claims were recomputed.
    async fn choose(
        &self,
        round: &mut Round<'_>,
        written: &Written,
        judges: &[NodeId],
        timings: Timings,
    ) -> Result<(Outcome, BTreeSet<NodeId>), RoundError> {
        let start = round.clock.elapsed();
        let candidates = &written.candidates;
        let agreement = round.agreement(candidates, written.writer_count);
        let ballots = match agreement {
            Agreement::Ends(_) => Vec::new(),
            // A single candidate has won already.
            _ if candidates.len() < 2 => Vec::new(),
            _ => judge::ballots(round, candidates, judges).await,
        };
        let judge_end = round.clock.elapsed();
        let (ranking, claims_audited) = match agreement {
            Agreement::Ends(_) => (round.tally(candidates, &ballots).ranking(), BTreeSet::new()),
            _ => verify::ranking(round, candidates, &ballots).await,
        };
        let decision = round.tally(candidates, &ballots).winner(&ranking, agreement.ends());
        let members = written.writer_count;
        let (winner, decided) = decision.ok_or(RoundError::NoCandidate { members })?;
        let total = round.clock.elapsed();
        let (judge, rank) = (judge_end - start, total - judge_end);
        let outcome = Outcome {
            round: round.id.clone(),
            winner,
            decided,
            kind: round.kind.clone(),
            candidates: candidates.clone(),
            ballots,
            ranking,
            fused: None,
            timings: Timings { judge, rank, total, ..timings },
        };
        self.0.metrics.agreement_audit(agreement, &outcome);
        Ok((outcome, claims_audited))
    }

    /// Starts the clock of a round and takes a snapshot of the members and their standing.
    fn begin<'a>(
        &'a self,
        ask: &'a Ask,
        client: Client,
        updates: &'a mpsc::Sender<RoundUpdate>,
    ) -> Round<'a> {
        let (id, seed) = self.draw();
        let standing = self.0.swarm.standing();
        let [balanced_config, fast_config, deep_config] = &self.0.configs;
        let config = match ask.effort.mode {
            Mode::Balanced => balanced_config,
            Mode::Fast => fast_config,
            Mode::Deep => deep_config,
        };
        Round {
            id,
            seed,
            ask,
            client,
            updates,
            queues: &self.0.queues,
            swarm: &self.0.swarm,
            members: self.0.swarm.members(),
            left_out: Vec::new(),
            kind: standing.kind_of(question(&ask.messages)),
            standing,
            clock: Clock::start(ask.effort.deadline, config),
            config,
            metrics: &self.0.metrics,
            watch: None,
        }
    }

    /// Draws the id and the seed of a round.
    fn draw(&self) -> (RoundId, u64) {
        let mut rng = self.0.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, seed) = (rng.random::<[u8; 16]>(), rng.random());
        (RoundId(format!("{:032x}", u128::from_be_bytes(id))), seed)
    }

    /// Queues the round for learning. Learning never delays a round: when the queue is full, the
    /// round's result is dropped and counted.
    fn learn_later(
        &self,
        outcome: &Outcome,
        round: &Round<'_>,
        abstained: Vec<NodeId>,
        claims_audited: BTreeSet<NodeId>,
    ) {
        let messages = round.ask.messages.clone();
        let mut outcome = outcome.clone();
        // Tokens have many times the size of the texts, and nothing is learned from them.
        outcome.candidates.iter_mut().for_each(|candidate| candidate.tokens = Vec::new());
        let finished_round = FinishedRound {
            outcome,
            features: Features::extract(question(&messages)),
            messages,
            sampling: round.ask.sampling.clone(),
            is_plain: round.ask.is_plain(),
            abstainers: abstained,
            claims_audited,
            span: Span::current(),
        };
        if self.0.learn_queue.try_send(finished_round).is_err() {
            self.0.metrics.learn_queue_full();
        }
    }
}

/// A round that is decided.
struct RoundResult {
    outcome: Outcome,
    /// The writers that said that they cannot answer.
    abstained: Vec<NodeId>,
    /// The writers whose claims were recomputed.
    claims_audited: BTreeSet<NodeId>,
}

impl Inner {
    /// The settings of the mode that is used unless another is asked for.
    fn balanced_config(&self) -> &RoundSettings {
        let [balanced_config, ..] = &self.configs;
        balanced_config
    }

    /// The share of the time that calibration may take.
    fn calibration_share(&self) -> f64 {
        self.balanced_config().calibration_share.clamp(0.0, 1.0)
    }
}

/// The state of one round: a snapshot that later learning does not change.
pub(crate) struct Round<'a> {
    id: RoundId,
    seed: u64,
    ask: &'a Ask,
    client: Client,
    updates: &'a mpsc::Sender<RoundUpdate>,
    queues: &'a Queues,
    swarm: &'a Swarm,
    members: Arc<[MemberView]>,
    /// Members that failed in this round: they are not asked again.
    left_out: Vec<NodeId>,
    standing: Standing,
    kind: KindPosterior,
    clock: Clock,
    config: &'a RoundSettings,
    metrics: &'a RoundMetrics,
    /// Tells who watches how far the round is; `None`: it is not a client's.
    watch: Option<&'a RoundWatch>,
}

impl Round<'_> {
    /// The span of the round's log lines.
    fn span(&self) -> Span {
        span(&self.id)
    }

    /// The members that take part. When too few are free, waits a little: a full panel that starts a
    /// second later is worth more than half a panel now.
    async fn select(&mut self) -> Result<select::Panel, RoundError> {
        let (mut panel, place) = self.queue(self.clock.generate_end).await?;
        drop(place);
        while panel.writers.len() < self.ask.effort.writers
            && self.is_short(&panel)
            && Instant::now() < self.clock.patience
        {
            sleep(POLL_INTERVAL).await;
            self.refresh();
            // Members that were free may have got other work.
            panel = self.panel(&self.members).or_else(|error| match error {
                RoundError::NoMember => Ok(panel),
                error => Err(error),
            })?;
        }
        Ok(panel)
    }

    /// Counts for each member why it does not write, if the round is a client's.
    fn count_absences(&self, panel: &select::Panel) {
        if self.watch.is_some() {
            let absences = select::absence::absences(self.ask, &self.members, panel);
            self.swarm.count_absences(&absences);
        }
    }

    /// Waits in the queue, at most until `end`, for members that can take the ask. Until the returned place is
    /// dropped, no other ask for the same model gets a member.
    async fn queue(&mut self, end: Instant) -> Result<(select::Panel, Place), RoundError> {
        // Waiting does not help against other errors.
        if let Err(error) = self.panel(&self.members)
            && (error != RoundError::NoMember || self.members.is_empty())
        {
            return Err(error);
        }
        let mut place = self.queues.enter(&self.ask.target, self.client)?;
        timeout_at(end, place.turn()).await.map_err(|_| RoundError::NoMember)??;
        self.refresh();
        loop {
            match self.panel(&self.members) {
                Err(RoundError::NoMember) if Instant::now() < end => {}
                panel => return Ok((panel?, place)),
            }
            sleep(POLL_INTERVAL).await;
            self.refresh();
        }
    }

    /// Whether the panel would have more writers if no member were busy.
    fn is_short(&self, panel: &select::Panel) -> bool {
        let idle_members: Vec<MemberView> =
            self.members.iter().map(|m| MemberView { running: 0, ..m.clone() }).collect();
        self.panel(&idle_members).is_ok_and(|full| full.writers.len() > panel.writers.len())
    }

    fn panel(&self, members: &[MemberView]) -> Result<select::Panel, RoundError> {
        let settings = &self.config.select;
        select::panel(self.ask, members, &self.standing, settings, self.seed)
    }

    /// Takes a new snapshot of the members, from now on without those that failed. Returns false when no member
    /// or no time is left; then the round has failed.
    fn leave_out(&mut self, failures: &[NodeId]) -> bool {
        self.left_out.extend_from_slice(failures);
        self.refresh();
        !self.members.is_empty() && Instant::now() < self.clock.generate_end
    }

    /// Takes a new snapshot of the members, without those that failed in this round.
    fn refresh(&mut self) {
        let members = self.swarm.members();
        let rest = members.iter().filter(|member| !self.left_out.contains(&member.id));
        self.members = rest.cloned().collect();
    }

    /// Whether the answer is less certain than the request demands.
    fn is_doubtful(&self, outcome: &Outcome) -> bool {
        outcome.confidence().unwrap_or(0.0) < self.ask.effort.min_confidence
    }

    /// Lets as many other members write as wrote before. Returns whether there are more candidates now.
    async fn write_more(&self, panel: &select::Panel, written: &mut Written) -> bool {
        if Instant::now() >= self.clock.generate_end {
            return false;
        }
        let mut writers = panel.spare.clone();
        writers.retain(|id| {
            !written.abstained.contains(id) && written.candidates.iter().all(|c| c.writer != *id)
        });
        let spare = writers.split_off(panel.writers.len().min(writers.len()));
        if writers.is_empty() {
            return false;
        }
        let wave = select::Panel { writers, spare, judges: Vec::new() };
        let Ok(more) = generate::candidates(self, &wave).await else { return false };
        let has_more = !more.candidates.is_empty();
        written.add(more, self.ask);
        has_more
    }

    /// Whether enough writers agree, so that judging is not needed.
    fn agreement(&self, candidates: &[Candidate], writer_count: usize) -> Agreement {
        let draw = ChaCha8Rng::seed_from_u64(self.seed).random();
        self.tally(candidates, &[]).agreement(writer_count, draw)
    }

    /// The candidates and ballots so far.
    fn tally<'b>(&'b self, candidates: &'b [Candidate], ballots: &'b [CastBallot]) -> Tally<'b> {
        let (standing, kind, config) = (&self.standing, &self.kind, self.config);
        Tally { candidates, ballots, standing, kind, config }
    }

    /// Reports how far the round is. When the queue is full, the report is dropped.
    fn report(&self, progress: Progress) {
        if let Some(watch) = self.watch {
            watch.progress(progress);
        }
        let _ = self.updates.try_send(RoundUpdate::Progress(progress));
    }

    fn member(&self, id: NodeId) -> Option<&MemberView> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The text that this member continues; None: it answers the conversation.
    fn prompt_for(&self, id: NodeId) -> Option<Prompt> {
        let completes = self.member(id).is_some_and(|member| member.model.completes);
        self.ask.prompt.clone().filter(|_| completes)
    }

    fn model(&self, id: NodeId) -> String {
        self.member(id).map_or_else(String::new, |member| member.model.name.clone())
    }
}

/// The span of a round's log lines.
fn span(id: &RoundId) -> Span {
    tracing::info_span!("round", round.id = %id.0)
}
