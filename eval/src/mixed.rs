//! A mixed swarm as its users meet it: the bundled specialists beside real models, asked over the API.
//!
//! The swarm gets every question, and so does each member by name, with the same limits. So a row is what
//! somebody gets who changes nothing but the name of the model.
//!
//! ```text
//! questions   plain asks of this project, the families, and published sets where they are available
//! collect     question by question into a JSON Lines file; can be stopped and continued at any time
//! page        the tables and the figure -> eval/results/mixed.md, mixed.svg
//! ```

pub mod questions;
pub mod collect;
pub mod page;
pub mod coverage;
mod graded_round;
pub mod command;
