//! Trains the bundled specialists, from random weights, with burn.
//!
//! The decoder here has gradients and trains on the CPU; `shoal-decoder` serves the models.
//!
//! ```text
//! recipe      which families, which runs, from which seed
//! outside     questions that no specialist answers
//! rows        question, worked answer, bytes; sorted by length into batches
//! fit         forward, backward, AdamW; a checkpoint every few hundred steps
//! course      a specialist's runs, in sequence
//! check       exact answers, counted from one forward pass
//! bundle      the folder that a node serves: weights, tokenizer, template, card
//! ```
//!
//! A run is repeatable from its seed. A stopped run continues with the same result as an unstopped one.

mod rope;
mod fused;
mod llama;
mod recipe;
mod work;
mod outside;
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
