//! The arithmetic of a node's engine on the CPU: packed weights, matrix products, attention over a
//! paged cache, norms, activations, rotary positions and the threads that do it.
//!
//! Everything is row-major `f32` in and out: `[tokens, features]`. Weights are packed once
//! ([`Matrix`]), work is shared by a [`Pool`], which also knows the instruction set ([`Isa`]).
//! **A row of a result does not depend on the other rows of the call**, nor on the number of
//! threads, nor on how a prompt is cut into calls: every row is summed in one fixed order. So the
//! same seed gives the same text, whatever else is in the batch.
//!
//! Kernels are written once, as safe code over sixteen lanes (`simd`), and compiled for each
//! instruction set (`isa`); the scalar one is the reference. **All of them give the same bits**: each
//! operation rounds once and sums over lanes in one order.

mod error;
mod pool;
mod share;
mod memory;
mod bandwidth;
mod isa;
mod simd;
mod math;
mod matrix;
mod quantised;
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
