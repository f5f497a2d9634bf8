//! Recent changes of a member's numbers with their causes, for its operator. The history is part of
//! the record, has a bounded length and contains no text of asks or answers.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt};

use serde::{Deserialize, Serialize};

use crate::reputation::{
    Beta, ComparisonMode, CrowdObservation, GoldObservation, KindId, Observation, Record, Settings,
    learn,
};

/// Entries kept: an exam fills about twenty, a busy hour of rounds as many.
const ENTRIES_MAX: usize = 64;

/// An event of the same sort within this many seconds adds to the existing entry; otherwise an hour
/// of rounds would push out all other entries.
const FOLD_SECONDS: u64 = 600;

/// A smaller change of a number is left out.
const NEGLIGIBLE: f64 = 5e-4;

/// The latest entries, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(VecDeque<Entry>);

/// An event, once or several times in a row, and the changes that it caused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Unix time of the first, seconds.
    pub since_seconds: u64,
    /// Unix time of the last, seconds.
    pub at_seconds: u64,
    /// The sort of event.
    #[serde(rename = "what")]
    pub event: EventKind,
    /// The kind of gold question, for events whose kind has its own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindId>,
    /// How often it went well; [`EventKind`] says what that means.
    pub well: u32,
    /// How often it did not.
    pub badly: u32,
    /// The changes that it caused.
    #[serde(rename = "moved")]
    pub changes: Vec<NumberChange>,
}

/// The sort of event, and when it went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It answered a gold question; well: right.
    GoldAnswer,
    /// It claimed a certainty for its own gold answer; well: the answer was right.
    GoldClaim,
    /// It scored a gold answer of another member; well: the answer was right.
    GoldScore,
    /// It compared a right and a wrong gold answer; well: it preferred the right one.
    GoldPair,
    /// As [`Self::GoldPair`], after written reasons.
    GoldReasoned,
    /// It answered in a round; well: the ranking without its ballots put its answer first.
    CrowdAnswer,
    /// Other judges compared its answer in a round; well: most preferred it.
    CrowdPreferred,
    /// It judged in a round; well: its first choice was that of the ranking without it.
    CrowdVerdict,
    /// It compared two answers in both orders; well: with the same verdict.
    CrowdPair,
    /// No event for days: the counts faded.
    Silence,
    /// A claim was recomputed or a hidden question asked; well: it passed.
    Audit,
    /// The decision whether its own certainty counts changed; well: it counts.
    Claims,
    /// It was caught; never well.
    Caught,
    /// A sort of event of another build.
    #[serde(other)]
    Other,
}

/// The change of one number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberChange {
    pub number: Number,
    /// The sum of the changes of the entry.
    pub by: f64,
    /// The value afterwards.
    pub to: f64,
}

/// The means of a record's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Number {
    /// Accuracy as a writer.
    Writer,
    /// Accuracy as a judge.
    Judge,
    /// Accuracy on the entry's kind of question.
    Kind,
    /// How often its verdicts on the two orders of a pair contradicted each other.
    Flips,
    /// As [`Self::Flips`], after written reasons.
    FlipsReasoned,
    /// How often the ranking without it had the same first choice.
    Agreed,
    /// How often other judges preferred its answers.
    Preferred,
    /// A number of another build.
    #[serde(other)]
    Other,
}

impl History {
    /// The entries, the latest first.
    pub fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().rev()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to the recent entry of the same sort, or appends a new entry.
    fn note(&mut self, new: Entry) {
        let place = self.0.iter().rposition(|old| {
            (old.event, &old.kind) == (new.event, &new.kind)
                && new.at_seconds.saturating_sub(old.since_seconds) < FOLD_SECONDS
        });
        // It moves to the end, so that the last entry has the present value of a number.
        match place.and_then(|at| self.0.remove(at)) {
            Some(mut old) => {
                old.add(&new);
                self.0.push_back(old);
            }
            None => self.0.push_back(new),
        }
        while self.0.len() > ENTRIES_MAX {
            self.0.pop_front();
        }
    }
}

impl Entry {
    fn new(event: EventKind, kind: Option<KindId>, well: bool, now_seconds: u64) -> Self {
        Self {
            since_seconds: now_seconds,
            at_seconds: now_seconds,
            event,
            kind,
            well: u32::from(well),
            badly: u32::from(!well),
            changes: Vec::new(),
        }
    }

