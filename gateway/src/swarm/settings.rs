//! Every number of the swarm, with its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_proto::Secret;

/// How members come in and are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Members and newcomers together. A link costs at most 1.5 MiB, so this many fit in 1.5 GiB.
    pub members_max: usize,
    /// Milliseconds between a member's heartbeats: half of the QUIC idle time-out of 45 s and
    /// less, so that one lost heartbeat is not yet a lost node.
    pub heartbeat_ms: u32,
    /// Heartbeats missed in a row after which a member counts as dead.
    pub heartbeats_missed_max: u32,
    /// Milliseconds for each step of admission: a slow mobile line needs two or three seconds.
    pub step_ms: u64,
    pub exam: Exam,
    pub audit: Audit,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            members_max: 1_000,
            heartbeat_ms: 15_000,
            heartbeats_missed_max: 3,
            step_ms: 10_000,
            exam: Exam::default(),
            audit: Audit::default(),
        }
    }
}

impl Config {
    pub(crate) fn step(&self) -> Duration {
        Duration::from_millis(self.step_ms)
    }

    /// Silence after which a member is dead. Half an interval more than the beats it may miss,
    /// because beats do not arrive to the millisecond.
    pub(crate) fn silence(&self) -> Duration {
        let beat = Duration::from_millis(self.heartbeat_ms.into());
        beat * self.heartbeats_missed_max + beat / 2
    }
}

/// What a newcomer is asked before it is believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exam {
    /// Gold questions of each family of the syllabus; 0 switches the exam off. Six tell
    /// "knows it" from "does not" in a family, and the families together fit a calibration.
    pub per_family: usize,
    /// The same for a member with a record of at least one whole exam: enough to notice a change.
    pub per_family_known: usize,
    /// Milliseconds for one answer or one ballot.
    pub answer_ms: u64,
    /// Milliseconds for a newcomer's whole exam; what was not answered by then counts as not asked.
    pub whole_ms: u64,
    /// Gold candidates that a member scores as a judge at most: the fits keep 256 of them.
    pub scores_max: usize,
    /// Gold pairs that a member compares with a critique at most: each writes up to a hundred tokens
    /// for each order, and twenty outweigh what flips say of a judge.
    pub reasoned_max: usize,
    /// Members examined as judges at the same time: on a busy machine rounds come first.
    pub judged_at_once: usize,
    /// The certainty that a member with weights of its own claims is audited, and counts once
    /// audits have confirmed it and gold has shown what it is worth. Off: it counts nothing.
    pub claims_count: bool,
}

impl Default for Exam {
    fn default() -> Self {
        Self {
            per_family: 6,
            per_family_known: 1,
            answer_ms: 20_000,
            whole_ms: 120_000,
            scores_max: 256,
            reasoned_max: 20,
            judged_at_once: 2,
            claims_count: true,
        }
    }
}

/// Who recomputes what members claim, and how much of that goes on at the same time. How often
/// it happens stands in the reputation's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Makes a node that knows it an auditor; empty: nobody is one. Better given in the
    /// environment (`SHOAL_AUDIT_TOKEN`) than in a file.
    pub token: Secret,
    /// Members with the same weights audit each other where no auditor has them. Off: two that
    /// serve weights which nobody else has could confirm each other's lies.
    pub by_members: bool,
    /// Claims of a newcomer's exam that are recomputed at once.
    pub exam_claims: usize,
    /// Audits that run at the same time: they must be in nobody's way.
    pub at_once: usize,
    /// Audits that may wait; over this they are not made, and counted as dropped.
    pub waiting_max: usize,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            token: Secret::default(),
            by_members: false,
            exam_claims: 3,
            at_once: 2,
            waiting_max: 64,
        }
    }
}

impl Exam {
    pub(crate) fn answer(&self) -> Duration {
        Duration::from_millis(self.answer_ms)
    }

    pub(crate) fn whole(&self) -> Duration {
        Duration::from_millis(self.whole_ms)
    }
}
