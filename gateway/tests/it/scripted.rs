//! A member that follows a script: a real node behind a real link, with an engine that computes
//! nothing.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use shoal_engine::{Engine, EngineError, Event};
use shoal_link::{Link, quic};
use shoal_node::{
    metrics::Metrics,
    serve::WorkQueue,
    session::{Member, keep_linked},
};
use shoal_proto::{
    Identity,
    embed::{Embed, Embedded, Vector},
    generate::{Done, Fault, Finish, Generate, TokenLogprob},
    hello::Model,
    judge::{Ballot, Judge, Score},
    tools::ToolCall,
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// What a scripted member does when it is asked to write.
#[derive(Clone, Debug)]
enum Step {
    Say(String),
    Wait(Arc<Notify>),
    End(Finish),
    /// Ends with this message.
    Done(Done),
    Fail(Fault),
    FailIf(Arc<AtomicBool>),
    Forever,
}

/// A member and its script.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    model: String,
    operator: String,
    description: String,
    steps: Vec<Step>,
    fusion: Option<Vec<Step>>,
    likes: Option<String>,
    /// What its model claims to be able to do.
    able: Model,
}

/// Starts the script of a member that serves `model`.
pub(crate) fn node(model: &str) -> Node {
    Node {
        model: model.to_owned(),
        operator: String::new(),
        description: String::new(),
        steps: Vec::new(),
        fusion: None,
        likes: None,
        able: Model::default(),
    }
}

impl Node {
    /// Sets its operator and its description.
    pub(crate) fn by(self, operator: &str, description: &str) -> Self {
        Self { operator: operator.to_owned(), description: description.to_owned(), ..self }
    }

    /// Sets the tags of its model.
    pub(crate) fn tagged(mut self, tags: &[&str]) -> Self {
        self.able.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self
    }

    /// Answers at once.
    pub(crate) fn says(self, text: &str) -> Self {
        self.then([Step::Say(text.to_owned()), Step::End(Finish::Stop)])
    }

    /// Replaces its end with an end at the token limit.
    pub(crate) fn cut(mut self) -> Self {
        self.steps.pop();
        self.then([Step::End(Finish::Length)])
    }

    /// Sets what it does when it is asked to fuse answers.
    pub(crate) fn fusing(self, fusion: Self) -> Self {
        Self { fusion: Some(fusion.steps), ..self }
    }

    /// Turns a text into the direction of (its length, 1, 2).
    pub(crate) fn embeds(self) -> Self {
        let able = Model { embeds: true, ..self.able };
        Self { able, ..self }
    }

    /// As a judge, finds texts with this word much likelier than other texts.
    pub(crate) fn likes(self, word: &str) -> Self {
        Self { likes: Some(word.to_owned()), ..self }
    }

    /// Sets what its model claims to be able to do.
    pub(crate) fn able(self, able: Model) -> Self {
        Self { able, ..self }
    }

    /// Calls functions and writes no text.
    pub(crate) fn calls(self, calls: &[(&str, &str)]) -> Self {
        let calls = calls.iter().map(|(name, arguments)| ToolCall {
            name: (*name).to_owned(),
            arguments: (*arguments).to_owned(),
            ..ToolCall::default()
        });
        let end = Done {
            finish: Finish::ToolCalls.into(),
            prompt_tokens: 5,
            completion_tokens: 7,
            tool_calls: calls.collect(),
            ..Done::default()
        };
        let able = Model { tools: true, ..Model::default() };
        self.able(able).then([Step::Done(end)])
    }

    /// Writes these tokens, each with its log-probability.
    pub(crate) fn says_tokens(self, tokens: &[(&str, f64)]) -> Self {
        let text: String = tokens.iter().map(|(text, _)| *text).collect();
        let tokens = tokens.iter().map(|(text, logprob)| TokenLogprob {
            bytes: text.as_bytes().to_vec(),
            logprob: *logprob,
            top: vec![TokenLogprob { bytes: b"x".to_vec(), logprob: -9.0, top: Vec::new() }],
        });
        let end = Done {
            finish: Finish::Stop.into(),
            prompt_tokens: 5,
            completion_tokens: 7,
            tokens: tokens.collect(),
            ..Done::default()
        };
        self.then([Step::Say(text), Step::Done(end)])
    }

