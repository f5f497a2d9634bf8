//! What moved a member's numbers lately, for its owner to read: kept with the record, bounded,
//! and without a word of what was asked or answered.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt};

use serde::{Deserialize, Serialize};

use crate::reputation::{
    CrowdObservation, GoldObservation, KindId, Observation, Record, Settings, Way, learn,
};

/// Entries kept: an exam fills about twenty, a busy hour of rounds as many.
const ENTRIES_MAX: usize = 64;

/// What happens again within this many seconds adds to the entry that is there: otherwise an hour
/// of rounds would push out everything else.
const FOLD_SECONDS: u64 = 600;

/// A number that moved by less than this is not worth a line.
const NEGLIGIBLE: f64 = 5e-4;

/// The latest entries, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(VecDeque<Entry>);

/// Something that was seen of a member, once or several times in a row, and what it moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Unix time of the first, seconds.
    pub since_seconds: u64,
    /// Unix time of the last, seconds.
    pub at_seconds: u64,
    pub what: What,
    /// The kind of gold question, where one number is kept for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindId>,
    /// How often it went well; what that means, [`What`] says.
    pub well: u32,
    /// How often it did not.
    pub badly: u32,
    /// The numbers that it moved.
    pub moved: Vec<Moved>,
}

/// What was seen, and when it went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It answered a gold question; well: right.
    GoldAnswer,
    /// It said how certain it was of a gold answer of its own; well: that was right.
    GoldClaim,
    /// It scored somebody's gold answer; well: that was a right one.
    GoldScore,
    /// It compared a right and a wrong gold answer; well: it preferred the right one.
    GoldPair,
    /// The same after saying why.
    GoldReasoned,
    /// It answered in a round; well: the others' ranking put its answer first.
    CrowdAnswer,
    /// Others compared its answer in a round with other answers; well: mostly for it.
    CrowdPreferred,
    /// It judged in a round; well: it put first what the others put first.
    CrowdVerdict,
    /// It compared two answers in both orders; well: both times the same way.
    CrowdPair,
    /// Nothing, for days: what was known faded.
    Silence,
    /// A claim was recomputed, or a hidden question asked; well: it held.
    Audit,
    /// Whether its own certainty may count was decided; well: it may.
    Claims,
    /// It was caught; never well.
    Caught,
    /// Something that another build knows.
    #[serde(other)]
    Other,
}

/// One number and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub number: Number,
    /// What was added to it by all that the entry tells of.
    pub by: f64,
    /// Where it stood afterwards.
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
    /// How often the two orders of a pair contradicted each other.
    Flips,
    /// The same of pairs that it compared after saying why.
    FlipsReasoned,
    /// How often the others put first what it put first.
    Agreed,
    /// How often the others found its answers better than somebody else's.
    Preferred,
    #[serde(other)]
    Other,
}

