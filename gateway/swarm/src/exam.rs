//! The exam: the gateway observes what a member can do before it relies on it.
//!
//! As a writer, a newcomer answers fresh gold questions of the families and general ones, and its speed
//! is measured; then rounds see it. An upstream, whose owner pays for each answer, and a member that is
//! too slow join after a handful of questions; they are asked more in the background, until enough is
//! known of each kind. As a judge, a member scores or compares answers to gold questions, in every way that
//! rounds ask of it. That happens in the background, and again whenever there are new answers, for as
//! long as the member is here. No member fails because it knows little: it may write, and the weight
//! of its ballots follows from its record.

mod judge;
mod plan;

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future, stream};
use shoal_proto::generate::Sampling;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    LeaveReason, Speed, Swarm, WorkError,
    audit::claim::{self, Claim, may_count},
    gold::Item,
    pace,
    probe::{self, GoldAnswer, gold_observation, grade, item_key},
    roster::{MemberHandle, Membership, Reservation},
};
use plan::{KindTally, is_metered};
use shoal_consensus::{
    reputation::{GoldObservation, Observation, Provenance, Record},
    stats::median,
};
use shoal_store::RecordKey;

/// Enough for every worked answer of the syllabus; a member that rambles is wrong anyway.
const ANSWER_TOKENS_MAX: u32 = 512;

/// Gold answers asked of one member at the same time, at most its slots.
const ANSWERS_AT_ONCE: usize = 4;

/// Failures in a row after which the background exam of a writer ends.
const FAILURES_MAX: usize = 5;

/// A member that has passed its exam as a writer.
pub(super) struct Graduate {
    member: Arc<MemberHandle>,
    remainder: Remainder,
}

impl Graduate {
    /// Puts the member into the roster: from now on rounds see it. Returns what is left of its exam.
    pub(super) fn seat(self, place: Reservation) -> (Membership, Remainder) {
        (place.seat(self.member), self.remainder)
    }
}

/// Questions of a writer's exam for the background.
#[derive(Default)]
pub(super) struct Remainder {
    questions: Vec<Arc<Item>>,
    tally: KindTally,
}

/// Examines a newcomer as a writer. A member whose record has a whole exam gets fewer questions.
pub(super) async fn examine_writer(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
) -> Result<Graduate, LeaveReason> {
    let reputation = &swarm.0.reputation;
    let record = reputation.open_from(record_key(member), member.link.address()).await;
    reputation.introduce(member.id, provenance(member));
    let mut questions = questions(swarm, member, &record);
    let (results, is_whole) = ask_in_stages(swarm, member, &mut questions).await;
    if !results.is_empty() && !results.iter().any(|(_, answer)| answer.is_ok()) {
        count_outcomes(swarm, &results);
        return Err(LeaveReason::Unfit);
    }
    member.set_speed(speed(&results));
    let mut tally = KindTally::new(record.kinds);
    let claims = learn_results(swarm, member, &results, &mut tally);
    let may_count = may_count(swarm, member);
    reputation.let_claims_count(member.id, may_count);
    if may_count {
        claim::audit_exam(swarm, member, &claims).await;
    }
    reputation.fit_soon();
    reputation.save().await;
    if is_whole {
        questions.clear();
    }
    Ok(Graduate { member: member.clone(), remainder: Remainder { questions, tally } })
}

/// Whether a node that wants a place has shown something in an earlier session.
pub(super) async fn is_known(swarm: &Swarm, member: &MemberHandle) -> bool {
    let record = swarm.0.reputation.peek(&record_key(member)).await;
    let standing = swarm.standing();
    record.is_some_and(|record| record.caught == 0 && record.has_shown_ability(standing.settings()))
}

/// Examines a member in the roster, for as long as the future is awaited: as a judge, and as a writer
/// with the remainder of its exam.
pub(super) async fn examine_member(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    remainder: Remainder,
) -> Infallible {
    // Rounds need to know what it can write before they need its ballots.
    let (passed, has_passed) = oneshot::channel();
    let writer = finish_writer(swarm, member, remainder, passed);
    let judge = async {
        let _ = has_passed.await;
        judge::examine_judge(swarm, member).await
    };
    future::join(writer, judge).await.1
}

