//! The exam: what a member can do is seen before it is believed.
//!
//! As a writer it answers fresh gold questions and is measured; then rounds see it. As a judge
//! it scores or compares what others wrote to gold questions, in every way that rounds ask of it, in
//! the background and whenever somebody new has written, for as long as it is here. Nobody fails for knowing little: it may write, and its
//! ballots weigh what its record says.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    generate::{Done, Generate, Sampling},
    hello::Model,
    judge::{Ballot, Judge, Kind, Pair},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    LeaveReason, Speed, Swarm, WorkError, Written,
    claim::{self, Claim},
    gold::{GoldCandidate, Item},
    roster::{MemberHandle, Membership, Reservation},
    work,
};
use crate::store::Who;
use shoal_consensus::ballot::PairVerdict;
use shoal_consensus::reputation::{GoldObservation, Kin, Likelihood, Observation, Way, judges};

/// Enough for every worked answer of the syllabus; a member that rambles is wrong anyway.
const ANSWER_TOKENS_MAX: u32 = 512;

/// Gold answers asked of one member at the same time, at most its slots.
const ANSWERS_AT_ONCE: usize = 4;

/// Observations after which a judge's record is brought up to date while it is examined.
const LEARN_EVERY: usize = 16;

/// Failures after which a judge is left in peace until somebody new has written.
const FAILURES_MAX: usize = 5;

/// A member that was examined as a writer.
pub(super) struct Measured(Arc<MemberHandle>);

impl Measured {
    /// From now on rounds see it.
    pub(super) fn seat(self, place: Reservation) -> Membership {
        place.seat(self.0)
    }
}

/// Examines a newcomer; one with a record of a whole exam is asked less.
pub(super) async fn as_writer(
    swarm: &Swarm,
    seat: &Arc<MemberHandle>,
) -> Result<Measured, LeaveReason> {
    let book = &swarm.0.book;
    let record = book.open(who(seat)).await;
    book.introduce(seat.id, kin(seat));
    let exam = &swarm.0.config.exam;
    let gold = &swarm.0.gold;
    let known = exam.per_family > 0 && record.gold_seen as usize >= gold.whole();
    let questions = gold.questions(known);
    let asked = questions.len();
    let sheet = sit(swarm, seat, questions).await;
    let speed = speed(&sheet);
    let (mut observations, mut claims) = (Vec::new(), Vec::new());
    for (item, answer) in &sheet {
        let Some(right) = grade(item, answer) else { continue };
        observations.push(gold_seen(item, GoldObservation::Answered { right }));
        let Ok(answer) = answer else { continue };
        gold.keep(item, seat.id, &answer.text, right);
        if let Some(claim) = answer.claim() {
            let seen = GoldObservation::Certainty { claim, right, item: named(item) };
            observations.push(gold_seen(item, seen));
            let (messages, text) = (item.messages(), answer.text.clone());
            claims.push(Claim { writer: seat.id, messages, text, logprob: claim.logprob });
        }
    }
    sheet.iter().for_each(|(item, answer)| swarm.0.metrics.exam_answer(outcome(item, answer)));
    if asked > 0 && !sheet.iter().any(|(_, answer)| answer.is_ok()) {
        return Err(LeaveReason::Unfit);
    }
    seat.measured(speed);
    book.learn(seat.id, &observations);
    let may_count = claim::may_count(swarm, seat);
    book.let_claims_count(seat.id, may_count);
    if may_count {
        claims.truncate(swarm.0.config.audit.exam_claims);
        claim::in_exam(swarm, seat, &claims).await;
    }
    book.fit_soon();
    book.save().await;
    Ok(Measured(seat.clone()))
}

