//! A model of a hub, into the cache that Python's `huggingface_hub` keeps: what either of them has
//! fetched, the other one finds.
//!
//! Why not the `hf-hub` crate: its 1.0 neither resumes a download nor checks what it got nor knows
//! `HF_HUB_OFFLINE`, and brings the whole Xet client along.

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
    Found, Place, PullError,
    catalogue::{Entry, OnHub},
    fetch::{self, Body, Sink},
    lock::Lock,
    progress::Progress,
    settings::Settings,
};

/// What a model folder may hold that is of use to a node; `config.json` and `tokenizer.json` must be
/// there, and the weights.
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

/// The files of several weights name each other in this one.
const INDEX: &str = "model.safetensors.index.json";

/// What is in the cache already, without asking anybody.
pub(super) fn cached(id: &Id, settings: &Settings) -> Option<Found> {
    let snapshot = Layout::of(&settings.hub.cache, &id.repo).snapshot()?;
    complete(id, &snapshot).then(|| found(id, snapshot))
}

/// Brings the newest state of `id` here; where no hub can be reached, what is here will do.
pub(super) async fn pull(id: &Id, settings: &Settings) -> Result<Found, PullError> {
    if settings.hub.offline {
        let offline = || PullError::Offline { name: id.to_string() };
        return cached(id, settings).ok_or_else(offline);
    }
    let api = Api::new(settings)?;
    let layout = Layout::of(&settings.hub.cache, &id.repo);
    let listing = match api.listing(&id.repo).await {
        Err(error @ PullError::Unreachable { .. }) => {
            let found = cached(id, settings).ok_or(error)?;
            if settings.shows {
                eprintln!("{id}: the hub cannot be reached, so the copy that is here");
            }
            return Ok(found);
        }
        listing => listing?,
    };
    let mut names = wanted(id, &listing.names)?;
    if names.iter().any(|name| name == INDEX) {
        let index = api.head(&id.repo, &listing.commit, INDEX).await?;
        let hidden = Progress::new(INDEX, 0, false);
        let path = one(&api, &layout, (id, &index), settings, &hidden).await?;
        names.extend(shards(id, &path)?);
    }
    let mut files = Vec::new();
    for name in &names {
        files.push(api.head(&id.repo, &listing.commit, name).await?);
    }
    let total = files.iter().filter_map(|file| file.bytes).sum();
    let progress = Progress::new(&id.to_string(), total, settings.shows);
    for file in &files {
        let blob = one(&api, &layout, (id, file), settings, &progress).await?;
        layout.link(&listing.commit, &file.name, &blob)?;
    }
    layout.point(&listing.commit)?;
    Ok(found(id, layout.folder(&listing.commit)))
}

/// The file of a model of the catalogue, if the hub has the very same.
pub(super) async fn pull_entry(
    (entry, on): (&Entry, OnHub),
    part: &Path,
    settings: &Settings,
    progress: &Progress,
) -> Result<(), PullError> {
    let api = Api::new(settings)?;
    let file = api.head(on.repo, "main", on.file).await?;
    if let Some(got) = file.sha256().filter(|got| *got != entry.sha256) {
        let (what, got) = (entry.name.to_owned(), got.to_owned());
        return Err(PullError::Checksum { what, expected: entry.sha256.to_owned(), got });
    }
    let body = Body {
        url: file.url,
        what: entry.name,
        token: api.token(),
        bytes: Some(entry.bytes),
        sha256: Some(entry.sha256),
    };
    let mut counted = Counted { progress, bytes: 0 };
    fetch::fetch(api.client(), &body, part, &mut counted, settings.patience).await
}