/// The questions of the member's exam, those to ask first at the front.
fn questions(swarm: &Swarm, member: &MemberHandle, record: &Record) -> Vec<Arc<Item>> {
    let exam = &swarm.0.config.exam;
    let length = plan::length(&member.model, exam);
    let is_known = exam.per_family > 0 && record.gold_seen as usize >= length;
    let mut questions = plan::arrange(&member.model, swarm.0.gold.questions(is_known));
    if !is_known {
        let (families, count) = plan::more(&member.model, exam);
        questions.extend(swarm.0.gold.fresh(&families, count));
    }
    questions
}

/// Asks a handful of questions, and then the others if nobody pays for them and they take little time.
/// Removes the questions that were asked. Also returns whether this was the whole exam.
async fn ask_in_stages(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    questions: &mut Vec<Arc<Item>>,
) -> (Results, bool) {
    let exam = &swarm.0.config.exam;
    let start = Instant::now();
    let end = start + exam.duration();
    let handful: Vec<Arc<Item>> = questions.drain(..exam.handful.min(questions.len())).collect();
    let handful_len = handful.len();
    let mut results = ask_questions(swarm, member, handful, end).await;
    if questions.is_empty() || is_metered(&member.model) {
        return (results, questions.is_empty());
    }
    // A member that has not answered yet may still load its weights: its time says nothing.
    let has_answered = results.iter().any(|(_, answer)| answer.is_ok());
    let whole = exam_time(start.elapsed(), handful_len, questions.len());
    if has_answered && whole > exam.cheap() {
        tracing::info!(
            seconds = whole.as_secs(),
            "the whole exam would take long: the member joins after a handful of questions"
        );
        return (results, false);
    }
    results.extend(ask_questions(swarm, member, std::mem::take(questions), end).await);
    (results, true)
}

/// The time of a whole exam, from that of its first questions.
fn exam_time(elapsed: Duration, question_count: usize, questions_left: usize) -> Duration {
    let whole = (question_count + questions_left) as f64 / question_count.max(1) as f64;
    elapsed.mul_f64(whole)
}

/// Learns from the answers, keeps them for the exams of judges, and returns the first claims.
fn learn_results(
    swarm: &Swarm,
    member: &MemberHandle,
    results: &Results,
    tally: &mut KindTally,
) -> Vec<Claim> {
    let (mut observations, mut claims) = (Vec::new(), Vec::new());
    for (item, answer) in results {
        observations.extend(observe(item, answer));
        if answer.as_ref().is_ok_and(GoldAnswer::is_abstention) {
            tally.count(&item.kind, None);
        }
        let Some(right) = grade(item, answer) else { continue };
        tally.count(&item.kind, Some(right));
        if let Ok(answer) = answer
            && let Some(claim) = answer.claim()
        {
            let (messages, text) = (item.messages(), answer.text.clone());
            claims.push(Claim { writer: member.id, messages, text, logprob: claim.logprob });
        }
    }
    keep_answers(swarm, member, results, tally);
    count_outcomes(swarm, results);
    swarm.0.reputation.learn(member.id, &observations);
    claims.truncate(swarm.0.config.audit.exam_claims);
    claims
}

/// Keeps the answers for the exams of judges.
fn keep_answers(swarm: &Swarm, member: &MemberHandle, results: &Results, tally: &KindTally) {
    let standing = swarm.standing();
    let is_unable = tally.is_hardly_ever_right(standing.settings().probation_right);
    for (item, answer) in results {
        match (grade(item, answer), answer) {
            (Some(right), Ok(answer)) if is_unable => {
                swarm.0.gold.keep_aside(item, member.id, &answer.text, right);
            }
            (Some(right), Ok(answer)) => {
                swarm.0.gold.keep(item, member.id, &answer.text, right);
            }
            _ => {}
        }
    }
}

/// What an answer shows.
fn observe(item: &Arc<Item>, answer: &Result<GoldAnswer, WorkError>) -> Vec<Observation> {
    let Some(right) = grade(item, answer) else { return Vec::new() };
    let mut observations = vec![gold_observation(item, GoldObservation::Answered { right })];
    if let Ok(answer) = answer {
        observations.extend(answer.claim().map(|claim| {
            let certainty = GoldObservation::Certainty { claim, right, item: item_key(item) };
            gold_observation(item, certainty)
        }));
    }
    observations
}

