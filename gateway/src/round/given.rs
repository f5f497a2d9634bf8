//! Ranks texts that a client brings. No member wrote any of them, so everybody may judge; how they
//! are judged and ranked is what every round does.
//!
//! Nothing is learned from it: who brings the texts could bring them to make a judge look good.

use shoal_proto::{NodeId, generate::Finish};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{LOOK, Round, Rounds, judge, metrics::Metrics};
use shoal_consensus::{Ask, Candidate, Outcome, ask::Target, outcome::Timings};
use shoal_consensus::{RoundError, RoundSettings, select, settings::Certainty};

/// Writer of what no member wrote: no key has this value.
const NOBODY: NodeId = NodeId([0; 32]);

/// What a model without it cannot do.
const WHAT: &str = "judge texts";

impl Rounds {
    /// Ranks `texts` as answers to the ask's conversation. Equal texts share a rank. Dropping the
    /// future stops all work for it.
    ///
    /// # Errors
    /// See [`RoundError`].
    pub async fn rank(&self, ask: &Ask, texts: Vec<String>) -> Result<Outcome, RoundError> {
        let mut counted = Counted { metrics: &self.0.metrics, outcome: "cancelled" };
        // Nobody listens to how far it is.
        let (news, _) = mpsc::channel(1);
        let ranked = Box::pin(ranked(self.begin(ask, &news), texts)).await;
        counted.outcome = match &ranked {
            Ok(_) => "judged",
            Err(error) => error.label(),
        };
        ranked
    }
}

/// Counts a ranking once, whatever becomes of it.
struct Counted<'a> {
    metrics: &'a Metrics,
    outcome: &'static str,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.metrics.ranking(self.outcome);
    }
}

async fn ranked(begun: Round<'_>, texts: Vec<String>) -> Result<Outcome, RoundError> {
    let config = without_writers(begun.config);
    let mut round = Round { config: &config, ..begun };
    let judges = judges(&mut round).await?;
    let selected = round.clock.elapsed();
    let candidates = candidates(texts);
    let ballots = judge::ballots(&round, &candidates, &judges).await;
    let judged = round.clock.elapsed();
    if ballots.is_empty() {
        return Err(RoundError::NoBallot { asked: judges.len() });
    }
    let tally = round.tally(&candidates, &ballots);
    let ranking = tally.ranking();
    let (winner, decided) =
        tally.winner(&ranking, None).ok_or(RoundError::NoBallot { asked: judges.len() })?;
    let total = round.clock.elapsed();
    Ok(Outcome {
        round: round.id.clone(),
        winner,
        decided,
        candidates,
        ballots,
        ranking,
        fused: None,
        timings: Timings {
            select: selected,
            judge: judged - selected,
            rank: total - judged,
            total,
            ..Timings::default()
        },
    })
}

/// Of a text without a writer nothing speaks but the judges: that it was brought twice does not.
fn without_writers(config: &RoundSettings) -> RoundSettings {
    let mut config = config.clone();
    config.evidence.certainty = Certainty::Off;
    config.evidence.agreement = 0.0;
    config
}

/// Who judges. When nobody who can is free, waits a little.
async fn judges(round: &mut Round<'_>) -> Result<Vec<NodeId>, RoundError> {
    loop {
        let settings = &round.config.select;
        let free = select::judges(round.ask, &round.members, &round.standing, settings, round.seed);
        let error = match free {
            Ok(judges) if !judges.is_empty() => return Ok(judges),
            Ok(_) | Err(RoundError::NoMember) if somebody_can(round) => RoundError::NoMember,
            Ok(_) => RoundError::Cannot { model: round.ask.target.name().cloned(), what: WHAT },
            Err(error) => return Err(error),
        };
        if error != RoundError::NoMember || Instant::now() >= round.clock.patience {
            return Err(error);
        }
        sleep(LOOK).await;
        round.members = round.swarm.members();
    }
}

fn somebody_can(round: &Round<'_>) -> bool {
    round.members.iter().any(|member| {
        let asked = match &round.ask.target {
            Target::Swarm => true,
            Target::Model(name) => *name == member.model.name,
        };
        let model = &member.model;
        asked && (model.likelihood || (round.config.select.pairs && model.pairwise))
    })
}

/// The texts as candidates of nobody; equal ones are one pool.
fn candidates(texts: Vec<String>) -> Vec<Candidate> {
    let mut known: Vec<String> = Vec::new();
    let candidate = |text: String| {
        let pool = known.iter().position(|one| *one == text).unwrap_or_else(|| {
            known.push(text.clone());
            known.len() - 1
        });
        Candidate {
            writer: NOBODY,
            model: String::new(),
            text,
            tool_calls: Vec::new(),
            tokens: Vec::new(),
            cached_tokens: 0,
            finish: Finish::Stop,
            prompt_tokens: 0,
            completion_tokens: 0,
            logprob: None,
            took: std::time::Duration::ZERO,
            first_piece: std::time::Duration::ZERO,
            pool,
        }
    };
    texts.into_iter().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_a_pool_and_like_answers_do_not() {
        let texts = ["Answer: 4", "4", "Answer: 4", "5"].map(str::to_owned);
        let pools: Vec<usize> = candidates(texts.into()).iter().map(|one| one.pool).collect();
        assert_eq!(pools, [0, 1, 0, 2]);
    }
}
