//! Measures the source of this workspace, so that its structure can be held by a test and compared
//! over time.
//!
//! [`Workspace::read`] parses every Rust file. [`sizes`] counts lines of files and functions,
//! [`names`] finds names that are no nouns or verbs, [`cycles`] finds modules that import each
//! other in a circle, [`docs`] finds public items without documentation. `cargo run -p shoal-tidy`
//! prints one row for each crate; the limits are in `tests/limits.rs`.

pub mod source;
pub mod sizes;
pub mod names;
pub mod cycles;
pub mod docs;

pub use source::{Crate, File, Workspace};
