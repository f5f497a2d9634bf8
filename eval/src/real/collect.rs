//! Asks question after question and keeps all that came of each, until the time is up. A run that is
//! cut anywhere loses the questions under way and no other; the next one goes on after it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use futures_util::{StreamExt as _, future::join_all, stream};
use shoal_consensus::agree;
use shoal_proto::{
    generate::{ChatMessage, Generate, Sampling},
    judge::{Ballot, Judge, Kind, Pair},
};
use tokio::time::Instant;

use super::{
    host::Member,
    nodes::{JUDGE, SPECIALISTS, Swarm, WRITERS},
    questions::{Question, Set},
    record::{self, Candidate, Compared, Cost, Order, Scored, Taken},
};
use crate::record::Score;

/// What to collect.
#[derive(Clone, Debug)]
pub struct Plan {
    pub set: Set,
    /// Questions that there shall be in the file in the end.
    pub questions: usize,
    /// No question is begun after this.
    pub limit: Duration,
    /// Questions under way at the same time: a step of eight streams takes hardly longer than one.
    pub at_once: usize,
    pub shared: PathBuf,
    pub records: PathBuf,
}

/// Writers of a pool that end a round without judging, as `round.agree` has it: three quarters.
const AGREE: f64 = 0.75;

/// Pools of which all pairs are compared; the others are those that fewest wrote.
const POOLS: usize = 3;

/// Collects what is missing; says how many questions it has added.
///
/// # Errors
/// When a member fails: what it would have said cannot be left out of the figures.
pub async fn collect(swarm: &Swarm, plan: &Plan) -> Result<usize> {
    let known: Vec<Taken> = record::read(&plan.records)?;
    let known: BTreeSet<&str> = known.iter().map(|one| one.id.as_str()).collect();
    let questions = plan.set.read(&plan.shared)?;
    let missing: Vec<Question> = questions
        .into_iter()
        .take(plan.questions)
        .filter(|question| !known.contains(question.id.as_str()))
        .collect();
    let end = Instant::now() + plan.limit;
    let begun = missing.iter().take_while(|_| Instant::now() < end);
    let mut taken = stream::iter(begun)
        .map(|question| take(swarm, plan.set, question))
        .buffer_unordered(plan.at_once.max(1));
    let mut count = 0;
    while let Some(one) = taken.next().await {
        record::append(&plan.records, &one?)?;
        count += 1;
    }
    Ok(count)
}

async fn take(swarm: &Swarm, set: Set, question: &Question) -> Result<Taken> {
    let candidates = write(swarm, question).await?;
    let mut taken = Taken {
        set: set.name().to_owned(),
        id: question.id.clone(),
        question: question.text.clone(),
        candidates,
        likelihood: Vec::new(),
        logit: None,
        reasoned: None,
    };
    let likelihood = score(swarm, question, &taken.candidates);
    let pairs = pairs(&taken.candidates);
    if pairs.is_empty() {
        taken.likelihood = likelihood.await?;
        return Ok(taken);
    }
    // One after the other, so that each kind's seconds are its own.
    taken.likelihood = likelihood.await?;
    let judge = swarm.member(JUDGE)?;
    taken.logit = Some(compare(judge, question, &taken.candidates, &pairs, Kind::Pairwise).await?);
    taken.reasoned =
        Some(compare(judge, question, &taken.candidates, &pairs, Kind::Reasoned).await?);
    Ok(taken)
}

pub(super) fn conversation(question: &str) -> Vec<ChatMessage> {
    vec![ChatMessage::new("user", question)]
}

/// Everybody's answer, in the order of their names in the plan. A specialist that has no words for
/// the question is left out, as in a round.
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
        let written = member.write(ask).await;
        if written.is_err() && SPECIALISTS.contains(&name) {
            return Ok(None);
        }
        let written = written?;
        anyhow::Ok(Some(Candidate {
            writer: name.to_owned(),
            family: member.model.family.clone(),
            digest: member.model.digest.clone(),
            right: question.key.grade(&written.text).await?,
            text: written.text,
            logprob: written.done.logprob,
            prompt_tokens: written.done.prompt_tokens,
            completion_tokens: written.done.completion_tokens,
            took_ms: written.took.as_secs_f64() * 1e3,
        }))
    }));
    let answers = answers.await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(answers.into_iter().flatten().collect())
}