/// Examines a member as a judge, for as long as the future is awaited.
pub(super) async fn as_judge(swarm: &Swarm, seat: &Arc<MemberHandle>) -> Infallible {
    let gold = &swarm.0.gold;
    let mut written = gold.watch();
    let mut examined = Examined::new(swarm, seat);
    loop {
        written.borrow_and_update();
        for kind in asked_of(&seat.model) {
            match kind {
                Kind::Reasoned => examined.by_pairs(swarm, seat, Way::Reasoned).await,
                Kind::Pairwise => examined.by_pairs(swarm, seat, Way::AtOnce).await,
                _ => examined.by_scores(swarm, seat).await,
            }
        }
        swarm.0.book.fit_soon();
        swarm.0.book.save().await;
        if written.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The ballots that rounds ask of a member: likelihoods where it gives them, else pairs at once; and
/// pairs with reasons, in modes that have the time, where it can say why.
fn asked_of(model: &Model) -> impl Iterator<Item = Kind> {
    let first = match (model.likelihood, model.pairwise) {
        (true, _) => Some(Kind::Likelihood),
        (false, true) => Some(Kind::Pairwise),
        (false, false) => None,
    };
    // Who can judge in no other way is no judge of any round.
    first.into_iter().chain((first.is_some() && model.reasoned).then_some(Kind::Reasoned))
}

/// How far a member has been examined as a judge.
struct Examined {
    last: u64,
    left: usize,
    at_once: Pairs,
    reasoned: Pairs,
}

/// Gold pairs, compared in one way.
struct Pairs {
    done: BTreeSet<usize>,
    left: usize,
}

impl Examined {
    fn new(swarm: &Swarm, seat: &MemberHandle) -> Self {
        let standing = swarm.standing();
        let (scored, reasoned) = standing.record(&seat.id).map_or((0, 0), |record| {
            (record.scores.len(), record.pairs_when(Way::Reasoned).count())
        });
        let exam = &swarm.0.config.exam;
        // Even one with a full record is asked for some, enough to notice that it has changed.
        let left = |max: usize, remembered: usize| max.saturating_sub(remembered).max(max / 10);
        Self {
            last: 0,
            left: left(exam.scores_max, scored),
            at_once: Pairs { done: BTreeSet::new(), left: usize::MAX },
            reasoned: Pairs { done: BTreeSet::new(), left: left(exam.reasoned_max, reasoned) },
        }
    }

    async fn by_scores(&mut self, swarm: &Swarm, seat: &Arc<MemberHandle>) {
        let (mut new, last) = swarm.0.gold.since(self.last, seat.id);
        // Mixed, so that what is left of the exam is spread over all writers.
        new.shuffle(&mut ChaCha8Rng::seed_from_u64(last));
        new.truncate(self.left);
        let mut failures = 0;
        for batch in new.chunks(LEARN_EVERY) {
            let mut seen = Vec::new();
            for candidate in batch {
                match score(swarm, seat, candidate).await {
                    Ok(observation) => seen.push(observation),
                    Err(error) => failures += usize::from(count_failure(swarm, &error)),
                }
            }
            swarm.0.metrics.exam_scores("scored", seen.len());
            self.left = self.left.saturating_sub(seen.len());
            swarm.0.book.learn(seat.id, &seen);
            swarm.0.book.fit_soon();
            if failures >= FAILURES_MAX {
                break;
            }
        }
        self.last = last;
    }

    async fn by_pairs(&mut self, swarm: &Swarm, seat: &Arc<MemberHandle>, way: Way) {
        let (pairs, counted) = match way {
            Way::AtOnce => (&mut self.at_once, "compared"),
            Way::Reasoned => (&mut self.reasoned, "reasoned"),
        };
        let mut failures = 0;
        for (right, wrong) in swarm.0.gold.pairs(seat.id, &mut pairs.done, pairs.left) {
            match compare(swarm, seat, (&right, &wrong), way).await {
                Ok(observation) => {
                    pairs.left = pairs.left.saturating_sub(1);
                    swarm.0.metrics.exam_scores(counted, 1);
                    swarm.0.book.learn(seat.id, &[observation]);
                }
                Err(error) => failures += usize::from(count_failure(swarm, &error)),
            }
            if failures >= FAILURES_MAX {
                break;
            }
        }
    }
}

/// A finished gold answer.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) done: Done,
    took: Duration,
    first_piece: Duration,
}

impl Answer {
    /// What its writer claims, where it claims anything.
    pub(super) fn claim(&self) -> Option<Likelihood> {
        self.done.logprob.map(|logprob| Likelihood::of(logprob, &self.text))
    }
}

type Sheet = Vec<(Arc<Item>, Result<Answer, WorkError>)>;

/// Asks all questions, some at a time, and stops at the exam's end with what there is.
async fn sit(swarm: &Swarm, seat: &Arc<MemberHandle>, questions: Vec<Arc<Item>>) -> Sheet {
    let exam = &swarm.0.config.exam;
    let end = Instant::now() + exam.whole();
    let at_once = ANSWERS_AT_ONCE.min(seat.slots() as usize).max(1);
    let mut answers = stream::iter(questions)
        .map(|item| async move {
            let deadline = end.min(Instant::now() + exam.answer());
            let sampling = Sampling { max_tokens: Some(ANSWER_TOKENS_MAX), ..Sampling::default() };
            let answer = answer(seat, &item, sampling, deadline).await;
            (item, answer)
        })
        .buffer_unordered(at_once);
    let mut sheet = Vec::new();
    while let Ok(Some(answered)) = timeout_at(end, answers.next()).await {
        sheet.push(answered);
    }
    sheet
}

/// Asks one gold question.
pub(super) async fn answer(
    seat: &MemberHandle,
    item: &Item,
    sampling: Sampling,
    deadline: Instant,
) -> Result<Answer, WorkError> {
    let begun = Instant::now();
    let ask =
        Generate { messages: item.messages(), sampling: Some(sampling), ..Generate::default() };
    let mut writing = work::generate(seat, ask, deadline).await?;
    let (mut text, mut first_piece) = (String::new(), None);
    loop {
        match writing.next().await? {
            Written::Piece(piece) => {
                first_piece.get_or_insert_with(|| begun.elapsed());
                text.push_str(&piece);
            }
            Written::Done(done) => {
                let took = begun.elapsed();
                return Ok(Answer { text, done, took, first_piece: first_piece.unwrap_or(took) });
            }
        }
    }
}

/// Right or wrong; None when nothing was learned. Not being able to counts as wrong: otherwise
/// one would fail on purpose wherever one does not know.
pub(super) fn grade(item: &Item, answer: &Result<Answer, WorkError>) -> Option<bool> {
    match answer {
        Ok(answer) => Some(item.is_right(&answer.text)),
        Err(WorkError::Failed { .. } | WorkError::Nonsense(_) | WorkError::Misfit(_)) => {
            Some(false)
        }
        Err(WorkError::Late | WorkError::Gone | WorkError::Broken(_)) => None,
    }
}

fn outcome(item: &Item, answer: &Result<Answer, WorkError>) -> &'static str {
    match answer {
        Ok(answer) if item.is_right(&answer.text) => "right",
        Ok(_) => "wrong",
        Err(error) => error.label(),
    }
}

