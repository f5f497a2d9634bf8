//! All of a local model but its arithmetic: where its files are, its shape, its words, and how
//! tokens are chosen. Knows no burn.

pub mod files;
pub(crate) mod bytes;
pub mod gguf;
mod safetensors;
pub mod weights;
pub mod lora;
pub(crate) mod digest;
pub mod config;
pub mod error;
pub(crate) mod tokenizer;
pub(crate) mod template;
pub(crate) mod tools;
pub(crate) mod grammar;
pub(crate) mod sample;
pub(crate) mod stop;
pub(crate) mod defaults;
pub(crate) mod words;
pub mod step;
pub mod batch;
pub mod speed;
pub mod perplexity;

#[cfg(test)]
pub(crate) mod folder;

pub use error::LoadError;
pub use template::Choice as TemplateChoice;
