//! Ranks texts from a client. No member wrote any of them, so that every member may judge; judging and
//! ranking are those of every round.
//!
//! Nothing is learned from it: a client could choose texts that make a judge look good.

use std::time::Duration;

use shoal_proto::{NodeId, generate::Finish};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::Instrument as _;

use super::{Client, POLL_INTERVAL, Round, Rounds, judge, metrics::RoundMetrics};
use shoal_consensus::{
    Ask, Candidate, Outcome, RoundError, RoundSettings, ask::Target, outcome::Timings, select,
    settings::Certainty,
};

/// The writer of a text from a client: no key has this value.
const CLIENT: NodeId = NodeId([0; 32]);

/// The capability, in the words of [`RoundError::Cannot`].
const CAPABILITY: &str = "judge texts";

impl Rounds {
    /// Ranks `texts` as answers to the ask's conversation. Equal texts share a rank. Dropping the
    /// future stops all work for it.
    ///
    /// # Errors
    /// See [`RoundError`].
    pub async fn rank(&self, ask: &Ask, texts: Vec<String>) -> Result<Outcome, RoundError> {
        let mut count = RankingCount { metrics: &self.0.metrics, outcome: "cancelled" };
        // No client wants to know how far it is.
        let (updates, _) = mpsc::channel(1);
        let round = self.begin(ask, Client::default(), &updates);
        let span = round.span();
        let result = Box::pin(rank_texts(round, texts)).instrument(span).await;
        count.outcome = match &result {
            Ok(_) => "judged",
            Err(error) => error.label(),
        };
        result
    }
}

/// Counts a ranking when it is dropped, with the outcome that it has by then.
struct RankingCount<'a> {
    metrics: &'a RoundMetrics,
    outcome: &'static str,
}

impl Drop for RankingCount<'_> {
    fn drop(&mut self) {
        self.metrics.ranking(self.outcome);
    }
}

async fn rank_texts(round: Round<'_>, texts: Vec<String>) -> Result<Outcome, RoundError> {
    let config = without_writers(round.config);
    let mut round = Round { config: &config, ..round };
    let judges = judges(&mut round).await?;
    let select_end = round.clock.elapsed();
    let candidates = candidates(texts);
    let ballots = judge::ballots(&round, &candidates, &judges).await;
    let judge_end = round.clock.elapsed();
    if ballots.is_empty() {
        return Err(RoundError::NoBallot { members: judges.len() });
    }
    let tally = round.tally(&candidates, &ballots);
    let ranking = tally.ranking();
    let (winner, decision) =
        tally.winner(&ranking, None).ok_or(RoundError::NoBallot { members: judges.len() })?;
    let total = round.clock.elapsed();
    Ok(Outcome {
        round: round.id.clone(),
        kind: round.kind.clone(),
        winner,
        decided: decision,
        candidates,
        ballots,
        ranking,
        fused: None,
        timings: Timings {
            select: select_end,
            judge: judge_end - select_end,
            rank: total - judge_end,
            total,
            ..Timings::default()
        },
    })
}

/// Settings under which only the judges count: a text without a writer has no claim of certainty, and
/// that it comes twice says nothing.
fn without_writers(config: &RoundSettings) -> RoundSettings {
    let mut config = config.clone();
    config.evidence.certainty = Certainty::Off;
    config.evidence.agreement = 0.0;
    config
}

/// The members that judge. When no capable member is free, waits a little.
async fn judges(round: &mut Round<'_>) -> Result<Vec<NodeId>, RoundError> {
    loop {
        let settings = &round.config.select;
        let free = select::judges(round.ask, &round.members, &round.standing, settings, round.seed);
        let error = match free {
            Ok(judges) if !judges.is_empty() => return Ok(judges),
            Ok(_) | Err(RoundError::NoMember) if has_judge(round) => RoundError::NoMember,
            Ok(_) => RoundError::Cannot {
                model: round.ask.target.name().cloned(),
                capability: CAPABILITY,
            },
            Err(error) => return Err(error),
        };
        if error != RoundError::NoMember || Instant::now() >= round.clock.patience {
            return Err(error);
        }
        sleep(POLL_INTERVAL).await;
        round.members = round.swarm.members();
    }
}

/// Whether a member, free or busy, could judge.
fn has_judge(round: &Round<'_>) -> bool {
    round.members.iter().any(|member| {
        let is_target = match &round.ask.target {
            Target::Swarm => true,
            Target::Model(name) => *name == member.model.name,
        };
        let model = &member.model;
        is_target && (model.likelihood || (round.config.select.pairs && model.pairwise))
    })
}

/// The texts as candidates without a writer; equal texts are one pool.
fn candidates(texts: Vec<String>) -> Vec<Candidate> {
    let mut pools: Vec<String> = Vec::new();
    let mut candidates = Vec::with_capacity(texts.len());
    for text in texts {
        let pool = pools.iter().position(|pool| *pool == text).unwrap_or(pools.len());
        if pool == pools.len() {
            pools.push(text.clone());
        }
        candidates.push(candidate(text, pool));
    }
    candidates
}

fn candidate(text: String, pool: usize) -> Candidate {
    Candidate {
        writer: CLIENT,
        model: String::new(),
        text,
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        cached_tokens: 0,
        reasoning_tokens: 0,
        finish: Finish::Stop,
        prompt_tokens: 0,
        completion_tokens: 0,
        logprob: None,
        took: Duration::ZERO,
        first_piece: Duration::ZERO,
        pool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_a_pool_and_like_answers_do_not() {
        let texts = ["Answer: 4", "4", "Answer: 4", "5"].map(str::to_owned);
        let pools: Vec<usize> = candidates(texts.into()).iter().map(|text| text.pool).collect();
        assert_eq!(pools, [0, 1, 0, 2]);
    }
}
