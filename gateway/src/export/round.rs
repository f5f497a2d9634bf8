//! The record of a round, and the preferences in it: which answer is better than which, and by how
//! much.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shoal_proto::generate::ChatMessage;

use shoal_consensus::Outcome;

/// The record of a finished round: the conversation and the answers, without their writers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RoundRecord {
    /// The round's id.
    pub round: String,
    /// The model of the request.
    pub model: String,
    /// How the winner was found, as in the transcript.
    #[serde(rename = "decided")]
    pub decision: String,
    /// Index of the winner in `candidates`.
    pub winner: usize,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The answers.
    pub candidates: Vec<CandidateRecord>,
}

/// A message in the format of OpenAI's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    /// "system", "user", "assistant" or "tool".
    pub role: String,
    /// The text.
    pub content: String,
}

/// An answer and its place in the ranking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CandidateRecord {
    /// Its text.
    pub text: String,
    /// The model that wrote it.
    pub model: String,
    /// Candidates with the same meaning have the same number.
    pub pool: usize,
    /// Its strength in log-odds; None if the ranking has none.
    pub strength: Option<f64>,
    /// P(it is the round's best); None if the ranking has none.
    pub p_best: Option<f64>,
}

/// One line of the export: a preference in the format of DPO trainers (conversations are lists of
/// messages).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Preference {
    /// The conversation.
    pub prompt: Vec<Message>,
    /// The better answer.
    #[serde(rename = "chosen")]
    pub better: [Message; 1],
    /// The worse answer.
    #[serde(rename = "rejected")]
    pub worse: [Message; 1],
    /// How much stronger the better answer is, in log-odds; above 0.
    pub margin: f64,
    /// P(the better answer is the round's best).
    pub p_best: Option<f64>,
    /// The round's id.
    pub round: String,
    /// How the winner was found, as in the transcript.
    #[serde(rename = "decided")]
    pub decision: String,
    /// The models that wrote the two answers.
    pub models: Models,
}

/// The models that wrote the two answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Models {
    /// That of the better answer.
    #[serde(rename = "chosen")]
    pub better: String,
    /// That of the worse answer.
    #[serde(rename = "rejected")]
    pub worse: String,
}

impl RoundRecord {
    /// None for a single answer: it is preferred to nothing.
    pub(super) fn new(model: &str, messages: Vec<ChatMessage>, outcome: &Outcome) -> Option<Self> {
        if outcome.candidates.len() < 2 {
            return None;
        }
        let ranking = &outcome.ranking;
        let candidates =
            outcome.candidates.iter().enumerate().map(|(index, candidate)| CandidateRecord {
                text: candidate.display_text(),
                model: candidate.model.clone(),
                pool: candidate.pool,
                strength: ranking.strengths.get(index).copied(),
                p_best: ranking.p_best.get(index).copied(),
            });
        Some(Self {
            round: outcome.round.0.clone(),
            model: model.to_owned(),
            decision: variant_name(&outcome.decided),
            winner: outcome.winner,
            messages: messages
                .into_iter()
                .map(|message| Message { role: message.role, content: message.content })
                .collect(),
            candidates: candidates.collect(),
        })
    }

    /// The winner against every answer of another pool that is weaker by at least `margin_min`. Answers
    /// of equal strength give no preference, whatever `margin_min` is.
    pub(super) fn preferences(&self, margin_min: f64) -> Vec<Preference> {
        let Some(winner) = self.candidates.get(self.winner) else { return Vec::new() };
        let Some(strength) = winner.strength else { return Vec::new() };
        let mut texts = BTreeSet::from([winner.text.trim()]);
        let mut preferences = Vec::new();
        for rival in self.candidates.iter().filter(|rival| rival.pool != winner.pool) {
            let Some(margin) = rival.strength.map(|weaker| strength - weaker) else { continue };
            let is_clear = margin.is_finite() && margin > 0.0 && margin >= margin_min;
            if is_clear && texts.insert(rival.text.trim()) {
                preferences.push(self.preference(winner, rival, margin));
            }
        }
        preferences
    }

