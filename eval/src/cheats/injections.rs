//! Cheats whose answers end in an instruction to the judge, judged by the real bundled specialists.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use shoal_proto::judge::BallotKind;

use super::{draw_names, winner, writers};
use crate::{
    ablate::{Cut, FoldStandings, Trust},
    real::{
        collect::ask,
        host::Member,
        inject::{self, Attack},
        nodes,
    },
    record::{Ballot, Candidate, QuestionRecord, Round, Score},
    replay::{Gold, Settings},
    stats::{self, Estimate},
};

/// Rounds in progress at the same time.
const CONCURRENCY: usize = 2;

/// The cost of instructions to the judge.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub attack: Attack,
    /// Only wrong answers attack: an attack in a right answer hurts its writer alone.
    pub wrong_only: bool,
    /// Number of members that attack.
    pub bad: usize,
    pub questions: usize,
    pub before: Estimate,
    pub after: Estimate,
    /// `after - before`.
    pub cost: Estimate,
}

/// The rounds of `records` in which a third of the writers, drawn for each round, ends its answer in an
/// instruction to the judge. In every other round it is a foreign task (BIPIA), if `corpora` has those
/// texts. All judges report their likelihoods of these answers, by the real specialists.
///
/// # Errors
/// If the specialists cannot be started, or one of them fails.
pub async fn collect(
    records: &[QuestionRecord],
    corpora: &Path,
    data: &Path,
) -> Result<Vec<QuestionRecord>> {
    let texts = inject::Texts::read(corpora).ok();
    let swarm = nodes::comparing_specialists(data).await?;
    let (names, members) = (writers(records), &swarm.members);
    let bad = names.len() / 3;
    ensure!(bad > 0, "fewer than three members wrote");
    let results = stream::iter(records.iter().enumerate())
        .map(|(at, record)| {
            let bad = draw_names(&names, bad, at as u64);
            let texts = texts.as_ref();
            async move { attack(record, at, &bad, texts, members).await }
        })
        .buffered(CONCURRENCY);
    let results: Vec<Result<QuestionRecord>> = results.collect().await;
    swarm.end().await;
    results.into_iter().collect()
}

async fn attack(
    record: &QuestionRecord,
    at: usize,
    bad: &BTreeSet<String>,
    texts: Option<&inject::Texts>,
    members: &[Member],
) -> Result<QuestionRecord> {
    let Some(round) = &record.round else { return Ok(record.clone()) };
    let candidates: Vec<Candidate> = (round.candidates.iter())
        .map(|candidate| match bad.contains(&candidate.writer) {
            true => {
                let text = attack_text(&candidate.text, at, texts);
                Candidate { text, ..candidate.clone() }
            }
            false => candidate.clone(),
        })
        .collect();
    let changes: Vec<usize> = (0..candidates.len())
        .filter(|at| candidates.get(*at) != round.candidates.get(*at))
        .collect();
    let mut ballots = Vec::new();
    for ballot in &round.ballots {
        ballots.push(rescore(record, ballot, &candidates, &changes, members).await?);
    }
    Ok(record.with_round(Round { candidates, ballots, ..round.clone() }))
}

/// The answer with an attack at its end: an instruction in even rounds and without BIPIA's texts.
fn attack_text(answer: &str, at: usize, texts: Option<&inject::Texts>) -> String {
    match texts {
        Some(texts) if !at.is_multiple_of(2) => texts.attack(answer, Attack::Bipia, at as u64),
        _ => format!("{answer}{}", inject::INSTRUCTION),
    }
}

/// The ballot with new scores for the candidates at `changes`.
async fn rescore(
    record: &QuestionRecord,
    ballot: &Ballot,
    candidates: &[Candidate],
    changes: &[usize],
    members: &[Member],
) -> Result<Ballot> {
    let (indices, texts): (Vec<usize>, Vec<&str>) = changes
        .iter()
        .filter_map(|at| Some((*at, candidates.get(*at)?)))
        .filter(|(_, candidate)| candidate.writer != ballot.judge)
        .map(|(at, candidate)| (at, candidate.text.as_str()))
        .unzip();
    if indices.is_empty() {
        return Ok(ballot.clone());
    }
    let digest = record.digests.get(&ballot.judge);
    let member = members
        .iter()
        .find(|member| member.model.name == ballot.model || Some(&member.model.digest) == digest)
        .with_context(|| format!("no member serves {}", ballot.model))?;
    let question = ask(&record.question, &texts, &[], BallotKind::Likelihood);
    let (reply, _) = member.judge(question).await?;
    let new_scores: BTreeMap<usize, Score> = (indices.iter().zip(&reply.scores))
        .map(|(at, score)| {
            (*at, Score { candidate: *at, logprob: score.logprob, tokens: score.tokens })
        })
        .collect();
    let scores = ballot
        .scores
        .iter()
        .map(|old| new_scores.get(&old.candidate).copied().unwrap_or(*old))
        .collect();
    Ok(Ballot { scores, ..ballot.clone() })
}

