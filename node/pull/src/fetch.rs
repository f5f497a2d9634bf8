//! One body from a server into a partial file, whatever happens on the way: what has come is kept,
//! what is kept is read again, and only what is right in length and checksum is called done.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, Response, StatusCode, Url, header};
use sha2::{Digest, Sha256};

use super::{PullError, settings::Patience};

/// What is to come, and how it is known to be right.
#[derive(Clone, Debug)]
pub(super) struct Body<'a> {
    pub(super) url: Url,
    /// How messages call it.
    pub(super) what: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<&'a str>,
}

/// Takes the bytes as they come, those kept from an earlier time first.
pub(super) trait Sink: Send {
    /// # Errors
    /// What is wrong with the bytes, or with where they go.
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError>;

    /// The bytes come again from the first one.
    fn again(&mut self) -> Result<(), PullError>;
}

/// What is read at once from a partial file; tokio's thread is given back between two.
const BLOCK: usize = 256 << 10;

/// Gets `body` into `part`, which then holds all of it and is for the caller to rename or remove.
///
/// # Errors
/// Keeps `part` where another try can go on, and removes it where it cannot.
pub(super) async fn fetch(
    client: &Client,
    body: &Body<'_>,
    part: &Path,
    sink: &mut dyn Sink,
    patience: Patience,
) -> Result<(), PullError> {
    let mut kept = Kept::open(part, sink).await?;
    let got = match kept.fill(client, body, sink, patience).await {
        Ok(()) => kept.check(body),
        Err(error) => Err(error),
    };
    if let Err(PullError::Wheel { .. } | PullError::Checksum { .. } | PullError::Length { .. }) =
        got
    {
        let _ = std::fs::remove_file(part);
    }
    got
}

/// The partial file and what is known of its content.
struct Kept {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Sha256,
}

/// How one try ended.
enum Try {
    Whole,
    /// It may go on from here.
    Cut(String),
}

