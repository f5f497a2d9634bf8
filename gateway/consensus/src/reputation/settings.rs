//! The settings of reputation, each with its reason.

use serde::{Deserialize, Serialize};

use crate::reputation::{operators, routing};

/// How observations of members become their standing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Observations after which an earlier one counts half: a model behind a node may change at any time.
    pub half_life: f64,
    /// Days without observations after which a record's counts have faded to a 32nd.
    pub idle_days: f64,
    /// The quantile of a Beta that is used as accuracy: low, so that few observations weigh little.
    pub quantile: f64,
    /// Weight of one gold item relative to one agreement with the crowd, which colluders can fake.
    pub gold_weight: f64,
    /// Gold observations stored for each source: enough for a two-parameter fit, small in a database
    /// row.
    pub keep: usize,
    /// Bound of one source's log-odds for one candidate, so that no source outvotes the rest.
    pub clip: f64,
    /// Precision of the prior of the fit over all members, around the documented default.
    pub pool_shrinkage: f64,
    /// Precision of the prior of each member's fit, around the fit over all members.
    pub member_shrinkage: f64,
    /// Gold candidates after which a judge's likelihoods weigh half.
    pub score_shrinkage: f64,
    /// Weight of a judge's likelihoods before its first gold candidate, in [0, 1].
    pub score_prior: f64,
    /// Gold answers before a writer's claimed certainty counts at all.
    pub claims_needed: usize,
    /// Whether accuracies apply by kind of question, guessed from its words.
    pub kinds: bool,
    /// Gold answers after which a writer's own accuracy weighs half beside the swarm's, where the records do
    /// not tell how much members differ.
    pub writer_shrinkage: f64,
    /// Rounds with comparisons of a writer's answers after which these comparisons weigh half.
    pub preferred_shrinkage: f64,
    /// Gold answers of the whole swarm on a kind after which its accuracy there weighs half beside that on
    /// other kinds.
    pub kind_shrinkage: f64,
    /// Gold answers that a member's record on other kinds of question is worth.
    pub travel: f64,
    /// Rounds after which agreement with the other writers weighs half.
    pub peers_shrinkage: f64,
    /// Plausible wrong answers to an open question: how seldom two wrong writers agree.
    pub wrong_answers: f64,
    /// Pairs compared in both orders after which a judge's own flip rate weighs half.
    pub pair_shrinkage: f64,
    /// How often an ordinary judge's verdicts on two orders contradict each other.
    pub flips_expected: f64,
    /// Variance of a judge's log-odds of being right around the value that its flip rate predicts.
    /// Gold outweighs this prior after some five pairs.
    pub flips_variance: f64,
    /// Variance of a judge's log-odds on one kind of ask around its log-odds over all kinds.
    pub kind_variance: f64,
    /// Upper bound of the weight of agreement with the crowd, in gold pairs.
    pub crowd_pairs: f64,
    /// Prior correlation of two judges' errors. That of recorded raters is .25 to .53.
    pub correlation_expected: f64,
    /// Common gold pairs of two judges after which the measured correlation weighs half: with fewer
    /// pairs, its inverse is mostly noise.
    pub correlation_shrinkage: f64,
    /// Gold observations that a newcomer needs before its ballots have their full weight.
    pub probation_items: u32,
    /// Weight of a ballot on probation, in [0, 1]. If other members have passed their exam, such ballots are
    /// bounded by `operators.newcomers_max` as well; if none has, they must decide.
    pub probation_voice: f64,
    /// Accuracy below which a member stays on probation: a member that knows nothing judges badly.
    pub probation_right: f64,
    /// Audits of claims and hidden questions.
    pub audit: AuditSettings,
    /// The shares of operators and newcomers.
    pub operators: operators::Settings,
    /// Which member knows what.
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
            score_prior: 0.5,
            claims_needed: 10,
            kinds: true,
            writer_shrinkage: 8.0,
            preferred_shrinkage: 4.0,
            kind_shrinkage: 2.0,
            travel: 2.0,
            peers_shrinkage: 20.0,
            wrong_answers: 5.0,
            pair_shrinkage: 2.0,
            flips_expected: 0.25,
            flips_variance: 1.0,
            kind_variance: 0.5,
            crowd_pairs: 1.0,
            correlation_expected: 0.3,
            correlation_shrinkage: 1000.0,
            probation_items: 20,
            probation_voice: 0.5,
            probation_right: 0.1,
            audit: AuditSettings::default(),
            operators: operators::Settings::default(),
            routing: routing::Settings::default(),
        }
    }
}

/// When claims count, how often members are audited, and when a member is caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// Claims that must be confirmed before a member's certainty counts. Claims from its exam, which a
    /// cheat would recognise, can be all but one of them.
    pub needed: u32,
    /// Nats by which a claim may differ from the recomputed value: the same weights on another
    /// machine differ by rounding (measured below .001 a token).
    pub tolerance_nats: f64,
    /// Added to this for each token of the text.
    pub tolerance_nats_per_token: f64,
    /// P(a newcomer is audited in a round), for each of: its claim, its answer, its verdict.
    pub probability: f64,
    /// The limit of this probability after many audits.
    pub probability_least: f64,
    /// Audits passed after which the probability has fallen half of the way to its limit.
    pub halving: f64,
    /// P(a cheat answers a hidden question right).
    pub cheat: f64,
    /// Nats of evidence against a member at which it is caught.
    pub alarm: f64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            needed: 3,
            tolerance_nats: 0.1,
            tolerance_nats_per_token: 0.005,
            probability: 0.5,
            probability_least: 0.02,
            halving: 5.0,
            cheat: 0.1,
            alarm: 9.0,
        }
    }
}
