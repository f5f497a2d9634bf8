//! A kept round, and the preferences it shows: which answer was better than which, and by how much.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shoal_proto::generate::ChatMessage;

use shoal_consensus::Outcome;

/// What is kept of a finished round: the conversation and what was answered, but not by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptRound {
    pub round: String,
    /// The model that was asked for.
    pub model: String,
    /// How the winner was found, as the transcript says it.
    pub decided: String,
    /// Index of the winner in `candidates`.
    pub winner: usize,
    pub messages: Vec<Message>,
    pub candidates: Vec<KeptCandidate>,
}

/// A message as OpenAI's API has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: String,
    pub content: String,
}

/// An answer and how it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptCandidate {
    pub text: String,
    pub model: String,
    /// Candidates that say the same have the same number.
    pub pool: usize,
    /// Log-odds scale, as the ranking gives it; None where it gives none.
    pub strength: Option<f64>,
    pub p_best: Option<f64>,
}

/// One line of the export: a preference as trainers of DPO take it (conversations as lists of
/// messages).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preference {
    pub prompt: Vec<Message>,
    pub chosen: [Message; 1],
    pub rejected: [Message; 1],
    /// How much stronger the chosen one was, in log-odds; above 0.
    pub margin: f64,
    /// P(the chosen one is the round's best).
    pub p_best: Option<f64>,
    pub round: String,
    pub decided: String,
    pub models: Models,
}

/// Who wrote the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Models {
    pub chosen: String,
    pub rejected: String,
}

impl KeptRound {
    /// None when there was nothing to prefer: a single answer.
    pub fn of(model: &str, messages: Vec<ChatMessage>, outcome: &Outcome) -> Option<Self> {
        if outcome.candidates.len() < 2 {
            return None;
        }
        let ranking = &outcome.ranking;
        let candidate = |(index, one): (usize, &shoal_consensus::Candidate)| KeptCandidate {
            text: one.shown(),
            model: one.model.clone(),
            pool: one.pool,
            strength: ranking.strengths.get(index).copied(),
            p_best: ranking.p_best.get(index).copied(),
        };
        let message = |one: ChatMessage| Message { role: one.role, content: one.content };
        Some(Self {
            round: outcome.round.0.clone(),
            model: model.to_owned(),
            decided: word(&outcome.decided),
            winner: outcome.winner,
            messages: messages.into_iter().map(message).collect(),
            candidates: outcome.candidates.iter().enumerate().map(candidate).collect(),
        })
    }

    /// The winner against each other answer that says something else and was weaker by
    /// `margin_min` at least. Equal strengths prefer nothing, whatever the least margin is.
    pub fn preferences(&self, margin_min: f64) -> Vec<Preference> {
        let Some(winner) = self.candidates.get(self.winner) else { return Vec::new() };
        let Some(strength) = winner.strength else { return Vec::new() };
        let mut told = BTreeSet::from([winner.text.trim()]);
        let others = self.candidates.iter().filter(|other| other.pool != winner.pool);
        let mut preferences = Vec::new();
        for other in others {
            let Some(margin) = other.strength.map(|other| strength - other) else { continue };
            let clear = margin.is_finite() && margin > 0.0 && margin >= margin_min;
            if clear && told.insert(other.text.trim()) {
                preferences.push(self.preference(winner, other, margin));
            }
        }
        preferences
    }

    fn preference(
        &self,
        chosen: &KeptCandidate,
        rejected: &KeptCandidate,
        margin: f64,
    ) -> Preference {
        let answer = |of: &KeptCandidate| {
            [Message { role: "assistant".to_owned(), content: of.text.clone() }]
        };
        Preference {
            prompt: self.messages.clone(),
            chosen: answer(chosen),
            rejected: answer(rejected),
            margin,
            p_best: chosen.p_best,
            round: self.round.clone(),
            decided: self.decided.clone(),
            models: Models { chosen: chosen.model.clone(), rejected: rejected.model.clone() },
        }
    }
}

/// A unit variant's name as it is serialised.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str, pool: usize, strength: f64) -> KeptCandidate {
        KeptCandidate {
            text: text.to_owned(),
            model: format!("wrote-{text}"),
            pool,
            strength: Some(strength),
            p_best: Some(0.9),
        }
    }

    fn round(candidates: Vec<KeptCandidate>) -> KeptRound {
        KeptRound {
            round: "r1".into(),
            model: "shoal".into(),
            decided: "judged".into(),
            winner: 0,
            messages: vec![Message { role: "user".into(), content: "2 + 2?".into() }],
            candidates,
        }
    }

    fn rejected(round: &KeptRound, margin_min: f64) -> Vec<String> {
        let pairs = round.preferences(margin_min);
        pairs.into_iter().map(|pair| pair.rejected[0].content.clone()).collect()
    }

    #[test]
    fn the_winner_is_preferred_to_what_says_something_else() {
        let round = round(vec![
            candidate("4", 0, 2.0),
            candidate("four", 0, 2.0),
            candidate("5", 1, -1.0),
            candidate("22", 2, 0.5),
        ]);
        assert_eq!(rejected(&round, 0.0), ["5", "22"]);
        let first = &round.preferences(0.0)[0];
        assert!((first.margin - 3.0).abs() < 1e-12);
        assert_eq!(first.chosen[0].content, "4");
        assert_eq!(first.models, Models { chosen: "wrote-4".into(), rejected: "wrote-5".into() });
    }

    #[test]
    fn small_margins_and_ties_are_left_out() {
        let round =
            round(vec![candidate("4", 0, 1.0), candidate("5", 1, 0.2), candidate("6", 2, 1.0)]);
        assert_eq!(rejected(&round, 0.5), ["5"]);
        assert_eq!(rejected(&round, 0.9), [""; 0]);
        assert_eq!(rejected(&round, -9.0), ["5"], "a tie prefers nothing");
    }

    #[test]
    fn the_same_text_is_neither_preferred_to_itself_nor_told_twice() {
        let round = round(vec![
            candidate("4", 0, 2.0),
            candidate(" 4\n", 1, 0.0),
            candidate("5", 2, 0.0),
            candidate("5 ", 3, 0.0),
        ]);
        assert_eq!(rejected(&round, 0.0), ["5"]);
    }

    #[test]
    fn rounds_that_make_no_sense_give_nothing() {
        let mut odd = round(vec![candidate("4", 0, f64::NAN), candidate("5", 1, 0.0)]);
        assert!(odd.preferences(0.0).is_empty());
        odd.winner = 7;
        assert!(odd.preferences(0.0).is_empty());
        odd = round(vec![KeptCandidate { strength: None, ..candidate("4", 0, 0.0) }]);
        assert!(odd.preferences(0.0).is_empty());
    }

    #[test]
    fn a_line_has_the_names_that_trainers_know() {
        let pair = &round(vec![candidate("4", 0, 2.0), candidate("5", 1, 0.0)]).preferences(0.0)[0];
        let line = serde_json::to_value(pair).expect("JSON");
        assert_eq!(line["prompt"], serde_json::json!([{"role": "user", "content": "2 + 2?"}]));
        assert_eq!(line["chosen"], serde_json::json!([{"role": "assistant", "content": "4"}]));
        assert_eq!(line["rejected"], serde_json::json!([{"role": "assistant", "content": "5"}]));
        assert!(line["margin"].is_f64() && line["p_best"].is_f64() && line["round"].is_string());
    }
}