impl Kept {
    async fn open(path: &Path, sink: &mut dyn Sink) -> Result<Self, PullError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(PullError::disk(path))?;
        let (mut bytes, mut hash) = (0, Sha256::new());
        let mut block = vec![0; BLOCK];
        loop {
            let read = file.read(&mut block).map_err(PullError::disk(path))?;
            let Some(read) = block.get(..read).filter(|read| !read.is_empty()) else { break };
            hash.update(read);
            sink.take(read)?;
            bytes += read.len() as u64;
            tokio::task::yield_now().await;
        }
        Ok(Self { path: path.to_owned(), file, bytes, hash })
    }

    async fn fill(
        &mut self,
        client: &Client,
        body: &Body<'_>,
        sink: &mut dyn Sink,
        patience: Patience,
    ) -> Result<(), PullError> {
        // More than there is cannot be a beginning of it.
        if body.bytes.is_some_and(|bytes| self.bytes > bytes) {
            self.restart(sink)?;
        }
        let (mut left, mut pause) = (patience.tries, patience.pause);
        while body.bytes != Some(self.bytes) {
            let before = self.bytes;
            let why = match self.go_on(client, body, sink).await? {
                Try::Whole => break,
                Try::Cut(why) => why,
            };
            if self.bytes > before {
                (left, pause) = (patience.tries, patience.pause);
            }
            left = left.saturating_sub(1);
            if left == 0 {
                return Err(unreachable(body.what, &body.url, why));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.file.flush().map_err(PullError::disk(&self.path))
    }

    /// Asks for what is missing and takes what comes.
    async fn go_on(
        &mut self,
        client: &Client,
        body: &Body<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Try, PullError> {
        let mut request = client.get(body.url.clone());
        if let Some(token) = body.token {
            request = request.bearer_auth(token);
        }
        if self.bytes > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.bytes));
        }
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Try::Cut(reason(&error))),
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(self.bytes) => {}
            // All of it again: the server knows no ranges.
            StatusCode::OK => self.restart(sink)?,
            StatusCode::RANGE_NOT_SATISFIABLE if self.bytes > 0 => {
                if body.bytes.is_none() && whole(&response) == Some(self.bytes) {
                    return Ok(Try::Whole);
                }
                self.restart(sink)?;
                return Ok(Try::Cut("it has other bytes now".to_owned()));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Ok(Try::Cut(format!("it answers {}", status.as_u16())));
            }
            status => return Err(refused(body.what, &body.url, status)),
        }
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => self.take(&bytes, body, sink)?,
                Ok(None) if body.bytes.is_none_or(|bytes| self.bytes >= bytes) => {
                    return Ok(Try::Whole);
                }
                Ok(None) => return Ok(Try::Cut("it ended too early".to_owned())),
                Err(error) => return Ok(Try::Cut(reason(&error))),
            }
        }
    }

    fn take(
        &mut self,
        bytes: &[u8],
        body: &Body<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), PullError> {
        let got = self.bytes + bytes.len() as u64;
        // Looked at before it is written: no server fills the disk.
        if let Some(expected) = body.bytes.filter(|expected| got > *expected) {
            return Err(PullError::Length { what: body.what.to_owned(), expected, got });
        }
        self.file.write_all(bytes).map_err(PullError::disk(&self.path))?;
        self.hash.update(bytes);
        self.bytes = got;
        sink.take(bytes)
    }

    fn restart(&mut self, sink: &mut dyn Sink) -> Result<(), PullError> {
        if self.bytes > 0 {
            let empty = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
            empty.map_err(PullError::disk(&self.path))?;
            (self.bytes, self.hash) = (0, Sha256::new());
            sink.again()?;
        }
        Ok(())
    }

    fn check(self, body: &Body<'_>) -> Result<(), PullError> {
        let what = body.what.to_owned();
        if let Some(expected) = body.bytes.filter(|expected| *expected != self.bytes) {
            return Err(PullError::Length { what, expected, got: self.bytes });
        }
        let got = hex(self.hash);
        match body.sha256 {
            Some(expected) if !expected.eq_ignore_ascii_case(&got) => {
                Err(PullError::Checksum { what, expected: expected.to_owned(), got })
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From `content-range: bytes 5-9/10`.
fn starts_at(response: &Response) -> Option<u64> {
    range(response)?.split('-').next()?.parse().ok()
}

/// From `content-range: bytes */10`.
fn whole(response: &Response) -> Option<u64> {
    range(response)?.rsplit('/').next()?.parse().ok()
}

fn range(response: &Response) -> Option<&str> {
    response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")
}

/// The innermost reason: reqwest's own words only say that a request failed.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if error.is_timeout() { "no answer in time".to_owned() } else { inner.to_string() }
}

/// Where it comes from, without the secrets that an address may carry.
pub(super) fn host(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}

pub(super) fn unreachable(what: &str, url: &Url, why: String) -> PullError {
    PullError::Unreachable { what: what.to_owned(), host: host(url), why }
}

pub(super) fn refused(what: &str, url: &Url, status: StatusCode) -> PullError {
    PullError::Status { what: what.to_owned(), host: host(url), status: status.as_u16() }
}

/// A client that follows redirects; a token goes to the first host only.
pub(super) fn client(
    patience: Patience,
    certificates: Option<&Path>,
    redirect: reqwest::redirect::Policy,
) -> Result<Client, PullError> {
    let wrong = |why: String| PullError::Setting { setting: "PIP_CERT", why };
    let mut builder = Client::builder()
        .user_agent(concat!("shoal-node/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect)
        .connect_timeout(CONNECT)
        .read_timeout(patience.silence);
    if let Some(path) = certificates.filter(|path| path.is_file()) {
        let unread = |why: String| wrong(format!("{}: {why}", path.display()));
        let bundle = std::fs::read(path).map_err(|error| unread(error.to_string()))?;
        let bundle = reqwest::Certificate::from_pem_bundle(&bundle);
        builder = builder.tls_certs_merge(bundle.map_err(|error| unread(reason(&error)))?);
    }
    builder.build().map_err(|error| PullError::Setting { setting: "HTTPS", why: reason(&error) })
}

/// A server that is there answers long before; one behind a firewall never does.
const CONNECT: Duration = Duration::from_secs(10);