/// Which of the repository's files make up what `id` means.
fn wanted(id: &Id, names: &[String]) -> Result<Vec<String>, PullError> {
    let has = |name: &str| names.iter().any(|known| known == name);
    let missing = |file: &str| PullError::NoFile {
        repo: id.repo.clone(),
        file: file.to_owned(),
        known: some_of(names),
    };
    let ggufs: Vec<&String> = names.iter().filter(|name| name.ends_with(".gguf")).collect();
    if let Some(file) = &id.file {
        let known = ggufs.iter().map(|name| (*name).clone()).collect::<Vec<_>>();
        return match has(file) {
            true => Ok(vec![file.clone()]),
            false => Err(PullError::NoFile {
                repo: id.repo.clone(),
                file: file.clone(),
                known: some_of(&known),
            }),
        };
    }
    let mut wanted: Vec<String> =
        FILES.iter().filter(|name| has(name)).map(|name| (*name).to_owned()).collect();
    // One repository may hold the same weights twice, so the index decides, then the usual name.
    if has(INDEX) {
        wanted.push(INDEX.to_owned());
    } else if has("model.safetensors") {
        wanted.push("model.safetensors".to_owned());
    } else {
        let top = |name: &&String| name.ends_with(".safetensors") && !name.contains('/');
        let weights: Vec<String> = names.iter().filter(top).cloned().collect();
        match (weights.is_empty(), ggufs.first()) {
            (true, Some(example)) => {
                return Err(PullError::OnlyGguf {
                    repo: id.repo.clone(),
                    example: (*example).clone(),
                    count: ggufs.len(),
                });
            }
            (true, None) => return Err(missing("*.safetensors")),
            (false, _) => wanted.extend(weights),
        }
    }
    match ["config.json", "tokenizer.json"].into_iter().find(|name| !has(name)) {
        Some(name) => Err(missing(name)),
        None => Ok(wanted),
    }
}

/// A few names, so that the message stays a line.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "nothing of the kind".to_owned(),
        count if count > SHOWN => format!("{shown} and {} more", count - SHOWN),
        _ => shown,
    }
}

/// The files that an index of weights names.
fn shards(id: &Id, path: &Path) -> Result<Vec<String>, PullError> {
    let wrong = |why: String| PullError::Nonsense {
        what: format!("{}/{INDEX}", id.repo),
        host: "it".to_owned(),
        why,
    };
    let text = std::fs::read_to_string(path).map_err(PullError::disk(path))?;
    let index: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| wrong("no weight_map".to_owned()))?;
    let files: std::collections::BTreeSet<&str> =
        map.values().filter_map(|file| file.as_str()).collect();
    match files.iter().find(|file| !layout::is_safe(file)) {
        Some(file) => Err(wrong(format!("{file:?} is no file of it"))),
        None => Ok(files.into_iter().map(str::to_owned).collect()),
    }
}

/// Whether a snapshot holds all that `id` means: Python may have fetched a part of it only.
fn complete(id: &Id, snapshot: &Path) -> bool {
    let has = |name: &str| snapshot.join(name).is_file();
    if let Some(file) = &id.file {
        return has(file);
    }
    let weights = match has(INDEX) {
        true => shards(id, &snapshot.join(INDEX))
            .is_ok_and(|shards| !shards.is_empty() && shards.iter().all(|shard| has(shard))),
        false => std::fs::read_dir(snapshot).is_ok_and(|entries| {
            let mut names = entries.flatten().map(|entry| entry.path());
            names.any(|path| path.extension().is_some_and(|end| end == "safetensors"))
        }),
    };
    weights && has("config.json") && has("tokenizer.json")
}

fn found(id: &Id, snapshot: PathBuf) -> Found {
    let place = match &id.file {
        Some(file) => Place::Gguf(snapshot.join(file)),
        None => Place::Folder(snapshot),
    };
    Found { name: id.name(), place }
}

/// Fetches a blob that is not there; its path.
async fn one(
    api: &Api<'_>,
    layout: &Layout,
    (id, file): (&Id, &File),
    settings: &Settings,
    progress: &Progress,
) -> Result<PathBuf, PullError> {
    let blob = layout.blob(&file.etag);
    let what = format!("{}/{}", id.repo, file.name);
    let limit = (settings.patience.lock, settings.shows);
    let _lock = Lock::take(&layout.lock(&file.etag), &what, limit).await?;
    if blob.is_file() {
        progress.add(file.bytes.unwrap_or_default());
        return Ok(blob);
    }
    layout.make_room()?;
    let part = layout.incomplete(&file.etag);
    let body = Body {
        url: file.url.clone(),
        what: &what,
        token: api.token(),
        bytes: file.bytes,
        sha256: file.sha256(),
    };
    let mut counted = Counted { progress, bytes: 0 };
    fetch::fetch(api.client(), &body, &part, &mut counted, settings.patience).await?;
    std::fs::rename(&part, &blob).map_err(PullError::disk(&blob))?;
    Ok(blob)
}

/// Takes nothing but their number.
struct Counted<'a> {
    progress: &'a Progress,
    bytes: u64,
}

impl Sink for Counted<'_> {
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
