//! Chooses the writers and the judges: a pure function of the ask, the members, their standing and a
//! seed.
//!
//! A generalist is eligible for any ask; a specialist for asks that its tags fit, or of a kind on which it
//! answered gold correctly. If no member fits an ask, all are eligible, and members that do not know abstain. A
//! request with tools has one writer, the best one for it: function calls are not put to a vote.
//!
//! Nobody compares what one member does alone. So a model's name belongs to the first that serves it, and a
//! member that has shown nothing yet gets no such work while another could do it.

pub mod absence;

use std::{cmp::Ordering, collections::HashMap};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shoal_proto::NodeId;

use crate::{
    ask::{Ask, Target, question},
    error::RoundError,
    member::MemberView,
    reputation::{Beta, Features, KindPosterior, Record, Standing, calibration::sigmoid},
    settings::SelectSettings,
};

/// The writers and judges of a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panel {
    /// At most N, best first.
    pub writers: Vec<NodeId>,
    /// Replacements for writers that fail, best first: the rest of the eligible members.
    pub spare: Vec<NodeId>,
    /// At most M, best first. A judge that also writes must not see its own candidate.
    pub judges: Vec<NodeId>,
}

/// Chooses writers, their replacements and judges. The same arguments give the same panel,
/// whatever the order of `members`.
///
/// # Errors
/// [`RoundError`] if no member serves the model, is free, or has a long enough context.
pub fn panel(
    ask: &Ask,
    members: &[MemberView],
    standing: &Standing,
    settings: &SelectSettings,
    seed: u64,
) -> Result<Panel, RoundError> {
    let applicants = applicants(ask, members, standing, settings, seed)?;
    let able_writers: Vec<&Applicant<'_>> =
        applicants.iter().filter(|applicant| applicant.writes).collect();
    let mut writers =
        spread(&able_writers, |applicant| applicant.write, able_writers.len(), settings);
    if let Target::Model(_) = ask.target {
        let mut best = writers.into_iter();
        let writers = best.by_ref().take(1).collect();
        return Ok(Panel { writers, spare: best.collect(), judges: Vec::new() });
    }
    let writer_count = if ask.tools.is_some() { 1 } else { ask.effort.writers.max(1) };
    let spare = writers.split_off(writer_count.max(ask.choices).min(writers.len()));
    let able_judges: Vec<&Applicant<'_>> =
        applicants.iter().filter(|applicant| applicant.can_judge(settings)).collect();
    let judges = spread(
        &able_judges,
        |applicant| {
            let writes = writers.contains(&applicant.member.id);
            applicant.judge * if writes { settings.writing_judge } else { 1.0 }
        },
        ask.effort.judges,
        settings,
    );
    Ok(Panel { writers, spare, judges })
}

/// Chooses the judges of texts that no member wrote, best first: at most M, and only members that
/// serve the model if the ask names one. Empty if no free member can judge.
///
/// # Errors
/// As [`panel`].
pub fn judges(
    ask: &Ask,
    members: &[MemberView],
    standing: &Standing,
    settings: &SelectSettings,
    seed: u64,
) -> Result<Vec<NodeId>, RoundError> {
    let applicants = applicants(ask, members, standing, settings, seed)?;
    let able: Vec<&Applicant<'_>> =
        applicants.iter().filter(|applicant| applicant.can_judge(settings)).collect();
    Ok(spread(&able, |applicant| applicant.judge, ask.effort.judges, settings))
}

/// The eligible members with sampled scores, in the order of their ids.
fn applicants<'a>(
    ask: &Ask,
    members: &'a [MemberView],
    standing: &Standing,
    settings: &SelectSettings,
    seed: u64,
) -> Result<Vec<Applicant<'a>>, RoundError> {
    let question = question(&ask.messages);
    let (kind, features) = (standing.kind_of(question), Features::extract(question));
    let purpose = Purpose { standing, kind: &kind, ask: &features, settings };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let eligible = eligible(ask, members, &purpose)?.into_iter();
    let applicants = eligible.map(|eligible| {
        let accuracy = expected_accuracy(standing, eligible.member, &kind, &features);
        Applicant::draw(eligible, accuracy, standing, settings, &mut rng)
    });
    Ok(applicants.collect())
}

/// A member that can take the ask now.
struct Eligible<'a> {
    member: &'a MemberView,
    /// It fits the ask, or no member does. Otherwise it only judges.
    writes: bool,
}

