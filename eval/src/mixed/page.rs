//! The tables of a mixed swarm: each set, and all sets together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use shoal_consensus::agree;

use super::{
    collect::Answer,
    graded_round::{GradedRound, RULES, Rule},
    questions::Set,
};
use crate::stats::{self, Estimate};

/// The name of the swarm in records.
pub const SWARM: &str = "shoal";

/// Seed of the bootstraps.
const SEED: u64 = 7;

/// What one rule got on the questions that everybody has answered.
struct Row {
    name: String,
    /// Credit for each question: 1 right, 0 wrong, a part where a tie is shared.
    credits: Vec<f64>,
    tokens: f64,
    seconds: f64,
}

/// The answers to one question, by model.
type ByModel<'a> = BTreeMap<&'a str, &'a Answer>;

/// The tables of these answers.
pub fn markdown(answers: &[Answer]) -> String {
    let mut page = String::new();
    let sets: Vec<(&str, Vec<&Answer>)> = Set::ALL
        .iter()
        .map(|set| (set.name(), answers.iter().filter(|a| a.set == set.name()).collect()))
        .collect();
    for (name, answers) in &sets {
        section(&mut page, name, answers);
    }
    section(&mut page, "all together", &answers.iter().collect::<Vec<_>>());
    page
}

fn section(page: &mut String, name: &str, answers: &[&Answer]) {
    let questions = questions(answers);
    if questions.is_empty() {
        return;
    }
    let rows = rows(&questions);
    let Some(swarm) = rows.iter().find(|row| row.name == SWARM) else { return };
    let mut table = String::new();
    for row in &rows {
        let difference = if row.name == SWARM {
            "-".to_owned()
        } else {
            format_difference(&difference(swarm, row))
        };
        let accuracy = mean(&row.credits);
        let interval = interval(&row.credits);
        let _ = writeln!(
            table,
            "| {} | {:.1} % | {} | {difference} | {:.0} | {:.1} |",
            row.name,
            100.0 * accuracy,
            format_interval(&interval),
            row.tokens,
            row.seconds,
        );
    }
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "\n## {name}: {} questions\n\n| | accuracy | 95 % interval | swarm less this | tokens | seconds |\n\
         |---|---:|---|---|---:|---:|\n{table}",
        questions.len()
    );
    let claims: Vec<(f64, bool)> = questions
        .iter()
        .filter_map(|question| question.get(SWARM))
        .filter_map(|answer| Some((answer.confidence?, answer.right)))
        .collect();
    let error = stats::calibration_error(&claims);
    let _ = writeln!(page, "ECE of P(right): {error:.3} over {} answers.", claims.len());
}

/// The questions that the swarm and every member of the set have answered.
fn questions<'a>(answers: &[&'a Answer]) -> Vec<ByModel<'a>> {
    let models: BTreeSet<&str> = answers.iter().map(|answer| answer.model.as_str()).collect();
    let mut questions: BTreeMap<&str, ByModel<'a>> = BTreeMap::new();
    for answer in answers {
        questions.entry(&answer.id).or_default().insert(&answer.model, answer);
    }
    questions.into_values().filter(|question| question.len() == models.len()).collect()
}

