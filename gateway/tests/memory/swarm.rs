//! A gateway and three members in this process, over real sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use shoal_engine::{Engine, EngineError, Event};
use shoal_gateway::{config::Config, gateway::Gateway};
use shoal_link::{Link, quic};
use shoal_node::{
    metrics::Metrics,
    serve::WorkQueue,
    session::{Member, keep_linked},
};
use shoal_proto::{
    Identity,
    embed::{Embed, Embedded},
    generate::{Done, Fault, Finish, Generate},
    hello::Model,
    judge::{Ballot, Judge, Score},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

const MEMBERS: usize = 3;

/// A running swarm; dropping it stops everything.
pub(crate) struct Swarm {
    http: SocketAddr,
    client: reqwest::Client,
    _data: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

impl Swarm {
    /// Starts it and waits until all members have joined.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config { data: data.path().to_owned(), ..Config::default() };
        config.http.listen.set_port(0);
        config.quic.listen.set_port(0);
        // Members that compute nothing cannot pass an exam, and are not to be asked in secret.
        config.swarm.exam.per_family = 0;
        config.swarm.exam.per_family_known = 0;
        config.swarm.exam.general_per_kind = 0;
        change(&mut config);
        let gateway = Gateway::bind(config).await.unwrap();
        let (http, quic) = (gateway.addresses().http, gateway.addresses().quic.to_string());
        let mut tasks = JoinSet::new();
        tasks.spawn(async { gateway.serve(CancellationToken::new()).await.unwrap() });
        for number in 0..MEMBERS {
            tasks.spawn(run_member(number, quic.clone()));
        }
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let swarm = Self { http, client, _data: data, _tasks: tasks };
        swarm.until(r#"shoal_members{state="serving"} 3"#).await;
        swarm
    }

    /// Where its API listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.http
    }

    /// Waits until it answers.
    pub(crate) async fn until_answering(&self) {
        self.metrics().await;
    }

    /// Posts, and reads the whole answer, which is a success.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("http://{}{path}", self.http)).json(body);
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.json().await.unwrap()
    }

    /// Waits until no request is under way and the last round is learned.
    pub(crate) async fn until_idle(&self) {
        self.until("shoal_requests_in_flight 0").await;
        // What a round teaches is learned beside it.
        tokio::time::sleep(Duration::from_millis(1_000)).await;
    }

    /// Waits until a line is in the metrics.
    async fn until(&self, line: &str) {
        let wait = async {
            while !self.metrics().await.contains(line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the line comes");
    }

    async fn metrics(&self) -> String {
        let reply = self.client.get(format!("http://{}/metrics", self.http)).send().await;
        reply.unwrap().text().await.unwrap()
    }
}

async fn run_member(number: usize, address: String) {
    let identity = Arc::new(Identity::generate());
    let model = Model {
        name: format!("member-{number}"),
        family: "scripted".into(),
        context: 4096,
        likelihood: true,
        ..Model::default()
    };
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let member = Member {
        identity: identity.clone(),
        operator: String::new(),
        queue: Arc::new(WorkQueue::new(Arc::new(Constant { model }), 4, metrics)),
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
    keep_linked(&dial, &member, &CancellationToken::new()).await.unwrap();
}

/// Writes the same answer to each question, and likes every answer.
#[derive(Debug)]
struct Constant {
    model: Model,
}

impl Engine for Constant {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, _ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (sender, events) = mpsc::channel(2);
        let end = Done {
            finish: Finish::Stop.into(),
            prompt_tokens: 5,
            completion_tokens: 7,
            ..Done::default()
        };
        for event in [Event::Piece("Many boats are red.".into()), Event::Done(end)] {
            sender.try_send(Ok(event)).unwrap();
        }
        events
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        let score = Score { logprob: -1.0, tokens: 1 };
        let scores = vec![score; ask.candidates.len()];
        futures_util::future::ready(Ok(Ballot { scores, prompt_tokens: 3, ..Ballot::default() }))
            .boxed()
    }

    fn embed(&self, _ask: Embed) -> BoxFuture<'_, Result<Embedded, EngineError>> {
        futures_util::future::ready(Err(EngineError::new(Fault::Engine, "no vectors"))).boxed()
    }
}
