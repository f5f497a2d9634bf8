//! Every setting of the swarm, with its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_proto::{Secret, hello::is_strong_audit_token};

/// How members are admitted and watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwarmConfig {
    /// Members and newcomers together, at most. A link costs at most 1.5 MiB, so this many fit in 1.5 GiB.
    pub members_max: usize,
    /// Milliseconds between a member's heartbeats: less than half of the QUIC idle timeout of 45 s, so
    /// that a single lost heartbeat does not end the link.
    pub heartbeat_ms: u32,
    /// Missing heartbeats in a row after which a member counts as dead.
    pub heartbeats_missed_max: u32,
    /// Milliseconds for each step of admission: a slow mobile line needs two or three seconds.
    pub step_ms: u64,
    /// The exam.
    pub exam: ExamConfig,
    /// The audits.
    pub audit: AuditConfig,
}

impl Default for SwarmConfig {
    fn default() -> Self {
        Self {
            members_max: 1_000,
            heartbeat_ms: 15_000,
            heartbeats_missed_max: 3,
            step_ms: 10_000,
            exam: ExamConfig::default(),
            audit: AuditConfig::default(),
        }
    }
}

impl SwarmConfig {
    pub(crate) fn step(&self) -> Duration {
        Duration::from_millis(self.step_ms)
    }

    /// Silence after which a member counts as dead. Half an interval more than the heartbeats that it
    /// may miss, because heartbeats do not arrive to the millisecond.
    pub(crate) fn silence(&self) -> Duration {
        let interval = Duration::from_millis(self.heartbeat_ms.into());
        interval * self.heartbeats_missed_max + interval / 2
    }
}

/// What the gateway asks of a member before it relies on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExamConfig {
    /// Gold questions of each family of the syllabus; 0 switches the whole exam off. Six show
    /// whether a member knows a family, and all families together suffice to fit a calibration.
    pub per_family: usize,
    /// The same for a member with a record of at least one whole exam: enough to notice a change.
    pub per_family_known: usize,
    /// General questions of each kind; 0 leaves them out. Four right answers narrow the interval to
    /// `interval_width`, and nine kinds cost a small model less than half a minute.
    pub general_per_kind: usize,
    /// Questions that every member is asked first, of mixed kinds. An upstream, and a member that would
    /// need more than `cheap_ms` for all questions, joins after these.
    pub handful: usize,
    /// Milliseconds that a whole exam may take before a member joins.
    pub cheap_ms: u64,
    /// Questions that such a member is asked in the background, at most: its owner pays for them.
    pub background_max: usize,
    /// Width of the central 80 % interval of the accuracy on one kind at which the background exam asks
    /// no more of that kind. Four answers that are all right or all wrong reach it.
    pub interval_width: f64,
    /// Milliseconds for one answer or one ballot.
    pub answer_ms: u64,
    /// Milliseconds for a newcomer's whole exam; a question without an answer by then does not count.
    pub whole_ms: u64,
    /// Gold candidates that a member scores as a judge at most: the fits use the last 256 of them.
    pub scores_max: usize,
    /// Gold pairs that a member compares with a critique at most: each costs up to a hundred tokens for
    /// each order, and twenty outweigh what a judge's flips show.
    pub reasoned_max: usize,
    /// Members examined as judges at the same time: on a busy machine rounds come first.
    pub judged_at_once: usize,
    /// Whether the certainty that a member with its own weights claims may count: it is audited, and
    /// counts once audits have confirmed it and gold has calibrated it. Off: it never counts.
    pub claims_count: bool,
}

impl Default for ExamConfig {
    fn default() -> Self {
        Self {
            per_family: 6,
            per_family_known: 1,
            general_per_kind: 4,
            handful: 9,
            cheap_ms: 60_000,
            background_max: 64,
            interval_width: 0.35,
            answer_ms: 20_000,
            whole_ms: 120_000,
            scores_max: 256,
            reasoned_max: 20,
            judged_at_once: 2,
            claims_count: true,
        }
    }
}

/// Which nodes recompute members' claims, and how many audits run at the same time. The settings of
/// the reputation say how often audits happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// A node that knows this token is an auditor; empty: there are none. Set it in the environment
    /// (`SHOAL_AUDIT_TOKEN`) rather than in a file.
    pub token: Secret,
    /// Members with the same weights audit each other if no auditor has these weights. Off by default:
    /// two members that are alone with their weights could confirm each other's lies.
    pub by_members: bool,
    /// Claims of a newcomer's exam that are recomputed before it joins.
    pub exam_claims: usize,
    /// Audits that run at the same time: few, so that they delay no round.
    pub at_once: usize,
    /// Audits in the queue at most; when it is full, an audit is dropped and counted.
    pub waiting_max: usize,
}

impl Default for AuditConfig {
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

impl AuditConfig {
    /// Whether there is a token and it can be guessed: then anybody could make a node an auditor.
    pub fn is_guessable(&self) -> bool {
        self.token.expose().is_some_and(|token| !is_strong_audit_token(token))
    }
}

impl ExamConfig {
    pub(crate) fn answer(&self) -> Duration {
        Duration::from_millis(self.answer_ms)
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(self.whole_ms)
    }

    pub(crate) fn cheap(&self) -> Duration {
        Duration::from_millis(self.cheap_ms)
    }

    /// General questions of each kind; none when the exam is off.
    pub(crate) fn general(&self) -> usize {
        if self.per_family == 0 { 0 } else { self.general_per_kind }
    }
}
