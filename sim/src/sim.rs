//! A gateway and its nodes, connected and running.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus::Registry;
use shoal_consensus::{
    Ask, MemberView, Mode, Outcome, RoundError, RoundSettings, agree,
    ask::{Effort, Limits, Target},
    outcome::RoundUpdate,
    reputation,
};
use shoal_gateway::round::{Calibrator, Client, Rounds};
use shoal_link::{
    Link, LinkError,
    pipe::{self, Delay, PipeLink},
};
use shoal_node::{
    metrics as node_metrics,
    serve::WorkQueue,
    session::{self, Dial, Member},
};
use shoal_proto::{
    Identity, NodeId,
    generate::{ChatMessage, Sampling},
};
use shoal_store::{Memory, ReputationStore};
use shoal_swarm::{self, Swarm};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Behaviour, Recorder, World, engine::ScriptedEngine};

/// Delay of every link in each direction.
const DELAY: Duration = Duration::from_millis(5);

/// Longer than any admission with any exam takes on the paused clock.
const ADMISSION_LIMIT: Duration = Duration::from_secs(600);

/// The token with which a node becomes an auditor.
const TOKEN: &str = "lantern";

/// The first key of an auditor. The keys of nodes are smaller.
const FIRST_AUDITOR_KEY: u64 = 1 << 32;

/// New links that may wait for the gateway at the same time: more than any test starts nodes.
const LINK_QUEUE: usize = 256;

/// The settings of a simulation.
#[derive(Clone, Debug)]
pub struct Builder {
    seed: u64,
    behaviours: Vec<Behaviour>,
    swarm: shoal_swarm::SwarmConfig,
    round: RoundSettings,
    reputation: reputation::Settings,
    effort: Effort,
    auditors: bool,
}

impl Builder {
    /// Adds `count` members with this behaviour.
    #[must_use]
    pub fn nodes(mut self, count: usize, behaviour: Behaviour) -> Self {
        self.behaviours.extend(std::iter::repeat_n(behaviour, count));
        self
    }

    /// Adds a member. The first member is number 0.
    #[must_use]
    pub fn node(self, behaviour: Behaviour) -> Self {
        self.nodes(1, behaviour)
    }

    /// Examines every new member with this many gold questions of each family. The default is 0.
    #[must_use]
    pub fn exam(mut self, per_family: usize) -> Self {
        self.swarm.exam.per_family = per_family;
        self
    }

    /// Gives the gateway an auditor with the weights of each node.
    #[must_use]
    pub fn with_auditors(mut self) -> Self {
        self.swarm.audit.token = shoal_proto::Secret::new(TOKEN);
        self.auditors = true;
        self
    }

    /// Changes the settings of the swarm.
    #[must_use]
    pub fn swarm(mut self, change: impl FnOnce(&mut shoal_swarm::SwarmConfig)) -> Self {
        change(&mut self.swarm);
        self
    }

    /// Changes the settings of rounds.
    #[must_use]
    pub fn round(mut self, change: impl FnOnce(&mut RoundSettings)) -> Self {
        change(&mut self.round);
        self
    }

    /// Changes the settings of reputation.
    #[must_use]
    pub fn reputation(mut self, change: impl FnOnce(&mut reputation::Settings)) -> Self {
        change(&mut self.reputation);
        self
    }

    /// Sets the writers and judges of every round.
    #[must_use]
    pub fn panel(mut self, writers: usize, judges: usize) -> Self {
        self.effort = Effort { writers, judges, ..self.effort };
        self
    }

    /// Sets the mode of every round. Writers, judges and deadline do not change with it.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.effort.mode = mode;
        self
    }

    /// Asks for fused answers.
    #[must_use]
    pub fn with_fusion(mut self) -> Self {
        self.effort.fusion = true;
        self
    }

    /// Makes an error of every answer that is less likely to be right than this.
    #[must_use]
    pub fn min_confidence(mut self, min_confidence: f64) -> Self {
        self.effort.min_confidence = min_confidence;
        self
    }

    /// Sets the time limit of every round.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.effort.deadline = deadline;
        self
    }

    /// Starts the swarm and waits until all nodes are members and their exams are over.
    ///
    /// # Panics
    /// If a node is not admitted, which is an error of the simulation.
    pub async fn start(self) -> Sim {
        let sim = Sim::connect(self);
        sim.until_members(sim.nodes.len()).await;
        sim.until_idle().await;
        sim
    }
}

/// A running simulation. Dropping it stops the gateway and all nodes.
#[derive(Debug)]
pub struct Sim {
    swarm: Swarm,
    rounds: Rounds,
    world: Arc<World>,
    recorder: Recorder,
    registry: Registry,
    effort: Effort,
    nodes: Vec<Node>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Node {
    id: NodeId,
    /// The gateway's end of its newest link.
    link: Arc<Mutex<Option<Arc<PipeLink>>>>,
    stop: CancellationToken,
}

impl Sim {
    /// A simulation without nodes. Its rounds have five writers, three judges and 30 seconds; there
    /// is no exam.
    pub fn builder(seed: u64) -> Builder {
        let mut swarm = shoal_swarm::SwarmConfig::default();
        swarm.exam.per_family = 0;
        // Scripted members have no answers to general questions.
        swarm.exam.general_per_kind = 0;
        Builder {
            seed,
            behaviours: Vec::new(),
            swarm,
            round: RoundSettings::default(),
            reputation: reputation::Settings::default(),
            effort: Effort {
                deadline: Duration::from_secs(30),
                ..Limits::default().effort(Mode::Balanced)
            },
            auditors: false,
        }
    }

