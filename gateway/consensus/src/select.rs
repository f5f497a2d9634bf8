//! Who writes and who judges: a pure function of the ask, who is here, their standing and a seed.

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

/// Who does what in this round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panel {
    /// At most N, best first.
    pub writers: Vec<NodeId>,
    /// Who writes when a writer dies, best first: all other eligible members.
    pub spare: Vec<NodeId>,
    /// At most M, best first. Whoever also writes must not see its own candidate.
    pub judges: Vec<NodeId>,
}

/// Chooses writers, their replacements and judges. The same arguments give the same panel,
/// whatever the order of `members`.
///
/// # Errors
/// [`RoundError`] when nobody serves the model, nobody is free, or the ask fits nobody's context.
pub fn panel(
    ask: &Ask,
    members: &[MemberView],
    standing: &Standing,
    settings: &SelectSettings,
    seed: u64,
) -> Result<Panel, RoundError> {
    let eligible = eligible(ask, members)?;
    let question = question(&ask.messages);
    let (kind, features) = (standing.kind_of(question), Features::of(question));
    let known = |member: &MemberView| expectation(standing, member, &kind, &features);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let scored: Vec<Scored<'_>> = eligible
        .into_iter()
        .map(|member| Scored::draw(member, known(member), standing, settings, &mut rng))
        .collect();
    if let Target::Model(_) = ask.target {
        let mut best = spread(&scored, |scored| scored.write, scored.len(), settings).into_iter();
        let writers = best.by_ref().take(1).collect();
        return Ok(Panel { writers, spare: best.collect(), judges: Vec::new() });
    }
    let mut writers = spread(&scored, |scored| scored.write, scored.len(), settings);
    let spare = writers.split_off(ask.effort.writers.max(1).min(writers.len()));
    let able: Vec<Scored<'_>> =
        scored.into_iter().filter(|scored| scored.can_judge(settings)).collect();
    let worth = |scored: &Scored<'_>| {
        let share = if writers.contains(&scored.member.id) { settings.writing_judge } else { 1.0 };
        scored.judge * share
    };
    let judges = spread(&able, worth, ask.effort.judges, settings);
    Ok(Panel { writers, spare, judges })
}

/// Chooses who judges texts that no member wrote, best first: at most M, those that serve the model
/// where the ask names one. Empty when nobody who is free can judge.
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
    let question = question(&ask.messages);
    let (kind, features) = (standing.kind_of(question), Features::of(question));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let able: Vec<Scored<'_>> = eligible(ask, members)?
        .into_iter()
        .map(|member| {
            let known = expectation(standing, member, &kind, &features);
            Scored::draw(member, known, standing, settings, &mut rng)
        })
        .filter(|scored| scored.can_judge(settings))
        .collect();
    Ok(spread(&able, |scored| scored.judge, ask.effort.judges, settings))
}

/// Members that can take this ask now, in the order of their ids.
fn eligible<'a>(ask: &Ask, members: &'a [MemberView]) -> Result<Vec<&'a MemberView>, RoundError> {
    let mut serving: Vec<&MemberView> = match &ask.target {
        Target::Swarm => members.iter().collect(),
        Target::Model(name) => {
            let serving: Vec<_> = members.iter().filter(|m| m.model.name == *name).collect();
            if serving.is_empty() {
                return Err(RoundError::NoSuchModel { model: name.clone() });
            }
            serving
        }
    };
    if ask.tools.is_some() {
        serving.retain(|member| member.model.tools);
        if serving.is_empty() && !members.is_empty() {
            return Err(RoundError::NoTools);
        }
    }
    if let Some(path) = &ask.image {
        serving.retain(|member| member.model.vision);
        if serving.is_empty() && !members.is_empty() {
            return Err(RoundError::NoVision { path: path.clone() });
        }
    }
    if let Some(prompt) = &ask.prompt {
        // Where nobody goes on with texts, a text is asked as a message; token numbers are none.
        let somebody = serving.iter().any(|member| member.model.completes);
        if somebody || !prompt.tokens.is_empty() {
            serving.retain(|member| member.model.completes);
        }
        if serving.is_empty() && !members.is_empty() {
            let what = "go on from token numbers";
            return Err(RoundError::Cannot { model: ask.target.name().cloned(), what });
        }
    }
    let needed = tokens_needed(ask);
    let longest = serving.iter().map(|member| member.model.context).max();
    serving.retain(|member| u64::from(member.model.context) >= needed);
    if let (true, Some(context)) = (serving.is_empty(), longest) {
        return Err(RoundError::ContextLength { context });
    }
    serving.retain(|member| member.running < member.slots);
    if serving.is_empty() {
        return Err(RoundError::NoMember);
    }
    serving.sort_by_key(|member| member.id);
    Ok(serving)
}

