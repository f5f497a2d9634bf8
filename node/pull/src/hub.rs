//! Models of a hub, in the cache of Python's `huggingface_hub`: each finds what the other fetched.
//!
//! This client is our own: hf-hub 1.0 neither resumes a download nor checks its SHA-256, and brings
//! 221 crates with it (xet).

mod api;
mod id;
mod layout;

use std::path::{Path, PathBuf};

pub(super) use id::Id;

use self::{
    api::{Api, File},
    layout::Layout,
};
use super::{
    LocalModel, Place, PullError,
    catalogue::{Entry, OnHub},
    fetch::{self, Body, Sink},
    lock::Lock,
    progress::Progress,
    settings::Settings,
};

/// The files of a model folder that a node uses. `config.json`, `tokenizer.json` and the weights are
/// required.
const FILES: [&str; 9] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    // How a model of embeddings pools (sentence-transformers).
    "modules.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
];

/// The list of the weight files, if there are several.
const INDEX: &str = "model.safetensors.index.json";

/// The model in the cache, if it is complete. Asks no server.
pub(super) fn from_cache(id: &Id, settings: &Settings) -> Option<LocalModel> {
    let snapshot = Layout::new(&settings.hub.cache, &id.repo).snapshot()?;
    complete(id, &snapshot).then(|| model_at(id, snapshot))
}

/// Pulls the newest state of `id`. If the hub cannot be reached, the cached model is used.
pub(super) async fn pull(id: &Id, settings: &Settings) -> Result<LocalModel, PullError> {
    if settings.hub.offline {
        return from_cache(id, settings).ok_or_else(|| PullError::Offline { name: id.to_string() });
    }
    let api = Api::new(settings)?;
    let layout = Layout::new(&settings.hub.cache, &id.repo);
    let listing = match api.listing(&id.repo).await {
        Err(error @ PullError::Unreachable { .. }) => {
            let model = from_cache(id, settings).ok_or(error)?;
            if settings.shows {
                eprintln!("{id}: cannot reach the hub, using the copy on this machine");
            }
            return Ok(model);
        }
        listing => listing?,
    };
    let mut names = select_files(id, &listing.names)?;
    if names.iter().any(|name| name == INDEX) {
        let index = api.head(&id.repo, &listing.commit, INDEX).await?;
        let silent = Progress::new(INDEX, 0, false);
        let path = fetch_blob(&api, &layout, (id, &index), settings, &silent).await?;
        names.extend(shards(id, &path)?);
    }
    let mut files = Vec::new();
    for name in &names {
        files.push(api.head(&id.repo, &listing.commit, name).await?);
    }
    let total = files.iter().filter_map(|file| file.bytes).sum();
    let progress = Progress::new(&id.to_string(), total, settings.shows);
    for file in &files {
        let blob = fetch_blob(&api, &layout, (id, file), settings, &progress).await?;
        layout.link(&listing.commit, &file.name, &blob)?;
    }
    layout.point(&listing.commit)?;
    Ok(model_at(id, layout.folder(&listing.commit)))
}

/// Fetches the file of a catalogue model, if the hub has the same bytes.
pub(super) async fn pull_entry(
    (entry, on): (&Entry, OnHub),
    part: &Path,
    settings: &Settings,
    progress: &Progress,
) -> Result<(), PullError> {
    let api = Api::new(settings)?;
    let file = api.head(on.repo, "main", on.file).await?;
    if let Some(actual) = file.sha256().filter(|actual| *actual != entry.sha256) {
        let (subject, actual) = (entry.name.to_owned(), actual.to_owned());
        return Err(PullError::Checksum { subject, target: entry.sha256.to_owned(), actual });
    }
    let body = Body {
        url: file.url,
        subject: entry.name,
        token: api.token(),
        bytes: Some(entry.bytes),
        sha256: Some(entry.sha256),
    };
    let mut counter = ByteCounter { progress, bytes: 0 };
    fetch::fetch(api.client(), &body, part, &mut counter, settings.patience).await
}

/// The names of the repository's files that make up the model of `id`.
fn select_files(id: &Id, names: &[String]) -> Result<Vec<String>, PullError> {
    let ggufs: Vec<String> = names.iter().filter(|name| name.ends_with(".gguf")).cloned().collect();
    if let Some(file) = &id.file {
        return match names.contains(file) {
            true => Ok(vec![file.clone()]),
            false => Err(no_file(id, file, &ggufs)),
        };
    }
    let mut files: Vec<String> =
        FILES.iter().filter(|file| contains(names, file)).map(|file| (*file).to_owned()).collect();
    // A repository may hold the same weights twice: the index has precedence, then the usual name.
    if contains(names, INDEX) {
        files.push(INDEX.to_owned());
    } else if contains(names, "model.safetensors") {
        files.push("model.safetensors".to_owned());
    } else {
        let weights = names.iter();
        let weights: Vec<String> = weights
            .filter(|name| name.ends_with(".safetensors") && !name.contains('/'))
            .cloned()
            .collect();
        match (weights.is_empty(), ggufs.first()) {
            (true, Some(example)) => {
                return Err(PullError::OnlyGguf {
                    repo: id.repo.clone(),
                    example: example.clone(),
                    count: ggufs.len(),
                });
            }
            (true, None) => return Err(no_file(id, "*.safetensors", names)),
            (false, _) => files.extend(weights),
        }
    }
    match ["config.json", "tokenizer.json"].into_iter().find(|name| !contains(names, name)) {
        Some(name) => Err(no_file(id, name, names)),
        None => Ok(files),
    }
}

