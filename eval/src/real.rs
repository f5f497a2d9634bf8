//! Real models on real questions. Five members of one model, one of another family, and the bundled
//! specialists write; judges cast every kind of ballot over the same candidates. Every way to pick a winner
//! is then computed from the records, by the code that ranks live rounds.
//!
//! ```text
//! questions   GSM8K, SVAMP, HumanEval, if they are available           -> questions and their keys
//! sandbox     runs a program against its tests, without network and with limits
//! host        the gateway's side of the protocol: admits nodes, sends them requests
//! nodes       the processes of the members
//! collect     question by question into a JSON Lines file; can be stopped and continued at any time
//! inject      a candidate that attacks its judge, for each kind of ballot
//! rounds      records as rounds for the gateway's replay
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
