//! What speaks for one candidate alone, as log-odds: the μ of the ranking.
//!
//! Members write, and equal answers are pooled; so the question is which pool is right. With π_i
//! the probability that writer i is right, and few chances that two writers make the same
//! mistake, the log-odds of a pool are the sum over its writers of `logit π_i + agreement` (where
//! that is positive, beyond the best of them), to which each judge adds what its likelihoods say
//! (calibrated on gold).

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

use crate::{
    ballot::{CandidateScore, CastBallot, Verdicts},
    candidate::Candidate,
    reputation::{KindPosterior, Standing},
};

/// What counts as evidence, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether a writer's own certainty counts.
    pub certainty: Certainty,
    /// Log-odds for each writer of a pool: how unlikely the same wrong answer is by chance.
    pub agreement: f64,
    /// Correlation of two judges' errors (measured .25 to .53): K judges are believed like
    /// K / (1 + correlation (K - 1)) independent ones.
    pub correlation: f64,
    /// Bound of what each source says about one pool, in log-odds: none outvotes the rest.
    pub clip: f64,
}

/// Whether a writer's own certainty counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// For members whose claims can be recomputed, once calibrated on gold.
    Calibrated,
    /// For nobody: where members are doubted, what the others say of a candidate is nearly as good.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self { certainty: Certainty::Calibrated, agreement: 1.0, correlation: 0.25, clip: 6.0 }
    }
}

/// What each source says for one pool, in log-odds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Parts {
    /// Its writers' accuracy on this kind of question.
    pub standing: f64,
    /// What its writers claimed.
    pub certainty: f64,
    /// How likely the others find it.
    pub scores: f64,
    /// How many wrote it.
    pub agreement: f64,
}

impl Parts {
    pub fn total(&self) -> f64 {
        self.standing + self.certainty + self.scores + self.agreement
    }

    /// Adds the best of a pool's writers, and of the others those that speak for it: an answer is
    /// no worse because somebody who seldom knows comes to it as well (.981 right instead of .971
    /// on 520 gold questions).
    fn add_writers(&mut self, mut wrote: Vec<Self>) {
        wrote.sort_by(|x, y| y.total().total_cmp(&x.total()));
        let counted = wrote.iter().enumerate().filter(|(at, one)| *at == 0 || one.total() > 0.0);
        for (_, one) in counted {
            self.standing += one.standing;
            self.certainty += one.certainty;
            self.agreement += one.agreement;
        }
    }
}

/// The evidence for each pool, by pool number.
pub fn for_pools(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    kind: &KindPosterior,
    standing: &Standing,
    settings: &Settings,
) -> Vec<Parts> {
    let pools = candidates.iter().map(|candidate| candidate.pool + 1).max().unwrap_or(0);
    let mut parts = vec![Parts::default(); pools];
    let writers: Vec<NodeId> = candidates.iter().map(|candidate| candidate.writer).collect();
    let mut wrote: Vec<Vec<Parts>> = vec![Vec::new(); pools];
    let mut preferred: Vec<(f64, f64)> = vec![(0.0, 0.0); pools];
    for (candidate, share) in candidates.iter().zip(standing.shares(&writers)) {
        let claim = match settings.certainty {
            Certainty::Calibrated => candidate
                .claim()
                .and_then(|claim| standing.certainty_log_odds(&candidate.writer, claim)),
            Certainty::Off => None,
        };
        if let Some((sum, writers)) = preferred.get_mut(candidate.pool) {
            *sum += share * standing.preferred_log_odds(&candidate.writer);
            *writers += share;
        }
        if let Some(wrote) = wrote.get_mut(candidate.pool) {
            wrote.push(Parts {
                standing: share * standing.writer_log_odds(&candidate.writer, kind),
                certainty: share * claim.unwrap_or(0.0),
                scores: 0.0,
                agreement: share * settings.agreement,
            });
        }
    }
    for ((part, wrote), (sum, writers)) in parts.iter_mut().zip(wrote).zip(preferred) {
        part.add_writers(wrote);
        // One answer was compared, however many wrote it: the mean, or many colluders would count
        // what they find of each other as often as they are.
        part.standing += if writers > 0.0 { sum / writers } else { 0.0 };
    }
    let judges = add_scores(&mut parts, candidates, ballots, standing);
    let discount = 1.0 / (1.0 + settings.correlation * (judges - 1.0).max(0.0));
    for part in &mut parts {
        part.scores *= discount;
        for source in [&mut part.standing, &mut part.certainty, &mut part.scores] {
            *source = source.clamp(-settings.clip, settings.clip);
        }
    }
    parts
}

/// Adds each judge's opinion of each pool: the best that it has to say of any candidate there,
/// since one sound way to an answer is enough. Returns how many voices gave scores: judges of one
/// operator or of the same weights are one.
fn add_scores(
    parts: &mut [Parts],
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
) -> f64 {
    let mut judges = 0.0;
    let scored = ballots.iter().filter_map(|ballot| match &ballot.verdicts {
        Verdicts::Scores(scores) => Some((ballot.judge, scores)),
        Verdicts::Pairs(_) => None,
    });
    let (heard, scored): (Vec<NodeId>, Vec<&Vec<CandidateScore>>) = scored.unzip();
    for ((judge, scores), share) in heard.iter().zip(scored).zip(standing.scoring_shares(&heard)) {
        judges += share;
        let mut best: Vec<Option<f64>> = vec![None; parts.len()];
        for score in scores {
            let Some(candidate) = candidates.get(score.candidate) else { continue };
            let Some(best) = best.get_mut(candidate.pool) else { continue };
            // A judge never speaks for itself, whatever its ballot says.
            if candidate.writer != *judge {
                let odds =
                    share * standing.score_log_odds(judge, candidate.likelihood(score.logprob));
                *best = Some(best.map_or(odds, |known: f64| known.max(odds)));
            }
        }
        for (part, best) in parts.iter_mut().zip(best) {
            part.scores += best.unwrap_or(0.0);
        }
    }
    judges
}

#[cfg(test)]
mod tests;
