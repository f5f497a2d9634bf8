//! What speaks for one candidate alone, as log-odds: the μ of the ranking.
//!
//! Members write, and equal answers are pooled; so the question is which pool is right. With π_i
//! the probability that writer i is right, and few chances that two writers make the same
//! mistake, the log-odds of a pool are the sum over its writers of `logit π_i + agreement` (where
//! that is positive, beyond the best of them), to which each judge adds what its likelihoods say
//! (calibrated on gold).

use serde::Serialize;
use shoal_proto::NodeId;

use crate::{
    ballot::{CandidateScore, Verdicts},
    candidate::Candidate,
    settings::Certainty,
    tally::Tally,
};

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
    /// The sum of all sources, in log-odds.
    pub fn total(&self) -> f64 {
        self.standing + self.certainty + self.scores + self.agreement
    }

    /// Adds the best of a pool's writers, and of the others those that speak for it: an answer is
    /// no worse because somebody who seldom knows comes to it as well (.981 right instead of .971
    /// on 520 gold questions).
    fn add_writers(&mut self, mut wrote: Vec<Self>) {
        wrote.sort_by(|x, y| y.total().total_cmp(&x.total()));
        let counting_parts =
            wrote.iter().enumerate().filter(|(at, part)| *at == 0 || part.total() > 0.0);
        for (_, part) in counting_parts {
            self.standing += part.standing;
            self.certainty += part.certainty;
            self.agreement += part.agreement;
        }
    }
}

impl Tally<'_> {
    /// The evidence for each pool, by pool number.
    pub fn evidence(&self) -> Vec<Parts> {
        let settings = &self.config.evidence;
        let mut pools: Vec<Pool> = Vec::new();
        pools.resize_with(self.pools(), Pool::default);
        let shares = self.standing.shares(&self.writers());
        // Two wrong writers agree in one of so many cases, so each writer of a pool speaks for it.
        let agreement = self.answer_form().agreement(settings.agreement);
        for (candidate, share) in self.candidates.iter().zip(shares) {
            // `pools` has an entry for each candidate's pool.
            if let Some(pool) = pools.get_mut(candidate.pool) {
                pool.preferred += share * self.standing.preferred_log_odds(&candidate.writer);
                pool.shares += share;
                pool.writers.push(self.writer_evidence(candidate, share, agreement));
            }
        }
        let mut parts: Vec<Parts> = pools.into_iter().map(Pool::evidence).collect();
        self.add_scores(&mut parts);
        for part in &mut parts {
            for source in [&mut part.standing, &mut part.certainty, &mut part.scores] {
                *source = source.clamp(-settings.clip, settings.clip);
            }
        }
        parts
    }

    /// What one writer adds to its pool.
    fn writer_evidence(&self, candidate: &Candidate, share: f64, agreement: f64) -> Parts {
        let settings = &self.config.evidence;
        let claim = match settings.certainty {
            Certainty::Calibrated => candidate
                .claim()
                .and_then(|claim| self.standing.certainty_log_odds(&candidate.writer, claim)),
            Certainty::Off => None,
        };
        Parts {
            standing: share * self.standing.writer_log_odds(&candidate.writer, self.kind),
            certainty: share * claim.unwrap_or(0.0),
            scores: 0.0,
            agreement: share * agreement,
        }
    }

    /// Adds each judge's opinion of each pool: the best that it has to say of any candidate there,
    /// since one sound way to an answer is enough. Judges of one operator or of the same weights are one
    /// voice, and K voices count as K / (1 + correlation (K - 1)). Voices on probation are discounted for
    /// all voices and do not dilute the others.
    fn add_scores(&self, parts: &mut [Parts]) {
        let score_sheets = self.ballots.iter().filter_map(|ballot| match &ballot.verdicts {
            Verdicts::Scores(scores) => Some((ballot.judge, scores)),
            Verdicts::Pairs(_) => None,
        });
        let (judges, score_sheets): (Vec<NodeId>, Vec<&Vec<CandidateScore>>) = score_sheets.unzip();
        let shares = self.standing.scoring_shares(&judges);
        let priors =
            judges.iter().zip(&shares).filter(|(judge, _)| !self.standing.on_probation(judge));
        let priors: f64 = priors.map(|(_, share)| share).sum();
        let voices_sum: f64 = shares.iter().sum();
        for ((judge, scores), share) in judges.iter().zip(score_sheets).zip(shares) {
            let voices = if self.standing.on_probation(judge) { voices_sum } else { priors };
            let discount = 1.0 / (1.0 + self.config.evidence.correlation * (voices - 1.0).max(0.0));
            let mut best: Vec<Option<(f64, f64)>> = vec![None; parts.len()];
            for score in scores {
                let Some(candidate) = self.candidates.get(score.candidate) else { continue };
                let Some(best) = best.get_mut(candidate.pool) else { continue };
                // A judge never speaks for itself, whatever its ballot says.
                if candidate.writer != *judge {
                    let likelihood = candidate.likelihood(score.logprob);
                    let odds = self.standing.score_log_odds(judge, likelihood);
                    let prior = self.standing.score_prior_log_odds(judge, likelihood);
                    let better = best.is_none_or(|(x, y)| odds + prior > x + y);
                    if better {
                        *best = Some((odds, prior));
                    }
                }
            }
            let priors: Vec<f64> = best.iter().flatten().map(|(_, prior)| *prior).collect();
            let mean = priors.iter().sum::<f64>() / priors.len().max(1) as f64;
            for (part, best) in parts.iter_mut().zip(best) {
                let opinion = best.map_or(0.0, |(odds, prior)| odds + prior - mean);
                part.scores += discount * share * opinion;
            }
        }
    }
}

/// What the writers of one pool say for it.
#[derive(Debug, Default)]
struct Pool {
    writers: Vec<Parts>,
    /// Log-odds that others prefer the writers' answers, summed with their shares.
    preferred: f64,
    shares: f64,
}

impl Pool {
    fn evidence(self) -> Parts {
        let mut parts = Parts::default();
        parts.add_writers(self.writers);
        // One answer was compared, however many wrote it: the mean, or many colluders would count
        // what they find of each other as often as they are.
        parts.standing += if self.shares > 0.0 { self.preferred / self.shares } else { 0.0 };
        parts
    }
}

#[cfg(test)]
mod tests;
