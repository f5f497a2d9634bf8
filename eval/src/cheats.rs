//! Kept rounds of the bundled swarm with some members replaced by cheats: what those cost.
//!
//! Each question is ranked once, with a standing that was learned from other questions: the cheats
//! are drawn anew for every sixth of the questions, so that neither who they are nor how hard the
//! questions are is one draw's luck.

pub mod orders;
mod page;

use std::collections::BTreeSet;

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::{
    ablate::{Chosen, Cut, Learned, cut_down},
    record::{Asked, Ballot, Candidate, Round, Score},
    replay::{self, Gold, Settings},
    stats::{self, Estimate},
};
pub use page::markdown;

/// Draws of who cheats.
const DRAWS: usize = 6;

/// log-likelihood that colluders give to what they did not write: far below any honest one.
const NEVER: f64 = -1_000.0;

/// What a cheat does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cheat {
    /// All of them write the same wrong answer, the one of the round that the others find
    /// likeliest, claim to be certain of it, and find nothing else likely; in their exam as well.
    Colluders,
    /// The same after an honest exam. What they claim is recomputed before it decides, as live.
    Sleepers,
    /// The same where nobody recomputes anything.
    Unaudited,
}

impl Cheat {
    pub const ALL: [Self; 3] = [Self::Colluders, Self::Sleepers, Self::Unaudited];

    pub fn name(self) -> &'static str {
        match self {
            Self::Colluders => "colluders",
            Self::Sleepers => "honest in their exam, colluders afterwards",
            Self::Unaudited => "the same, and nobody recomputes their claims",
        }
    }
}

/// How the rounds are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Company {
    /// Everybody writes and judges.
    Everybody,
    /// Five writers and three judges of the gateway's choice, as `shoal` asks.
    Usual,
}

impl Company {
    pub const ALL: [Self; 2] = [Self::Everybody, Self::Usual];

    fn cut(self) -> Cut {
        match self {
            Self::Everybody => Cut::WHOLE,
            Self::Usual => Cut { writers: 5, judges: 3, chosen: Chosen::Routed, ..Cut::WHOLE },
        }
    }
}

/// Accuracy with so many cheats.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub cheat: Cheat,
    pub company: Company,
    pub bad: usize,
    /// All members honest.
    pub honest: Estimate,
    /// Only those who stay honest, alone.
    pub rest: Estimate,
    /// The same with the cheats beside them.
    pub with: Estimate,
    /// `with - rest`.
    pub cost: Estimate,
    /// Share of the questions to which the lie was the answer.
    pub lied: f64,
}

/// With `bad` cheats among the members.
pub fn row(asked: &[Asked], cheat: Cheat, company: Company, bad: usize) -> Row {
    let (gold, settings) = (Gold::default(), Settings::default());
    let names = writers(asked);
    let (mut honest, mut rest, mut with) = (Vec::new(), Vec::new(), Vec::new());
    let mut lied = 0usize;
    let known = Learned::of(asked, gold, &settings, false);
    for draw in 0..DRAWS {
        let bad = drawn(&names, bad, draw as u64);
        let cheated: Vec<Asked> = asked.iter().map(|one| collude(one, &bad, cheat)).collect();
        let without: Vec<Asked> = asked.iter().map(|one| leave_out(one, &bad)).collect();
        let taught = if cheat == Cheat::Colluders { &cheated } else { asked };
        let learned = Learned::of(taught, gold, &settings, false);
        let learned_without = Learned::of(&without, gold, &settings, false);
        let mine = |at: &usize| (at / gold.folds.max(1)) % DRAWS == draw;
        for at in (0..asked.len()).filter(mine) {
            let pick = |from: &[Asked], known| {
                from.get(at).and_then(|one| won(one, at, company.cut(), known, &settings))
            };
            let right = |won: Option<Won>| won.is_some_and(|won| won.right);
            honest.push(right(pick(asked, &known)));
            rest.push(right(pick(&without, &learned_without)));
            let won = pick(&cheated, &learned);
            lied += usize::from(
                won.as_ref().is_some_and(|won| !won.right && bad.contains(&won.writer)),
            );
            with.push(right(won));
        }
    }
    let share =
        |right: &[bool]| stats::wilson(right.iter().filter(|one| **one).count(), right.len());
    Row {
        cheat,
        company,
        bad,
        honest: share(&honest),
        rest: share(&rest),
        cost: stats::paired_difference(&with, &rest, 1),
        lied: lied as f64 / with.len().max(1) as f64,
        with: share(&with),
    }
}

/// Who won a round.
struct Won {
    right: bool,
    writer: String,
}

fn won(asked: &Asked, at: usize, cut: Cut, known: &Learned, settings: &Settings) -> Option<Won> {
    let standing = known.on(at)?;
    let asked = cut_down(asked, cut, standing, at as u64);
    let picked = replay::pick(&asked, standing, settings, true)?;
    let winner = asked.round.as_ref()?.candidates.get(picked.winner)?;
    let right = asked.rights.get(picked.winner).copied().unwrap_or(false);
    Some(Won { right, writer: winner.writer.clone() })
}

