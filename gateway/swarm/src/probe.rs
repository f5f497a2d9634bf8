//! Gold questions to one member, as a writer and as a judge. The exam asks them openly, hidden
//! audits ask them like a client.

use std::{sync::Arc, time::Duration};

use shoal_proto::{
    generate::{Done, Fault, Finish, Generate, Sampling},
    judge::{Ballot, BallotKind, Judge, Pair},
};
use tokio::time::{Instant, sleep};

use super::{
    AnswerPart, Swarm, WorkError,
    gold::{GoldCandidate, Item},
    roster::MemberHandle,
    work,
};
use shoal_consensus::{
    ballot::PairVerdict,
    reputation::{ComparisonMode, GoldObservation, Likelihood, Observation, judges},
};

/// A complete gold answer.
pub(super) struct GoldAnswer {
    pub(super) text: String,
    pub(super) end: Done,
    pub(super) took: Duration,
    pub(super) first_piece: Duration,
}

impl GoldAnswer {
    /// Whether the member says that it cannot answer.
    pub(super) fn is_abstention(&self) -> bool {
        self.end.finish() == Finish::Abstained
    }

    /// The certainty that its writer claims, if it claims any.
    pub(super) fn claim(&self) -> Option<Likelihood> {
        self.end.logprob.map(|logprob| Likelihood::new(logprob, &self.text))
    }
}

/// Asks one gold question.
pub(super) async fn answer(
    member: &Arc<MemberHandle>,
    item: &Item,
    sampling: Sampling,
    deadline: Instant,
) -> Result<GoldAnswer, WorkError> {
    let start = Instant::now();
    let ask =
        Generate { messages: item.messages(), sampling: Some(sampling), ..Generate::default() };
    let mut answer = work::generate(member, ask, deadline).await?;
    let (mut text, mut first_piece) = (String::new(), None);
    loop {
        match answer.next().await? {
            AnswerPart::Piece(piece) => {
                first_piece.get_or_insert_with(|| start.elapsed());
                text.push_str(&piece);
            }
            AnswerPart::Done(end) => {
                let took = start.elapsed();
                let tokens = u64::from(end.prompt_tokens) + u64::from(end.completion_tokens);
                member.count_gold(tokens);
                return Ok(GoldAnswer {
                    text,
                    end,
                    took,
                    first_piece: first_piece.unwrap_or(took),
                });
            }
        }
    }
}

/// Whether the answer is right; None when it teaches nothing. A failure counts as wrong: otherwise
/// a member would fail on purpose where it does not know the answer. An abstention is neither right nor
/// wrong.
pub(super) fn grade(item: &Item, answer: &Result<GoldAnswer, WorkError>) -> Option<bool> {
    match answer {
        Ok(answer) if answer.is_abstention() => None,
        Ok(answer) => Some(item.is_right(&answer.text)),
        Err(WorkError::Failed { .. } | WorkError::InvalidMessage(_) | WorkError::Unsuitable(_)) => {
            Some(false)
        }
        Err(
            WorkError::Abstained
            | WorkError::Late
            | WorkError::Silent
            | WorkError::Gone
            | WorkError::Broken(_),
        ) => None,
    }
}

/// Lets a judge score one candidate.
pub(super) async fn score(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    candidate: &GoldCandidate,
) -> Result<Observation, WorkError> {
    let texts = vec![candidate.text.to_string()];
    let ballot = ballot(swarm, member, &candidate.item, texts, BallotKind::Likelihood).await?;
    let score = ballot.scores.first().ok_or(WorkError::InvalidMessage("no score"))?;
    let text = Likelihood::new(score.logprob, &candidate.text);
    let item = item_key(&candidate.item);
    let score = GoldObservation::Score { text, right: candidate.right, item };
    Ok(gold_observation(&candidate.item, score))
}

/// Lets a judge compare a right and a wrong candidate in both orders.
pub(super) async fn compare(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    (right, wrong): (&GoldCandidate, &GoldCandidate),
    mode: ComparisonMode,
) -> Result<Observation, WorkError> {
    let texts = vec![right.text.to_string(), wrong.text.to_string()];
    let kind = match mode {
        ComparisonMode::Direct => BallotKind::Pairwise,
        ComparisonMode::Reasoned => BallotKind::Reasoned,
    };
    let ballot = ballot(swarm, member, &right.item, texts, kind).await?;
    let [right_first, right_second] = *ballot.verdicts.as_slice() else {
        return Err(WorkError::InvalidMessage("not two verdicts"));
    };
    let PairVerdict { p, flipped, .. } = PairVerdict::from_orders(0, 1, right_first, right_second);
    let item = item_key(&right.item);
    Ok(gold_observation(&right.item, GoldObservation::Pairwise { p, flipped, item, mode }))
}

/// Asks for a ballot on candidates to one gold question.
pub(super) async fn ballot(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    item: &Item,
    candidates: Vec<String>,
    kind: BallotKind,
) -> Result<Ballot, WorkError> {
    wait_for_idle(member).await;
    let _slot = swarm.0.gold.judge_slots.acquire().await.map_err(|_| WorkError::Gone)?;
    let pairs = match kind {
        BallotKind::Pairwise | BallotKind::Reasoned => {
            vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }]
        }
        _ => Vec::new(),
    };
    let ask = Judge {
        messages: item.messages(),
        candidates,
        kind: kind.into(),
        pairs,
        ..Judge::default()
    };
    let deadline = Instant::now() + swarm.0.config.exam.answer();
    let ballot = work::judge(member, ask, deadline).await?;
    member.count_gold(u64::from(ballot.prompt_tokens) + u64::from(ballot.completion_tokens));
    Ok(ballot)
}

/// Lets clients' work go first, but for two seconds at most: a member that is never idle is
/// examined as well.
pub(super) async fn wait_for_idle(member: &MemberHandle) {
    const INTERVAL: Duration = Duration::from_millis(50);
    for _ in 0..40 {
        if member.load() == 0 {
            return;
        }
        sleep(INTERVAL).await;
    }
}

/// Whether an error says that the member had no time, and nothing about what it can do.
pub(super) fn is_busy(error: &WorkError) -> bool {
    matches!(error, WorkError::Failed { fault: Fault::Busy, .. })
}

/// The key of a question in members' records.
pub(super) fn item_key(item: &Item) -> u64 {
    judges::item(item.question.messages().into_iter().map(|(_, text)| text))
}

/// An observation on a gold question, with the question's kind.
pub(super) fn gold_observation(item: &Item, observation: GoldObservation) -> Observation {
    Observation::Gold { kind: Some(item.kind.clone()), observation }
}
