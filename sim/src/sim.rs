//! A gateway and its nodes, wired up and running.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus::Registry;
use shoal_consensus::{
    Ask, MemberView, Mode, Outcome, RoundError, RoundSettings,
    ask::{Effort, Limits, Target},
    outcome::RoundUpdate,
    reputation,
};
use shoal_gateway::round::Rounds;
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
use shoal_store::{Book, Memory};
use shoal_swarm::{self, Swarm};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Character, Witness, World, engine::Scripted};

/// One way between gateway and node, everywhere.
const DELAY: Duration = Duration::from_millis(5);

/// Longer than any admission with any exam takes on the paused clock.
const ADMISSION: Duration = Duration::from_secs(600);

/// What makes a node an auditor here.
const TOKEN: &str = "lantern";

/// From here on keys are those of auditors.
const AUDITORS: u64 = 1 << 32;

/// Links that may wait to be received at the same time.
const DOOR: usize = 256;

/// What a simulation shall be like.
#[derive(Clone, Debug)]
pub struct Builder {
    seed: u64,
    characters: Vec<Character>,
    swarm: shoal_swarm::Config,
    round: RoundSettings,
    reputation: reputation::Settings,
    effort: Effort,
    audited: bool,
}

impl Builder {
    /// Adds `count` members of this character.
    #[must_use]
    pub fn nodes(mut self, count: usize, character: Character) -> Self {
        self.characters.extend(std::iter::repeat_n(character, count));
        self
    }

    /// Adds a member; they are numbered in the order in which they are added.
    #[must_use]
    pub fn node(self, character: Character) -> Self {
        self.nodes(1, character)
    }

    /// Lets every newcomer answer this many gold questions of each family; none unless said.
    #[must_use]
    pub fn exam(mut self, per_family: usize) -> Self {
        self.swarm.exam.per_family = per_family;
        self
    }

    /// Gives the gateway an auditor with the weights of each node.
    #[must_use]
    pub fn audited(mut self) -> Self {
        self.swarm.audit.token = shoal_proto::Secret::new(TOKEN);
        self.audited = true;
        self
    }

    /// Changes how the swarm is kept.
    #[must_use]
    pub fn swarm(mut self, change: impl FnOnce(&mut shoal_swarm::Config)) -> Self {
        change(&mut self.swarm);
        self
    }

    /// Changes how rounds are run.
    #[must_use]
    pub fn round(mut self, change: impl FnOnce(&mut RoundSettings)) -> Self {
        change(&mut self.round);
        self
    }

    /// Changes how members are believed.
    #[must_use]
    pub fn reputation(mut self, change: impl FnOnce(&mut reputation::Settings)) -> Self {
        change(&mut self.reputation);
        self
    }

    /// Writers and judges of every round.
    #[must_use]
    pub fn panel(mut self, writers: usize, judges: usize) -> Self {
        self.effort = Effort { writers, judges, ..self.effort };
        self
    }

    /// The mode of every round, with the writers, judges and time that are set.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.effort.mode = mode;
        self
    }

    /// Asks for fused answers.
    #[must_use]
    pub fn fused(mut self) -> Self {
        self.effort.fusion = true;
        self
    }

    /// Time for every round.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.effort.deadline = deadline;
        self
    }

    /// Starts everything, and waits until all nodes are members and their exams are over.
    ///
    /// # Panics
    /// When a node is not admitted: then the simulation itself is wrong.
    pub async fn start(self) -> Sim {
        let sim = Sim::wire(self);
        sim.until_members(sim.nodes.len()).await;
        sim.until_idle().await;
        sim
    }
}

/// A running simulation. Dropping it ends all of it.
#[derive(Debug)]
pub struct Sim {
    swarm: Swarm,
    rounds: Rounds,
    world: Arc<World>,
    witness: Witness,
    registry: Registry,
    effort: Effort,
    nodes: Vec<Node>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Node {
    id: NodeId,
    /// The gateway's end of its link as last dialled.
    link: Arc<Mutex<Option<Arc<PipeLink>>>>,
    stop: CancellationToken,
}

impl Sim {
    /// A simulation without nodes yet: five writers, three judges, half a minute, no exam.
    pub fn builder(seed: u64) -> Builder {
        let mut swarm = shoal_swarm::Config::default();
        swarm.exam.per_family = 0;
        Builder {
            seed,
            characters: Vec::new(),
            swarm,
            round: RoundSettings::default(),
            reputation: reputation::Settings::default(),
            effort: Effort {
                deadline: Duration::from_secs(30),
                ..Limits::default().effort(Mode::Balanced)
            },
            audited: false,
        }
    }

