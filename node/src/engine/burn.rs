//! The burn engine: a decoder-only model in this process, on the CPU.

pub mod llama;
pub mod fused;
