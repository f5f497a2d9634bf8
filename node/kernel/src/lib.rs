//! The arithmetic of a language model on the CPU: matrix products over packed weights, attention
//! over a paged key-value cache, norms, activations, rotary positions, and the threads that run them.
//! Inputs and outputs are row-major `f32`, `[tokens, features]`; weights are packed once.
//! **A row of a result has the same bits** whatever the other rows of the call, the number of
//! threads, the instruction set, or how a prompt is cut into calls. The same seed gives the same text.
//!
//! | Public names | What they are for |
//! |---|---|
//! | [`Pool`], [`Isa`], [`isa`], [`memory_bandwidth`] | the threads, their instruction set, and the memory's speed |
//! | [`Matrix`], [`Format`], [`Block`], [`SuperBlock`] | packed weights |
//! | [`linear`], [`Output`] | matrix products |
//! | [`attend`], [`AttentionShape`], [`Span`], [`KvPool`], [`KvFormat`], [`PAGE`] | attention over cached pages |
//! | [`rms_norm`], [`rms_norm_in_place`], [`gated`], [`Activation`], [`rope`], [`Rope`] | operations on each row |
//! | [`Error`], [`give_back`] | arguments that do not fit, and memory returned to the system |
//!
//! Each kernel is written once, as safe code over sixteen lanes (`simd`), and compiled for every
//! instruction set (`isa`). The scalar instruction set is the reference. The bits are the same
//! because each operation rounds once, and every row and every vector is summed in one fixed order.

mod error;
mod pool;
mod shared_slice;
mod memory;
mod bandwidth;
mod isa;
mod simd;
mod math;
mod matrix;
mod quantise;
mod linear;
mod norm;
mod gated;
mod rope;
mod kv;
mod attend;

pub use attend::{AttentionShape, Span, attend};
pub use bandwidth::memory_bandwidth;
pub use error::Error;
pub use gated::{Activation, gated};
pub use isa::{Isa, isa};
pub use kv::{KvFormat, KvPool, PAGE};
pub use linear::{Output, linear};
pub use matrix::{Block, Format, Matrix, SuperBlock};
pub use memory::give_back;
pub use norm::{rms_norm, rms_norm_in_place};
pub use pool::Pool;
pub use rope::{Rope, rope};
