//! What a member has done in rounds since it joined.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use shoal_consensus::select::absence::Absence;
use shoal_store::unix_now;

/// The counts of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct WorkRecord {
    /// Answers that it finished.
    pub answers: u64,
    /// Ballots that it returned.
    pub ballots: u64,
    /// Answers and ballots that it was asked for and that failed. Work that the gateway cancelled is none.
    pub failures: u64,
    /// When it last finished an answer or a ballot, in Unix seconds; None: not yet.
    pub last_answer: Option<u64>,
    /// Rounds of the swarm that it was not asked to write in when their panels were chosen, by reason.
    pub absences: BTreeMap<Absence, u64>,
}

/// The counters behind a [`WorkRecord`].
#[derive(Debug, Default)]
pub(crate) struct WorkCounters {
    answers: AtomicU64,
    ballots: AtomicU64,
    failures: AtomicU64,
    /// 0: not yet.
    last_answer: AtomicU64,
    /// In the order of [`Absence::ALL`].
    absences: [AtomicU64; Absence::ALL.len()],
}

impl WorkCounters {
    pub(crate) fn answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.last_answer.store(unix_now(), Ordering::Relaxed);
    }

    pub(crate) fn ballot(&self) {
        self.ballots.fetch_add(1, Ordering::Relaxed);
        self.last_answer.store(unix_now(), Ordering::Relaxed);
    }

    pub(crate) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn absence(&self, reason: Absence) {
        if let Some(counter) = self.absences.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn record(&self) -> WorkRecord {
        let absences = Absence::ALL.iter().zip(&self.absences);
        WorkRecord {
            answers: self.answers.load(Ordering::Relaxed),
            ballots: self.ballots.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            last_answer: Some(self.last_answer.load(Ordering::Relaxed)).filter(|time| *time > 0),
            absences: absences.map(|(why, count)| (*why, count.load(Ordering::Relaxed))).collect(),
        }
    }
}