    fn add(&mut self, new: &Self) {
        self.at_seconds = self.at_seconds.max(new.at_seconds);
        self.well = self.well.saturating_add(new.well);
        self.badly = self.badly.saturating_add(new.badly);
        for change in &new.changes {
            match self.changes.iter_mut().find(|old| old.number == change.number) {
                Some(old) => {
                    old.by = round(old.by + change.by);
                    old.to = change.to;
                }
                None => self.changes.push(*change),
            }
        }
        // Changes may cancel out.
        self.changes.retain(|change| change.by.abs() >= NEGLIGIBLE);
    }
}

/// As [`learn`], with new entries in the record's history. Observations are learned one by one, so
/// that each change belongs to its cause. Consecutive scores are learned together, because a judge's
/// predictions come from the fit before the first of them.
pub fn learn_and_note(
    before: &Record,
    observations: &[Observation],
    now_seconds: u64,
    settings: &Settings,
) -> Record {
    let mut record = learn(before, &[], now_seconds, settings);
    let silence = (!changes(before, &record, None).is_empty())
        .then(|| Entry::new(EventKind::Silence, None, false, now_seconds));
    record = record.with_history(before, silence.into_iter());
    for batch in observations.chunk_by(|previous, next| is_score(previous) && is_score(next)) {
        let after = learn(&record, batch, now_seconds, settings);
        let entries = batch.iter().filter_map(|observation| entry(observation, now_seconds));
        record = after.with_history(&record, entries);
    }
    record
}

fn is_score(observation: &Observation) -> bool {
    matches!(observation, Observation::Gold { observation: GoldObservation::Score { .. }, .. })
}

/// The record after a change that has no observation: an audit, being caught, or a change of whether
/// its own certainty counts. A record that starts over keeps its history.
pub fn note_change(before: &Record, mut after: Record, now_seconds: u64) -> Record {
    if after.history.is_empty() {
        after.history = before.history.clone();
    }
    if after.caught > before.caught {
        after.history.note(Entry::new(EventKind::Caught, None, false, now_seconds));
    } else if after.audits != before.audits {
        let well = after.audits.went_well_since(&before.audits);
        after.history.note(Entry::new(EventKind::Audit, None, well, now_seconds));
    }
    // Each admission decides this again; only a change is noted.
    if after.claims_count != before.claims_count {
        after.history.note(Entry::new(EventKind::Claims, None, after.claims_count, now_seconds));
    }
    after
}

impl Record {
    /// Takes the history of `before`, and adds these entries with the changes since `before`.
    fn with_history(mut self, before: &Self, new: impl Iterator<Item = Entry>) -> Self {
        self.history = before.history.clone();
        let mut entries: Vec<Entry> = Vec::new();
        for entry in new {
            let sort = (entry.event, &entry.kind);
            match entries.last_mut().filter(|last| (last.event, &last.kind) == sort) {
                Some(last) => last.add(&entry),
                None => entries.push(entry),
            }
        }
        // The first entry gets the changes; only scores come in batches, and they are of one sort.
        if let Some(first) = entries.first_mut() {
            first.changes = changes(before, &self, first.kind.as_ref());
        }
        entries.into_iter().for_each(|entry| self.history.note(entry));
        self
    }
}

/// The entry of an observation, with the kind of question where that has a number. None for routing,
/// which changes none of the numbers here.
fn entry(observation: &Observation, now_seconds: u64) -> Option<Entry> {
    let (event, kind, well) = match observation {
        Observation::Gold { kind, observation: gold } => match *gold {
            GoldObservation::Answered { right } => (EventKind::GoldAnswer, kind.clone(), right),
            GoldObservation::Certainty { right, .. } => (EventKind::GoldClaim, None, right),
            GoldObservation::Score { right, .. } => (EventKind::GoldScore, None, right),
            GoldObservation::Pairwise { p, mode: ComparisonMode::Direct, .. } => {
                (EventKind::GoldPair, None, p > 0.5)
            }
            GoldObservation::Pairwise { p, mode: ComparisonMode::Reasoned, .. } => {
                (EventKind::GoldReasoned, None, p > 0.5)
            }
        },
        Observation::Crowd(CrowdObservation::Wrote { agreement }) => {
            (EventKind::CrowdAnswer, None, *agreement)
        }
        Observation::Crowd(CrowdObservation::Preferred { share }) => {
            (EventKind::CrowdPreferred, None, *share > 0.5)
        }
        Observation::Crowd(CrowdObservation::Judged { agreement }) => {
            (EventKind::CrowdVerdict, None, *agreement)
        }
        Observation::Crowd(CrowdObservation::Compared { flipped, .. }) => {
            (EventKind::CrowdPair, None, !*flipped)
        }
        Observation::Routed(_) | Observation::Peers { .. } => return None,
    };
    Some(Entry::new(event, kind, well, now_seconds))
}

