//! Candidates and records for the tests of the chapters.

use std::time::Duration;

use shoal_proto::{NodeId, generate::Finish};

use crate::{
    candidate::Candidate,
    reputation::{Beta, GoldObservation, Observation, Record, Settings, learn},
};

pub(crate) fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

pub(crate) fn candidate(writer: u8, text: &str, pool: usize) -> Candidate {
    Candidate {
        writer: node(writer),
        model: String::new(),
        text: text.to_owned(),
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        finish: Finish::Stop,
        prompt_tokens: 1,
        completion_tokens: 1,
        cached_tokens: 0,
        reasoning_tokens: 0,
        logprob: None,
        took: Duration::from_secs(1),
        first_piece: Duration::from_secs(1),
        pool,
    }
}

/// The record of a member that answered this much gold, and judges well.
pub(crate) fn record_of(right: usize, wrong: usize) -> Record {
    let answers = [vec![true; right], vec![false; wrong]].concat();
    let observations: Vec<Observation> = answers
        .into_iter()
        .map(|right| Observation::Gold {
            kind: None,
            observation: GoldObservation::Answered { right },
        })
        .collect();
    let record = learn(&Record::default(), &observations, 1, &Settings::default());
    Record { judge: Beta { a: 50.0, b: 5.0 }, ..record }
}
