//! Why a model cannot be loaded.

use std::{io, path::PathBuf};

/// Why a folder is no model that can be served. One line, naming the folder and what is wrong.
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
    Words { place: String, file: &'static str, why: String },
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("cannot start a thread for the model: {0}")]
    Thread(io::Error),
}

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "{place} has no chat template, as base models have none: --template plain lets it go on \
         with a transcript, --template chatml or a file is for a model trained to talk"
    )]
    None { place: String },
    #[error("{place}: the chat template: {why}")]
    Syntax { place: String, why: String },
}