/// The changes of the numbers; the kind's accuracy is among them where a kind is named.
fn changes(before: &Record, after: &Record, kind: Option<&KindId>) -> Vec<NumberChange> {
    let numbers = [
        (Number::Writer, before.writer, after.writer),
        (Number::Judge, before.judge, after.judge),
        (Number::Kind, accuracy(before, kind), accuracy(after, kind)),
        (Number::Flips, before.flips, after.flips),
        (Number::FlipsReasoned, before.flips_reasoned, after.flips_reasoned),
        (Number::Agreed, before.agreed, after.agreed),
        (Number::Preferred, before.preferred, after.preferred),
    ];
    numbers
        .into_iter()
        .map(|(number, before, after)| (number, after.mean() - before.mean(), after.mean()))
        .filter(|(_, by, _)| by.abs() >= NEGLIGIBLE)
        .map(|(number, by, to)| NumberChange { number, by: round(by), to: round(to) })
        .collect()
}

/// Accuracy on a kind of question; the prior before the first gold of this kind.
fn accuracy(record: &Record, kind: Option<&KindId>) -> Beta {
    kind.and_then(|kind| record.kinds.get(kind)).copied().unwrap_or_default()
}

/// Rounds to four places: more digits are noise and cost bytes in every record.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// For people: "gold answer on `sort`: right; writer +0.012 -> 0.910".
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (singular, plural, well, badly) = self.event.words();
        match (self.well, self.badly, well.is_empty()) {
            (_, _, true) => write!(f, "{singular}")?,
            (1, 0, _) => write!(f, "{singular}{}: {well}", on(self.kind.as_ref()))?,
            (0, 1, _) => write!(f, "{singular}{}: {badly}", on(self.kind.as_ref()))?,
            (yes, no, _) => {
                let kind = on(self.kind.as_ref());
                write!(f, "{} {plural}{kind}: {yes} {well}, {no} {badly}", yes.saturating_add(no))?;
            }
        }
        for (at, change) in self.changes.iter().enumerate() {
            let before = if at == 0 { ";" } else { "," };
            write!(f, "{before} {} {:+.3} -> {:.3}", change.number, change.by, change.to)?;
        }
        Ok(())
    }
}

fn on(kind: Option<&KindId>) -> String {
    kind.map(|kind| format!(" on `{}`", kind.0)).unwrap_or_default()
}

impl EventKind {
    /// The singular, the plural, and the words for the good and the bad result, which may be empty.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::GoldAnswer => ("gold answer", "gold answers", "right", "wrong"),
            Self::GoldClaim => (
                "certainty claimed for a gold answer",
                "certainties claimed for gold answers",
                "for a right one",
                "for a wrong one",
            ),
            Self::GoldScore => {
                ("scored a gold answer", "gold answers scored", "a right one", "a wrong one")
            }
            Self::GoldPair => (
                "compared a right with a wrong gold answer",
                "gold pairs compared",
                "preferred the right one",
                "preferred the wrong one",
            ),
            Self::GoldReasoned => (
                "compared a right with a wrong gold answer and said why",
                "gold pairs compared with reasons",
                "preferred the right one",
                "preferred the wrong one",
            ),
            Self::CrowdAnswer => (
                "answer in a round",
                "answers in rounds",
                "the others' best",
                "not the others' best",
            ),
            Self::CrowdPreferred => (
                "answer compared by others",
                "answers compared by others",
                "mostly preferred",
                "mostly not preferred",
            ),
            Self::CrowdVerdict => {
                ("verdict in a round", "verdicts in rounds", "as the others", "unlike the others")
            }
            Self::Audit => ("audit", "audits", "it held", "it did not hold"),
            Self::CrowdPair => (
                "pair compared in both orders",
                "pairs compared in both orders",
                "the same both times",
                "contradicted itself",
            ),
            Self::Silence => ("days of silence: what was known fades", "", "", ""),
            Self::Claims => {
                ("its own certainty", "its own certainty", "may count", "does not count")
            }
            Self::Caught => ("caught: it starts over, and longer", "", "", ""),
            Self::Other => ("something that this build does not know", "", "", ""),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Writer => "writer",
            Self::Judge => "judge",
            Self::Kind => "on this kind",
            Self::Flips => "contradictions",
            Self::FlipsReasoned => "contradictions with reasons",
            Self::Agreed => "agreement with the others",
            Self::Preferred => "preferred by the others",
            Self::Other => "another number",
        })
    }
}