    #[expect(clippy::expect_used, reason = "names in a fresh registry are free")]
    fn wire(builder: Builder) -> Self {
        let Builder { seed, characters, swarm: config, round, reputation, effort, audited } =
            builder;
        let registry = Registry::new();
        let gateway = identity(u64::MAX).id();
        // Nodes may come back and be examined once more.
        let world = World::new(seed, &config.exam, seed, 2 * characters.len());
        let world = Arc::new(world);
        let book = Book::new(Arc::new(Memory::default()), reputation, &registry).expect("a book");
        let metrics = shoal_swarm::Metrics::register(&registry).expect("metrics");
        let swarm = Swarm::new(config, gateway, seed, book.clone(), metrics);
        let metrics = shoal_gateway::round::Metrics::register(&registry).expect("metrics");
        let mut secret = [7; 32];
        secret.iter_mut().zip(seed.to_le_bytes()).for_each(|(to, from)| *to = from);
        let (rounds, settling) = Rounds::new(swarm.clone(), round, metrics, secret);
        let witness = Witness::default();
        let mut tasks = JoinSet::new();
        let (door, dialled) = mpsc::channel(DOOR);
        tasks.spawn(receive(swarm.clone(), dialled));
        tasks.spawn(async move { match settling.run().await {} });
        tasks.spawn(async move { match book.run().await {} });
        for (number, character) in characters.iter().enumerate().filter(|_| audited) {
            let engine = Scripted::auditor(number, character, world.clone(), witness.clone());
            let who = Who { key: AUDITORS + number as u64, audit: shoal_proto::Secret::new(TOKEN) };
            start_node(who, character, engine, gateway, door.clone(), &mut tasks);
        }
        let start = |(number, character): (usize, Character)| {
            let engine = Scripted::new(number, character.clone(), world.clone(), witness.clone());
            let who = Who { key: number as u64, audit: shoal_proto::Secret::default() };
            start_node(who, &character, engine, gateway, door.clone(), &mut tasks)
        };
        let nodes = characters.into_iter().enumerate().map(start).collect();
        Self { swarm, rounds, world, witness, registry, effort, nodes, _tasks: tasks }
    }

    /// Asks the swarm.
    ///
    /// # Errors
    /// As a round's.
    pub async fn ask(&self, question: &str) -> Result<Outcome, RoundError> {
        self.answer(Target::Swarm, question, None).await
    }

    /// Asks one model by name.
    ///
    /// # Errors
    /// As a round's.
    pub async fn ask_model(&self, model: &str, question: &str) -> Result<Outcome, RoundError> {
        self.answer(Target::Model(model.to_owned()), question, None).await
    }

    /// Asks, with the pieces as they come.
    ///
    /// # Errors
    /// As a round's.
    pub async fn answer(
        &self,
        target: Target,
        question: &str,
        pieces: Option<mpsc::Sender<RoundUpdate>>,
    ) -> Result<Outcome, RoundError> {
        let messages = vec![ChatMessage::new("user", question)];
        let ask = Ask::plain(target, messages, Sampling::default(), self.effort);
        let unheard = || mpsc::channel(1_024).0;
        let pieces = pieces.unwrap_or_else(unheard);
        self.rounds.answer(&ask, &pieces).await
    }

    /// Whether an outcome's answer is the truth.
    pub fn is_right(&self, question: &str, outcome: &Outcome) -> bool {
        let truth = format!("Answer: {}", self.world.truth(question).answer);
        outcome.winner().is_some_and(|winner| {
            let said = shoal_consensus::agree::final_answer(&winner.text);
            said == shoal_consensus::agree::final_answer(&truth)
        })
    }

    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// What the engines have seen.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// From now on turncoats lie.
    pub fn betray(&self) {
        self.world.betray();
    }

    /// How often node `number` was caught by an audit.
    pub fn caught(&self, number: usize) -> u32 {
        self.swarm.book().fit();
        let standing = self.swarm.standing();
        standing.record(&self.node(number)).map_or(0, |record| record.caught)
    }