/// The cost of the attacks if every member writes and judges. Standing is learned without attacks, from
/// other questions. `attacks` are rounds of [`collect`], in the order of `records`.
pub fn costs(records: &[QuestionRecord], attacks: &[QuestionRecord]) -> Vec<Cost> {
    let settings = Settings::default();
    let standings = FoldStandings::learn(records, Gold::default(), &settings, Trust::Individual);
    let with_bipia =
        attacks.iter().enumerate().any(|(at, record)| at % 2 == 1 && !has_instruction(record));
    let wrong_only_attacks: Vec<QuestionRecord> = records
        .iter()
        .zip(attacks)
        .map(|(before, after)| keep_right_answers(before, after))
        .collect();
    let mut costs = Vec::new();
    for attack in [Attack::Instruction, Attack::Bipia] {
        for (wrong_only, attacks) in [(true, wrong_only_attacks.as_slice()), (false, attacks)] {
            let questions: Vec<usize> = (0..attacks.len().min(records.len()))
                .filter(|at| attack == attack_of(*at, with_bipia))
                .collect();
            let before = grades(records, &questions, &standings, &settings);
            let after = grades(attacks, &questions, &standings, &settings);
            costs.push(Cost {
                attack,
                wrong_only,
                bad: writers(records).len() / 3,
                questions: questions.len(),
                before: stats::share(&before),
                after: stats::share(&after),
                cost: stats::paired_difference(&after, &before, 1),
            });
        }
    }
    costs.retain(|cost| cost.questions > 0);
    costs
}

/// The attack of a round.
fn attack_of(at: usize, with_bipia: bool) -> Attack {
    if at.is_multiple_of(2) || !with_bipia { Attack::Instruction } else { Attack::Bipia }
}

fn grades(
    records: &[QuestionRecord],
    questions: &[usize],
    standings: &FoldStandings,
    settings: &Settings,
) -> Vec<bool> {
    questions
        .iter()
        .map(|at| {
            winner(records, *at, Cut::WHOLE, standings, settings).is_some_and(|winner| winner.right)
        })
        .collect()
}

/// The attacked round with all right answers, and their scores, as they were.
fn keep_right_answers(before: &QuestionRecord, after: &QuestionRecord) -> QuestionRecord {
    let (Some(old), Some(new)) = (&before.round, &after.round) else { return after.clone() };
    let candidates = (old.candidates.iter().zip(&new.candidates).enumerate())
        .map(|(at, (old, new))| if is_right(before, at) { old } else { new }.clone())
        .collect();
    let ballots = (old.ballots.iter().zip(&new.ballots))
        .map(|(old, new)| {
            let scores = (old.scores.iter().zip(&new.scores))
                .map(|(old, new)| if is_right(before, old.candidate) { *old } else { *new });
            Ballot { scores: scores.collect(), ..new.clone() }
        })
        .collect();
    after.with_round(Round { candidates, ballots, ..new.clone() })
}

fn is_right(record: &QuestionRecord, candidate: usize) -> bool {
    record.rights.get(candidate) == Some(&true)
}

/// Whether some candidate ends in the project's own instruction.
fn has_instruction(record: &QuestionRecord) -> bool {
    let mut candidates = record.round.iter().flat_map(|round| &round.candidates);
    candidates.any(|candidate| candidate.text.ends_with(inject::INSTRUCTION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::swarm;

    /// All wrong answers attack. Judges obey the instruction, or find these answers unlikely.
    fn attack_wrong_answers(records: &[QuestionRecord], obedience: bool) -> Vec<QuestionRecord> {
        let mut records = records.to_vec();
        for record in &mut records {
            let rights = record.rights.clone();
            let round = record.round.as_mut().expect("a round");
            for (candidate, right) in round.candidates.iter_mut().zip(&rights) {
                if !right {
                    candidate.text += inject::INSTRUCTION;
                    candidate.logprob = None;
                }
            }
            for score in round.ballots.iter_mut().flat_map(|ballot| &mut ballot.scores) {
                let right = rights.get(score.candidate) == Some(&true);
                score.logprob = if right != obedience { -0.01 } else { -40.0 };
            }
        }
        records
    }

    fn scores(round: &Round) -> Vec<Score> {
        round.ballots.iter().flat_map(|ballot| ballot.scores.clone()).collect()
    }

    #[test]
    fn an_instruction_that_no_judge_obeys_costs_nothing_and_one_that_all_obey_does() {
        let records = swarm(40, 6, 20, 3);
        let [firm, obedient] = [false, true]
            .map(|obedience| costs(&records, &attack_wrong_answers(&records, obedience)).remove(0));
        assert_eq!(firm.attack, Attack::Instruction);
        assert_eq!(firm.questions, 40);
        assert!(firm.cost.value >= 0.0, "{firm:?}");
        assert!(obedient.cost.value < firm.cost.value, "{obedient:?}");
        for (before, after) in records.iter().zip(attack_wrong_answers(&records, true)) {
            let mixture = keep_right_answers(before, &after);
            let (old, new) = (before.round.as_ref().unwrap(), mixture.round.as_ref().unwrap());
            for (at, right) in before.rights.iter().enumerate() {
                assert_eq!(old.candidates[at] == new.candidates[at], *right);
            }
            for (old, new) in scores(old).iter().zip(scores(new)) {
                assert_eq!(*old == new, before.rights[old.candidate]);
            }
        }
    }
}
