//! The hub's API: the files of a repository, and the address, ETag and length of each.

use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use serde::Deserialize;

use super::{
    PullError, Settings,
    layout::{is_commit, is_etag, is_safe},
};
use crate::fetch::{self, host, reason, status_error, unreachable};

/// The newest state of a repository.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// One file as the hub describes it.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) url: Url,
    /// Its name in the cache.
    pub(super) etag: String,
    pub(super) bytes: Option<u64>,
}

impl File {
    /// A large file's ETag is its SHA-256. A small file's ETag is git's hash, which is not.
    pub(super) fn sha256(&self) -> Option<&str> {
        let is_hash = self.etag.len() == 64 && self.etag.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then_some(self.etag.as_str())
    }
}

/// A client of the hub.
#[derive(Debug)]
pub(super) struct Api<'a> {
    settings: &'a Settings,
    /// Follows redirects, to the servers that hold the files.
    client: Client,
    /// Follows no redirects, so that it sees the hub's own headers.
    asker: Client,
}

/// A renamed repository answers with one or two redirects.
const HOPS: usize = 5;

/// Bytes of the file list of a very large repository.
const LISTING_MAX: usize = 16 << 20;

impl<'a> Api<'a> {
    pub(super) fn new(settings: &'a Settings) -> Result<Self, PullError> {
        let (patience, certificates) = (settings.patience, settings.certificates.as_deref());
        let client = fetch::client(patience, certificates, redirect::Policy::default())?;
        let asker = fetch::client(patience, certificates, redirect::Policy::none())?;
        Ok(Self { settings, client, asker })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.settings.hub.token.expose()
    }

    fn url(&self, repo: &str, path: &str) -> Result<Url, PullError> {
        let base = &self.settings.hub.endpoint;
        base.join(path).map_err(|error| self.nonsense(repo, error.to_string()))
    }

    fn nonsense(&self, subject: &str, why: impl ToString) -> PullError {
        let host = host(&self.settings.hub.endpoint);
        PullError::InvalidMessage { subject: subject.to_owned(), host, why: why.to_string() }
    }

    /// The files of `repo` and the commit that has them.
    pub(super) async fn listing(&self, repo: &str) -> Result<Listing, PullError> {
        #[derive(Deserialize)]
        struct RepoInfo {
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let url = self.url(repo, &format!("api/models/{repo}/revision/main"))?;
        let mut response = self.ask(&self.client, self.client.get(url.clone()), repo, &url).await?;
        if !response.status().is_success() {
            return Err(self.refusal(repo, None, &response));
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) if body.len() + bytes.len() <= LISTING_MAX => body.extend(bytes),
                Ok(Some(_)) => return Err(self.nonsense(repo, "its list of files has no end")),
                Ok(None) => break,
                Err(error) => return Err(unreachable(repo, &url, reason(&error))),
            }
        }
        let info: RepoInfo =
            serde_json::from_slice(&body).map_err(|error| self.nonsense(repo, error))?;
        if !is_commit(&info.sha) {
            return Err(self.nonsense(repo, "its revision is no commit"));
        }
        let names = info.siblings.into_iter().map(|sibling| sibling.rfilename);
        Ok(Listing { commit: info.sha, names: names.filter(|name| is_safe(name)).collect() })
    }

    /// The address, ETag and length of a file of a revision.
    pub(super) async fn head(
        &self,
        repo: &str,
        revision: &str,
        name: &str,
    ) -> Result<File, PullError> {
        let subject = format!("{repo}/{name}");
        let url = self.url(repo, &format!("{repo}/resolve/{revision}/{name}"))?;
        let mut at = url.clone();
        for _ in 0..HOPS {
            let response =
                self.ask(&self.asker, self.asker.head(at.clone()), &subject, &at).await?;
            let status = response.status();
            let elsewhere = status.is_redirection().then(|| location(&response, &at)).flatten();
            match elsewhere {
                // The same hub under another name. A redirect to another host leads to the bytes.
                Some(next) if next.origin() == at.origin() && linked_etag(&response).is_none() => {
                    at = next;
                }
                _ if status.is_success() || status.is_redirection() => {
                    return self.describe(name, url, &response);
                }
                _ => return Err(self.refusal(repo, Some(name), &response)),
            }
        }
        Err(self.nonsense(&subject, "it redirects without end"))
    }

    fn describe(&self, name: &str, url: Url, response: &Response) -> Result<File, PullError> {
        let etag = linked_etag(response).or_else(|| text(response, "etag"));
        let etag = etag.unwrap_or_default().trim_start_matches("W/").trim_matches('"').to_owned();
        if !is_etag(&etag) {
            return Err(self.nonsense(name, "it gives no ETag to know the file by"));
        }
        let length = match text(response, "x-linked-size") {
            Some(size) => Some(size),
            // On a redirect this would be the length of the redirect's body.
            None if response.status().is_success() => text(response, "content-length"),
            None => None,
        };
        let bytes = length.and_then(|length| length.parse().ok());
        Ok(File { name: name.to_owned(), url, etag, bytes })
    }

    /// Sends a request, and again if it fails, up to the limit of tries.
    async fn ask(
        &self,
        client: &Client,
        request: reqwest::RequestBuilder,
        subject: &str,
        url: &Url,
    ) -> Result<Response, PullError> {
        let request = match self.token() {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let request = request.build().map_err(|error| self.nonsense(subject, reason(&error)))?;
        let patience = self.settings.patience;
        let (mut left, mut pause) = (patience.tries, patience.pause);
        loop {
            left = left.saturating_sub(1);
            let again = request.try_clone().unwrap_or_else(|| {
                reqwest::Request::new(request.method().clone(), request.url().clone())
            });
            match client.execute(again).await {
                Ok(response) if response.status().is_server_error() && left > 0 => {}
                Ok(response) => return Ok(response),
                // A failed connection fails again a second later.
                Err(error) if left == 0 || error.is_connect() => {
                    return Err(unreachable(subject, url, reason(&error)));
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// The error for an answer. A header of the hub has the reason; the status alone is ambiguous.
    fn refusal(&self, repo: &str, file: Option<&str>, response: &Response) -> PullError {
        let host = host(&self.settings.hub.endpoint);
        let repo = repo.to_owned();
        let code = text(response, "x-error-code").unwrap_or_default();
        match (response.status(), code, file) {
            (_, "GatedRepo", _) | (StatusCode::FORBIDDEN, _, _) => {
                let page = format!("{}{repo}", self.settings.hub.endpoint);
                PullError::Gated { repo, page }
            }
            (_, "EntryNotFound", Some(file)) | (StatusCode::NOT_FOUND, "", Some(file)) => {
                let files = "other files".to_owned();
                PullError::NoFile { repo, file: file.to_owned(), files }
            }
            // The hub does not tell strangers which repositories are private.
            (StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, _, _) => {
                PullError::NoRepo { repo, host }
            }
            (status, _, _) => status_error(&repo, &self.settings.hub.endpoint, status),
        }
    }
}

/// The ETag of the bytes, if the hub keeps them on another server.
fn linked_etag(response: &Response) -> Option<&str> {
    text(response, "x-linked-etag")
}

fn location(response: &Response, from: &Url) -> Option<Url> {
    from.join(text(response, header::LOCATION.as_str())?).ok()
}

fn text<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}