/// Members that can take this ask now, in the order of their ids.
fn eligible<'a>(
    ask: &Ask,
    members: &'a [MemberView],
    purpose: &Purpose<'_>,
) -> Result<Vec<Eligible<'a>>, RoundError> {
    let mut candidates: Vec<&MemberView> = match &ask.target {
        Target::Swarm => members.iter().collect(),
        Target::Model(name) => {
            let candidates: Vec<_> = members.iter().filter(|m| m.model.name == *name).collect();
            if candidates.is_empty() {
                return Err(RoundError::NoSuchModel { model: name.clone() });
            }
            candidates.into_iter().filter(|member| member.owns_name).collect()
        }
    };
    if candidates.is_empty() {
        return Err(RoundError::NoMember);
    }
    if ask.tools.is_some() {
        candidates.retain(|member| member.model.tools);
        if candidates.is_empty() && !members.is_empty() {
            return Err(RoundError::NoTools);
        }
    }
    if let Some(path) = &ask.image {
        candidates.retain(|member| member.model.vision);
        if candidates.is_empty() && !members.is_empty() {
            return Err(RoundError::NoVision { path: path.clone() });
        }
    }
    if let Some(prompt) = &ask.prompt {
        // If no member completes texts, the text becomes a message. Token numbers cannot.
        let can_complete = candidates.iter().any(|member| member.model.completes);
        if can_complete || !prompt.tokens.is_empty() {
            candidates.retain(|member| member.model.completes);
        }
        if candidates.is_empty() && !members.is_empty() {
            let capability = "go on from token numbers";
            return Err(RoundError::Cannot { model: ask.target.name().cloned(), capability });
        }
    }
    let token_count = tokens_needed(ask);
    let longest = candidates.iter().map(|member| member.model.context).max();
    candidates.retain(|member| u64::from(member.model.context) >= token_count);
    if let (true, Some(context)) = (candidates.is_empty(), longest) {
        return Err(RoundError::ContextLength { context });
    }
    // A member that acknowledges nothing may be gone.
    candidates.retain(|member| !member.is_silent);
    let is_alone =
        matches!(ask.target, Target::Model(_)) || ask.tools.is_some() || ask.effort.writers <= 1;
    if is_alone && candidates.iter().any(|member| member.is_proven) {
        candidates.retain(|member| member.is_proven);
    }
    // Checked before busy members are left out: an ask waits for a member that fits it.
    let is_for_swarm = ask.target == Target::Swarm;
    let has_meant = is_for_swarm && candidates.iter().any(|member| purpose.includes(member));
    let mut eligible: Vec<Eligible<'a>> = candidates
        .into_iter()
        .map(|member| Eligible { member, writes: !has_meant || purpose.includes(member) })
        .filter(|eligible| eligible.writes || purpose.is_familiar())
        .filter(|eligible| eligible.member.running < eligible.member.slots)
        .collect();
    if !eligible.iter().any(|eligible| eligible.writes) {
        return Err(RoundError::NoMember);
    }
    eligible.sort_by_key(|eligible| eligible.member.id);
    Ok(eligible)
}

/// A lower bound of the tokens that the ask needs. Most tokenizers have less than four bytes a token,
/// so no capable member is left out. The node counts exactly.
fn tokens_needed(ask: &Ask) -> u64 {
    let calls = ask.messages.iter().flat_map(|message| &message.tool_calls);
    let calls: usize = calls.map(|call| call.name.len() + call.arguments.len()).sum();
    let messages: usize = ask.messages.iter().map(|message| message.content.len()).sum();
    let functions = ask.tools.iter().flat_map(|tools| &tools.functions);
    let functions: usize =
        functions.map(|f| f.name.len() + f.description.len() + f.parameters.len()).sum();
    let numbers = ask.prompt.as_ref().map_or(0, |prompt| prompt.tokens.len());
    (calls + messages + functions) as u64 / 4 + numbers as u64 + 1
}

/// An eligible member with its sampled scores.
struct Applicant<'a> {
    member: &'a MemberView,
    writes: bool,
    write: f64,
    judge: f64,
}

impl<'a> Applicant<'a> {
    fn draw(
        Eligible { member, writes }: Eligible<'a>,
        accuracy: Beta,
        standing: &Standing,
        settings: &SelectSettings,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let quality = thompson_sample(accuracy, settings, rng.random());
        let speed = speed(member, settings);
        // A member that knows the answer can also judge; its standing as a judge adds to that.
        let judging = 0.1 + standing.judge_weight(&member.id);
        Self { member, writes, write: quality * speed, judge: quality * judging * speed }
    }

    fn can_judge(&self, settings: &SelectSettings) -> bool {
        self.member.model.likelihood || (settings.pairs && self.member.model.pairwise)
    }

    /// Its operator and the digest of its weights, where they are named.
    fn groups(&self) -> impl Iterator<Item = &'a str> {
        let names = [self.member.operator.as_str(), self.member.model.digest.as_str()];
        names.into_iter().filter(|name| !name.is_empty())
    }
}

/// What an ask is about, which decides the members that fit it.
struct Purpose<'a> {
    standing: &'a Standing,
    kind: &'a KindPosterior,
    ask: &'a Features,
    settings: &'a SelectSettings,
}

