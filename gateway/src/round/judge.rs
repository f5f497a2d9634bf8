//! Ballots: members judge what they did not write, until it is clear who is best.
//!
//! Judging starts when the writing has closed. Judges are asked in waves, the best first, and the
//! next wave only when the last one has not settled it: a likelihood judge gets every candidate
//! that it did not write, equal texts once, in an order that says nothing; a pairwise judge gets
//! pairs of pools that it did not write for, each in both orders. Who does not answer in time is
//! left out.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use shoal_proto::NodeId;
use tokio::time::{Instant, sleep_until};

use super::Round;
use crate::swarm::WorkError;
use shoal_consensus::judging::JudgeTask;
use shoal_consensus::judging::pairs::{Beliefs, Voice};
use shoal_consensus::judging::{Able, JudgeQueue};
use shoal_consensus::{Candidate, CastBallot, evidence::Parts, outcome::Progress, reputation};
use shoal_consensus::{
    judging::{count, quorum},
    rank,
};

/// The ballots that came in time, or before enough was known.
pub(super) async fn ballots(
    round: &Round<'_>,
    candidates: &[Candidate],
    judges: &[NodeId],
) -> Vec<CastBallot> {
    let able = judges.iter().filter_map(|judge| able(round, *judge));
    let seed = round.seed.wrapping_add(1);
    let mut bench = JudgeQueue::new(candidates, able, &round.config.judge, seed);
    let mut asked = FuturesUnordered::new();
    let mut ballots = Vec::new();
    while Instant::now() < round.clock.end {
        let wave = next_wave(round, candidates, &ballots, &mut bench);
        round.metrics.wave(wave.len());
        if !wave.is_empty() {
            round.tell(Progress::Judging { heard: ballots.len(), asked: bench.asked() });
        }
        asked.extend(wave.into_iter().map(|(judge, sheet)| cast(round, judge, sheet)));
        if asked.is_empty() {
            break;
        }
        let begun = Instant::now();
        let mut until = patience(round, &bench);
        while !asked.is_empty() {
            let (judge, cast) = tokio::select! {
                biased;
                Some(cast) = asked.next() => cast,
                () = sleep_until(until) => break,
            };
            bench.heard(judge, cast.is_ok());
            round.metrics.ballots(cast.as_ref().map_or_else(WorkError::label, |_| "counted"), 1);
            if let Ok(ballot) = cast {
                count(&mut ballots, ballot);
                round.tell(Progress::Judging { heard: ballots.len(), asked: bench.asked() });
                until = until.min(grace(round, &bench, begun));
            }
            let more = !asked.is_empty() || bench.has_more();
            if more && is_settled(round, candidates, &ballots, &bench) {
                round.metrics.ballots("cut", asked.len());
                return ballots;
            }
        }
    }
    round.metrics.ballots("cut", asked.len());
    ballots
}

fn able(round: &Round<'_>, judge: NodeId) -> Option<Able> {
    let member = round.member(judge)?;
    let weight = round.standing.judge_weight(&judge);
    let (likelihood, reasoned) = (member.model.likelihood, member.model.reasoned);
    let way = round.config.judge.way(reasoned);
    let discrimination = round.standing.discrimination(&judge, way, &round.kind);
    let alone = reputation::Voice { weight, discrimination };
    let voice = Voice { weight, discrimination: rank::gamma(alone, &round.config.rank) };
    Some(Able { judge, likelihood, reasoned, voice })
}

fn next_wave(
    round: &Round<'_>,
    candidates: &[Candidate],
    ballots: &[CastBallot],
    bench: &mut JudgeQueue<'_>,
) -> Vec<(NodeId, JudgeTask)> {
    let tally = round.tally(candidates, ballots);
    let mu: Vec<f64> = tally.evidence().iter().map(Parts::total).collect();
    let comparisons = tally.comparisons();
    let settings = &round.config.rank;
    bench.wave(Beliefs { mu: &mu, comparisons: &comparisons, settings })
}

/// When a wave that is not complete is followed by the next: at the end, if there is none.
fn patience(round: &Round<'_>, bench: &JudgeQueue<'_>) -> Instant {
    let end = round.clock.end;
    if !bench.has_more() {
        return end;
    }
    let now = Instant::now();
    let share = round.config.judge.wave_share.clamp(0.0, 1.0);
    // Never at once: an empty wait would spin.
    let wait = end.saturating_duration_since(now).mul_f64(share).max(super::LOOK);
    end.min(now + wait)
}

/// How long the rest of a wave may take once one of it has spoken: one that is silent must not
/// hold up those that wait.
fn grace(round: &Round<'_>, bench: &JudgeQueue<'_>, begun: Instant) -> Instant {
    if !bench.has_more() {
        return round.clock.end;
    }
    begun + begun.elapsed().mul_f64(round.config.judge.grace.max(1.0)) + super::LOOK
}

/// Enough of those asked have spoken, and what they said is clear.
fn is_settled(
    round: &Round<'_>,
    candidates: &[Candidate],
    ballots: &[CastBallot],
    bench: &JudgeQueue<'_>,
) -> bool {
    let enough = quorum(bench.asked(), round.config.judge.quorum);
    ballots.len() >= enough
        && rank::settled(&round.tally(candidates, ballots).ranking(), &round.config.rank)
}

async fn cast(
    round: &Round<'_>,
    judge: NodeId,
    sheet: JudgeTask,
) -> (NodeId, Result<CastBallot, WorkError>) {
    let begun = round.clock.elapsed();
    let ask = sheet.ask(round.ask, round.prompt_for(judge));
    let ballot = round.swarm.judge(judge, ask, round.clock.end).await;
    let ballot = ballot.inspect_err(|error| {
        tracing::debug!(node.id = %judge.short(), %error, "no ballot");
    });
    let cast = ballot.map(|ballot| CastBallot {
        judge,
        model: round.model(judge),
        reasoned: sheet.is_reasoned(),
        prompt_tokens: ballot.prompt_tokens.saturating_add(ballot.completion_tokens),
        took: round.clock.elapsed().saturating_sub(begun),
        verdicts: sheet.verdicts(&ballot),
    });
    (judge, cast)
}
