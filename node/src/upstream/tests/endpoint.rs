//! A small endpoint that answers as it is told, byte for byte.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// How `/v1/chat/completions` is answered.
#[derive(Clone, Debug)]
pub(super) enum Chat {
    /// An event stream in these writes, then its end.
    Stream(Vec<Vec<u8>>),
    /// An event stream that goes silent after these bytes; the connection stays.
    Hang(Vec<u8>),
    /// An event stream whose connection breaks after these bytes.
    Break(Vec<u8>),
    Status(u16, &'static str),
    /// Whatever this makes of the path and the body.
    Script(fn(&str, &Value) -> Self),
    /// Answers what is asked in at most so many bytes, and refuses the rest.
    Fits {
        bytes: usize,
        answer: &'static str,
        refusal: &'static str,
    },
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct SeenRequest {
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body: Value,
}

pub(super) struct FakeEndpoint {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<SeenRequest>>>,
    /// Streams that hang and whose reader is still there.
    pub(super) open_requests: watch::Receiver<u32>,
    _tasks: JoinSet<()>,
}

impl FakeEndpoint {
    /// `models` answers `/v1/models`: a status and a body.
    pub(super) async fn start(models: (u16, &'static str), chat: Chat) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<SeenRequest>>> = Arc::default();
        let (hang, open_requests) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&requests);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (chat, log, hang) = (chat.clone(), Arc::clone(&log), hang.clone());
                connections.spawn(async move {
                    let _ = answer(stream, models, chat, &log, &hang).await;
                });
            }
        });
        Self { address, requests, open_requests, _tasks: tasks }
    }

    /// What was asked of the chat, in order.
    pub(super) fn requests(&self) -> Vec<SeenRequest> {
        self.requests_at("/v1/chat/completions")
    }

    /// What was asked there, in order.
    pub(super) fn requests_at(&self, path: &str) -> Vec<SeenRequest> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.path == path).cloned().collect()
    }
}

async fn answer(
    stream: TcpStream,
    models: (u16, &str),
    chat: Chat,
    log: &Mutex<Vec<SeenRequest>>,
    hang: &watch::Sender<u32>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream).await?;
    let (path, size) = (request.path.clone(), request.body.to_string().len());
    let chat = match chat {
        Chat::Script(script) => script(&path, &request.body),
        chat => chat,
    };
    log.lock().unwrap().push(request);
    if path == "/v1/models" {
        return whole(&mut stream, models).await;
    }
    let hangs = matches!(chat, Chat::Hang(_));
    let (writes, end) = match chat {
        Chat::Status(status, body) => return whole(&mut stream, (status, body)).await,
        Chat::Fits { bytes, answer, refusal } => {
            let reply = if size <= bytes { (200, answer) } else { (400, refusal) };
            return whole(&mut stream, reply).await;
        }
        Chat::Stream(writes) => (writes, &b"0\r\n\r\n"[..]),
        Chat::Script(_) => return Ok(()),
        Chat::Hang(write) | Chat::Break(write) => (vec![write], &b""[..]),
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for write in writes {
        stream.write_all(format!("{:x}\r\n", write.len()).as_bytes()).await?;
        stream.write_all(&write).await?;
        stream.write_all(b"\r\n").await?;
        stream.flush().await?;
        // Gives the reader the chance to see each write by itself.
        tokio::task::yield_now().await;
    }
    stream.write_all(end).await?;
    stream.flush().await?;
    if hangs {
        hang.send_modify(|count| *count += 1);
        // Ends when the reader closes its side.
        let _ = stream.read_u8().await;
        hang.send_modify(|count| *count -= 1);
    }
    Ok(())
}

async fn whole(
    stream: &mut BufReader<TcpStream>,
    (status, body): (u16, &str),
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<SeenRequest> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut key, mut length) = (String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        match line.trim().split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                key = value.to_owned();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap_or(0);
            }
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(SeenRequest { path, key, body: serde_json::from_slice(&body).unwrap_or_default() })
}