impl Purpose<'_> {
    /// Whether the member fits this ask.
    fn includes(&self, member: &MemberView) -> bool {
        if !member.model.specialist {
            return true;
        }
        let (standing, kind) = (self.standing, self.kind);
        let claims = standing.claims(&member.id, &member.model.tags, self.ask, kind);
        claims.features().next().is_some() || self.known_share(member) >= self.settings.kind_share
    }

    /// Whether the ask is like gold of the narrow kinds: then a specialist can judge answers that it could
    /// not write, because the exam has shown what its scores are worth there.
    fn is_familiar(&self) -> bool {
        const FAMILIAR: f64 = 0.9;
        let narrow = self.kind.iter().filter(|(kind, _)| !kind.is_general());
        narrow.map(|(_, p)| p).sum::<f64>() >= FAMILIAR
    }

    /// P(the ask is of a kind on which the member answered gold correctly).
    fn known_share(&self, member: &MemberView) -> f64 {
        /// Gold answers that show a kind to be known. One is enough: a member that does not know it abstains.
        const GOLD_MIN: f64 = 0.5;
        let Some(record) = self.standing.record(&member.id) else { return 0.0 };
        let known_kinds = self.kind.iter().filter(|(kind, _)| {
            record.kinds.get(kind).is_some_and(|accuracy| {
                accuracy.observations() >= GOLD_MIN && accuracy.mean() > 0.5
            })
        });
        known_kinds.map(|(_, p)| p).sum()
    }
}

/// A writer's accuracy on this ask, as a Beta: its standing on the kind, shifted by the lessons of
/// rounds with similar words and, before there are lessons, by its tags.
pub fn expected_accuracy(
    standing: &Standing,
    member: &MemberView,
    kind: &KindPosterior,
    ask: &Features,
) -> Beta {
    let unknown = Record::default();
    let record = standing.record(&member.id).unwrap_or(&unknown);
    let claims = standing.claims(&member.id, &member.model.tags, ask, kind);
    let routing = record.routing.expect(ask, &claims, &standing.settings().routing);
    let clip = standing.settings().clip;
    let log_odds = standing.writer_log_odds(&member.id, kind) + routing.shift;
    let mean = sigmoid(log_odds.clamp(-clip, clip));
    // Observations on other kinds count a tenth.
    let other_kinds = 0.1 * record.writer.observations();
    let count = standing.seen_on(&member.id, kind) + other_kinds + routing.observations(mean);
    Beta { a: 1.0 + mean * count, b: 1.0 + (1.0 - mean) * count }
}

/// Thompson sampling: the sample of a new member is sometimes high, so that it gets work.
fn thompson_sample(beta: Beta, settings: &SelectSettings, draw: f64) -> f64 {
    let keep = (settings.confidence_max / beta.observations().max(1e-9)).min(1.0);
    beta.fade(keep).quantile(draw)
}

/// In (0, 1]: 1 for an immediate answer, 1/2 for one after `patience_seconds`, and 1/2 for a member
/// without measurements.
fn speed(member: &MemberView, settings: &SelectSettings) -> f64 {
    if member.tokens_per_second <= 0.0 {
        return 0.5;
    }
    let seconds = member.first_token_seconds + settings.typical_tokens / member.tokens_per_second;
    settings.patience_seconds / (settings.patience_seconds + seconds.max(0.0))
}

/// The `count` best by score, where each choice lowers the score of members with the same operator or
/// weights. Ties go to the smaller id.
fn spread<'a>(
    applicants: &[&'a Applicant<'a>],
    score: impl Fn(&Applicant<'a>) -> f64,
    count: usize,
    settings: &SelectSettings,
) -> Vec<NodeId> {
    let mut pool: Vec<(&Applicant<'a>, f64)> =
        applicants.iter().map(|applicant| (*applicant, score(applicant))).collect();
    let mut places: HashMap<&str, i32> = HashMap::new();
    let mut ids = Vec::new();
    while ids.len() < count {
        let scores = pool.iter().enumerate().map(|(at, (applicant, score))| {
            let copies: i32 = applicant.groups().filter_map(|group| places.get(group)).sum();
            (score * settings.doubling.powi(copies), applicant.member.id, at)
        });
        let best = scores.max_by(|(x, x_id, _), (y, y_id, _)| {
            x.partial_cmp(y).unwrap_or(Ordering::Equal).then(y_id.cmp(x_id))
        });
        let Some((_, _, at)) = best else { break };
        let (applicant, _) = pool.swap_remove(at);
        applicant.groups().for_each(|group| *places.entry(group).or_default() += 1);
        ids.push(applicant.member.id);
    }
    ids
}

#[cfg(test)]
mod tests;
