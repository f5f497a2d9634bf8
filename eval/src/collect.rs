//! Asks the held-out questions, a few at a time, and keeps every record.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use shoal_syllabus::{self, Question, Split};

use crate::{
    api::{Api, Effort, Reply},
    record::{QuestionRecord, SoloAnswer},
};

/// The questions of a run, and how they are asked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub questions: usize,
    pub seed: u64,
    /// [`Split::Test`] for figures, [`Split::Gold`] for tuning: settings must not be measured on the
    /// questions that they were chosen on.
    pub split: Split,
    pub effort: Effort,
    /// Questions in progress at the same time.
    pub concurrency: usize,
    /// Whether members outside a round are asked by name afterwards, so that every member's own
    /// accuracy is over all questions.
    pub fill: bool,
}

/// Distinct questions of a split, evenly over all families (the small families have fewer), the
/// same for the same seed.
pub fn questions(split: Split, count: usize, seed: u64) -> Vec<Question> {
    let mut texts = std::collections::HashSet::new();
    shoal_syllabus::questions(&[], split, seed)
        .take(20 * count)
        .filter(|question| texts.insert(question.text.clone()))
        .take(count)
        .collect()
}

/// Asks all questions and writes each record to `path` at once, so that an interrupted run is not lost.
///
/// # Errors
/// If the swarm has no members, or `path` cannot be written.
pub async fn collect(api: &Api, plan: Plan, path: &Path) -> Result<Vec<QuestionRecord>> {
    let members = api.members().await?;
    if members.is_empty() {
        bail!("the gateway at {} has no members: start nodes first", api.base());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let digests = api.shared_digests().await?;
    let mut file =
        File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let questions = questions(plan.split, plan.questions, plan.seed);
    let bar = progress(questions.len());
    let mut records: Vec<(usize, QuestionRecord)> = Vec::with_capacity(questions.len());
    let mut answers = stream::iter(questions.into_iter().enumerate())
        .map(|(number, question)| {
            let (members, digests) = (&members, &digests);
            async move {
                let record = ask(api, plan, members, &question).await;
                (number, QuestionRecord { digests: digests.clone(), ..record })
            }
        })
        .buffer_unordered(plan.concurrency.max(1));
    let mut right = 0usize;
    while let Some((number, record)) = answers.next().await {
        serde_json::to_writer(&mut file, &record)?;
        file.write_all(b"\n")?;
        right += usize::from(record.right);
        records.push((number, record));
        bar.inc(1);
        bar.set_message(format!("{:.1} % right", 100.0 * right as f64 / records.len() as f64));
    }
    bar.finish_and_clear();
    records.sort_by_key(|(number, _)| *number);
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

/// Reads the records of an earlier run.
///
/// # Errors
/// If the file is missing or a line is not a record.
pub fn read(path: &Path) -> Result<Vec<QuestionRecord>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), at + 1))
        })
        .collect()
}

async fn ask(api: &Api, plan: Plan, members: &[String], question: &Question) -> QuestionRecord {
    let mut record = QuestionRecord {
        family: question.family.name().to_owned(),
        question: question.text.clone(),
        answer: question.answer.clone(),
        ..QuestionRecord::default()
    };
    match api.ask("shoal", &question.text, plan.effort).await {
        Ok(Reply { text, round }) => {
            record.right = shoal_syllabus::grade(question, &text);
            let candidates = round.iter().flat_map(|round| &round.candidates);
            record.rights = candidates
                .map(|candidate| shoal_syllabus::grade(question, &candidate.text))
                .collect();
            record.round = round;
        }
        Err(error) => record.failure = Some(format!("{error:#}")),
    }
    if plan.fill {
        for model in members {
            if record.answer_of(model).is_none()
                && let Ok(reply) = api.ask(model, &question.text, plan.effort).await
                && let Some(candidate) =
                    reply.round.and_then(|round| round.candidates.into_iter().next())
            {
                let right = shoal_syllabus::grade(question, &reply.text);
                record.solo_answers.push(SoloAnswer { candidate, right });
            }
        }
    }
    record
}

fn progress(count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "asking {bar:30} {pos}/{len}  {elapsed} of {duration}  the swarm: {msg}",
    );
    let bar = ProgressBar::new(count as u64);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_held_out_set_is_large_distinct_and_covers_every_family() {
        let questions = questions(Split::Test, 1_000, 7);
        assert_eq!(questions.len(), 1_000);
        let texts: std::collections::HashSet<_> = questions.iter().map(|q| &q.text).collect();
        assert_eq!(texts.len(), 1_000);
        for family in shoal_syllabus::Family::ALL {
            let count = questions.iter().filter(|q| q.family == family).count();
            assert!(count >= 40, "{}: {count}", family.name());
        }
        assert!(questions.iter().all(|q| Split::for_problem(&q.problem) == Split::Test));
    }
}
