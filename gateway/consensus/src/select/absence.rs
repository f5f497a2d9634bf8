//! Why a member was not among the writers of a round, for its owner.

use std::collections::BTreeSet;

use shoal_proto::NodeId;

use super::{Panel, tokens_needed};
use crate::{ask::Ask, member::MemberView};

/// Why a member was not asked to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// Its model lacks what the ask needs: tools, images, or to continue a text.
    Capability,
    /// The ask is longer than its context.
    Context,
    /// Its machine acknowledged nothing.
    Silent,
    /// All its slots were taken.
    Busy,
    /// One member works alone, and it has shown nothing yet while others have.
    Unproven,
    /// It is a specialist of other kinds of questions.
    Kind,
    /// It could have been asked; others were expected to be better.
    Outranked,
}

impl Absence {
    /// Every reason, in the order of their checks.
    pub const ALL: [Self; 7] = [
        Self::Capability,
        Self::Context,
        Self::Silent,
        Self::Busy,
        Self::Unproven,
        Self::Kind,
        Self::Outranked,
    ];
}

/// Why each of the members that are not among the panel's writers was left out, when the panel was chosen. Of
/// several reasons it is the first of [`Absence::ALL`].
pub fn absences(ask: &Ask, members: &[MemberView], panel: &Panel) -> Vec<(NodeId, Absence)> {
    let writers: BTreeSet<NodeId> = panel.writers.iter().copied().collect();
    let spare: BTreeSet<NodeId> = panel.spare.iter().copied().collect();
    let token_count = tokens_needed(ask);
    let is_alone = ask.tools.is_some() || ask.effort.writers <= 1;
    let reason = |member: &MemberView| {
        if spare.contains(&member.id) {
            Absence::Outranked
        } else if lacks_capability(ask, member) {
            Absence::Capability
        } else if u64::from(member.model.context) < token_count {
            Absence::Context
        } else if member.is_silent {
            Absence::Silent
        } else if member.running >= member.slots {
            Absence::Busy
        } else if is_alone && !member.is_proven {
            Absence::Unproven
        } else {
            Absence::Kind
        }
    };
    let absent = members.iter().filter(|member| !writers.contains(&member.id));
    absent.map(|member| (member.id, reason(member))).collect()
}

fn lacks_capability(ask: &Ask, member: &MemberView) -> bool {
    let model = &member.model;
    (ask.tools.is_some() && !model.tools)
        || (ask.image.is_some() && !model.vision)
        || (ask.prompt.is_some() && !model.completes)
}