impl History {
    /// The latest first.
    pub fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().rev()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to the entry of the same thing if it is recent, else makes one; the last is the latest.
    fn note(&mut self, new: Entry) {
        let fits = |old: &Entry| {
            (old.what, &old.kind) == (new.what, &new.kind)
                && new.at_seconds.saturating_sub(old.since_seconds) < FOLD_SECONDS
        };
        // To the end, so that the last entry tells where a number stands now.
        match self.0.iter().rposition(fits).and_then(|at| self.0.remove(at)) {
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
    fn add(&mut self, new: &Self) {
        self.at_seconds = self.at_seconds.max(new.at_seconds);
        self.well = self.well.saturating_add(new.well);
        self.badly = self.badly.saturating_add(new.badly);
        for moved in &new.moved {
            match self.moved.iter_mut().find(|old| old.number == moved.number) {
                Some(old) => {
                    old.by = round(old.by + moved.by);
                    old.to = moved.to;
                }
                None => self.moved.push(*moved),
            }
        }
        // There and back again is no movement.
        self.moved.retain(|moved| moved.by.abs() >= NEGLIGIBLE);
    }
}

/// As [`learn`], and the record's history tells of it. One after the other, so that each number's
/// movement is put down to what moved it; scores stay together, because what a judge predicted is
/// fitted before any of them is learned.
pub fn learn_and_note(
    before: &Record,
    observations: &[Observation],
    now_seconds: u64,
    settings: &Settings,
) -> Record {
    let is_score = |seen: &Observation| {
        matches!(seen, Observation::Gold { seen: GoldObservation::Score { .. }, .. })
    };
    let rested = learn(before, &[], now_seconds, settings);
    let faded = moved(before, &rested, None);
    let silence = (!faded.is_empty()).then_some((What::Silence, None, false));
    let mut record = rested.noting(before, silence.into_iter(), now_seconds);
    for together in observations.chunk_by(|one, next| is_score(one) && is_score(next)) {
        let after = learn(&record, together, now_seconds, settings);
        record = after.noting(&record, together.iter().filter_map(seen), now_seconds);
    }
    record
}

/// The record after any change, noted where no observation tells of it: an audit, being caught, or
/// its own certainty beginning or ceasing to count. A record that starts over keeps its history.
pub fn note_change(before: &Record, mut after: Record, now_seconds: u64) -> Record {
    if after.history.is_empty() {
        after.history = before.history.clone();
    }
    let mut note = |what: What, well: bool| {
        let (well, badly) = (u32::from(well), u32::from(!well));
        let (since_seconds, at_seconds, moved) = (now_seconds, now_seconds, Vec::new());
        let entry = Entry { since_seconds, at_seconds, what, kind: None, well, badly, moved };
        after.history.note(entry);
    };
    if after.caught > before.caught {
        note(What::Caught, false);
    } else if after.audits != before.audits {
        note(What::Audit, after.audits.went_well_since(&before.audits));
    }
    // On admission it is decided again each time; only a change is news.
    if after.claims_count != before.claims_count {
        note(What::Claims, after.claims_count);
    }
    after
}

impl Record {
    /// Keeps the history of `before`, and adds one entry with what is different now.
    fn noting(
        mut self,
        before: &Self,
        seen: impl Iterator<Item = (What, Option<KindId>, bool)>,
        now_seconds: u64,
    ) -> Self {
        self.history = before.history.clone();
        let mut entries: Vec<Entry> = Vec::new();
        for (what, kind, well) in seen {
            let (well, badly) = (u32::from(well), u32::from(!well));
            let (since_seconds, at_seconds, moved) = (now_seconds, now_seconds, Vec::new());
            let one = Entry { since_seconds, at_seconds, what, kind, well, badly, moved };
            match entries.last_mut().filter(|last| (last.what, &last.kind) == (what, &one.kind)) {
                Some(last) => last.add(&one),
                None => entries.push(one),
            }
        }
        // What moved is put down to the first; only scores come together, and they are of one sort.
        if let Some(first) = entries.first_mut() {
            first.moved = moved(before, &self, first.kind.as_ref());
        }
        entries.into_iter().for_each(|entry| self.history.note(entry));
        self
    }
}

/// What was seen, of which kind of question (where that has a number), and whether it went well.
/// None of what moves no number here: whom to ask is learned beside.
fn seen(observation: &Observation) -> Option<(What, Option<KindId>, bool)> {
    Some(match observation {
        Observation::Gold { kind, seen } => match *seen {
            GoldObservation::Answered { right } => (What::GoldAnswer, kind.clone(), right),
            GoldObservation::Certainty { right, .. } => (What::GoldClaim, None, right),
            GoldObservation::Score { right, .. } => (What::GoldScore, None, right),
            GoldObservation::Pairwise { p, way: Way::AtOnce, .. } => {
                (What::GoldPair, None, p > 0.5)
            }
            GoldObservation::Pairwise { p, way: Way::Reasoned, .. } => {
                (What::GoldReasoned, None, p > 0.5)
            }
        },
        Observation::Crowd(CrowdObservation::Wrote { agreed }) => {
            (What::CrowdAnswer, None, *agreed)
        }
        Observation::Crowd(CrowdObservation::Preferred { share }) => {
            (What::CrowdPreferred, None, *share > 0.5)
        }
        Observation::Crowd(CrowdObservation::Judged { agreed }) => {
            (What::CrowdVerdict, None, *agreed)
        }
        Observation::Crowd(CrowdObservation::Compared { flipped, .. }) => {
            (What::CrowdPair, None, !*flipped)
        }
        Observation::Routed(_) => return None,
    })
}

fn moved(before: &Record, after: &Record, kind: Option<&KindId>) -> Vec<Moved> {
    let on_kind =
        |record: &Record| kind.and_then(|kind| record.kinds.get(kind)).copied().unwrap_or_default();
    let numbers = [
        (Number::Writer, before.writer, after.writer),
        (Number::Judge, before.judge, after.judge),
        (Number::Kind, on_kind(before), on_kind(after)),
        (Number::Flips, before.flips, after.flips),
        (Number::FlipsReasoned, before.flips_reasoned, after.flips_reasoned),
        (Number::Agreed, before.agreed, after.agreed),
        (Number::Preferred, before.preferred, after.preferred),
    ];
    let movement =
        |(number, before, after): (Number, crate::reputation::Beta, crate::reputation::Beta)| {
            let by = after.mean() - before.mean();
            (by.abs() >= NEGLIGIBLE).then(|| Moved {
                number,
                by: round(by),
                to: round(after.mean()),
            })
        };
    numbers.into_iter().filter_map(movement).collect()
}

/// To four places: more is noise, and costs bytes in every record.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// For people: "gold answer on `sort`: right; writer +0.012 -> 0.910".
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many, well, badly) = self.what.words();
        match (self.well, self.badly, well.is_empty()) {
            (_, _, true) => write!(f, "{one}")?,
            (1, 0, _) => write!(f, "{one}{}: {well}", on(self.kind.as_ref()))?,
            (0, 1, _) => write!(f, "{one}{}: {badly}", on(self.kind.as_ref()))?,
            (yes, no, _) => {
                let kind = on(self.kind.as_ref());
                write!(f, "{} {many}{kind}: {yes} {well}, {no} {badly}", yes.saturating_add(no))?;
            }
        }
        for (at, moved) in self.moved.iter().enumerate() {
            let before = if at == 0 { ";" } else { "," };
            write!(f, "{before} {} {:+.3} -> {:.3}", moved.number, moved.by, moved.to)?;
        }
        Ok(())
    }
}

fn on(kind: Option<&KindId>) -> String {
    kind.map(|kind| format!(" on `{}`", kind.0)).unwrap_or_default()
}

impl What {
    /// One of it, several of it, and how both ends are called; no ends: it speaks for itself.
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
