//! A gateway on free ports with scripted members, and a client that checks every answer against the
//! API's own description.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use shoal_gateway::config::Config;
use shoal_proto::{generate::Generate, judge::Judge};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::scripted::node;
use crate::{
    documented,
    scripted::{Counts, Node},
};

/// A running gateway; dropping it stops everything.
#[derive(Debug)]
pub(crate) struct Gateway {
    address: SocketAddr,
    client: reqwest::Client,
    counts: Arc<Counts>,
    data: tempfile::TempDir,
    /// Its OpenAPI document: every answer is checked against it.
    document: Value,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts a gateway and waits until all members have joined.
    pub(crate) async fn start(nodes: impl IntoIterator<Item = Node>) -> Self {
        Self::with(nodes, |_| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn with(
        nodes: impl IntoIterator<Item = Node>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config { data: data.path().to_owned(), ..Config::default() };
        config.http.listen.set_port(0);
        config.quic.listen.set_port(0);
        config.http.drain_ms_max = 0;
        // Scripted members cannot pass an exam, and rounds are to wait for all of them.
        config.swarm.exam.per_family = 0;
        config.swarm.exam.per_family_known = 0;
        config.round.generate.second_price = 0.0;
        change(&mut config);

        let gateway = shoal_gateway::gateway::Gateway::bind(config).await.unwrap();
        let addresses = gateway.addresses().clone();
        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let server = gateway.serve(stop.clone());
        // Members outlive the gateway, as real nodes do.
        let node_stop = CancellationToken::new();
        let node_guard = node_stop.clone().drop_guard();
        tasks.spawn(async move {
            server.await.unwrap();
            drop(node_guard);
        });
        let mut members = 0;
        for node in nodes {
            members += 1;
            tasks.spawn(node.live(addresses.quic.to_string(), counts.clone(), node_stop.clone()));
        }
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let gateway = Self {
            address: addresses.http,
            client,
            counts,
            data,
            document: Value::Null,
            stop,
            tasks,
        };
        eventually(async || gateway.get("/readyz").await.json()["members"] == members).await;
        let document = gateway.get("/openapi.json").await.json();
        Self { document, ..gateway }
    }

    /// The folder with its key and database.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Stops the gateway, as a signal does.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until no client can connect any more.
    pub(crate) async fn until_deaf(&self) {
        eventually(async || tokio::net::TcpStream::connect(self.address).await.is_err()).await;
    }

    /// Waits until the gateway and its members have ended by themselves.
    pub(crate) async fn until_ended(&mut self) {
        let end = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(30), end).await.expect("it never ended");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many answers members have started to write.
    pub(crate) fn start_count(&self) -> usize {
        self.counts.start_count()
    }

    /// Every ask to a writer.
    pub(crate) fn generate_asks(&self) -> Vec<Generate> {
        self.counts.generate_asks()
    }

    /// Every ask to a judge.
    pub(crate) fn judge_asks(&self) -> Vec<Judge> {
        self.counts.judge_asks()
    }

    pub(crate) async fn until_begun(&self, count: usize) {
        eventually(async || self.counts.start_count() == count).await;
    }

    /// Waits until that many answers were stopped because no client was left.
    pub(crate) async fn until_stopped(&self, count: usize) {
        eventually(async || self.counts.stop_count() == count).await;
    }

    /// When the last answer was stopped.
    pub(crate) fn last_stop(&self) -> Option<Instant> {
        self.counts.last_stop()
    }

    /// Waits until a line is in the metrics.
    pub(crate) async fn until_counted(&self, line: &str) {
        eventually(async || self.get("/metrics").await.text().contains(line)).await;
    }

    pub(crate) fn build(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let reply = self.client.execute(request).await.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let reply = Reply { status, headers, body: reply.bytes().await.unwrap().to_vec() };
        documented::hold(&self.document, method.as_str(), &path, &reply);
        reply
    }

    pub(crate) async fn request(&self, method: Method, path: &str) -> Reply {
        self.send(self.build(method, path)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_bytes(path, "application/json", body.to_string().into_bytes()).await
    }

    pub(crate) async fn post_bytes(&self, path: &str, kind: &str, body: Vec<u8>) -> Reply {
        let request = self.build(Method::POST, path).header("content-type", kind).body(body);
        self.send(request).await
    }

    /// Posts, and reads the answer in pieces.
    pub(crate) async fn open(&self, path: &str, body: &Value) -> Stream {
        let request = self.build(Method::POST, path).json(body);
        Stream { reply: request.send().await.unwrap(), text_so_far: String::new() }
    }
}

/// A request that all scripted members can answer.
pub(crate) fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "What is 2 + 2?"}]})
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    /// An answer that the test makes up.
    pub(crate) fn of(status: u16, body: &str) -> Self {
        let headers = reqwest::header::HeaderMap::default();
        Self { status, headers, body: body.as_bytes().to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// An answer that is read in pieces.
#[derive(Debug)]
pub(crate) struct Stream {
    reply: reqwest::Response,
    text_so_far: String,
}

impl Stream {
    pub(crate) fn text_so_far(&self) -> &str {
        &self.text_so_far
    }

    pub(crate) async fn read_until(&mut self, text: &str) {
        while !self.text_so_far.contains(text) {
            assert!(self.more().await, "{text:?} never came: {:?}", self.text_so_far);
        }
    }

    pub(crate) async fn read_to_end(&mut self) {
        while self.more().await {}
    }

    async fn more(&mut self) -> bool {
        let Some(bytes) = self.reply.chunk().await.unwrap() else { return false };
        self.text_so_far.push_str(std::str::from_utf8(&bytes).unwrap());
        true
    }
}

/// Polls until `condition` holds; half a minute is long on any machine.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it never came");
}
