//! Ballots: members judge candidates of other members until it is clear which one is best.
//!
//! Judging starts when writing has ended. Judges are asked in waves, the best judges first; another
//! wave follows only while the ranking is not clear. A likelihood judge gets every candidate that it
//! did not write, equal texts once, in random order. A pairwise judge gets pairs of pools that have no
//! answer of its own, each pair in both orders. A judge that does not answer in time is left out.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use shoal_proto::NodeId;
use tokio::time::{Instant, sleep_until};

use super::Round;
use shoal_consensus::{
    Candidate, CastBallot,
    judging::{
        AbleJudge, JudgeQueue, JudgeTask, count,
        pairs::{Beliefs, VerdictWeight},
        quorum,
    },
    outcome::{Parts, Progress},
    rank, reputation,
};
use shoal_swarm::WorkError;

/// The ballots that came in time, or before the ranking was clear.
pub(super) async fn ballots(
    round: &Round<'_>,
    candidates: &[Candidate],
    judges: &[NodeId],
) -> Vec<CastBallot> {
    let able = judges.iter().filter_map(|judge| able(round, *judge));
    let seed = round.seed.wrapping_add(1);
    let mut queue = JudgeQueue::new(candidates, able, &round.config.judge, seed);
    let mut tasks = FuturesUnordered::new();
    let mut ballots = Vec::new();
    while Instant::now() < round.clock.end {
        let wave = next_wave(round, candidates, &ballots, &mut queue);
        round.metrics.wave(wave.len());
        if !wave.is_empty() {
            round.report(Progress::Judging { heard: ballots.len(), asked: queue.judge_count() });
        }
        tasks.extend(wave.into_iter().map(|(judge, task)| cast(round, judge, task)));
        if tasks.is_empty() {
            break;
        }
        let start = Instant::now();
        let mut deadline = wave_end(round, &queue);
        while !tasks.is_empty() {
            let (judge, result) = tokio::select! {
                biased;
                Some(result) = tasks.next() => result,
                () = sleep_until(deadline) => break,
            };
            queue.finish(judge, result.is_ok());
            round.metrics.ballots(result.as_ref().map_or_else(WorkError::label, |_| "counted"), 1);
            if let Ok(ballot) = result {
                count(&mut ballots, ballot);
                round
                    .report(Progress::Judging { heard: ballots.len(), asked: queue.judge_count() });
                deadline = deadline.min(grace_end(round, &queue, start));
            }
            let has_more = !tasks.is_empty() || queue.has_more();
            if has_more && is_clear(round, candidates, &ballots, &queue) {
                round.metrics.ballots("cut", tasks.len());
                return ballots;
            }
        }
    }
    round.metrics.ballots("cut", tasks.len());
    ballots
}

fn able(round: &Round<'_>, judge: NodeId) -> Option<AbleJudge> {
    let member = round.member(judge)?;
    let weight = round.standing.voice_weight(&judge);
    let mode = round.config.judge.mode(member.model.reasoned);
    let discrimination = round.standing.discrimination(&judge, mode, &round.kind);
    let single_voice = reputation::Voice { weight, discrimination };
    let voice =
        VerdictWeight { weight, discrimination: rank::gamma(single_voice, &round.config.rank) };
    Some(AbleJudge {
        judge,
        likelihood: member.model.likelihood,
        reasoned: member.model.reasoned,
        voice,
    })
}

fn next_wave(
    round: &Round<'_>,
    candidates: &[Candidate],
    ballots: &[CastBallot],
    queue: &mut JudgeQueue<'_>,
) -> Vec<(NodeId, JudgeTask)> {
    let tally = round.tally(candidates, ballots);
    let mu: Vec<f64> = tally.evidence().iter().map(Parts::total).collect();
    let comparisons = tally.comparisons();
    let settings = &round.config.rank;
    queue.wave(Beliefs { mu: &mu, comparisons: &comparisons, settings })
}

/// When the next wave starts although the current one is not complete; the end of the round if there
/// is no other wave.
fn wave_end(round: &Round<'_>, queue: &JudgeQueue<'_>) -> Instant {
    let end = round.clock.end;
    if !queue.has_more() {
        return end;
    }
    let now = Instant::now();
    let share = round.config.judge.wave_share.clamp(0.0, 1.0);
    // Never zero: the loop would spin.
    let wait = end.saturating_duration_since(now).mul_f64(share).max(super::POLL_INTERVAL);
    end.min(now + wait)
}

/// When the next wave starts once a judge of the current one has answered: a silent judge must not
/// delay the judges of the next wave.
fn grace_end(round: &Round<'_>, queue: &JudgeQueue<'_>, start: Instant) -> Instant {
    if !queue.has_more() {
        return round.clock.end;
    }
    start + start.elapsed().mul_f64(round.config.judge.grace.max(1.0)) + super::POLL_INTERVAL
}

/// Whether a quorum of judges has answered and the ranking is clear.
fn is_clear(
    round: &Round<'_>,
    candidates: &[Candidate],
    ballots: &[CastBallot],
    queue: &JudgeQueue<'_>,
) -> bool {
    let quorum = quorum(queue.judge_count(), round.config.judge.quorum);
    ballots.len() >= quorum
        && rank::is_clear(&round.tally(candidates, ballots).ranking(), &round.config.rank)
}

async fn cast(
    round: &Round<'_>,
    judge: NodeId,
    task: JudgeTask,
) -> (NodeId, Result<CastBallot, WorkError>) {
    let start = round.clock.elapsed();
    let ask = task.ask(round.ask, round.prompt_for(judge));
    let ballot = round.swarm.judge(judge, ask, round.clock.end).await;
    let ballot = ballot.inspect_err(|error| {
        tracing::debug!(node.id = %judge.short(), %error, "no ballot");
    });
    let result = ballot.map(|ballot| CastBallot {
        judge,
        model: round.model(judge),
        reasoned: task.is_reasoned(),
        prompt_tokens: ballot.prompt_tokens.saturating_add(ballot.completion_tokens),
        took: round.clock.elapsed().saturating_sub(start),
        verdicts: task.verdicts(&ballot),
    });
    (judge, result)
}
