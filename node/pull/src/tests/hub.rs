//! Models of a hub, in the cache that Python shares.

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A repository with two shards of weights and all that belongs to it.
struct Repo {
    home: tempfile::TempDir,
    server: Server,
    settings: Settings,
    weights: [Vec<u8>; 2],
}

const INDEX: &str = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors",
                        "c": "model-1.safetensors"}}"#;

/// Of a small file: git's, of which only the form matters here.
fn etag(text: &str) -> String {
    sha256(text.as_bytes())[..40].to_owned()
}

impl Repo {
    async fn open() -> Self {
        let (home, server) = (tempfile::tempdir().unwrap(), Server::start().await);
        let settings = settings(home.path(), &server);
        let repo = Self { home, server, settings, weights: [noise(90_000, 1), noise(50_000, 2)] };
        repo.list(&[
            ".gitattributes",
            "README.md",
            "config.json",
            "tokenizer.json",
            "1_Pooling/config.json",
            "model.safetensors.index.json",
            "model-1.safetensors",
            "model-2.safetensors",
            "consolidated.safetensors",
        ]);
        repo.small("config.json", "{}");
        repo.small("tokenizer.json", "{\"model\": 1}");
        repo.small("1_Pooling/config.json", "{\"mean\": true}");
        repo.small("model.safetensors.index.json", INDEX);
        repo.large("model-1.safetensors", &repo.weights[0], None);
        repo.large("model-2.safetensors", &repo.weights[1], None);
        repo
    }

    fn list(&self, names: &[&str]) {
        let names: Vec<_> =
            names.iter().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let list = serde_json::json!({ "id": "org/tiny", "sha": COMMIT, "siblings": names });
        self.server.put("/api/models/org/tiny/revision/main", Page::new(list.to_string()));
    }

    fn small(&self, name: &str, text: &str) {
        let page = Page::new(text).header("etag", format!("\"{}\"", etag(text)));
        self.server.put(format!("/org/tiny/resolve/{COMMIT}/{name}"), page);
    }

    /// A large file lies elsewhere, as hubs do it.
    fn large(&self, name: &str, bytes: &[u8], sha: Option<String>) {
        let sha = sha.unwrap_or_else(|| sha256(bytes));
        let elsewhere = self.server.url.join(&format!("bytes/{name}")).unwrap();
        let page = Page::status(302)
            .header("location", elsewhere)
            .header("etag", "\"of-the-redirect\"")
            .header("x-linked-etag", format!("\"{sha}\""))
            .header("x-linked-size", bytes.len().to_string());
        self.server.put(format!("/org/tiny/resolve/{COMMIT}/{name}"), page);
        self.server.put(format!("/bytes/{name}"), Page::new(bytes));
    }

    async fn pull(&self) -> Result<LocalModel, PullError> {
        pull("org/tiny", &self.settings).await
    }

    async fn complaint(&self, model: &str) -> String {
        let message = pull(model, &self.settings).await.unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("hub/models--org--tiny")
    }

    fn holds(&self, model: &LocalModel) {
        let snapshot = self.cache().join("snapshots").join(COMMIT);
        assert_eq!(model.name, "org/tiny");
        assert_eq!(model.place, Place::Folder(snapshot.clone()));
        assert!(std::fs::read(snapshot.join("model-1.safetensors")).unwrap() == self.weights[0]);
        assert!(std::fs::read(snapshot.join("model-2.safetensors")).unwrap() == self.weights[1]);
        assert_eq!(std::fs::read_to_string(snapshot.join("config.json")).unwrap(), "{}");
    }
}