fn rows(questions: &[ByModel<'_>]) -> Vec<Row> {
    let Some(first) = questions.first() else { return Vec::new() };
    let members: Vec<&str> = first.keys().copied().filter(|model| *model != SWARM).collect();
    let mut rows = vec![row_of(questions, SWARM)];
    let alone: Vec<Row> = members.iter().map(|member| row_of(questions, member)).collect();
    if members.len() > 1 {
        rows.push(best_of_other_half(&alone));
        rows.push(plurality(questions, &members));
        rows.extend(other_rules(questions));
        rows.push(oracle(questions, &members));
    }
    rows.extend(alone);
    rows
}

/// The other rules on the same rounds, if every round has a transcript. Where all abstained there is nothing
/// to pick, and the rules have the swarm's answer.
fn other_rules(questions: &[ByModel<'_>]) -> Vec<Row> {
    let answers: Vec<&Answer> =
        questions.iter().filter_map(|question| question.get(SWARM)).copied().collect();
    if answers.iter().any(|answer| answer.transcript.is_none()) {
        return Vec::new();
    }
    let swarm = row_of(questions, SWARM);
    let rounds: Vec<Option<GradedRound>> =
        answers.iter().map(|answer| GradedRound::new(answer)).collect();
    let row = |(name, rule): &(&str, Rule)| {
        let credits = rounds
            .iter()
            .zip(&swarm.credits)
            .map(|(round, credit)| round.as_ref().map_or(*credit, |round| round.credit(*rule)));
        let (tokens, seconds) = (swarm.tokens, swarm.seconds);
        Row { name: (*name).to_owned(), credits: credits.collect(), tokens, seconds }
    };
    RULES.iter().map(row).collect()
}

fn row_of(questions: &[ByModel<'_>], model: &str) -> Row {
    let answers: Vec<&Answer> =
        questions.iter().filter_map(|question| question.get(model)).copied().collect();
    Row {
        name: model.to_owned(),
        credits: answers.iter().map(|answer| f64::from(u8::from(answer.right))).collect(),
        tokens: mean(&answers.iter().map(|answer| answer.tokens as f64).collect::<Vec<_>>()),
        seconds: stats::median(answers.iter().map(|answer| answer.seconds).collect()),
    }
}

/// For each half of the questions, the member that was best on the other half: a router with one writer
/// that knows the set.
fn best_of_other_half(alone: &[Row]) -> Row {
    let half = |row: &Row, odd: bool| {
        let credits = row.credits.iter().enumerate().filter(|(at, _)| (at % 2 == 1) == odd);
        credits.map(|(_, credit)| credit).sum::<f64>()
    };
    let best = |odd: bool| {
        alone.iter().max_by(|x, y| half(x, odd).total_cmp(&half(y, odd)).then(y.name.cmp(&x.name)))
    };
    let choices = [best(true), best(false)];
    let count = alone.first().map_or(0, |row| row.credits.len());
    let member = |at: usize| choices.get(at % 2).copied().flatten();
    let credits = (0..count).filter_map(|at| member(at)?.credits.get(at).copied()).collect();
    let middle = |value: fn(&Row) -> f64| {
        mean(&choices.iter().flatten().map(|row| value(row)).collect::<Vec<_>>())
    };
    Row {
        name: "best member, by the other half".to_owned(),
        credits,
        tokens: middle(|row| row.tokens),
        seconds: middle(|row| row.seconds),
    }
}

/// The largest pool of equal answers of all members; ties are shared.
fn plurality(questions: &[ByModel<'_>], members: &[&str]) -> Row {
    let credit = |question: &ByModel<'_>| {
        let answers: Vec<&&Answer> =
            members.iter().filter_map(|member| question.get(member)).collect();
        let pools = agree::pools(answers.iter().map(|answer| answer.text.as_str()));
        let size = |pool: &usize| pools.iter().filter(|other| *other == pool).count();
        let most = pools.iter().map(size).max().unwrap_or(0);
        let credits: Vec<f64> = (answers.iter().zip(&pools))
            .filter(|(_, pool)| size(pool) == most)
            .map(|(answer, _)| f64::from(u8::from(answer.right)))
            .collect();
        mean(&credits)
    };
    all_members("plurality of the members", questions, members, credit)
}

fn oracle(questions: &[ByModel<'_>], members: &[&str]) -> Row {
    let credit = |question: &ByModel<'_>| {
        let mut answers = members.iter().filter_map(|member| question.get(member));
        f64::from(u8::from(answers.any(|answer| answer.right)))
    };
    all_members("some member is right", questions, members, credit)
}

/// A rule for which every member answers.
fn all_members(
    name: &str,
    questions: &[ByModel<'_>],
    members: &[&str],
    credit: impl Fn(&ByModel<'_>) -> f64,
) -> Row {
    let sums = questions.iter().map(|question| {
        members.iter().filter_map(|member| question.get(member)).map(|a| a.tokens as f64).sum()
    });
    let slowest = questions.iter().map(|question| {
        let answers = members.iter().filter_map(|member| question.get(member));
        answers.map(|answer| answer.seconds).fold(0.0, f64::max)
    });
    Row {
        name: name.to_owned(),
        credits: questions.iter().map(credit).collect(),
        tokens: mean(&sums.collect::<Vec<f64>>()),
        seconds: stats::median(slowest.collect()),
    }
}

fn difference(swarm: &Row, row: &Row) -> Estimate {
    let differences: Vec<f64> =
        swarm.credits.iter().zip(&row.credits).map(|(a, b)| a - b).collect();
    interval(&differences)
}

fn interval(values: &[f64]) -> Estimate {
    stats::mean(values, SEED)
}

fn format_interval(estimate: &Estimate) -> String {
    format!("{:.1} to {:.1}", 100.0 * estimate.low, 100.0 * estimate.high)
}

fn format_difference(estimate: &Estimate) -> String {
    let [value, low, high] = [estimate.value, estimate.low, estimate.high].map(|x| 100.0 * x);
    format!("{value:+.1} ({low:+.1} to {high:+.1})")
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, model: &str, text: &str, right: bool) -> Answer {
        Answer {
            set: "arc".to_owned(),
            id: id.to_owned(),
            model: model.to_owned(),
            text: text.to_owned(),
            right,
            confidence: (model == SWARM).then_some(0.75),
            seconds: 1.0,
            tokens: 10,
            transcript: None,
            rights: Vec::new(),
        }
    }

    #[test]
    fn a_tie_is_shared_and_only_common_questions_count() {
        let answers = [
            answer("1", SWARM, "A", true),
            answer("1", "a", "A", true),
            answer("1", "b", "B", false),
            answer("2", SWARM, "C", false),
            answer("2", "a", "C", false),
            answer("2", "b", "C", false),
            answer("3", SWARM, "C", true),
        ];
        let answers: Vec<&Answer> = answers.iter().collect();
        let questions = questions(&answers);
        assert_eq!(questions.len(), 2);
        let rows = rows(&questions);
        let credits = |name: &str| {
            rows.iter().find(|row| row.name.starts_with(name)).map(|row| row.credits.clone())
        };
        assert_eq!(credits("plurality"), Some(vec![0.5, 0.0]));
        assert_eq!(credits("some member"), Some(vec![1.0, 0.0]));
        assert_eq!(credits(SWARM), Some(vec![1.0, 0.0]));
    }
}
