//! Why a model cannot be pulled.

use std::{io, path::PathBuf};

/// One line for the model's owner: the model or file, what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(
        "no model {model}: neither bundled:NAME nor a folder nor a .gguf file, nor in the catalogue \
         ({catalogue}), nor a hub id like org/name; `shoal-node models` lists the names"
    )]
    Unknown { model: String, catalogue: String },
    #[error("{path}: no such file or folder", path = path.display())]
    NoPath { path: PathBuf },
    #[error("{path} is neither a folder nor a .gguf file", path = path.display())]
    NotAModel { path: PathBuf },
    #[error("{name} is not downloaded yet: run `shoal-node pull {name}`")]
    NotPulled { name: String },
    #[error("{name} is part of the program: there is nothing to download")]
    Bundled { name: String },
    #[error(
        "{name} is not downloaded, and HF_HUB_OFFLINE forbids to download it: pull it while online"
    )]
    Offline { name: String },
    #[error("{subject}: cannot reach {host}: {why}; run it again to continue the download")]
    Unreachable { subject: String, host: String, why: String },
    #[error("{subject}: {host} answers {status}; try again later, or another HF_ENDPOINT or index")]
    Status { subject: String, host: String, status: u16 },
    #[error("{subject}: {host} sends an invalid answer: {why}")]
    InvalidMessage { subject: String, host: String, why: String },
    #[error("{repo} is gated: accept its terms at {page}, then set HF_TOKEN to a token of yours")]
    Gated { repo: String, page: String },
    #[error("no model {repo} at {host}: look at its name; if it is private, set HF_TOKEN")]
    NoRepo { repo: String, host: String },
    #[error("{repo} has no {file}; it has: {files}")]
    NoFile { repo: String, file: String, files: String },
    #[error(
        "{repo} has no *.safetensors but GGUF files, name one: {repo}:{example} ({count} of them)"
    )]
    OnlyGguf { repo: String, example: String, count: usize },
    #[error("the index {index} has no {package} {version} as a wheel")]
    NoWheel { index: String, package: String, version: String },
    #[error("{subject}: {why}; the partial file was removed; run the command again")]
    Wheel { subject: String, why: String },
    #[error(
        "{subject}: sha256 is {actual}, not {target}: the file was removed; run the command again"
    )]
    Checksum { subject: String, target: String, actual: String },
    #[error("{subject}: {actual} bytes, not {target}: the file was removed; run the command again")]
    Length { subject: String, target: u64, actual: u64 },
    #[error("{name} is not available from any source: {why}")]
    Unavailable { name: String, why: String },
    #[error("{subject}: another pull has held {lock} for {seconds} s: end it or wait for it", lock = lock.display())]
    Locked { subject: String, lock: PathBuf, seconds: u64 },
    #[error("cannot write {path}: {source}", path = path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{setting}: {why}")]
    Setting { setting: &'static str, why: String },
}

impl PullError {
    /// Whether another source of the same bytes may succeed.
    pub(super) fn is_of_the_source(&self) -> bool {
        !matches!(self, Self::Disk { .. } | Self::Locked { .. } | Self::Setting { .. })
    }

    /// For `map_err` on the result of a file operation.
    pub(super) fn disk(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
