//! A small hub and package index on this machine, with the failures of real ones.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use reqwest::Url;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What a path answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Page {
    pub(super) fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) headers: HashMap<String, String>,
}

/// How bodies are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// Bytes of a body after which each connection breaks.
    pub(super) cut: Option<usize>,
    /// The connection falls silent instead of breaking.
    pub(super) hangs: bool,
    pub(super) knows_ranges: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { cut: None, hangs: false, knows_ranges: true }
    }
}

#[derive(Debug, Default)]
struct State {
    pages: BTreeMap<String, Page>,
    manners: Manners,
    requests: Vec<Request>,
}

pub(super) struct Server {
    pub(super) url: Url,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let mut tasks = JoinSet::new();
        let handle = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&handle);
                connections.spawn(async move {
                    // A client that leaves early is its own business.
                    let _ = answer(stream, &state).await;
                });
            }
        });
        Self { url, state, _tasks: tasks }
    }

    pub(super) fn put(&self, path: impl Into<String>, page: Page) {
        self.state.lock().unwrap().pages.insert(path.into(), page);
    }

    pub(super) fn behaves(&self, manners: Manners) {
        self.state.lock().unwrap().manners = manners;
    }

    /// The requests whose line begins so, in order.
    pub(super) fn requests(&self, line: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|request| request.line.starts_with(line)).cloned().collect()
    }

    /// The ranges that were requested of a path; an empty text for the whole.
    pub(super) fn ranges(&self, path: &str) -> Vec<String> {
        let requests = self.requests(&format!("GET {path} ")).into_iter();
        requests.map(|request| request.headers.get("range").cloned().unwrap_or_default()).collect()
    }
}

async fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream).await?;
    let (method, path) = {
        let mut words = request.line.split(' ');
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned())
    };
    let range = request.headers.get("range").cloned();
    let (page, manners) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request);
        let not_found = Page::status(404);
        (state.pages.get(&path).cloned().unwrap_or(not_found), state.manners)
    };
    let total = page.body.len();
    let start = range
        .filter(|_| manners.knows_ranges && page.status == 200)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let (status, body, range) = match start {
        Some(start) if start >= total => (416, &[][..], format!("bytes */{total}")),
        Some(start) => (206, &page.body[start..], format!("bytes {start}-{}/{total}", total - 1)),
        None => (page.status, &page.body[..], String::new()),
    };
    let mut head = format!("HTTP/1.1 {status} Status\r\nconnection: close\r\n");
    head += &format!("content-length: {}\r\n", body.len());
    if !range.is_empty() {
        head += &format!("content-range: {range}\r\n");
    }
    for (name, value) in &page.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    if method == "HEAD" {
        return stream.flush().await;
    }
    let count = manners.cut.unwrap_or(usize::MAX).min(body.len());
    stream.write_all(&body[..count]).await?;
    stream.flush().await?;
    if count < body.len() && manners.hangs {
        // Ends when the reader closes its side.
        let _ = stream.read_u8().await;
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let (mut headers, mut header) = (HashMap::new(), String::new());
    loop {
        header.clear();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    Ok(Request { line: line.trim().to_owned(), headers })
}
