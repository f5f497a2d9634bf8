//! Real models on real questions: five members of one model, one of another family, and the bundled
//! specialists write; every kind of ballot is cast over the same candidates; every way to pick one is
//! then computed from the records, by the code that ranks live rounds.
//!
//! ```text
//! questions   GSM8K, SVAMP, HumanEval, read where somebody has them   -> what is asked, who is right
//! sandbox     a program against its tests, without network or time to waste
//! host        the gateway's side of the protocol: takes nodes in, asks them
//! nodes       the processes of the members
//! collect     question by question into a JSON Lines file; cut at any time, goes on after it
//! inject      one candidate attacks its judge: what each kind of ballot makes of it
//! rounds      records as rounds that the gateway's replay ranks
//! command     `shoal-eval real`
//! rows, page  the tables -> eval/results/consensus-real.md
//! ```

pub mod questions;
pub mod sandbox;
pub mod host;
pub mod nodes;
pub mod record;
pub mod collect;
pub mod inject;
pub mod rounds;
pub mod rows;
pub mod page;
pub mod command;
