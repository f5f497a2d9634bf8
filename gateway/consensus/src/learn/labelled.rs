//! Rounds with a known answer, which P(right) is fitted to.

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::{
    agree,
    candidate::Candidate,
    outcome::Ranking,
    reputation::{KindId, LabelledPools, Rivals, Standing},
    settings::RoundSettings,
    tally::Tally,
};

impl Tally<'_> {
    /// The pools of a round with a known answer; None without candidates. A pool is right if all its candidates
    /// are. `rights`: by candidate; `kind`: as the gold set names it.
    pub fn labelled(
        &self,
        kind: Option<KindId>,
        ranking: &Ranking,
        rights: impl IntoIterator<Item = bool>,
    ) -> Option<LabelledPools> {
        let mut pools: BTreeMap<usize, (f64, bool)> = BTreeMap::new();
        let candidates = self.candidates.iter().zip(&ranking.strengths).zip(rights);
        for ((candidate, strength), right) in candidates {
            let (_, all_right) = pools.entry(candidate.pool).or_insert((*strength, true));
            *all_right &= right;
        }
        if pools.is_empty() {
            return None;
        }
        let (strengths, right) = pools.into_values().unzip();
        let Rivals { open, exclusive } = self.rivals();
        Some(LabelledPools { kind, strengths, right, open, exclusive })
    }
}

/// One member's answer to a gold question.
#[derive(Clone, Copy, Debug)]
pub struct GoldAnswer<'a> {
    /// Who wrote it.
    pub writer: NodeId,
    /// What it wrote.
    pub text: &'a str,
    /// Whether it is right.
    pub right: bool,
}

/// The answers of several members to one gold question, as a round without judges would rank them. Their records
/// hold these answers, so each is ranked by what its record says without them. None without answers.
pub fn exam_pools(
    question: &str,
    kind: &KindId,
    answers: &[GoldAnswer<'_>],
    standing: &Standing,
    config: &RoundSettings,
) -> Option<LabelledPools> {
    let mut candidates: Vec<Candidate> =
        answers.iter().map(|answer| Candidate::from_text(answer.writer, answer.text)).collect();
    agree::set_pools(question, &mut candidates);
    let standing = standing.without_answers(kind, answers.iter().map(|a| (a.writer, a.right)));
    let guess = standing.kind_of(question);
    let tally =
        Tally { candidates: &candidates, ballots: &[], standing: &standing, kind: &guess, config };
    tally.labelled(Some(kind.clone()), &tally.ranking(), answers.iter().map(|answer| answer.right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reputation::{GoldObservation, KindModel, Observation, Record, Settings, learn};

    const KIND: &str = "sum";

    /// A member with `right` right answers of `count`.
    fn examined(right: usize, count: usize) -> Record {
        let kind = Some(KindId::new(KIND));
        let answers = (0..count).map(|at| Observation::Gold {
            kind: kind.clone(),
            observation: GoldObservation::Answered { right: at < right },
        });
        learn(&Record::default(), &answers.collect::<Vec<_>>(), 1, &Settings::default())
    }

    #[test]
    fn an_exam_is_ranked_without_its_own_answers() {
        let [good, poor] = [1, 2].map(|id| NodeId([id; 32]));
        let mut kinds = KindModel::default();
        kinds.learn("What is 3 + 4?", &KindId::new(KIND));
        let records = [(good, examined(6, 6)), (poor, examined(1, 6))].into();
        let standing = Standing::new(records, kinds, Settings::default());
        let answers = [
            GoldAnswer { writer: good, text: "Answer: 12", right: true },
            GoldAnswer { writer: poor, text: "Answer: 13", right: false },
        ];
        let config = RoundSettings::default();
        let pools = |answers: &[GoldAnswer<'_>]| {
            exam_pools("What is 5 + 7?", &KindId::new(KIND), answers, &standing, &config)
        };
        assert!(pools(&[]).is_none());
        let with = pools(&answers).expect("two pools");
        assert_eq!(with.right, [true, false]);
        assert!(with.strengths[0] > with.strengths[1], "{with:?}");
        // Had the good one been wrong here, the rest of its record would say more for it.
        let turned = answers.map(|answer| GoldAnswer { right: !answer.right, ..answer });
        let turned = pools(&turned).expect("two pools");
        assert!(turned.strengths[0] > with.strengths[0], "{turned:?} {with:?}");
        // What is alike is one pool, and it is right only if nothing in it is wrong.
        let alike = answers.map(|answer| GoldAnswer { text: "Answer: 12", ..answer });
        assert_eq!(pools(&alike).expect("one pool").right, [false]);
    }
}
