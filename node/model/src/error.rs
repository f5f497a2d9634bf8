//! Why a model cannot be loaded.

use std::{io, path::PathBuf};

/// Why a model cannot be served. The message is one line that names the folder or file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("no model {name:?} is bundled, there are: {known}")]
    NotBundled { name: String, known: String },
    #[error("{place} has no *.safetensors file: weights as .bin are not read")]
    NoWeights { place: String },
    #[error("{place} has no {name}")]
    Missing { place: String, name: &'static str },
    #[error("{place}/{file}: {why}")]
    Weights { place: String, file: String, why: String },
    #[error("{place}: {why}")]
    Gguf { place: String, why: String },
    #[error("{place}: {tensor} {why}")]
    Tensor { place: String, tensor: String, why: String },
    #[error("{place}: the weights have no {tensor}")]
    NoTensor { place: String, tensor: String },
    #[error("{place}: {tensor} is {found:?}, but config.json makes it {expected:?}")]
    Shape { place: String, tensor: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("{place}/{file}: {why}")]
    InvalidFile { place: String, file: &'static str, why: String },
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("cannot start a thread for the model: {0}")]
    Thread(io::Error),
}

/// Why a chat template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "{place} has no chat template, like all base models: --template plain lets it continue \
         a transcript, --template chatml or a file is for a model that is trained for chats"
    )]
    None { place: String },
    #[error("{place}: the chat template: {why}")]
    Syntax { place: String, why: String },
}