/// Tokens that the ask needs at the very least: four bytes a token is more than most tokenizers
/// manage, so that nobody is left out who could do it. The node itself counts exactly.
fn tokens_needed(ask: &Ask) -> u64 {
    let calls = ask.messages.iter().flat_map(|message| &message.tool_calls);
    let calls: usize = calls.map(|call| call.name.len() + call.arguments.len()).sum();
    let said: usize = ask.messages.iter().map(|message| message.content.len()).sum();
    let functions = ask.tools.iter().flat_map(|tools| &tools.functions);
    let functions: usize =
        functions.map(|one| one.name.len() + one.description.len() + one.parameters.len()).sum();
    let numbers = ask.prompt.as_ref().map_or(0, |prompt| prompt.tokens.len());
    (calls + said + functions) as u64 / 4 + numbers as u64 + 1
}

/// An eligible member with its sampled scores.
struct Scored<'a> {
    member: &'a MemberView,
    write: f64,
    judge: f64,
}

impl<'a> Scored<'a> {
    fn draw(
        member: &'a MemberView,
        known: Beta,
        standing: &Standing,
        settings: &SelectSettings,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let quality = sampled(known, settings, rng.random());
        let speed = speed(member, settings);
        // Who knows the answer knows whose is right; the judge track adds what was seen of it.
        let judging = 0.1 + standing.judge_weight(&member.id);
        Self { member, write: quality * speed, judge: quality * judging * speed }
    }

    fn can_judge(&self, settings: &SelectSettings) -> bool {
        self.member.model.likelihood || (settings.pairs && self.member.model.pairwise)
    }
}

/// What is known of a writer's accuracy on this ask, as a Beta: its standing on the kind, moved by
/// what rounds have taught of asks in such words and, while they have not, by its tags.
fn expectation(
    standing: &Standing,
    member: &MemberView,
    kind: &KindPosterior,
    ask: &Features,
) -> Beta {
    let unknown = Record::default();
    let record = standing.record(&member.id).unwrap_or(&unknown);
    let claims = standing.claims(&member.id, &member.model.tags, ask, kind);
    let learned = record.routing.expect(ask, &claims, &standing.settings().routing);
    let clip = standing.settings().clip;
    let log_odds = standing.writer_log_odds(&member.id, kind) + learned.shift;
    let mean = sigmoid(log_odds.clamp(-clip, clip));
    // Of other kinds little carries over: a tenth.
    let carried = 0.1 * record.writer.seen();
    let seen = standing.seen_on(&member.id, kind) + carried + learned.seen(mean);
    Beta { a: 1.0 + mean * seen, b: 1.0 + (1.0 - mean) * seen }
}

/// Thompson sampling: a new member is sometimes drawn high, so that it gets work.
fn sampled(beta: Beta, settings: &SelectSettings, draw: f64) -> f64 {
    let keep = (settings.confidence_max / beta.seen().max(1e-9)).min(1.0);
    beta.faded(keep).quantile(draw)
}

/// In (0, 1]: 1 is at once, 1/2 is `patience_seconds`. Who was never measured counts as average.
fn speed(member: &MemberView, settings: &SelectSettings) -> f64 {
    if member.tokens_per_second <= 0.0 {
        return 0.5;
    }
    let seconds = member.first_token_seconds + settings.typical_tokens / member.tokens_per_second;
    settings.patience_seconds / (settings.patience_seconds + seconds.max(0.0))
}

/// The `count` best by score, each choice making its operator and its copies less wanted. Ties
/// go to the smaller id.
fn spread<'a>(
    scored: &'a [Scored<'a>],
    worth: impl Fn(&Scored<'a>) -> f64,
    count: usize,
    settings: &SelectSettings,
) -> Vec<NodeId> {
    let mut left: Vec<(&Scored<'a>, f64)> = scored.iter().map(|one| (one, worth(one))).collect();
    let mut taken: HashMap<&str, i32> = HashMap::new();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let wanted = |(one, worth): &(&Scored<'a>, f64)| {
            let doubled: i32 = one.groups().filter_map(|group| taken.get(group)).sum();
            worth * settings.doubling.powi(doubled)
        };
        let best = left.iter().enumerate().max_by(|(_, x), (_, y)| {
            let by_worth = wanted(x).partial_cmp(&wanted(y)).unwrap_or(Ordering::Equal);
            by_worth.then(y.0.member.id.cmp(&x.0.member.id))
        });
        let Some((at, _)) = best else { break };
        let (one, _) = left.swap_remove(at);
        one.groups().for_each(|group| *taken.entry(group).or_default() += 1);
        chosen.push(one.member.id);
    }
    chosen
}

impl<'a> Scored<'a> {
    /// What it may share with others: operator and weights, where they are named.
    fn groups(&self) -> impl Iterator<Item = &'a str> {
        let member = self.member;
        [member.operator.as_str(), member.model.digest.as_str()]
            .into_iter()
            .filter(|group| !group.is_empty())
    }
}

#[cfg(test)]
mod tests;