#[tokio::test]
async fn a_model_is_fetched_into_the_layout_of_python() {
    let repo = Repo::open().await;
    repo.holds(&repo.pull().await.unwrap());
    let cache = repo.cache();
    assert_eq!(std::fs::read_to_string(cache.join("refs/main")).unwrap(), COMMIT);
    let snapshot = cache.join("snapshots").join(COMMIT);
    let blob = format!("../../blobs/{}", sha256(&repo.weights[0]));
    assert_eq!(std::fs::read_link(snapshot.join("model-1.safetensors")).unwrap(), Path::new(&blob));
    let deep = format!("../../../blobs/{}", etag("{\"mean\": true}"));
    let link = std::fs::read_link(snapshot.join("1_Pooling/config.json")).unwrap();
    assert_eq!(link, Path::new(&deep));
    assert!(
        repo.server.requests("GET /bytes/consolidated").is_empty(),
        "the same weights once more"
    );
    assert!(!snapshot.join("README.md").exists());
}

#[tokio::test]
async fn what_is_here_is_not_fetched_again() {
    let repo = Repo::open().await;
    repo.pull().await.unwrap();
    let (bytes, total) =
        (repo.server.requests("GET /bytes/").len(), repo.server.requests("").len());
    repo.holds(&resolve("org/tiny", &repo.settings).await.unwrap());
    assert_eq!(repo.server.requests("").len(), total, "a start needs no hub");
    repo.holds(&repo.pull().await.unwrap());
    assert_eq!(repo.server.requests("GET /bytes/").len(), bytes);
}