/// Everybody who wrote, sorted.
fn writers(asked: &[Asked]) -> Vec<String> {
    let rounds = asked.iter().filter_map(|one| one.round.as_ref());
    let names = rounds.flat_map(|round| &round.candidates).map(|one| one.writer.clone());
    names.collect::<BTreeSet<String>>().into_iter().collect()
}

/// So many of them; of the same seed more hold the fewer.
fn drawn(names: &[String], count: usize, seed: u64) -> BTreeSet<String> {
    let mut names = names.to_vec();
    names.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    names.truncate(count);
    names.into_iter().collect()
}

/// The round without what these wrote and judged.
fn leave_out(asked: &Asked, gone: &BTreeSet<String>) -> Asked {
    let Some(round) = &asked.round else { return asked.clone() };
    let stays = |at: &usize| round.candidates.get(*at).is_some_and(|c| !gone.contains(&c.writer));
    let kept: Vec<usize> = (0..round.candidates.len()).filter(stays).collect();
    let place = |at: usize| kept.iter().position(|kept| *kept == at);
    let ballots = round.ballots.iter().filter(|ballot| !gone.contains(&ballot.judge));
    let ballots = ballots.map(|ballot| {
        let scores = ballot.scores.iter();
        let scores =
            scores.filter_map(|one| Some(Score { candidate: place(one.candidate)?, ..*one }));
        Ballot { scores: scores.collect(), ..ballot.clone() }
    });
    let candidates = kept.iter().filter_map(|at| round.candidates.get(*at).cloned()).collect();
    Asked {
        rights: kept.iter().filter_map(|at| asked.rights.get(*at).copied()).collect(),
        round: Some(Round { candidates, ballots: ballots.collect(), ..round.clone() }),
        ..asked.clone()
    }
}

/// The round with these as colluders. Where somebody was wrong the lie is what the honest judges
/// find likeliest of all that is wrong, and they find it exactly as likely when a cheat writes it.
/// Where all were right it is a text that nobody has judged.
fn collude(asked: &Asked, bad: &BTreeSet<String>, cheat: Cheat) -> Asked {
    let Some(round) = &asked.round else { return asked.clone() };
    let lie = likeliest_wrong(asked, round, bad);
    let text = match lie.and_then(|at| round.candidates.get(at)) {
        Some(wrong) => wrong.text.clone(),
        None => "Answer: none of these".to_owned(),
    };
    let claim = if cheat == Cheat::Sleepers { None } else { Some(0.0) };
    let is_bad = |at: usize| round.candidates.get(at).is_some_and(|c| bad.contains(&c.writer));
    let candidates: Vec<Candidate> = (round.candidates.iter())
        .map(|one| match bad.contains(&one.writer) {
            true => Candidate { text: text.clone(), logprob: claim, ..one.clone() },
            false => one.clone(),
        })
        .collect();
    let rights = asked.rights.iter().enumerate().map(|(at, right)| *right && !is_bad(at)).collect();
    let others = |judge: &str| {
        let judge = judge.to_owned();
        (0..candidates.len())
            .filter(move |at| round.candidates.get(*at).is_some_and(|one| one.writer != judge))
    };
    let ballots = round.ballots.iter().map(|ballot| {
        let known = |at: usize| ballot.scores.iter().find(|score| score.candidate == at).copied();
        let scores: Vec<Score> = if bad.contains(&ballot.judge) {
            let of = |at| if is_bad(at) { 0.0 } else { NEVER };
            others(&ballot.judge)
                .map(|candidate| Score { candidate, logprob: of(candidate), tokens: 1 })
                .collect()
        } else {
            let of = |at| if is_bad(at) { known(lie?) } else { known(at) };
            others(&ballot.judge)
                .filter_map(|candidate| Some(Score { candidate, ..of(candidate)? }))
                .collect()
        };
        Ballot { scores, ..ballot.clone() }
    });
    let ballots = ballots.collect();
    Asked { rights, round: Some(Round { candidates, ballots, ..round.clone() }), ..asked.clone() }
}

/// The wrong answer to which honest judges give the highest mean log-likelihood.
fn likeliest_wrong(asked: &Asked, round: &Round, bad: &BTreeSet<String>) -> Option<usize> {
    let mean = |at: usize| {
        let ballots = round.ballots.iter().filter(|ballot| !bad.contains(&ballot.judge));
        let scores = ballots.flat_map(|ballot| &ballot.scores).filter(|one| one.candidate == at);
        let (sum, count) =
            scores.fold((0.0, 0.0), |(sum, count), one| (sum + one.logprob, count + 1.0));
        if count > 0.0 { sum / count } else { f64::NEG_INFINITY }
    };
    let wrong = |at: &usize| asked.rights.get(*at) == Some(&false);
    (0..round.candidates.len()).filter(wrong).max_by(|x, y| mean(*x).total_cmp(&mean(*y)))
}

#[cfg(test)]
mod tests;
