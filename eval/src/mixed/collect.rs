//! Asks the swarm and each member, question after question, until the time limit. A run that is stopped loses
//! only the questions in progress; the next run continues after them.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::questions::{Question, Set};
use crate::{
    api::{Api, Completion},
    real::record,
};

/// One answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Name of the collection of questions.
    pub set: String,
    pub id: String,
    /// The swarm's name, or that of a member.
    pub model: String,
    pub text: String,
    pub right: bool,
    /// P(right) that the answer carries; None for a member by name.
    pub confidence: Option<f64>,
    pub seconds: f64,
    /// Tokens that were read and written for it by all members together.
    pub tokens: u64,
    /// The transcript of the round; None for a member by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Value>,
    /// Whether each candidate of the round is right, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<bool>,
}

/// The questions of a run, and its limits.
#[derive(Clone, Debug)]
pub struct Plan {
    pub set: Set,
    /// Number of questions of this set at the end.
    pub questions: usize,
    pub models: Vec<String>,
    /// No question starts after this time.
    pub limit: Duration,
    /// Questions in progress at the same time.
    pub concurrency: usize,
    pub corpora: PathBuf,
    pub records: PathBuf,
}

/// Asks what is not in the file yet, and returns the number of answers.
///
/// # Errors
/// If the gateway cannot be reached. An answer that it refuses counts as wrong.
pub async fn collect(api: &Api, plan: &Plan) -> Result<usize> {
    let records: Vec<Answer> = record::read(&plan.records)?;
    let answered_pairs: BTreeSet<(&str, &str)> =
        records.iter().map(|answer| (answer.id.as_str(), answer.model.as_str())).collect();
    let questions: Vec<Question> =
        plan.set.read(&plan.corpora)?.into_iter().take(plan.questions).collect();
    let pairs = questions
        .iter()
        .flat_map(|question| plan.models.iter().map(move |model| (question, model.as_str())));
    let end = Instant::now() + plan.limit;
    let open = pairs
        .filter(|(question, model)| !answered_pairs.contains(&(question.id.as_str(), *model)))
        .take_while(|_| Instant::now() < end);
    let mut answers = stream::iter(open)
        .map(|(question, model)| ask(api, plan.set, question, model))
        .buffer_unordered(plan.concurrency.max(1));
    let mut count = 0;
    while let Some(answer) = answers.next().await {
        record::append(&plan.records, &answer?)?;
        count += 1;
    }
    Ok(count)
}

async fn ask(api: &Api, set: Set, question: &Question, model: &str) -> Result<Answer> {
    let start = Instant::now();
    let completion = api.complete(model, &question.text, question.tokens).await?;
    let Completion { text, confidence, tokens, transcript } = completion;
    let mut rights = Vec::new();
    for candidate in transcript.iter().flat_map(candidate_texts) {
        rights.push(question.key.grade(candidate).await?);
    }
    Ok(Answer {
        set: set.name().to_owned(),
        id: question.id.clone(),
        model: model.to_owned(),
        right: question.key.grade(&text).await?,
        text,
        confidence,
        seconds: start.elapsed().as_secs_f64(),
        tokens,
        transcript,
        rights,
    })
}

fn candidate_texts(transcript: &Value) -> impl Iterator<Item = &str> {
    let candidates = transcript.get("candidates").and_then(Value::as_array).into_iter().flatten();
    candidates.map(|candidate| candidate.get("text").and_then(Value::as_str).unwrap_or_default())
}