#[tokio::test]
async fn offline_serves_what_python_fetched_and_asks_nobody() {
    let mut repo = Repo::open().await;
    repo.settings.hub.offline = true;
    let message = repo.complaint("org/tiny").await;
    assert!(
        message.starts_with("org/tiny is not downloaded, and HF_HUB_OFFLINE forbids"),
        "{message}"
    );
    let snapshot = repo.cache().join("snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(repo.cache().join("refs")).unwrap();
    std::fs::write(repo.cache().join("refs/main"), COMMIT).unwrap();
    for (name, bytes) in [
        ("config.json", &b"{}"[..]),
        ("tokenizer.json", b"{}"),
        ("model.safetensors.index.json", INDEX.as_bytes()),
        ("model-1.safetensors", &repo.weights[0]),
    ] {
        std::fs::write(snapshot.join(name), bytes).unwrap();
    }
    assert!(resolve("org/tiny", &repo.settings).await.is_err(), "a shard is missing");
    std::fs::write(snapshot.join("model-2.safetensors"), &repo.weights[1]).unwrap();
    repo.holds(&resolve("org/tiny", &repo.settings).await.unwrap());
    assert!(repo.server.requests("").is_empty());
}

#[tokio::test]
async fn what_is_here_will_do_when_no_hub_can_be_reached() {
    let mut repo = Repo::open().await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let there = std::mem::replace(
        &mut repo.settings.hub.endpoint,
        format!("http://{address}/").parse().unwrap(),
    );
    let message = repo.complaint("org/tiny").await;
    assert!(message.starts_with(&format!("org/tiny: cannot reach {address}: ")), "{message}");
    let endpoint = std::mem::replace(&mut repo.settings.hub.endpoint, there);
    repo.pull().await.unwrap();
    repo.settings.hub.endpoint = endpoint;
    repo.holds(&repo.pull().await.unwrap());
}

#[tokio::test]
async fn a_cut_connection_goes_on_with_the_next_byte() {
    let repo = Repo::open().await;
    repo.server.behaves(Manners { cut: Some(40_000), ..Manners::default() });
    repo.holds(&repo.pull().await.unwrap());
    let ranges = repo.server.ranges("/bytes/model-1.safetensors");
    assert_eq!(ranges, ["", "bytes=40000-", "bytes=80000-"]);
}

#[tokio::test]
async fn what_a_killed_pull_left_is_kept() {
    let repo = Repo::open().await;
    let blob = repo.cache().join("blobs").join(sha256(&repo.weights[0]));
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    let incomplete = blob.with_extension("incomplete");
    std::fs::write(&incomplete, &repo.weights[0][..12_345]).unwrap();
    repo.holds(&repo.pull().await.unwrap());
    assert_eq!(repo.server.ranges("/bytes/model-1.safetensors"), ["bytes=12345-"]);
    assert!(!incomplete.exists());
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_named() {
    let repo = Repo::open().await;
    let wrong = "f".repeat(64);
    repo.large("model-2.safetensors", &repo.weights[1], Some(wrong.clone()));
    let message = repo.complaint("org/tiny").await;
    let right = sha256(&repo.weights[1]);
    let text = format!(
        "org/tiny/model-2.safetensors: sha256 is {right}, not {wrong}: the file was removed; run the command again"
    );
    assert_eq!(message, text);
    let blobs = repo.cache().join("blobs");
    assert!(!blobs.join(&wrong).exists() && !blobs.join(wrong + ".incomplete").exists());
    assert!(!repo.cache().join("refs/main").exists(), "half a model is none");
}

#[tokio::test]
async fn a_file_that_was_kept_wrong_is_refused_and_the_next_pull_begins_anew() {
    let repo = Repo::open().await;
    let blob = repo.cache().join("blobs").join(sha256(&repo.weights[0]));
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    std::fs::write(blob.with_extension("incomplete"), vec![0; 500]).unwrap();
    let message = repo.complaint("org/tiny").await;
    assert!(message.starts_with("org/tiny/model-1.safetensors: sha256 is "), "{message}");
    repo.holds(&repo.pull().await.unwrap());
}

#[tokio::test]
async fn one_file_of_a_repository_can_be_meant() {
    let repo = Repo::open().await;
    repo.list(&["README.md", "tiny.Q8_0.gguf", "tiny.Q4_0.gguf"]);
    repo.large("tiny.Q8_0.gguf", &repo.weights[0], None);
    let model = resolve("org/tiny:tiny.Q8_0.gguf", &repo.settings).await.unwrap();
    assert_eq!(model.name, "tiny.Q8_0");
    assert!(matches!(&model.place, Place::Gguf(path) if path.ends_with("tiny.Q8_0.gguf")));
    assert!(std::fs::read(model.place.path().unwrap()).unwrap() == repo.weights[0]);

    let message = repo.complaint("org/tiny").await;
    let text = "org/tiny has no *.safetensors but GGUF files, name one: \
                    org/tiny:tiny.Q8_0.gguf (2 of them)";
    assert_eq!(message, text);
    let message = repo.complaint("org/tiny:other.gguf").await;
    assert_eq!(message, "org/tiny has no other.gguf; it has: tiny.Q8_0.gguf, tiny.Q4_0.gguf");
}

#[tokio::test]
async fn a_repository_without_what_a_node_needs_says_what_is_missing() {
    let repo = Repo::open().await;
    repo.list(&["config.json", "model.safetensors"]);
    let message = repo.complaint("org/tiny").await;
    assert_eq!(message, "org/tiny has no tokenizer.json; it has: config.json, model.safetensors");
    repo.list(&["README.md", "pytorch_model.bin"]);
    let message = repo.complaint("org/tiny").await;
    assert_eq!(message, "org/tiny has no *.safetensors; it has: README.md, pytorch_model.bin");
}

#[tokio::test]
async fn a_gated_repository_names_the_page_to_agree_on() {
    let repo = Repo::open().await;
    let page = format!("{}org/tiny", repo.server.url);
    let text = format!(
        "org/tiny is gated: accept its terms at {page}, then set HF_TOKEN to a token of yours"
    );
    for status in [401, 403] {
        let page = Page::status(status).header("x-error-code", "GatedRepo");
        repo.server.put("/api/models/org/tiny/revision/main", page);
        assert_eq!(repo.complaint("org/tiny").await, text);
    }
    // Many hubs list a gated repository and refuse its files only.
    repo.list(&["tiny.gguf"]);
    let page = Page::status(401).header("x-error-code", "GatedRepo");
    repo.server.put(format!("/org/tiny/resolve/{COMMIT}/tiny.gguf"), page);
    assert_eq!(repo.complaint("org/tiny:tiny.gguf").await, text);
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_named() {
    let repo = Repo::open().await;
    for status in [401, 404] {
        let page = Page::status(status).header("x-error-code", "RepoNotFound");
        repo.server.put("/api/models/org/tiny/revision/main", page);
        let message = repo.complaint("org/tiny").await;
        assert!(message.starts_with("no model org/tiny at 127.0.0.1:"), "{message}");
        assert!(message.ends_with("look at its name; if it is private, set HF_TOKEN"), "{message}");
    }
    repo.server.put("/api/models/org/tiny/revision/main", Page::status(503));
    let message = repo.complaint("org/tiny").await;
    assert!(message.contains("answers 503"), "{message}");
    assert_eq!(repo.server.requests("GET /api/").len(), 2 + 3, "only what may pass is tried again");
}

#[tokio::test]
async fn a_token_goes_to_the_hub_and_to_nobody_else() {
    let mut repo = Repo::open().await;
    repo.settings.hub.token = shoal_proto::Secret::new("hf_secret");
    let second = Server::start().await;
    let page = Page::status(302)
        .header("location", second.url.join("bytes/w").unwrap())
        .header("x-linked-etag", format!("\"{}\"", sha256(&repo.weights[0])))
        .header("x-linked-size", repo.weights[0].len().to_string());
    repo.server.put(format!("/org/tiny/resolve/{COMMIT}/model-1.safetensors"), page);
    second.put("/bytes/w", Page::new(repo.weights[0].clone()));
    repo.holds(&repo.pull().await.unwrap());
    for request in repo.server.requests("HEAD ").iter().chain(&repo.server.requests("GET /api")) {
        assert_eq!(request.headers["authorization"], "Bearer hf_secret", "{}", request.line);
    }
    let elsewhere = second.requests("GET /bytes/w");
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].headers.get("authorization"), None);
}

#[tokio::test]
async fn a_file_of_a_repository_that_moved_is_found_under_its_new_name() {
    let repo = Repo::open().await;
    let redirect =
        Page::status(307).header("location", format!("/new/tiny/resolve/{COMMIT}/config.json"));
    repo.server.put(format!("/org/tiny/resolve/{COMMIT}/config.json"), redirect);
    let page = Page::new("{}").header("etag", format!("W/\"{}\"", etag("{}")));
    repo.server.put(format!("/new/tiny/resolve/{COMMIT}/config.json"), page);
    repo.holds(&repo.pull().await.unwrap());
}

#[tokio::test]
async fn what_a_hub_says_leads_nowhere_out_of_the_cache() {
    let repo = Repo::open().await;
    let page = Page::new("{}").header("etag", "\"../../../evil\"");
    repo.server.put(format!("/org/tiny/resolve/{COMMIT}/config.json"), page);
    let message = repo.complaint("org/tiny").await;
    assert!(message.contains("gives no ETag to know the file by"), "{message}");
    repo.small("config.json", "{}");
    repo.small("model.safetensors.index.json", r#"{"weight_map": {"a": "../../evil"}}"#);
    let message = repo.complaint("org/tiny").await;
    assert!(message.contains("\"../../evil\" is no file of it"), "{message}");
    let list = r#"{"sha": "../../evil", "siblings": []}"#;
    repo.server.put("/api/models/org/tiny/revision/main", Page::new(list));
    let message = repo.complaint("org/tiny").await;
    assert!(message.contains("its revision is no commit"), "{message}");
    assert!(!repo.home.path().join("evil").exists());
}

#[tokio::test]
async fn two_pulls_at_once_fetch_each_file_once() {
    let repo = Repo::open().await;
    let (first, second) = tokio::join!(repo.pull(), repo.pull());
    repo.holds(&first.unwrap());
    repo.holds(&second.unwrap());
    assert_eq!(repo.server.ranges("/bytes/model-1.safetensors"), [""]);
}
