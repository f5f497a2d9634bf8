//! Fetches one body from a server into a partial file. A failed download keeps its bytes, the next
//! one reads them again and continues, and only a file of the right length and checksum is complete.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, Response, StatusCode, Url, header};
use sha2::{Digest, Sha256};
use shoal_proto::hex;

use super::{PullError, settings::Patience};

/// The body to fetch, with its length and checksum.
#[derive(Clone, Debug)]
pub(super) struct Body<'a> {
    pub(super) url: Url,
    /// Its name in messages.
    pub(super) subject: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<&'a str>,
}

/// Takes the bytes in order, first those of an earlier download.
pub(super) trait Sink: Send {
    /// # Errors
    /// When the bytes are invalid or cannot be written.
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError>;

    /// Starts again: the next byte is the first one.
    fn again(&mut self) -> Result<(), PullError>;
}

/// Bytes of a partial file that are read at once; the task yields to tokio between two reads.
const BLOCK: usize = 256 << 10;

/// Fetches `body` into `part`. Afterwards `part` is complete, and the caller renames or removes it.
///
/// # Errors
/// When the body cannot be fetched. `part` stays if another try can continue it, else it is removed.
pub(super) async fn fetch(
    client: &Client,
    body: &Body<'_>,
    part: &Path,
    sink: &mut dyn Sink,
    patience: Patience,
) -> Result<(), PullError> {
    let mut partial = PartialFile::open(part, sink).await?;
    let result = match partial.fill(client, body, sink, patience).await {
        Ok(()) => partial.check(body),
        Err(error) => Err(error),
    };
    if let Err(PullError::Wheel { .. } | PullError::Checksum { .. } | PullError::Length { .. }) =
        result
    {
        let _ = std::fs::remove_file(part);
    }
    result
}

/// The partial file, with the length and hash of its content.
struct PartialFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Sha256,
}

/// How one try ended.
enum Try {
    Whole,
    /// The next try continues from here.
    Cut(String),
}

impl PartialFile {
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
        // A partial file that is longer than the body is not its start.
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
                return Err(unreachable(body.subject, &body.url, why));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.file.flush().map_err(PullError::disk(&self.path))
    }

    /// Requests the missing bytes and takes those that arrive.
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
            status => return Err(status_error(body.subject, &body.url, status)),
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
        let actual = self.bytes + bytes.len() as u64;
        // Checked before the write, so that no server can fill the disk.
        if let Some(target) = body.bytes.filter(|target| actual > *target) {
            return Err(PullError::Length { subject: body.subject.to_owned(), target, actual });
        }
        self.file.write_all(bytes).map_err(PullError::disk(&self.path))?;
        self.hash.update(bytes);
        self.bytes = actual;
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
        let subject = body.subject.to_owned();
        if let Some(target) = body.bytes.filter(|target| *target != self.bytes) {
            return Err(PullError::Length { subject, target, actual: self.bytes });
        }
        let actual = hex(&self.hash.finalize());
        match body.sha256 {
            Some(target) if !target.eq_ignore_ascii_case(&actual) => {
                Err(PullError::Checksum { subject, target: target.to_owned(), actual })
            }
            _ => Ok(()),
        }
    }
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

/// The innermost reason: reqwest's own message says only that a request failed.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if error.is_timeout() { "no answer in time".to_owned() } else { inner.to_string() }
}

/// The host of an address, without the secrets that the address may contain.
pub(super) fn host(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}

pub(super) fn unreachable(subject: &str, url: &Url, why: String) -> PullError {
    PullError::Unreachable { subject: subject.to_owned(), host: host(url), why }
}

pub(super) fn status_error(subject: &str, url: &Url, status: StatusCode) -> PullError {
    PullError::Status { subject: subject.to_owned(), host: host(url), status: status.as_u16() }
}

/// An HTTP client. A token goes to the first host only, not along redirects.
pub(super) fn client(
    patience: Patience,
    certificates: Option<&Path>,
    redirect: reqwest::redirect::Policy,
) -> Result<Client, PullError> {
    let mut builder = Client::builder()
        .user_agent(concat!("shoal-node/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect)
        .connect_timeout(CONNECT)
        .read_timeout(patience.silence);
    if let Some(path) = certificates.filter(|path| path.is_file()) {
        builder = builder.tls_certs_merge(read_certificates(path)?);
    }
    builder.build().map_err(|error| PullError::Setting { setting: "HTTPS", why: reason(&error) })
}

fn read_certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, PullError> {
    let pem = std::fs::read(path).map_err(|error| error.to_string());
    pem.and_then(|pem| reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| reason(&error)))
        .map_err(|why| PullError::Setting {
            setting: "PIP_CERT",
            why: format!("{}: {why}", path.display()),
        })
}

/// A reachable server answers much earlier; one behind a firewall never does.
const CONNECT: Duration = Duration::from_secs(10);
