//! The architectures of GGUF files: what llama.cpp's converter did to each, to be undone.

use super::Gguf;
use crate::LoadError;

/// One `general.architecture`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Architecture {
    /// Its name, which is the prefix of the keys too.
    pub(crate) name: &'static str,
    /// `model_type` of Hugging Face.
    pub(crate) model_type: &'static str,
    /// Rows of queries and keys lie so that neighbours are rotated against each other.
    pub(crate) pairs: bool,
    /// What norms have added.
    pub(crate) norms_from: f32,
    /// Norms stand before and after, so `ffn_norm` is another one than elsewhere.
    pub(crate) norms_around: bool,
    /// `ffn_up` holds the gate too.
    pub(crate) joined: bool,
}

const PLAIN: Architecture = Architecture {
    name: "qwen2",
    model_type: "qwen2",
    pairs: false,
    norms_from: 0.0,
    norms_around: false,
    joined: false,
};
const GEMMA: Architecture = Architecture { norms_from: 1.0, norms_around: true, ..PLAIN };

const ALL: &[Architecture] = &[
    // Mistral too: it differs in its sliding window, if it has one.
    Architecture { name: "llama", model_type: "llama", pairs: true, ..PLAIN },
    Architecture { name: "smollm3", model_type: "smollm3", pairs: true, ..PLAIN },
    PLAIN,
    Architecture { name: "qwen3", model_type: "qwen3", ..PLAIN },
    Architecture { name: "gemma2", model_type: "gemma2", ..GEMMA },
    Architecture { name: "gemma3", model_type: "gemma3_text", ..GEMMA },
    Architecture { name: "phi3", model_type: "phi3", joined: true, ..PLAIN },
];

impl Architecture {
    /// That of a file.
    pub(crate) fn of(gguf: &Gguf) -> Result<&'static Self, LoadError> {
        let name = gguf.architecture();
        ALL.iter().find(|known| known.name == name).ok_or_else(|| {
            let known: Vec<_> = ALL.iter().map(|known| known.name).collect();
            gguf.fault(format!("{name:?} models do not run here; these do: {}", known.join(", ")))
        })
    }
}
