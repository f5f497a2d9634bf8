//! The architectures of GGUF files, with the changes of llama.cpp's converter that have to be undone.

use super::Gguf;
use crate::LoadError;

/// One `general.architecture`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Architecture {
    /// Its name, which is also the prefix of its keys.
    pub(crate) name: &'static str,
    /// `model_type` of Hugging Face.
    pub(crate) model_type: &'static str,
    /// Rows of queries and keys are in llama.cpp's order, which rotates neighbouring rows in pairs.
    pub(crate) pairs: bool,
    /// The constant that the converter added to the weights of norms.
    pub(crate) norm_offset: f32,
    /// Each block has norms before and after it, so `ffn_norm` has another meaning.
    pub(crate) double_norms: bool,
    /// `ffn_up` also holds the gate.
    pub(crate) fused_gate: bool,
}

const PLAIN: Architecture = Architecture {
    name: "qwen2",
    model_type: "qwen2",
    pairs: false,
    norm_offset: 0.0,
    double_norms: false,
    fused_gate: false,
};
const GEMMA: Architecture = Architecture { norm_offset: 1.0, double_norms: true, ..PLAIN };

const ARCHITECTURES: &[Architecture] = &[
    // Mistral too, which differs only in its sliding window.
    Architecture { name: "llama", model_type: "llama", pairs: true, ..PLAIN },
    Architecture { name: "smollm3", model_type: "smollm3", pairs: true, ..PLAIN },
    PLAIN,
    Architecture { name: "qwen3", model_type: "qwen3", ..PLAIN },
    Architecture { name: "gemma2", model_type: "gemma2", ..GEMMA },
    Architecture { name: "gemma3", model_type: "gemma3_text", ..GEMMA },
    Architecture { name: "phi3", model_type: "phi3", fused_gate: true, ..PLAIN },
];

impl Architecture {
    /// The architecture of a file.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<&'static Self, LoadError> {
        let name = gguf.architecture();
        ARCHITECTURES.iter().find(|architecture| architecture.name == name).ok_or_else(|| {
            let names: Vec<_> =
                ARCHITECTURES.iter().map(|architecture| architecture.name).collect();
            gguf.fault(format!("{name:?} models do not run here; these do: {}", names.join(", ")))
        })
    }
}