fn contains(names: &[String], file: &str) -> bool {
    names.iter().any(|name| name == file)
}

fn no_file(id: &Id, file: &str, names: &[String]) -> PullError {
    PullError::NoFile { repo: id.repo.clone(), file: file.to_owned(), files: some_of(names) }
}

/// A few names, so that the message stays a line.
fn some_of(names: &[String]) -> String {
    const NAMES_MAX: usize = 8;
    let list = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "nothing of the kind".to_owned(),
        count if count > NAMES_MAX => format!("{list} and {} more", count - NAMES_MAX),
        _ => list,
    }
}

/// The files that an index of weights names.
fn shards(id: &Id, path: &Path) -> Result<Vec<String>, PullError> {
    let text = std::fs::read_to_string(path).map_err(PullError::disk(path))?;
    let index: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| bad_index(id, error.to_string()))?;
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| bad_index(id, "no weight_map".to_owned()))?;
    let files: std::collections::BTreeSet<&str> =
        map.values().filter_map(|file| file.as_str()).collect();
    match files.iter().find(|file| !layout::is_safe(file)) {
        Some(file) => Err(bad_index(id, format!("{file:?} is no file of it"))),
        None => Ok(files.into_iter().map(str::to_owned).collect()),
    }
}

fn bad_index(id: &Id, why: String) -> PullError {
    let subject = format!("{}/{INDEX}", id.repo);
    PullError::InvalidMessage { subject, host: "it".to_owned(), why }
}

/// Whether a snapshot is complete: Python may have fetched only a part of the model.
fn complete(id: &Id, snapshot: &Path) -> bool {
    if let Some(file) = &id.file {
        return snapshot.join(file).is_file();
    }
    let weights = match snapshot.join(INDEX).is_file() {
        true => shards(id, &snapshot.join(INDEX)).is_ok_and(|shards| {
            !shards.is_empty() && shards.iter().all(|shard| snapshot.join(shard).is_file())
        }),
        false => std::fs::read_dir(snapshot).is_ok_and(|entries| {
            let mut names = entries.flatten().map(|entry| entry.path());
            names.any(|path| path.extension().is_some_and(|end| end == "safetensors"))
        }),
    };
    weights && snapshot.join("config.json").is_file() && snapshot.join("tokenizer.json").is_file()
}

fn model_at(id: &Id, snapshot: PathBuf) -> LocalModel {
    let place = match &id.file {
        Some(file) => Place::Gguf(snapshot.join(file)),
        None => Place::Folder(snapshot),
    };
    LocalModel { name: id.name(), place }
}

/// The path of a blob, which is fetched if it is missing.
async fn fetch_blob(
    api: &Api<'_>,
    layout: &Layout,
    (id, file): (&Id, &File),
    settings: &Settings,
    progress: &Progress,
) -> Result<PathBuf, PullError> {
    let blob = layout.blob(&file.etag);
    let subject = format!("{}/{}", id.repo, file.name);
    let limit = (settings.patience.lock, settings.shows);
    let _lock = Lock::take(&layout.lock(&file.etag), &subject, limit).await?;
    if blob.is_file() {
        progress.add(file.bytes.unwrap_or_default());
        return Ok(blob);
    }
    layout.create_blobs()?;
    let part = layout.incomplete(&file.etag);
    let body = Body {
        url: file.url.clone(),
        subject: &subject,
        token: api.token(),
        bytes: file.bytes,
        sha256: file.sha256(),
    };
    let mut counter = ByteCounter { progress, bytes: 0 };
    fetch::fetch(api.client(), &body, &part, &mut counter, settings.patience).await?;
    std::fs::rename(&part, &blob).map_err(PullError::disk(&blob))?;
    Ok(blob)
}

/// Counts the bytes for the progress bar.
struct ByteCounter<'a> {
    progress: &'a Progress,
    bytes: u64,
}

impl Sink for ByteCounter<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.bytes += bytes.len() as u64;
        self.progress.add(bytes.len() as u64);
        Ok(())
    }

    fn again(&mut self) -> Result<(), PullError> {
        self.progress.back(std::mem::take(&mut self.bytes));
        Ok(())
    }
}