    /// Says that it cannot answer.
    pub(crate) fn abstains(self) -> Self {
        self.then([Step::End(Finish::Abstained)])
    }

    pub(crate) fn breaks(self) -> Self {
        self.then([Step::Fail(Fault::Engine)])
    }

    /// Answers at once, until the switch is set: then it breaks.
    pub(crate) fn says_until_broken(self, text: &str) -> (Self, Arc<AtomicBool>) {
        let is_broken = Arc::new(AtomicBool::new(false));
        (self.then([Step::FailIf(is_broken.clone())]).says(text), is_broken)
    }

    /// Fails because the conversation does not fit.
    pub(crate) fn too_long(self) -> Self {
        self.then([Step::Fail(Fault::ContextLength)])
    }

    pub(crate) fn begins_and_never_ends(self, text: &str) -> Self {
        self.then([Step::Say(text.to_owned())]).never_ends()
    }

    pub(crate) fn never_ends(self) -> Self {
        self.then([Step::Forever])
    }

    /// Writes the first text at once, and the second when it is notified.
    pub(crate) fn says_in_two(self, first: &str, second: &str) -> (Self, Arc<Notify>) {
        let go_on = Arc::new(Notify::new());
        let script = [Step::Say(first.to_owned()), Step::Wait(go_on.clone())];
        (self.then(script).says(second), go_on)
    }

    /// Writes one text after the other, each when it is notified.
    pub(crate) fn says_step_by_step(self, texts: &[String]) -> (Self, Arc<Notify>) {
        let go_on = Arc::new(Notify::new());
        let steps: Vec<Step> = texts
            .iter()
            .flat_map(|text| [Step::Say(text.clone()), Step::Wait(go_on.clone())])
            .collect();
        (self.then(steps).then([Step::End(Finish::Stop)]), go_on)
    }

    pub(crate) fn says_when_told(self, text: &str) -> (Self, Arc<Notify>) {
        let go_on = Arc::new(Notify::new());
        (self.then([Step::Wait(go_on.clone())]).says(text), go_on)
    }

    pub(crate) fn begins_then_breaks(self, text: &str) -> (Self, Arc<Notify>) {
        let go_on = Arc::new(Notify::new());
        let script = [Step::Say(text.to_owned()), Step::Wait(go_on.clone())];
        (self.then(script).breaks(), go_on)
    }

    fn then(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// Runs it as a member of the gateway at `address`.
    pub(crate) async fn live(self, address: String, counts: Arc<Counts>, stop: CancellationToken) {
        let identity = Arc::new(Identity::generate());
        let operator = self.operator.clone();
        let engine = Arc::new(ScriptedEngine::new(self, counts));
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let member = Member {
            identity: identity.clone(),
            operator,
            queue: Arc::new(WorkQueue::new(engine, 4, metrics)),
            drain: Duration::ZERO,
            audit: shoal_proto::Secret::default(),
        };
        let dial = move || {
            let (address, identity) = (address.clone(), identity.clone());
            async move {
                let link = quic::dial(&address, &identity, None).await?;
                Ok(Arc::new(link) as Arc<dyn Link>)
            }
            .boxed()
        };
        keep_linked(&dial, &member, &stop).await.unwrap();
    }
}

/// What all members of a gateway were asked, and how many of their answers were stopped.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    starts: AtomicUsize,
    stops: AtomicUsize,
    last_stop: Mutex<Option<Instant>>,
    generate_asks: Mutex<Vec<Generate>>,
    judge_asks: Mutex<Vec<Judge>>,
}

impl Counts {
    pub(crate) fn start_count(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }

    /// Every ask to a writer.
    pub(crate) fn generate_asks(&self) -> Vec<Generate> {
        self.generate_asks.lock().unwrap().clone()
    }

    /// Every ask to a judge.
    pub(crate) fn judge_asks(&self) -> Vec<Judge> {
        self.judge_asks.lock().unwrap().clone()
    }

    pub(crate) fn stop_count(&self) -> usize {
        self.stops.load(Ordering::SeqCst)
    }

