//! Every number of the reputation, with its reason.

use serde::{Deserialize, Serialize};

use crate::reputation::{audit, operators, routing};

/// How quickly members gain and lose standing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Observations after which one counts half: a model behind a node may change at any time.
    pub half_life: f64,
    /// Days of silence after which a record is back at the prior but for a 32nd.
    pub idle_days: f64,
    /// Which quantile of a Beta is believed: low, so that few observations weigh little.
    pub quantile: f64,
    /// What one gold item counts against one agreement with the crowd, which colluders can fake.
    pub gold_weight: f64,
    /// Gold observations kept for each source: enough for a two-parameter fit, small in a row.
    pub keep: usize,
    /// Bound of what one source can say about one candidate, in log-odds: none outvotes the rest.
    pub clip: f64,
    /// Precision of the prior that holds the fit over all members to the documented default.
    pub pool_shrinkage: f64,
    /// Precision of the prior that holds each member's fit to the fit over all.
    pub member_shrinkage: f64,
    /// Gold candidates after which a judge's likelihoods weigh half.
    pub score_shrinkage: f64,
    /// Gold answers before a writer's claimed certainty counts at all.
    pub claims_needed: usize,
    /// Use what kind of question it is, guessed from its words.
    pub kinds: bool,
    /// Gold answers after which a writer's own accuracy weighs half beside the swarm's.
    pub writer_shrinkage: f64,
    /// Rounds with comparisons of a writer's answer after which what they say weighs half.
    pub preferred_shrinkage: f64,
    /// Gold answers of a kind after which the kind's own accuracy weighs half.
    pub kind_shrinkage: f64,
    /// Pairs shown in both orders after which a judge's own flip rate weighs half.
    pub pair_shrinkage: f64,
    /// How often an ordinary judge's two orders contradict each other.
    pub flips_expected: f64,
    /// How little a flip rate tells of a judge: variance of its log-odds of being right around
    /// what its flips say. Gold outweighs it after some five pairs.
    pub flips_variance: f64,
    /// Variance of a judge's log-odds on one kind of ask around its own over all kinds.
    pub kind_variance: f64,
    /// What agreement with the crowd can count at most, in gold pairs.
    pub crowd_pairs: f64,
    /// Correlation of two judges' errors before any pair was seen of both: that of recorded raters
    /// is .25 to .53.
    pub correlation_expected: f64,
    /// Gold pairs seen of both after which the measured correlation weighs half: of fewer, its
    /// inverse is mostly noise.
    pub correlation_shrinkage: f64,
    /// Gold observations before a newcomer's ballots weigh anything.
    pub probation_items: u32,
    /// Accuracy below which ballots never weigh anything: one that knows nothing cannot judge.
    pub probation_right: f64,
    pub audit: audit::Settings,
    pub operators: operators::Settings,
    /// How quickly it is learned who knows what.
    pub routing: routing::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            half_life: 500.0,
            idle_days: 30.0,
            quantile: 0.2,
            gold_weight: 5.0,
            keep: 256,
            clip: 6.0,
            pool_shrinkage: 1.0,
            member_shrinkage: 4.0,
            score_shrinkage: 20.0,
            claims_needed: 10,
            kinds: true,
            writer_shrinkage: 4.0,
            preferred_shrinkage: 4.0,
            kind_shrinkage: 2.0,
            pair_shrinkage: 2.0,
            flips_expected: 0.25,
            flips_variance: 1.0,
            kind_variance: 0.5,
            crowd_pairs: 1.0,
            correlation_expected: 0.3,
            correlation_shrinkage: 30.0,
            probation_items: 20,
            probation_right: 0.1,
            audit: audit::Settings::default(),
            operators: operators::Settings::default(),
            routing: routing::Settings::default(),
        }
    }
}