/// Likelihoods of the general writers' candidates, by each model that is not one of the specialists.
async fn score(
    swarm: &Swarm,
    question: &Question,
    candidates: &[Candidate],
) -> Result<Vec<Scored>> {
    let judges = [swarm.member(JUDGE)?, swarm.member("smollm2")?];
    let general = places(candidates, Candidate::is_general);
    let texts: Vec<&str> =
        general.iter().filter_map(|at| candidates.get(*at)).map(|one| one.text.as_str()).collect();
    let ballots = join_all(judges.map(async |judge| {
        let (ballot, took) =
            judge.judge(ask(&question.text, &texts, &[], Kind::Likelihood)).await?;
        let scores = general.iter().zip(&ballot.scores).map(|(candidate, score)| Score {
            candidate: *candidate,
            logprob: score.logprob,
            tokens: score.tokens,
        });
        let scores = scores.collect();
        anyhow::Ok(Scored { judge: named(judge), scores, cost: cost(&ballot, took) })
    }));
    ballots.await.into_iter().collect()
}

fn named(judge: &Member) -> record::Judge {
    let model = &judge.model;
    record::Judge {
        name: model.name.clone(),
        family: model.family.clone(),
        digest: model.digest.clone(),
    }
}

fn cost(ballot: &Ballot, took: Duration) -> Cost {
    Cost {
        read: ballot.prompt_tokens,
        written: ballot.completion_tokens,
        took_ms: took.as_secs_f64() * 1e3,
    }
}

/// Pairs of candidates of different pools, each pool by its first writer, in both orders. None where
/// a live round would have ended by agreement: nobody would have been asked.
pub fn pairs(candidates: &[Candidate]) -> Vec<Pair> {
    let general: Vec<usize> = places(candidates, Candidate::is_general);
    let texts = general.iter().filter_map(|at| candidates.get(*at)).map(|one| one.text.as_str());
    let pools = agree::pools(texts);
    let size = |pool: usize| pools.iter().filter(|other| **other == pool).count();
    let count = pools.iter().max().map_or(0, |last| last + 1);
    let mut largest: Vec<usize> = (0..count).collect();
    largest.sort_by_key(|pool| std::cmp::Reverse(size(*pool)));
    if largest.first().is_some_and(|pool| size(*pool) as f64 >= AGREE * general.len() as f64) {
        return Vec::new();
    }
    largest.truncate(POOLS);
    let first = |pool: &usize| {
        let at = pools.iter().position(|other| other == pool)?;
        u32::try_from(*general.get(at)?).ok()
    };
    let shown: Vec<u32> = largest.iter().filter_map(first).collect();
    let with = |first: &u32| {
        let first = *first;
        let others = shown.iter().filter(move |second| **second != first);
        others.map(move |second| Pair { first, second: *second }).collect::<Vec<_>>()
    };
    shown.iter().flat_map(with).collect()
}

fn places(candidates: &[Candidate], which: impl Fn(&Candidate) -> bool) -> Vec<usize> {
    candidates.iter().enumerate().filter(|(_, one)| which(one)).map(|(at, _)| at).collect()
}

async fn compare(
    judge: &Member,
    question: &Question,
    candidates: &[Candidate],
    pairs: &[Pair],
    kind: Kind,
) -> Result<Compared> {
    let texts: Vec<&str> = candidates.iter().map(|one| one.text.as_str()).collect();
    let (ballot, took) = judge.judge(ask(&question.text, &texts, pairs, kind)).await?;
    let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    let orders = pairs.iter().zip(&ballot.verdicts).map(|(pair, p)| Order {
        first: place(pair.first),
        second: place(pair.second),
        p: *p,
    });
    Ok(Compared { judge: named(judge), orders: orders.collect(), cost: cost(&ballot, took) })
}

pub(crate) fn ask(question: &str, texts: &[&str], pairs: &[Pair], kind: Kind) -> Judge {
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
pub fn data(records: &Path) -> PathBuf {
    records.with_extension("nodes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(said: &[(&str, &str)]) -> Vec<Candidate> {
        let candidate = |(writer, answer): &(&str, &str)| Candidate {
            writer: (*writer).to_owned(),
            family: String::new(),
            digest: String::new(),
            text: format!("Answer: {answer}"),
            right: false,
            logprob: None,
            prompt_tokens: 0,
            completion_tokens: 0,
            took_ms: 0.0,
        };
        said.iter().map(candidate).collect()
    }

    #[test]
    fn pools_are_compared_by_their_first_writer_in_both_orders() {
        let said = [("shoal-sum", "9"), ("a", "1"), ("b", "2"), ("c", "1"), ("d", "1")];
        assert!(pairs(&candidates(&said)).is_empty(), "three of four agree");
        let said = [("shoal-sum", "9"), ("a", "1"), ("b", "2"), ("c", "2"), ("d", "1")];
        let both = [Pair { first: 1, second: 2 }, Pair { first: 2, second: 1 }];
        assert_eq!(pairs(&candidates(&said)), both);
        let said: Vec<(&str, &str)> = ["1", "2", "3", "4", "5", "5"].map(|n| ("a", n)).to_vec();
        let pairs = pairs(&candidates(&said));
        assert_eq!(pairs.len(), 6, "three pools");
        assert_eq!(pairs[0].first, 4, "the largest pool is among them");
    }
}