    /// When the last of these was stopped.
    pub(crate) fn last_stop(&self) -> Option<Instant> {
        *self.last_stop.lock().unwrap()
    }

    fn count_stop(&self) {
        *self.last_stop.lock().unwrap() = Some(Instant::now());
        self.stops.fetch_add(1, Ordering::SeqCst);
    }
}

struct ScriptedEngine {
    script: Vec<Step>,
    fusion: Option<Vec<Step>>,
    likes: Option<String>,
    model: Model,
    counts: Arc<Counts>,
    tasks: Mutex<JoinSet<()>>,
}

impl fmt::Debug for ScriptedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedEngine").field("script", &self.script).finish_non_exhaustive()
    }
}

impl ScriptedEngine {
    fn score(&self, text: &str) -> Score {
        let is_liked = self.likes.as_ref().is_none_or(|word| text.contains(word));
        Score { logprob: if is_liked { -1.0 } else { -30.0 }, tokens: 1 }
    }

    fn new(node: Node, counts: Arc<Counts>) -> Self {
        let model = Model {
            name: node.model,
            family: "scripted".into(),
            context: 4096,
            likelihood: true,
            description: node.description,
            ..node.able
        };
        let (script, fusion, likes) = (node.steps, node.fusion, node.likes);
        Self { script, fusion, likes, model, counts, tasks: Mutex::default() }
    }
}

impl Engine for ScriptedEngine {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (sender, events) = mpsc::channel(4);
        self.counts.generate_asks.lock().unwrap().push(ask.clone());
        self.counts.starts.fetch_add(1, Ordering::SeqCst);
        let fuses =
            ask.messages.iter().any(|message| message.content.contains("Others have answered"));
        let script = self.fusion.as_ref().filter(|_| fuses).unwrap_or(&self.script).clone();
        let counts = self.counts.clone();
        self.tasks.lock().unwrap().spawn(async move {
            let is_cancelled = tokio::select! {
                () = sender.closed() => true,
                is_cancelled = follow(script, &sender) => is_cancelled,
            };
            if is_cancelled {
                counts.count_stop();
            }
        });
        events
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        self.counts.judge_asks.lock().unwrap().push(ask.clone());
        let scores = ask.candidates.iter().map(|text| self.score(text)).collect();
        let ballot = Ballot { scores, prompt_tokens: 3, ..Ballot::default() };
        futures_util::future::ready(Ok(ballot)).boxed()
    }

    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embedded, EngineError>> {
        let prompt_tokens = u32::try_from(ask.inputs.len()).unwrap();
        let vectors = ask.inputs.iter().map(|text| direction(text)).collect();
        futures_util::future::ready(Ok(Embedded { vectors, prompt_tokens })).boxed()
    }
}

/// The direction of (length in bytes, 1, 2).
fn direction(text: &str) -> Vector {
    let point = [text.len() as f32, 1.0, 2.0];
    let length = point.iter().map(|x| x * x).sum::<f32>().sqrt();
    Vector { values: point.map(|x| x / length).to_vec() }
}

/// Follows the script; true when the receiver was dropped before its end.
async fn follow(script: Vec<Step>, events: &mpsc::Sender<Result<Event, EngineError>>) -> bool {
    for step in script {
        let event = match step {
            Step::Say(text) => Ok(Event::Piece(text)),
            Step::End(finish) => Ok(Event::Done(Done {
                finish: finish.into(),
                prompt_tokens: 5,
                completion_tokens: 7,
                cached_tokens: 2,
                reasoning_tokens: 3,
                ..Done::default()
            })),
            Step::Done(end) => Ok(Event::Done(end)),
            Step::Fail(fault) => Err(EngineError::new(fault, "as the script says")),
            Step::Wait(go_on) => {
                go_on.notified().await;
                continue;
            }
            Step::FailIf(is_broken) if !is_broken.load(Ordering::SeqCst) => continue,
            Step::FailIf(_) => Err(EngineError::new(Fault::Engine, "as the script says")),
            Step::Forever => std::future::pending().await,
        };
        if events.send(event).await.is_err() {
            return true;
        }
    }
    false
}
