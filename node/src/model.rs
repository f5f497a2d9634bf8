//! All of a local model but its arithmetic: where its files are, its shape, its words, and how
//! tokens are chosen. Knows no burn.

pub mod files;
pub(crate) mod bytes;
pub mod gguf;
pub mod config;
pub mod error;
pub(crate) mod tokenizer;
pub(crate) mod template;
pub(crate) mod tools;
pub(crate) mod grammar;
pub(crate) mod sample;
pub(crate) mod stop;
pub mod step;

#[cfg(test)]
pub(crate) mod folder;

pub use error::LoadError;
pub use template::Choice as TemplateChoice;
