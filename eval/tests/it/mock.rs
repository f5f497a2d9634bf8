//! A mock gateway with two members: one knows every answer, the other guesses.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};
use shoal_eval::collect;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Faults of the gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mock {
    /// The member that knows is not in the rounds.
    pub(crate) cuts_off: bool,
    /// Every question gets a 503.
    pub(crate) refuses: bool,
    /// There are no members.
    pub(crate) empty: bool,
}

/// A server that listens until it is dropped.
pub(crate) struct MockServer {
    pub(crate) base: String,
    _tasks: JoinSet<()>,
}

impl Mock {
    pub(crate) async fn start(self) -> MockServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers =
            collect::questions(super::PLAN.split, super::PLAN.questions, super::PLAN.seed);
        let answers = answers.into_iter().map(|q| (q.text, q.answer)).collect();
        let server = Arc::new(Server { mock: self, answers });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, server.clone()));
            }
        });
        MockServer { base, _tasks: tasks }
    }
}

struct Server {
    mock: Mock,
    answers: HashMap<String, String>,
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).await.is_ok_and(|count| count > 2) {}
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let path = head.split_whitespace().nth(1).unwrap().to_owned();
    let (status, round, answer) = server.answer(&path, &body);
    let answer = answer.to_string();
    let reply = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nx-shoal-round: {round}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len(),
    );
    stream.write_all(reply.as_bytes()).await.unwrap();
}

impl Server {
    fn answer(&self, path: &str, body: &[u8]) -> (u16, String, Value) {
        if path == "/v1/models" {
            let names: &[&str] = if self.mock.empty {
                &["shoal"]
            } else {
                &["shoal", "shoal-deep", "knows", "guesses"]
            };
            let data: Vec<Value> = names.iter().map(|name| json!({ "id": name })).collect();
            return (200, String::new(), json!({ "data": data }));
        }
        if path == "/v1/nodes" {
            let nodes = ["a1", "b2", "c3"].map(|id| json!({ "id": id }));
            return (200, String::new(), json!({ "data": nodes }));
        }
        if let Some(id) = path.strip_prefix("/v1/nodes/") {
            // Two nodes serve the same weights; the third is an upstream without a digest.
            let digest = if id.starts_with("c3") { "" } else { "d1ge57" };
            return (200, String::new(), json!({ "member": { "digest": digest } }));
        }
        if let Some(round) = path.strip_prefix("/v1/rounds/") {
            return (200, String::new(), self.transcript(round));
        }
        if self.mock.refuses {
            let error =
                json!({ "error": { "message": "no candidate in time: 2 members were asked" } });
            return (503, String::new(), error);
        }
        let request: Value = serde_json::from_slice(body).unwrap();
        let question = request["messages"][0]["content"].as_str().unwrap();
        // The round's id contains its question.
        let hex: String = question.bytes().map(|byte| format!("{byte:02x}")).collect();
        let round = format!("{}-{hex}", request["model"].as_str().unwrap());
        let transcript = self.transcript(&round);
        let winner = transcript["winner"].as_u64().unwrap() as usize;
        let text = transcript["candidates"][winner]["text"].clone();
        (200, round, json!({ "choices": [{ "message": { "content": text } }] }))
    }

    fn transcript(&self, round: &str) -> Value {
        let (model, hex) = round.split_once('-').unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let right = &self.answers[std::str::from_utf8(&bytes).unwrap()];
        let guesses = candidate("guesses", "Answer: a guess", 5.0, 0);
        let knows = candidate("knows", &format!("Worked.\nAnswer: {right}"), 9.0, 1);
        let candidates = match model {
            "guesses" => vec![guesses],
            "knows" => vec![knows],
            _ if self.mock.cuts_off => vec![guesses],
            _ => vec![guesses, knows],
        };
        json!({
            "id": round,
            "object": "round",
            "decided": if candidates.len() == 1 { "single" } else { "judged" },
            "winner": candidates.len() - 1,
            "candidates": candidates,
            "ballots": [],
            "timings_ms": { "select": 0.1, "generate": 9.0, "judge": 1.0, "rank": 0.1, "total": 10.2 },
        })
    }
}

fn candidate(model: &str, text: &str, took_ms: f64, pool: usize) -> Value {
    json!({
        "index": 0, "writer": "00".repeat(32), "model": model, "text": text,
        "finish_reason": "stop", "prompt_tokens": 9, "completion_tokens": 12, "logprob": -0.5,
        "first_piece_ms": 1.0, "took_ms": took_ms, "pool": pool, "strength": 1.0, "p_best": 0.97,
    })
}
