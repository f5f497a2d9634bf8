//! Asks the held-out questions, a few at a time, and keeps everything.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use shoal_syllabus::{self, Question, Split};

use crate::{
    api::{Api, Effort, Reply},
    record::{Alone, Asked},
};

/// What to ask, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub questions: usize,
    pub seed: u64,
    /// [`Split::Test`] for figures, [`Split::Gold`] for tuning: what settings were chosen on must
    /// not be what they are measured on.
    pub split: Split,
    pub effort: Effort,
    /// Questions under way at the same time.
    pub at_once: usize,
    /// Whether members that are not in a round are asked by name afterwards, so that every
    /// member's own accuracy is over all questions.
    pub fill: bool,
}

/// Distinct questions of a split, evenly over all families (the small families have fewer), the
/// same for the same seed.
pub fn questions(split: Split, count: usize, seed: u64) -> Vec<Question> {
    let mut seen = std::collections::HashSet::new();
    shoal_syllabus::questions(&[], split, seed)
        .take(20 * count)
        .filter(|question| seen.insert(question.text.clone()))
        .take(count)
        .collect()
}

/// Asks all and writes each record to `keep` as it comes, so that an interrupted run is not lost.
///
/// # Errors
/// When there is nobody to ask, or `keep` cannot be written.
pub async fn collect(api: &Api, plan: Plan, keep: &Path) -> Result<Vec<Asked>> {
    let members = api.members().await?;
    if members.is_empty() {
        bail!("the gateway at {} has no members: start nodes first", api.base());
    }
    if let Some(folder) = keep.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let kin = api.kin().await?;
    let mut file =
        File::create(keep).with_context(|| format!("cannot write {}", keep.display()))?;
    let questions = questions(plan.split, plan.questions, plan.seed);
    let bar = progress(questions.len());
    let mut asked: Vec<(usize, Asked)> = Vec::with_capacity(questions.len());
    let mut answers = stream::iter(questions.into_iter().enumerate())
        .map(|(number, question)| {
            let (members, kin) = (&members, &kin);
            async move {
                let asked = ask(api, plan, members, &question).await;
                (number, Asked { kin: kin.clone(), ..asked })
            }
        })
        .buffer_unordered(plan.at_once.max(1));
    let mut right = 0usize;
    while let Some((number, one)) = answers.next().await {
        serde_json::to_writer(&mut file, &one)?;
        file.write_all(b"\n")?;
        right += usize::from(one.right);
        asked.push((number, one));
        bar.inc(1);
        bar.set_message(format!("{:.1} % right", 100.0 * right as f64 / asked.len() as f64));
    }
    bar.finish_and_clear();
    asked.sort_by_key(|(number, _)| *number);
    Ok(asked.into_iter().map(|(_, asked)| asked).collect())
}

/// Reads records that were kept.
///
/// # Errors
/// When the file is not there or a line is not a record.
pub fn read(path: &Path) -> Result<Vec<Asked>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), at + 1))
        })
        .collect()
}

async fn ask(api: &Api, plan: Plan, members: &[String], question: &Question) -> Asked {
    let mut asked = Asked {
        family: question.family.name().to_owned(),
        question: question.text.clone(),
        answer: question.answer.clone(),
        ..Asked::default()
    };
    match api.ask("shoal", &question.text, plan.effort).await {
        Ok(Reply { text, round }) => {
            asked.right = shoal_syllabus::grade(question, &text);
            let candidates = round.iter().flat_map(|round| &round.candidates);
            asked.rights =
                candidates.map(|one| shoal_syllabus::grade(question, &one.text)).collect();
            asked.round = round;
        }
        Err(error) => asked.failure = Some(format!("{error:#}")),
    }
    if plan.fill {
        for model in members {
            if asked.answer_of(model).is_none()
                && let Ok(reply) = api.ask(model, &question.text, plan.effort).await
                && let Some(candidate) =
                    reply.round.and_then(|round| round.candidates.into_iter().next())
            {
                let right = shoal_syllabus::grade(question, &reply.text);
                asked.alone.push(Alone { candidate, right });
            }
        }
    }
    asked
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
        assert!(questions.iter().all(|q| Split::of(&q.problem) == Split::Test));
    }
}
