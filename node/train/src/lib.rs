//! Trains the bundled specialists, from random weights, with burn.
//!
//! The decoder here has gradients and trains on the CPU; `shoal-decoder` serves what it writes.
//!
//! ```text
//! recipe      which families, which runs, from which seed
//! rows        question, worked answer, bytes; sorted by length into batches
//! fit         forward, backward, AdamW; a checkpoint every few hundred steps
//! course      a specialist's runs, one after the other
//! check       greedy decoding is right exactly when every next byte is the likeliest one
//! bundle      the folder that a node serves: weights, tokenizer, template, card
//! ```
//!
//! A run is repeatable from its seed, and a stopped run goes on as if it had not stopped.

mod rope;
mod fused;
mod llama;
mod recipe;
mod work;
mod rows;
mod tokens;
mod fit;
mod course;
mod check;
mod bundle;
mod cli;
#[cfg(test)]
mod tests;

pub use cli::run;
