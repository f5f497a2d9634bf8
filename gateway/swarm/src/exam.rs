//! The exam: the gateway observes what a member can do before it relies on it.
//!
//! As a writer, a newcomer answers fresh gold questions and its speed is measured; then rounds see
//! it. As a judge, a member scores or compares other members' answers to gold questions, in every
//! way that rounds ask of it. That happens in the background, and again whenever there are new
//! answers, for as long as the member is here. No member fails because it knows little: it may
//! write, and its ballots weigh what its record says.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{generate::Sampling, hello::Model, judge::BallotKind};
use tokio::time::{Instant, timeout_at};

use super::{
    LeaveReason, Speed, Swarm, WorkError,
    audit::claim::{self, Claim, may_count},
    gold::Item,
    probe::{self, Answer, gold_observation, grade, item_key},
    roster::{MemberHandle, Membership, Reservation},
};
use shoal_consensus::reputation::{ComparisonMode, GoldObservation, Provenance};
use shoal_store::RecordKey;

/// Enough for every worked answer of the syllabus; a member that rambles is wrong anyway.
const ANSWER_TOKENS_MAX: u32 = 512;

/// Gold answers asked of one member at the same time, at most its slots.
const ANSWERS_AT_ONCE: usize = 4;

/// Observations after which a judge's record is updated during its exam.
const LEARN_EVERY: usize = 16;

/// Failures after which a judge's exam pauses until there are new answers.
const FAILURES_MAX: usize = 5;

/// A member that has passed its exam as a writer.
pub(super) struct Graduate(Arc<MemberHandle>);

impl Graduate {
    /// Puts the member into the roster: from now on rounds see it.
    pub(super) fn seat(self, place: Reservation) -> Membership {
        place.seat(self.0)
    }
}

/// Examines a newcomer as a writer. A member whose record has a whole exam gets fewer questions.
pub(super) async fn examine_writer(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
) -> Result<Graduate, LeaveReason> {
    let reputation = &swarm.0.reputation;
    let record = reputation.open(record_key(member)).await;
    reputation.introduce(member.id, provenance(member));
    let exam = &swarm.0.config.exam;
    let gold = &swarm.0.gold;
    let is_known = exam.per_family > 0 && record.gold_seen as usize >= gold.exam_length();
    let questions = gold.questions(is_known);
    let question_count = questions.len();
    let results = ask_questions(swarm, member, questions).await;
    let speed = speed(&results);
    let (mut observations, mut claims) = (Vec::new(), Vec::new());
    for (item, answer) in &results {
        let Some(right) = grade(item, answer) else { continue };
        observations.push(gold_observation(item, GoldObservation::Answered { right }));
        let Ok(answer) = answer else { continue };
        gold.keep(item, member.id, &answer.text, right);
        if let Some(claim) = answer.claim() {
            let certainty = GoldObservation::Certainty { claim, right, item: item_key(item) };
            observations.push(gold_observation(item, certainty));
            let (messages, text) = (item.messages(), answer.text.clone());
            claims.push(Claim { writer: member.id, messages, text, logprob: claim.logprob });
        }
    }
    for (item, answer) in &results {
        swarm.0.metrics.exam_answer(outcome(item, answer));
    }
    if question_count > 0 && !results.iter().any(|(_, answer)| answer.is_ok()) {
        return Err(LeaveReason::Unfit);
    }
    member.set_speed(speed);
    reputation.learn(member.id, &observations);
    let may_count = may_count(swarm, member);
    reputation.let_claims_count(member.id, may_count);
    if may_count {
        claims.truncate(swarm.0.config.audit.exam_claims);
        claim::audit_exam(swarm, member, &claims).await;
    }
    reputation.fit_soon();
    reputation.save().await;
    Ok(Graduate(member.clone()))
}

