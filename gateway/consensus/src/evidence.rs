//! What speaks for one candidate alone, as log-odds: the μ of the ranking.
//!
//! Members write, and equal answers are pooled; so the question is which pool is right. With π_i
//! the probability that writer i is right, and few chances that two writers make the same
//! mistake, the log-odds of a pool are the sum over its writers of `logit π_i + agreement` (where
//! that is positive, beyond the best of them), to which each judge adds what its likelihoods say
//! (calibrated on gold).

use shoal_proto::{NodeId, generate::Finish};

use crate::{
    agree::AnswerForm,
    ballot::{CandidateScore, Verdicts},
    candidate::Candidate,
    outcome::Parts,
    reputation::{Likelihood, Opinion, calibration::sigmoid},
    settings::Certainty,
    tally::Tally,
};

/// Bytes of an answer in a few words.
const SHORT: usize = 96;

/// Log-odds against an answer that the limit of tokens cut before its end, where others came to a short
/// final answer: it has seldom come to its own.
const CUT: f64 = 2.0;

impl Tally<'_> {
    /// The evidence for each pool, by pool number.
    pub fn evidence(&self) -> Vec<Parts> {
        let settings = &self.config.evidence;
        let mut pools: Vec<Pool> = Vec::new();
        pools.resize_with(self.pools(), Pool::default);
        let shares = self.standing.shares(&self.writers());
        // Two wrong writers agree in one of so many cases, so each writer of a pool speaks for it.
        let form = self.answer_form();
        let agreement = form.agreement(settings.agreement);
        for (candidate, share) in self.candidates.iter().zip(shares) {
            // `pools` has an entry for each candidate's pool.
            if let Some(pool) = pools.get_mut(candidate.pool) {
                pool.preferred += share * self.standing.preferred_log_odds(&candidate.writer);
                pool.shares += share;
                let mut evidence = self.writer_evidence(candidate, share, agreement);
                if form != AnswerForm::Text && candidate.finish == Finish::Length {
                    evidence.standing -= share * CUT;
                }
                pool.writers.push(evidence);
            }
        }
        let mut parts: Vec<Parts> = pools.into_iter().map(Pool::evidence).collect();
        for part in &mut parts {
            // Every answer has a writer. Less than one voice must not lower it beside answers of one voice.
            part.agreement = part.agreement.max(agreement);
        }
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
        let standing = self.standing.writer_log_odds(&candidate.writer, self.kind);
        let certainty = claim.unwrap_or(0.0);
        Parts {
            // A share bounds what a member adds; what is known against it counts in full.
            standing: standing.min(share * standing),
            certainty: certainty.min(share * certainty),
            scores: 0.0,
            agreement: share * agreement,
        }
    }

    /// Adds each judge's opinion of each pool. Judges of one operator or of the same weights are one
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
            for (part, odds) in parts.iter_mut().zip(self.opinions(*judge, scores)) {
                part.scores += discount * share * odds;
            }
        }
    }

    /// A judge's opinion of each pool in log-odds; 0 of a pool that it says nothing of. A judge never speaks for
    /// its own answer, whatever its ballot says. But where answers are letters or a few words, how likely it finds
    /// its own tells what it thinks of the others, as far as it knows such questions itself: who claims to be
    /// certain of what is always wrong says nothing. Of a long text everybody finds its own words likelier.
    fn opinions(&self, judge: NodeId, scores: &[CandidateScore]) -> Vec<f64> {
        let rest = self.likelihoods(judge, scores, false);
        let odds = |texts: &[Vec<Likelihood>]| -> Vec<f64> {
            let opinions = self.standing.opinions(&judge, texts);
            opinions.into_iter().map(|opinion| opinion.map_or(0.0, Opinion::total)).collect()
        };
        let alone = odds(&rest);
        let is_short = matches!(self.answer_form(), AnswerForm::Choice(_))
            || self.candidates.iter().all(|candidate| candidate.text.len() <= SHORT);
        if !is_short {
            return alone;
        }
        let right = sigmoid(self.standing.writer_log_odds(&judge, self.kind));
        let beside_own = odds(&self.likelihoods(judge, scores, true));
        let opinions = alone.into_iter().zip(beside_own).zip(rest);
        opinions
            .map(|((alone, beside_own), rest)| {
                let change = right * (beside_own - alone);
                if rest.is_empty() { 0.0 } else { alone + change }
            })
            .collect()
    }

    /// How likely a judge finds the candidates of each pool: those of others, and with `own` what it claims for
    /// its own.
    fn likelihoods(
        &self,
        judge: NodeId,
        scores: &[CandidateScore],
        own: bool,
    ) -> Vec<Vec<Likelihood>> {
        let mut texts: Vec<Vec<Likelihood>> = vec![Vec::new(); self.pools()];
        for (at, candidate) in self.candidates.iter().enumerate() {
            let likelihood = if candidate.writer == judge {
                candidate.claim().filter(|_| own)
            } else {
                let score = scores.iter().find(|score| score.candidate == at);
                score.map(|score| candidate.likelihood(score.logprob))
            };
            let likelihood = likelihood.filter(|likelihood| likelihood.logprob.is_finite());
            if let (Some(likelihood), Some(texts)) = (likelihood, texts.get_mut(candidate.pool)) {
                texts.push(likelihood);
            }
        }
        texts
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
    /// The best of its writers, and of the others those that speak for it: an answer is no worse because
    /// somebody who seldom knows comes to it as well (.981 right instead of .971 on 520 gold questions).
    fn writers_evidence(&self) -> Parts {
        let mut writers = self.writers.clone();
        writers.sort_by(|x, y| y.total().total_cmp(&x.total()));
        let voices = writers.iter().enumerate().filter(|(at, part)| *at == 0 || part.total() > 0.0);
        voices.fold(Parts::default(), |sum, (_, part)| Parts {
            standing: sum.standing + part.standing,
            certainty: sum.certainty + part.certainty,
            agreement: sum.agreement + part.agreement,
            scores: 0.0,
        })
    }

    fn evidence(self) -> Parts {
        let mut parts = self.writers_evidence();
        // One answer was compared, however many wrote it: the mean, or many colluders would count
        // what they find of each other as often as they are.
        parts.standing += if self.shares > 0.0 { self.preferred / self.shares } else { 0.0 };
        parts
    }
}

#[cfg(test)]
mod tests;
