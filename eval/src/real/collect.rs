//! Asks question after question and keeps all results, until the time limit. A run that is stopped
//! loses only the questions in progress; the next run continues after them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use futures_util::{StreamExt as _, future::join_all, stream};
use shoal_consensus::agree;
use shoal_proto::{
    generate::{ChatMessage, Generate, Sampling},
    judge::{Ballot, BallotKind, Judge, Pair},
};
use tokio::time::Instant;

use super::{
    host::Member,
    nodes::{JUDGE, SPECIALISTS, Swarm, WRITERS},
    questions::{Question, Set},
    record::{self, Candidate, Cost, JudgedQuestion, LikelihoodBallot, OrderedVerdict, PairBallot},
};
use crate::record::Score;

/// The questions of a run, and its limits.
#[derive(Clone, Debug)]
pub struct Plan {
    pub set: Set,
    /// Number of questions in the file at the end.
    pub questions: usize,
    /// No question starts after this time.
    pub limit: Duration,
    /// Questions in progress at the same time: a step of eight streams takes hardly longer than one.
    pub concurrency: usize,
    /// Folder that contains data/questions.
    pub corpora: PathBuf,
    pub records: PathBuf,
}

/// Share of the writers in one pool that ends a round without judging, as in `round.agree`.
const AGREE: f64 = 0.75;

/// Number of pools whose pairs are compared; the smallest pools are left out.
const POOLS: usize = 3;

/// Asks the questions that are not in the file yet, and returns their number.
///
/// # Errors
/// If a member fails: its answer must not be missing in the figures.
pub async fn collect(swarm: &Swarm, plan: &Plan) -> Result<usize> {
    let records: Vec<JudgedQuestion> = record::read(&plan.records)?;
    let ids: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let questions = plan.set.read(&plan.corpora)?;
    let open_questions: Vec<Question> = questions
        .into_iter()
        .take(plan.questions)
        .filter(|question| !ids.contains(question.id.as_str()))
        .collect();
    let end = Instant::now() + plan.limit;
    let in_time = open_questions.iter().take_while(|_| Instant::now() < end);
    let mut results = stream::iter(in_time)
        .map(|question| ask_and_judge(swarm, plan.set, question))
        .buffer_unordered(plan.concurrency.max(1));
    let mut count = 0;
    while let Some(record) = results.next().await {
        record::append(&plan.records, &record?)?;
        count += 1;
    }
    Ok(count)
}

async fn ask_and_judge(swarm: &Swarm, set: Set, question: &Question) -> Result<JudgedQuestion> {
    let candidates = write(swarm, question).await?;
    let mut record = JudgedQuestion {
        set: set.name().to_owned(),
        id: question.id.clone(),
        question: question.text.clone(),
        candidates,
        likelihood: Vec::new(),
        logit: None,
        critique: None,
    };
    // One kind after the other, so that the seconds of each are its own.
    record.likelihood = score(swarm, question, &record.candidates).await?;
    let pairs = pairs(&record.candidates);
    if pairs.is_empty() {
        return Ok(record);
    }
    let judge = swarm.member(JUDGE)?;
    let logit = compare(judge, question, &record.candidates, &pairs, BallotKind::Pairwise).await?;
    let critique =
        compare(judge, question, &record.candidates, &pairs, BallotKind::Reasoned).await?;
    (record.logit, record.critique) = (Some(logit), Some(critique));
    Ok(record)
}

pub(super) fn conversation(question: &str) -> Vec<ChatMessage> {
    vec![ChatMessage::new("user", question)]
}

/// The answers of all members, in the order of their names. A specialist that cannot answer the question
/// is left out, as in a round.
async fn write(swarm: &Swarm, question: &Question) -> Result<Vec<Candidate>> {
    let names = WRITERS.into_iter().chain(SPECIALISTS);
    let answers = join_all(names.map(async |name| {
        let member = swarm.member(name)?;
        let sampling = Sampling { max_tokens: Some(question.tokens), ..Sampling::default() };
        let ask = Generate {
            messages: conversation(&question.text),
            sampling: Some(sampling),
            ..Generate::default()
        };
        let completion = match member.write(ask).await {
            Err(_) if SPECIALISTS.contains(&name) => return Ok(None),
            result => result?,
        };
        anyhow::Ok(Some(Candidate {
            writer: name.to_owned(),
            family: member.model.family.clone(),
            digest: member.model.digest.clone(),
            right: question.key.grade(&completion.text).await?,
            text: completion.text,
            logprob: completion.done.logprob,
            prompt_tokens: completion.done.prompt_tokens,
            completion_tokens: completion.done.completion_tokens,
            took_ms: completion.duration.as_secs_f64() * 1e3,
        }))
    }));
    let answers = answers.await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(answers.into_iter().flatten().collect())
}