    /// A counter or gauge by its name and the value of one of its labels; 0 when never counted.
    pub fn count(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        let labelled = metrics.flat_map(|family| family.get_metric()).filter(|metric| {
            label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label)
        });
        labelled
            .map(|metric| {
                (metric.get_counter().get_value() + metric.get_gauge().get_value()) as u64
            })
            .sum()
    }

    /// Name of node `number`.
    ///
    /// # Panics
    /// When there is no such node.
    #[expect(clippy::expect_used, reason = "a test names nodes that it has added")]
    pub fn node(&self, number: usize) -> NodeId {
        self.nodes.get(number).expect("a node of that number").id
    }

    /// The members, as rounds see them.
    pub fn members(&self) -> Arc<[MemberView]> {
        self.swarm.members()
    }

    /// Cuts a node's link as a broken cable does; the node will dial again.
    pub fn cut(&self, number: usize) {
        if let Some(node) = self.nodes.get(number)
            && let Some(link) = node.link.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
        {
            link.close("cut");
        }
    }

    /// Tells a node to leave politely.
    pub fn stop(&self, number: usize) {
        if let Some(node) = self.nodes.get(number) {
            node.stop.cancel();
        }
    }

    /// Waits until there are this many members.
    ///
    /// # Panics
    /// When that takes longer than any admission does.
    #[expect(clippy::expect_used, reason = "the simulation itself is wrong")]
    pub async fn until_members(&self, count: usize) {
        let there = async {
            while self.members().len() != count {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(ADMISSION, there).await.expect("that many members");
    }

    /// Waits until no engine works and what was learned is known.
    ///
    /// # Panics
    /// When an engine works on for ever.
    #[expect(clippy::expect_used, reason = "the simulation itself is wrong")]
    pub async fn until_idle(&self) {
        let idle = async {
            let mut quiet = 0;
            while quiet < 4 {
                sleep(Duration::from_millis(100)).await;
                quiet = if self.witness.working() == 0 { quiet + 1 } else { 0 };
            }
        };
        timeout(ADMISSION, idle).await.expect("an end of all work");
        self.swarm.book().fit();
    }
}

/// The gateway's door: every link lives its own life.
async fn receive(swarm: Swarm, mut dialled: mpsc::Receiver<Arc<PipeLink>>) {
    let mut lives = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(link) = dialled.recv() => {
                let swarm = swarm.clone();
                lives.spawn(async move { swarm.admit(link).await });
            }
            Some(_) = lives.join_next() => {}
            else => return,
        }
    }
}

/// A key, by its number, and whether it is an auditor's.
struct Who {
    key: u64,
    audit: shoal_proto::Secret,
}

fn start_node(
    who: Who,
    character: &Character,
    engine: Scripted,
    gateway: NodeId,
    door: mpsc::Sender<Arc<PipeLink>>,
    tasks: &mut JoinSet<()>,
) -> Node {
    let Who { key, audit } = who;
    let identity = identity(key);
    let id = identity.id();
    let link: Arc<Mutex<Option<Arc<PipeLink>>>> = Arc::default();
    let last = link.clone();
    let dial: Box<Dial> = Box::new(move || {
        let (ours, theirs) = pipe::pair_with(id, gateway, Delay(DELAY));
        let theirs = Arc::new(theirs);
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(theirs.clone());
        let door = door.clone();
        Box::pin(async move {
            door.send(theirs).await.map_err(|_| LinkError::Closed("no gateway".to_owned()))?;
            Ok(Arc::new(ours) as Arc<dyn Link>)
        })
    });
    let stop = CancellationToken::new();
    let told = stop.clone();
    let operator = character.operator.clone();
    let slots = character.slots;
    tasks.spawn(async move {
        let Ok(metrics) = node_metrics::Metrics::register(&Registry::new()) else { return };
        let queue = Arc::new(WorkQueue::new(Arc::new(engine), slots, metrics));
        let identity = Arc::new(identity);
        let member = Member { identity, operator, queue, drain: Duration::from_secs(10), audit };
        // A fatal end shows as a member that is missing.
        let _ = session::keep_linked(&*dial, &member, &told).await;
    });
    Node { id, link, stop }
}

fn identity(number: u64) -> Identity {
    let mut secret = [0x5a; 32];
    secret.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    Identity::from_secret(secret)
}
