//! Why a model cannot be had.

use std::{io, path::PathBuf};

/// One line for the model's owner: what it is about, what is wrong, the way out.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(
        "no model {model}: neither bundled:NAME nor a folder nor a .gguf file, nor in the catalogue \
         ({known}), nor a hub id like org/name; `shoal-node models` lists what has a name"
    )]
    Unknown { model: String, known: String },
    #[error("{path}: no such file or folder", path = path.display())]
    NoPath { path: PathBuf },
    #[error("{path} is neither a folder nor a .gguf file", path = path.display())]
    NotAModel { path: PathBuf },
    #[error("{name} is not here yet: get it with `shoal-node pull {name}`")]
    NotPulled { name: String },
    #[error("{name} is inside the program: there is nothing to pull")]
    Bundled { name: String },
    #[error("{name} is not here, and HF_HUB_OFFLINE forbids to fetch it: pull it while online")]
    Offline { name: String },
    #[error("{what}: cannot reach {host}: {why}; run it again to go on where it ended")]
    Unreachable { what: String, host: String, why: String },
    #[error("{what}: {host} answers {status}; try again later, or another HF_ENDPOINT or index")]
    Status { what: String, host: String, status: u16 },
    #[error("{what}: {host} says what makes no sense: {why}")]
    Nonsense { what: String, host: String, why: String },
    #[error("{repo} is gated: accept its terms at {page}, then set HF_TOKEN to a token of yours")]
    Gated { repo: String, page: String },
    #[error("no model {repo} at {host}: look at its name; if it is private, set HF_TOKEN")]
    NoRepo { repo: String, host: String },
    #[error("{repo} has no {file}; it has: {known}")]
    NoFile { repo: String, file: String, known: String },
    #[error(
        "{repo} has no *.safetensors but GGUF files, name one: {repo}:{example} ({count} of them)"
    )]
    OnlyGguf { repo: String, example: String, count: usize },
    #[error("the index {index} has no {package} {version} as a wheel")]
    NoWheel { index: String, package: String, version: String },
    #[error("{what}: {why}; what was kept of it is removed, run it again")]
    Wheel { what: String, why: String },
    #[error("{what}: sha256 is {got}, not {expected}: refused and removed, run it again")]
    Checksum { what: String, expected: String, got: String },
    #[error("{what}: {got} bytes, not {expected}: refused and removed, run it again")]
    Length { what: String, expected: u64, got: u64 },
    #[error("{name} cannot be had anywhere: {why}")]
    Nowhere { name: String, why: String },
    #[error("{what}: another pull has held {lock} for {seconds} s: end it or wait for it", lock = lock.display())]
    Locked { what: String, lock: PathBuf, seconds: u64 },
    #[error("cannot write {path}: {source}", path = path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{setting}: {why}")]
    Setting { setting: &'static str, why: String },
}

impl PullError {
    /// Another source of the same bytes may do.
    pub(super) fn is_of_the_source(&self) -> bool {
        !matches!(self, Self::Disk { .. } | Self::Locked { .. } | Self::Setting { .. })
    }

    /// For `map_err` on what is done to a file.
    pub(super) fn disk(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
