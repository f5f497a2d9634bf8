//! A whole swarm in one process, from a seed: the real gateway parts and real node sessions, over
//! pipes in memory, with scripted engines instead of models. On tokio's paused clock an hour
//! passes in milliseconds, and the same seed gives the same swarm.
//!
//! The public names: [`Builder`] makes a [`Sim`] of nodes that each have a [`Behaviour`]; [`World`] knows
//! the questions and answers, and [`Recorder`] what the engines were asked.
//!
//! ```no_run
//! # use shoal_sim::{Behaviour, Sim};
//! # async fn example() {
//! let sim = Sim::builder(7).nodes(5, Behaviour::honest(0.9)).nodes(2, Behaviour::liar()).start().await;
//! let outcome = sim.ask("How many boats?").await.expect("an answer");
//! assert!(sim.is_right("How many boats?", &outcome));
//! # }
//! ```

pub mod world;
pub mod behaviour;
pub mod engine;
pub mod recorder;
pub mod sim;

pub use behaviour::Behaviour;
pub use recorder::Recorder;
pub use sim::{Builder, Sim};
pub use world::World;