/// Asks the remaining questions one after the other, the least certain kind first, until each kind is
/// known well enough. Clients' work goes first. Drops `passed` when there is gold enough to end the
/// member's probation.
async fn finish_writer(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    remainder: Remainder,
    passed: oneshot::Sender<()>,
) {
    let exam = &swarm.0.config.exam;
    let Remainder { mut questions, mut tally } = remainder;
    if questions.is_empty() {
        return;
    }
    let (mut question_count, mut failures) = (0, 0);
    let mut passed = Some(passed);
    while question_count < exam.background_max && failures < FAILURES_MAX {
        let Some(item) = tally.next(&mut questions, exam.interval_width) else { break };
        probe::wait_for_idle(member).await;
        let deadline = Instant::now() + exam.answer();
        let answer = probe::answer(member, &item, sampling(), deadline).await;
        question_count += 1;
        failures = if answer.is_ok() { 0 } else { failures + 1 };
        learn_results(swarm, member, &vec![(item, answer)], &mut tally);
        swarm.0.reputation.fit_soon();
        if has_enough_gold(swarm, member) {
            passed.take();
        }
    }
    swarm.0.reputation.save().await;
    let cost = member.gold_cost();
    tracing::info!(
        questions = cost.questions,
        tokens = cost.tokens,
        left_out = questions.len(),
        "the exam as a writer is over"
    );
}

fn has_enough_gold(swarm: &Swarm, member: &MemberHandle) -> bool {
    let standing = swarm.standing();
    let record = standing.record(&member.id);
    record.is_some_and(|record| record.gold_seen >= record.gold_needed(standing.settings()))
}

type Results = Vec<(Arc<Item>, Result<GoldAnswer, WorkError>)>;

fn sampling() -> Sampling {
    Sampling { max_tokens: Some(ANSWER_TOKENS_MAX), ..Sampling::default() }
}

/// Asks the questions, some at a time, and returns what there is at the exam's end.
async fn ask_questions(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    questions: Vec<Arc<Item>>,
    end: Instant,
) -> Results {
    let exam = &swarm.0.config.exam;
    let at_once = ANSWERS_AT_ONCE.min(member.slots() as usize).max(1);
    let mut answers = stream::iter(questions)
        .map(|item| async move {
            let deadline = end.min(Instant::now() + exam.answer());
            let answer = probe::answer(member, &item, sampling(), deadline).await;
            (item, answer)
        })
        .buffer_unordered(at_once);
    let mut results = Vec::new();
    while let Ok(Some(result)) = timeout_at(end, answers.next()).await {
        results.push(result);
    }
    results
}

fn count_outcomes(swarm: &Swarm, results: &Results) {
    for (item, answer) in results {
        swarm.0.metrics.exam_answer(outcome(item, answer));
    }
}

fn outcome(item: &Item, answer: &Result<GoldAnswer, WorkError>) -> &'static str {
    match answer {
        Ok(answer) if answer.is_abstention() => "abstained",
        Ok(answer) if item.is_right(&answer.text) => "right",
        Ok(_) => "wrong",
        Err(error) => error.label(),
    }
}

/// The medians over the answers: a single answer that had to wait does not decide them.
fn speed(results: &Results) -> Speed {
    let answers: Vec<&GoldAnswer> =
        results.iter().filter_map(|(_, answer)| answer.as_ref().ok()).collect();
    let rates = answers.iter().filter_map(|answer| {
        pace::rate(answer.first_piece, answer.took, answer.end.completion_tokens)
    });
    let waits = answers.iter().map(|answer| answer.first_piece.as_secs_f64());
    Speed {
        // [`Speed`] reads 0 as "not measured".
        tokens_per_second: median(rates.collect()).unwrap_or(0.0),
        first_token_seconds: median(waits.collect()).unwrap_or(0.0),
        ..Speed::default()
    }
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
        specialist: model.specialist,
    }
}

#[cfg(test)]
mod tests;