    #[expect(clippy::expect_used, reason = "names in a fresh registry are free")]
    fn connect(builder: Builder) -> Self {
        let Builder { seed, behaviours, swarm: config, round, reputation, effort, auditors } =
            builder;
        let registry = Registry::new();
        let gateway = identity(u64::MAX).id();
        // Two exams for each node, because a node that returns is examined again.
        let world = Arc::new(World::new(seed, &config.exam, seed, 2 * behaviours.len()));
        let store = ReputationStore::new(Arc::new(Memory::default()), reputation, &registry)
            .expect("the store");
        let metrics = shoal_swarm::SwarmMetrics::register(&registry).expect("metrics");
        let swarm = Swarm::new(config, gateway, seed, store.clone(), metrics);
        let metrics = shoal_gateway::round::RoundMetrics::register(&registry).expect("metrics");
        let mut secret = [7; 32];
        secret.iter_mut().zip(seed.to_le_bytes()).for_each(|(target, source)| *target = source);
        let (rounds, learner) = Rounds::new(swarm.clone(), round, metrics, secret);
        let recorder = Recorder::default();
        let mut tasks = JoinSet::new();
        let (link_sender, links) = mpsc::channel(LINK_QUEUE);
        tasks.spawn(admit_links(swarm.clone(), links));
        tasks.spawn(async move { match learner.run().await {} });
        tasks.spawn(async move { match store.run().await {} });
        let uplink = Uplink { gateway, links: link_sender };
        for (number, behaviour) in behaviours.iter().enumerate().filter(|_| auditors) {
            let engine =
                ScriptedEngine::auditor(number, behaviour, world.clone(), recorder.clone());
            let credentials = Credentials {
                key: FIRST_AUDITOR_KEY + number as u64,
                audit: shoal_proto::Secret::new(TOKEN),
            };
            start_node(credentials, behaviour, engine, uplink.clone(), &mut tasks);
        }
        let mut nodes = Vec::new();
        for (number, behaviour) in behaviours.into_iter().enumerate() {
            let engine =
                ScriptedEngine::new(number, behaviour.clone(), world.clone(), recorder.clone());
            let credentials =
                Credentials { key: number as u64, audit: shoal_proto::Secret::default() };
            nodes.push(start_node(credentials, &behaviour, engine, uplink.clone(), &mut tasks));
        }
        Self { swarm, rounds, world, recorder, registry, effort, nodes, _tasks: tasks }
    }

    /// Asks the swarm and returns the outcome of the round.
    ///
    /// # Errors
    /// If the round fails.
    pub async fn ask(&self, question: &str) -> Result<Outcome, RoundError> {
        self.answer(Target::Swarm, question, None).await
    }

    /// Asks one model by its name.
    ///
    /// # Errors
    /// If the round fails.
    pub async fn ask_model(&self, model: &str, question: &str) -> Result<Outcome, RoundError> {
        self.answer(Target::Model(model.to_owned()), question, None).await
    }

    /// Asks the target and sends the updates of the round to `updates`.
    ///
    /// # Errors
    /// If the round fails.
    pub async fn answer(
        &self,
        target: Target,
        question: &str,
        updates: Option<mpsc::Sender<RoundUpdate>>,
    ) -> Result<Outcome, RoundError> {
        let messages = vec![ChatMessage::new("user", question)];
        let ask = Ask::plain(target, messages, Sampling::default(), self.effort);
        let updates = updates.unwrap_or_else(|| mpsc::channel(1_024).0);
        self.rounds.answer(&ask, Client::default(), &updates).await
    }

    /// Whether an outcome's answer is right.
    pub fn is_right(&self, question: &str, outcome: &Outcome) -> bool {
        let truth = format!("Answer: {}", self.world.truth(question).answer);
        outcome
            .winner()
            .is_some_and(|winner| agree::final_answer(&winner.text) == agree::final_answer(&truth))
    }

    /// Fits P(right) to gold rounds for this long.
    pub async fn calibrate(&self, time: Duration) {
        let calibrator = Calibrator::new(self.rounds.clone(), self.effort);
        // It never ends by itself.
        let _ = timeout(time, calibrator.run()).await;
        self.swarm.reputation().fit();
    }

    /// The gateway's side of the swarm.
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// The record of all calls to the engines.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Makes turncoats lie from now on.
    pub fn betray(&self) {
        self.world.betray();
    }

    /// The number of audits that caught node `number`.
    pub fn times_caught(&self, number: usize) -> u32 {
        self.swarm.reputation().fit();
        let standing = self.swarm.standing();
        standing.record(&self.node(number)).map_or(0, |record| record.caught)
    }