/// Medians over the answers: one that had to wait does not speak for the member.
fn speed(sheet: &Sheet) -> Speed {
    let answers = || sheet.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let rates = answers().filter_map(|answer| {
        // Short answers come in one piece: then the whole time is all there is to go by.
        let written = answer.took.saturating_sub(answer.first_piece);
        let time = if written < answer.took / 4 { answer.took } else { written };
        (!time.is_zero()).then(|| f64::from(answer.done.completion_tokens) / time.as_secs_f64())
    });
    Speed {
        tokens_per_second: median(rates.collect()),
        first_token_seconds: median(answers().map(|a| a.first_piece.as_secs_f64()).collect()),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

async fn score(
    swarm: &Swarm,
    seat: &Arc<MemberHandle>,
    candidate: &GoldCandidate,
) -> Result<Observation, WorkError> {
    let texts = vec![candidate.text.to_string()];
    let ballot = ballot(swarm, seat, &candidate.item, texts, Kind::Likelihood).await?;
    let score = ballot.scores.first().ok_or(WorkError::Nonsense("no score"))?;
    let text = Likelihood::of(score.logprob, &candidate.text);
    let item = named(&candidate.item);
    let seen = GoldObservation::Score { text, right: candidate.right, item };
    Ok(gold_seen(&candidate.item, seen))
}

/// By which a question is known again in members' records.
pub(super) fn named(item: &Item) -> u64 {
    judges::item([&*item.question.text])
}

/// Shows a right and a wrong candidate in both orders.
pub(super) async fn compare(
    swarm: &Swarm,
    seat: &Arc<MemberHandle>,
    (right, wrong): (&GoldCandidate, &GoldCandidate),
    way: Way,
) -> Result<Observation, WorkError> {
    let texts = vec![right.text.to_string(), wrong.text.to_string()];
    let kind = match way {
        Way::AtOnce => Kind::Pairwise,
        Way::Reasoned => Kind::Reasoned,
    };
    let ballot = ballot(swarm, seat, &right.item, texts, kind).await?;
    let [shown_first, shown_second] = *ballot.verdicts.as_slice() else {
        return Err(WorkError::Nonsense("not two verdicts"));
    };
    let PairVerdict { p, flipped, .. } = PairVerdict::from_orders(0, 1, shown_first, shown_second);
    let item = named(&right.item);
    Ok(gold_seen(&right.item, GoldObservation::Pairwise { p, flipped, item, way }))
}

pub(super) async fn ballot(
    swarm: &Swarm,
    seat: &Arc<MemberHandle>,
    item: &Item,
    candidates: Vec<String>,
    kind: Kind,
) -> Result<Ballot, WorkError> {
    give_way(seat).await;
    let _place = swarm.0.gold.judging.acquire().await.map_err(|_| WorkError::Gone)?;
    let pairs = match kind {
        Kind::Pairwise | Kind::Reasoned => {
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
    work::judge(seat, ask, deadline).await
}

/// Lets real work go first, though not forever: a member that is never idle is examined as well.
pub(super) async fn give_way(seat: &MemberHandle) {
    const LOOK: Duration = Duration::from_millis(50);
    for _ in 0..40 {
        if seat.running() == 0 {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Counts it; false when it says nothing about the judge.
fn count_failure(swarm: &Swarm, error: &WorkError) -> bool {
    swarm.0.metrics.exam_scores(error.label(), 1);
    !matches!(error, WorkError::Failed { fault: shoal_proto::generate::Fault::Busy, .. })
}

pub(super) fn gold_seen(item: &Item, seen: GoldObservation) -> Observation {
    Observation::Gold { kind: Some(item.kind.clone()), seen }
}

fn who(seat: &MemberHandle) -> Who {
    let model = &seat.model;
    let digest = if model.digest.is_empty() { &model.name } else { &model.digest };
    Who { node: seat.id, digest: digest.clone() }
}

/// Whose mistakes it is likely to make too.
fn kin(seat: &MemberHandle) -> Kin {
    let model = &seat.model;
    Kin {
        operator: seat.operator.clone(),
        family: model.family.clone(),
        digest: model.digest.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_is_examined_in_every_way_that_rounds_ask_of_it() {
        let asked = |likelihood, pairwise, reasoned| -> Vec<Kind> {
            asked_of(&Model { likelihood, pairwise, reasoned, ..Model::default() }).collect()
        };
        assert_eq!(asked(true, false, false), [Kind::Likelihood]);
        // Where it gives likelihoods no round asks it for pairs without reasons.
        assert_eq!(asked(true, true, false), [Kind::Likelihood]);
        assert_eq!(asked(true, true, true), [Kind::Likelihood, Kind::Reasoned]);
        assert_eq!(asked(false, true, false), [Kind::Pairwise]);
        assert_eq!(asked(false, true, true), [Kind::Pairwise, Kind::Reasoned]);
        assert_eq!(asked(false, false, true), []);
    }
}