/// Examines a member as a judge, for as long as the future is awaited.
pub(super) async fn examine_judge(swarm: &Swarm, member: &Arc<MemberHandle>) -> Infallible {
    let gold = &swarm.0.gold;
    let mut candidate_count = gold.subscribe();
    let mut exam = JudgeExam::new(swarm, member);
    loop {
        candidate_count.borrow_and_update();
        for kind in ballot_kinds(&member.model) {
            match kind {
                BallotKind::Reasoned => {
                    exam.compare_pairs(swarm, member, ComparisonMode::Reasoned).await
                }
                BallotKind::Pairwise => {
                    exam.compare_pairs(swarm, member, ComparisonMode::Direct).await
                }
                _ => exam.score_candidates(swarm, member).await,
            }
        }
        swarm.0.reputation.fit_soon();
        swarm.0.reputation.save().await;
        if candidate_count.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The ballots that rounds ask of a member: likelihoods if it gives them, otherwise direct pairs;
/// and pairs with reasons, in modes that have the time, if it can give reasons.
fn ballot_kinds(model: &Model) -> impl Iterator<Item = BallotKind> {
    let first = match (model.likelihood, model.pairwise) {
        (true, _) => Some(BallotKind::Likelihood),
        (false, true) => Some(BallotKind::Pairwise),
        (false, false) => None,
    };
    // A member that can only judge with reasons is no judge of any round.
    first.into_iter().chain((first.is_some() && model.reasoned).then_some(BallotKind::Reasoned))
}

/// How far a member has been examined as a judge.
struct JudgeExam {
    /// Number of the last candidate that it was shown.
    last: u64,
    scores_left: usize,
    direct: PairExam,
    with_reasons: PairExam,
}

/// The gold pairs of one kind of comparison.
struct PairExam {
    /// Indices of the questions that were compared.
    questions: BTreeSet<usize>,
    pairs_left: usize,
}

impl JudgeExam {
    fn new(swarm: &Swarm, member: &MemberHandle) -> Self {
        let standing = swarm.standing();
        let (score_count, pair_count) = standing.record(&member.id).map_or((0, 0), |record| {
            (record.scores.len(), record.pairs_when(ComparisonMode::Reasoned).count())
        });
        let exam = &swarm.0.config.exam;
        Self {
            last: 0,
            scores_left: remainder(exam.scores_max, score_count),
            direct: PairExam { questions: BTreeSet::new(), pairs_left: usize::MAX },
            with_reasons: PairExam {
                questions: BTreeSet::new(),
                pairs_left: remainder(exam.reasoned_max, pair_count),
            },
        }
    }

    async fn score_candidates(&mut self, swarm: &Swarm, member: &Arc<MemberHandle>) {
        let (mut candidates, last) = swarm.0.gold.candidates_after(self.last, member.id);
        // Mixed, so that the rest of the exam is spread over all writers.
        candidates.shuffle(&mut ChaCha8Rng::seed_from_u64(last));
        candidates.truncate(self.scores_left);
        let mut failures = 0;
        for batch in candidates.chunks(LEARN_EVERY) {
            let mut observations = Vec::new();
            for candidate in batch {
                match probe::score(swarm, member, candidate).await {
                    Ok(observation) => observations.push(observation),
                    Err(error) => failures += usize::from(count_failure(swarm, &error)),
                }
            }
            swarm.0.metrics.exam_scores("scored", observations.len());
            self.scores_left = self.scores_left.saturating_sub(observations.len());
            swarm.0.reputation.learn(member.id, &observations);
            swarm.0.reputation.fit_soon();
            if failures >= FAILURES_MAX {
                break;
            }
        }
        self.last = last;
    }

    async fn compare_pairs(
        &mut self,
        swarm: &Swarm,
        member: &Arc<MemberHandle>,
        way: ComparisonMode,
    ) {
        let (exam, label) = match way {
            ComparisonMode::Direct => (&mut self.direct, "compared"),
            ComparisonMode::Reasoned => (&mut self.with_reasons, "reasoned"),
        };
        let mut failures = 0;
        let pairs = swarm.0.gold.pairs(member.id, &mut exam.questions, exam.pairs_left);
        for (right, wrong) in pairs {
            match probe::compare(swarm, member, (&right, &wrong), way).await {
                Ok(observation) => {
                    exam.pairs_left = exam.pairs_left.saturating_sub(1);
                    swarm.0.metrics.exam_scores(label, 1);
                    swarm.0.reputation.learn(member.id, &[observation]);
                }
                Err(error) => failures += usize::from(count_failure(swarm, &error)),
            }
            if failures >= FAILURES_MAX {
                break;
            }
        }
    }
}

/// How many of `max` observations are still to be made. Even a member with a full record is asked
/// for a tenth of them, enough to notice that it has changed.
fn remainder(max: usize, record_count: usize) -> usize {
    max.saturating_sub(record_count).max(max / 10)
}

/// Counts a failure; false when it says nothing about the judge.
fn count_failure(swarm: &Swarm, error: &WorkError) -> bool {
    swarm.0.metrics.exam_scores(error.label(), 1);
    !probe::is_busy(error)
}

type Results = Vec<(Arc<Item>, Result<Answer, WorkError>)>;

/// Asks the questions, some at a time, and returns what there is at the exam's end.
async fn ask_questions(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    questions: Vec<Arc<Item>>,
) -> Results {
    let exam = &swarm.0.config.exam;
    let end = Instant::now() + exam.duration();
    let at_once = ANSWERS_AT_ONCE.min(member.slots() as usize).max(1);
    let mut answers = stream::iter(questions)
        .map(|item| async move {
            let deadline = end.min(Instant::now() + exam.answer());
            let sampling = Sampling { max_tokens: Some(ANSWER_TOKENS_MAX), ..Sampling::default() };
            let answer = probe::answer(member, &item, sampling, deadline).await;
            (item, answer)
        })
        .buffer_unordered(at_once);
    let mut results = Vec::new();
    while let Ok(Some(result)) = timeout_at(end, answers.next()).await {
        results.push(result);
    }
    results
}

fn outcome(item: &Item, answer: &Result<Answer, WorkError>) -> &'static str {
    match answer {
        Ok(answer) if item.is_right(&answer.text) => "right",
        Ok(_) => "wrong",
        Err(error) => error.label(),
    }
}

/// The medians over the answers: a single answer that had to wait does not decide them.
fn speed(results: &Results) -> Speed {
    let answers: Vec<&Answer> =
        results.iter().filter_map(|(_, answer)| answer.as_ref().ok()).collect();
    Speed {
        tokens_per_second: median(answers.iter().filter_map(|answer| rate(answer)).collect()),
        first_token_seconds: median(answers.iter().map(|a| a.first_piece.as_secs_f64()).collect()),
    }
}

/// Tokens per second of one answer. A short answer comes in one piece: then only its whole time is
/// known.
fn rate(answer: &Answer) -> Option<f64> {
    let after_first = answer.took.saturating_sub(answer.first_piece);
    let time: Duration = if after_first < answer.took / 4 { answer.took } else { after_first };
    (!time.is_zero()).then(|| f64::from(answer.end.completion_tokens) / time.as_secs_f64())
}

/// The middle value; 0 without values, which [`Speed`] reads as "not measured".
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn record_key(member: &MemberHandle) -> RecordKey {
    let model = &member.model;
    let digest = if model.digest.is_empty() { &model.name } else { &model.digest };
    RecordKey { node: member.id, digest: digest.clone() }
}

/// Where the member and its model come from: members that share it are likely to make the same
/// mistakes.
fn provenance(member: &MemberHandle) -> Provenance {
    let model = &member.model;
    Provenance {
        operator: member.operator.clone(),
        family: model.family.clone(),
        digest: model.digest.clone(),
        parameters: (model.parameters > 0).then_some(model.parameters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_is_examined_in_every_way_that_rounds_ask_of_it() {
        assert_eq!(kinds(true, false, false), [BallotKind::Likelihood]);
        // Where it gives likelihoods no round asks it for pairs without reasons.
        assert_eq!(kinds(true, true, false), [BallotKind::Likelihood]);
        assert_eq!(kinds(true, true, true), [BallotKind::Likelihood, BallotKind::Reasoned]);
        assert_eq!(kinds(false, true, false), [BallotKind::Pairwise]);
        assert_eq!(kinds(false, true, true), [BallotKind::Pairwise, BallotKind::Reasoned]);
        assert_eq!(kinds(false, false, true), []);
    }

    fn kinds(likelihood: bool, pairwise: bool, reasoned: bool) -> Vec<BallotKind> {
        ballot_kinds(&Model { likelihood, pairwise, reasoned, ..Model::default() }).collect()
    }
}
