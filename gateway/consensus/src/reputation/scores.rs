//! A judge's opinion of the candidates, from its likelihoods.
//!
//! Gold shows two different things. Over questions, it shows how often texts of a likelihood are right: an easy
//! question has likely and right answers. Within a question, it shows by how much the right text is likelier than
//! a wrong one, which is what a ranking needs. So the level of an opinion comes from the fit over questions, and
//! its differences from the fit within questions.

use shoal_proto::NodeId;

use super::{
    Standing,
    calibration::{Likelihood, Line, sigmoid},
};

/// A judge's opinion of one pool, in log-odds that it is right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Opinion {
    /// By the fits to its gold.
    pub gold: f64,
    /// By the default line, as long as there is little gold; 0 on average over the pools of a ballot.
    pub prior: f64,
}

impl Opinion {
    /// Both together.
    pub fn total(self) -> f64 {
        self.gold + self.prior
    }
}

impl Standing {
    /// A judge's opinions of the pools of its ballot, in their order: small while it has scored few gold
    /// candidates. `texts` has the likelihoods of each pool's candidates; the best one counts for the pool,
    /// because one sound derivation is enough. None for a pool without candidates, and for all pools if the
    /// judge finds random bytes likelier than any candidate.
    pub fn opinions(&self, judge: &NodeId, texts: &[Vec<Likelihood>]) -> Vec<Option<Opinion>> {
        if texts.iter().flatten().all(Likelihood::is_below_chance) {
            return vec![None; texts.len()];
        }
        let unknown = (Line::SCORE, 0.0, Line::UNSEEN);
        let fits = self.member(judge);
        let (over, base, within) =
            fits.map_or(unknown, |member| (member.score, member.score_base, member.score_within));
        let texts = texts.iter().map(|texts| texts.iter().copied());
        let best: Vec<Option<Likelihood>> = texts
            .map(|texts| texts.max_by(|x, y| within.log_odds(*x).total_cmp(&within.log_odds(*y))))
            .collect();
        let level = mean(best.iter().flatten().map(|text| over.log_odds(*text) - base));
        let middle = mean(best.iter().flatten().map(|text| within.log_odds(*text)));
        let middle_prior = mean(best.iter().flatten().map(|text| Line::UNSEEN.log_odds(*text)));
        let (voice, trust) = (self.voice_weight(judge), self.score_trust(judge));
        // Larger models weigh more while nothing else is known.
        let strength = 2.0 * sigmoid(self.descent(judge));
        let prior_weight = self.settings().score_prior * (1.0 - trust) * strength;
        let opinions = best.into_iter().map(|text| {
            let text = text?;
            let gold = trust * (level + within.log_odds(text) - middle);
            let prior = prior_weight * (Line::UNSEEN.log_odds(text) - middle_prior);
            let [gold, prior] =
                [gold, prior].map(|odds| (voice * odds).clamp(-self.clip(), self.clip()));
            Some(Opinion { gold, prior })
        });
        opinions.collect()
    }

    /// The weight of the fits to a judge's gold against the default line, in [0, 1).
    fn score_trust(&self, id: &NodeId) -> f64 {
        let count = self.record(id).map_or(0.0, |record| record.scores.len() as f64);
        count / (count + self.settings().score_shrinkage)
    }

    /// The fit over questions behind [`Self::opinions`]; the documented default for a member without a
    /// record.
    pub fn score_line(&self, id: &NodeId) -> Line {
        self.member(id).map_or(Line::SCORE, |member| member.score)
    }
}

/// The mean; 0 of nothing.
fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1);
    values.sum::<f64>() / count as f64
}
