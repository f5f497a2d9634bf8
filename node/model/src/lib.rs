//! All of a local model but its arithmetic.
//!
//! [`Files`] says where a model is, [`Weights`] and [`Tokenizer`] read it, [`Template`] and
//! [`TextPipeline`] turn a conversation into tokens, and [`Local`] is the engine: it batches the requests,
//! steps a [`Decode`] and samples tokens, held to a grammar where one is asked for. What implements
//! [`Decode`] is another crate's; this one knows no burn.

mod files;
mod bytes;
mod gguf;
mod safetensors;
mod file_tensor;
mod tensors;
mod weights;
mod lora;
mod digest;
mod error;
mod tokenizer;
mod template;
mod tools;
mod grammar;
mod sample;
mod stop;
mod defaults;
mod pipeline;
mod step;
mod batch;
mod speed;
mod perplexity;
mod local;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
pub mod testing;

pub use self::{
    batch::{Metrics, Options as BatchOptions},
    defaults::Defaults,
    digest::Digest,
    error::{LoadError, TemplateError},
    files::{Files, bundled_names},
    local::Local,
    perplexity::{Comparison, compare},
    pipeline::{Pooling, PromptInput, TextPipeline},
    speed::measure as measure_speed,
    step::{Broken, Decode, PAGE, Span, Want},
    template::{Choice as TemplateChoice, Template},
    tensors::{Quant, Tensors},
    tokenizer::{Tokenizer, json},
    weights::{Weights, in_parallel},
};