    /// The sum of a counter or gauge over all series that have a label with this value, or over all
    /// series for an empty label. It is 0 for a metric without such a series.
    pub fn count(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        let series = metrics.flat_map(|family| family.get_metric()).filter(|metric| {
            label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label)
        });
        series
            .map(|metric| {
                (metric.get_counter().get_value() + metric.get_gauge().get_value()) as u64
            })
            .sum()
    }

    /// The id of node `number`.
    ///
    /// # Panics
    /// If there is no such node.
    #[expect(clippy::expect_used, reason = "a test asks for nodes that it has added")]
    pub fn node(&self, number: usize) -> NodeId {
        self.nodes.get(number).expect("a node of that number").id
    }

    /// The members that rounds can choose from.
    pub fn members(&self) -> Arc<[MemberView]> {
        self.swarm.members()
    }

    /// Cuts a node's link as a broken cable does. The node then dials again.
    pub fn cut(&self, number: usize) {
        if let Some(node) = self.nodes.get(number)
            && let Some(link) = node.link.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
        {
            link.close("cut");
        }
    }

    /// Tells a node to say goodbye, finish its work and leave.
    pub fn stop(&self, number: usize) {
        if let Some(node) = self.nodes.get(number) {
            node.stop.cancel();
        }
    }

    /// Waits until there are this many members.
    ///
    /// # Panics
    /// If that takes longer than any admission.
    #[expect(clippy::expect_used, reason = "an error of the simulation")]
    pub async fn until_members(&self, count: usize) {
        let arrival = async {
            while self.members().len() != count {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(ADMISSION_LIMIT, arrival).await.expect("that many members");
    }

    /// Waits until no engine works, then computes the standing from all results of rounds.
    ///
    /// # Panics
    /// If an engine does not stop.
    #[expect(clippy::expect_used, reason = "an error of the simulation")]
    pub async fn until_idle(&self) {
        let idle = async {
            // Four checks in a row, because engines are also idle between two calls of an exam.
            let mut idle_checks = 0;
            while idle_checks < 4 {
                sleep(Duration::from_millis(100)).await;
                idle_checks = if self.recorder.active_calls() == 0 { idle_checks + 1 } else { 0 };
            }
        };
        timeout(ADMISSION_LIMIT, idle).await.expect("an end of all calls");
        self.swarm.reputation().fit();
    }
}

/// Accepts new links for the gateway and runs a task for each.
async fn admit_links(swarm: Swarm, mut links: mpsc::Receiver<Arc<PipeLink>>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(link) = links.recv() => {
                let swarm = swarm.clone();
                sessions.spawn(async move { swarm.admit(link).await });
            }
            Some(_) = sessions.join_next() => {}
            else => return,
        }
    }
}

/// How a node proves to the gateway what it is.
struct Credentials {
    /// Number of its key.
    key: u64,
    /// The token of auditors. Empty: the node is no auditor.
    audit: shoal_proto::Secret,
}

/// How a node reaches the gateway.
#[derive(Clone)]
struct Uplink {
    gateway: NodeId,
    /// Takes the gateway's end of each new link.
    links: mpsc::Sender<Arc<PipeLink>>,
}

fn start_node(
    credentials: Credentials,
    behaviour: &Behaviour,
    engine: ScriptedEngine,
    uplink: Uplink,
    tasks: &mut JoinSet<()>,
) -> Node {
    let Credentials { key, audit } = credentials;
    let identity = identity(key);
    let id = identity.id();
    let link: Arc<Mutex<Option<Arc<PipeLink>>>> = Arc::default();
    let newest_link = link.clone();
    let dial: Box<Dial> = Box::new(move || {
        let (node_end, gateway_end) = pipe::pair_with_delay(id, uplink.gateway, Delay(DELAY));
        let gateway_end = Arc::new(gateway_end);
        *newest_link.lock().unwrap_or_else(PoisonError::into_inner) = Some(gateway_end.clone());
        let links = uplink.links.clone();
        Box::pin(async move {
            links
                .send(gateway_end)
                .await
                .map_err(|_| LinkError::Closed("no gateway".to_owned()))?;
            Ok(Arc::new(node_end) as Arc<dyn Link>)
        })
    });
    let stop = CancellationToken::new();
    let stop_signal = stop.clone();
    let operator = behaviour.operator.clone();
    let slots = behaviour.slots;
    tasks.spawn(async move {
        let Ok(metrics) = node_metrics::Metrics::register(&Registry::new()) else { return };
        let queue = Arc::new(WorkQueue::new(Arc::new(engine), slots, metrics));
        let identity = Arc::new(identity);
        let member = Member { identity, operator, queue, drain: Duration::from_secs(10), audit };
        // A fatal error needs no report here: the test sees that a member is missing.
        let _ = session::keep_linked(&*dial, &member, &stop_signal).await;
    });
    Node { id, link, stop }
}

fn identity(number: u64) -> Identity {
    let mut secret = [0x5a; 32];
    secret.iter_mut().zip(number.to_le_bytes()).for_each(|(target, source)| *target = source);
    Identity::from_secret(secret)
}