    fn preference(
        &self,
        better: &CandidateRecord,
        worse: &CandidateRecord,
        margin: f64,
    ) -> Preference {
        Preference {
            prompt: self.messages.clone(),
            better: [better.message()],
            worse: [worse.message()],
            margin,
            p_best: better.p_best,
            round: self.round.clone(),
            decision: self.decision.clone(),
            models: Models { better: better.model.clone(), worse: worse.model.clone() },
        }
    }
}

impl CandidateRecord {
    fn message(&self) -> Message {
        Message { role: "assistant".to_owned(), content: self.text.clone() }
    }
}

/// The serialised name of a unit variant.
fn variant_name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str, pool: usize, strength: f64) -> CandidateRecord {
        CandidateRecord {
            text: text.to_owned(),
            model: format!("wrote-{text}"),
            pool,
            strength: Some(strength),
            p_best: Some(0.9),
        }
    }

    fn round(candidates: Vec<CandidateRecord>) -> RoundRecord {
        RoundRecord {
            round: "r1".into(),
            model: "shoal".into(),
            decision: "judged".into(),
            winner: 0,
            messages: vec![Message { role: "user".into(), content: "2 + 2?".into() }],
            candidates,
        }
    }

    fn worse_texts(round: &RoundRecord, margin_min: f64) -> Vec<String> {
        let pairs = round.preferences(margin_min);
        pairs.into_iter().map(|pair| pair.worse[0].content.clone()).collect()
    }

    #[test]
    fn the_winner_is_preferred_to_answers_of_other_pools() {
        let round = round(vec![
            candidate("4", 0, 2.0),
            candidate("four", 0, 2.0),
            candidate("5", 1, -1.0),
            candidate("22", 2, 0.5),
        ]);
        assert_eq!(worse_texts(&round, 0.0), ["5", "22"]);
        let first = &round.preferences(0.0)[0];
        assert!((first.margin - 3.0).abs() < 1e-12);
        assert_eq!(first.better[0].content, "4");
        assert_eq!(first.models, Models { better: "wrote-4".into(), worse: "wrote-5".into() });
    }

    #[test]
    fn small_margins_and_ties_are_left_out() {
        let round =
            round(vec![candidate("4", 0, 1.0), candidate("5", 1, 0.2), candidate("6", 2, 1.0)]);
        assert_eq!(worse_texts(&round, 0.5), ["5"]);
        assert_eq!(worse_texts(&round, 0.9), [""; 0]);
        assert_eq!(worse_texts(&round, -9.0), ["5"], "a tie prefers nothing");
    }

    #[test]
    fn a_text_is_neither_preferred_to_itself_nor_exported_twice() {
        let round = round(vec![
            candidate("4", 0, 2.0),
            candidate(" 4\n", 1, 0.0),
            candidate("5", 2, 0.0),
            candidate("5 ", 3, 0.0),
        ]);
        assert_eq!(worse_texts(&round, 0.0), ["5"]);
    }

    #[test]
    fn an_invalid_round_gives_no_preference() {
        let mut odd = round(vec![candidate("4", 0, f64::NAN), candidate("5", 1, 0.0)]);
        assert!(odd.preferences(0.0).is_empty());
        odd.winner = 7;
        assert!(odd.preferences(0.0).is_empty());
        odd = round(vec![CandidateRecord { strength: None, ..candidate("4", 0, 0.0) }]);
        assert!(odd.preferences(0.0).is_empty());
    }

    #[test]
    fn a_line_has_the_field_names_of_trainers() {
        let pair = &round(vec![candidate("4", 0, 2.0), candidate("5", 1, 0.0)]).preferences(0.0)[0];
        let line = serde_json::to_value(pair).expect("JSON");
        assert_eq!(line["prompt"], serde_json::json!([{"role": "user", "content": "2 + 2?"}]));
        assert_eq!(line["chosen"], serde_json::json!([{"role": "assistant", "content": "4"}]));
        assert_eq!(line["rejected"], serde_json::json!([{"role": "assistant", "content": "5"}]));
        assert!(line["margin"].is_f64() && line["p_best"].is_f64() && line["round"].is_string());
    }
}