/// Likelihoods of the general writers' candidates under each model except the specialists.
async fn score(
    swarm: &Swarm,
    question: &Question,
    candidates: &[Candidate],
) -> Result<Vec<LikelihoodBallot>> {
    let judges = [swarm.member(JUDGE)?, swarm.member("smollm2")?];
    let general = general_candidates(candidates);
    let texts: Vec<&str> = general.iter().map(|(_, candidate)| candidate.text.as_str()).collect();
    let ballots = join_all(judges.map(async |judge| {
        let (ballot, duration) =
            judge.judge(ask(&question.text, &texts, &[], BallotKind::Likelihood)).await?;
        let scores = general.iter().zip(&ballot.scores).map(|((index, _), score)| Score {
            candidate: *index,
            logprob: score.logprob,
            tokens: score.tokens,
        });
        let scores = scores.collect();
        anyhow::Ok(LikelihoodBallot {
            judge: judge_of(judge),
            scores,
            cost: cost(&ballot, duration),
        })
    }));
    ballots.await.into_iter().collect()
}

fn judge_of(judge: &Member) -> record::Judge {
    let model = &judge.model;
    record::Judge {
        name: model.name.clone(),
        family: model.family.clone(),
        digest: model.digest.clone(),
    }
}

fn cost(ballot: &Ballot, duration: Duration) -> Cost {
    Cost {
        prompt_tokens: ballot.prompt_tokens,
        completion_tokens: ballot.completion_tokens,
        took_ms: duration.as_secs_f64() * 1e3,
    }
}

/// Pairs of candidates of different pools in both orders; the first writer stands for its pool. No pairs
/// if a live round would end by agreement, without judges.
pub fn pairs(candidates: &[Candidate]) -> Vec<Pair> {
    let general = general_candidates(candidates);
    let pools = agree::pools(general.iter().map(|(_, candidate)| candidate.text.as_str()));
    // Size and first candidate of each pool.
    let mut representatives: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (pool, (index, _)) in pools.iter().zip(&general) {
        representatives.entry(*pool).or_insert((0, *index)).0 += 1;
    }
    let mut largest: Vec<(usize, usize)> = representatives.into_values().collect();
    largest.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    if largest.first().is_some_and(|(size, _)| *size as f64 >= AGREE * general.len() as f64) {
        return Vec::new();
    }
    largest.truncate(POOLS);
    let indices: Vec<u32> =
        largest.iter().filter_map(|(_, index)| u32::try_from(*index).ok()).collect();
    let mut pairs = Vec::new();
    for first in &indices {
        for second in indices.iter().filter(|second| *second != first) {
            pairs.push(Pair { first: *first, second: *second });
        }
    }
    pairs
}

/// The candidates of general writers with their indices.
fn general_candidates(candidates: &[Candidate]) -> Vec<(usize, &Candidate)> {
    candidates.iter().enumerate().filter(|(_, candidate)| candidate.is_general()).collect()
}

async fn compare(
    judge: &Member,
    question: &Question,
    candidates: &[Candidate],
    pairs: &[Pair],
    kind: BallotKind,
) -> Result<PairBallot> {
    let texts: Vec<&str> = candidates.iter().map(|candidate| candidate.text.as_str()).collect();
    let (ballot, duration) = judge.judge(ask(&question.text, &texts, pairs, kind)).await?;
    let orders = pairs
        .iter()
        .zip(&ballot.verdicts)
        .map(|(pair, p)| {
            let (first, second) = (usize::try_from(pair.first)?, usize::try_from(pair.second)?);
            Ok(OrderedVerdict { first, second, p: *p })
        })
        .collect::<Result<_>>()?;
    Ok(PairBallot { judge: judge_of(judge), orders, cost: cost(&ballot, duration) })
}

/// A judge's question about these texts.
pub(crate) fn ask(question: &str, texts: &[&str], pairs: &[Pair], kind: BallotKind) -> Judge {
    Judge {
        messages: conversation(question),
        candidates: texts.iter().map(|text| (*text).to_owned()).collect(),
        kind: kind.into(),
        pairs: pairs.to_vec(),
        tools: None,
        prompt: None,
    }
}

/// The folder of the nodes' keys and logs, beside the records.
pub fn data_folder(records: &Path) -> PathBuf {
    records.with_extension("nodes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(answers: &[(&str, &str)]) -> Vec<Candidate> {
        answers
            .iter()
            .map(|(writer, answer)| Candidate {
                writer: (*writer).to_owned(),
                family: String::new(),
                digest: String::new(),
                text: format!("Answer: {answer}"),
                right: false,
                logprob: None,
                prompt_tokens: 0,
                completion_tokens: 0,
                took_ms: 0.0,
            })
            .collect()
    }

    #[test]
    fn pools_are_compared_by_their_first_writer_in_both_orders() {
        let answers = [("shoal-sum", "9"), ("a", "1"), ("b", "2"), ("c", "1"), ("d", "1")];
        assert!(pairs(&candidates(&answers)).is_empty(), "three of four agree");
        let answers = [("shoal-sum", "9"), ("a", "1"), ("b", "2"), ("c", "2"), ("d", "1")];
        let orders = [Pair { first: 1, second: 2 }, Pair { first: 2, second: 1 }];
        assert_eq!(pairs(&candidates(&answers)), orders);
        let answers: Vec<(&str, &str)> = ["1", "2", "3", "4", "5", "5"].map(|n| ("a", n)).to_vec();
        let pairs = pairs(&candidates(&answers));
        assert_eq!(pairs.len(), 6, "three pools");
        assert_eq!(pairs[0].first, 4, "the largest pool is among them");
    }
}
