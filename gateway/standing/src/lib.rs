//! The page of one node: every number of its standing with the reason for it and what changed it.
//!
//! [`Evidence`] is the page as data, which serde turns into JSON, and [`render`] is the same as an HTML page without
//! scripts. Nothing here knows HTTP, and time is handed in.

mod evidence;
mod page;
mod time;

use shoal_proto::NodeId;

pub use evidence::Evidence;
pub use page::render;

/// The path of a node's page.
pub fn page_path(id: &NodeId) -> String {
    format!("/v1/nodes/{id}/standing")
}

/// A measurement of the roster, where 0 means that there is none.
pub fn measurement(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_consensus::reputation::Standing;
    use shoal_swarm::{GoldCost, Presence, State, WorkRecord};

    #[test]
    fn a_newcomer_in_its_exam_has_a_page_that_claims_nothing() {
        let newcomer = Presence {
            id: NodeId([7; 32]),
            state: State::Examined,
            seat: None,
            gold: GoldCost::default(),
            work: WorkRecord::default(),
        };
        let evidence = Evidence::new(newcomer, &Standing::empty(), 0);
        assert!(evidence.probation.on && evidence.member.is_none());
        assert!(evidence.writer.weight < 1e-9 && evidence.judge.track.weight < 1e-9);
        assert!(render(&evidence).contains("The node has no history yet"));
    }
}
