//! Reads gzipped tables with the program `gzip`, which every machine with these files has.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

/// The text of a gzipped file.
///
/// # Errors
/// If the file is missing, or is not gzipped UTF-8.
pub fn text(path: &Path) -> Result<String> {
    let run = Command::new("gzip").arg("-dc").arg(path).output().context("cannot run gzip")?;
    if !run.status.success() {
        bail!("{}: {}", path.display(), String::from_utf8_lossy(&run.stderr).trim());
    }
    String::from_utf8(run.stdout).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// A table: each row by the column names in the first row.
///
/// # Errors
/// See [`text`].
pub fn table(path: &Path) -> Result<Vec<TableRow>> {
    let mut rows = csv(&text(path)?).into_iter();
    let head = rows.next().with_context(|| format!("{} is empty", path.display()))?;
    Ok(rows.map(|row| head.iter().cloned().zip(row).collect()).collect())
}

/// The cells of a row by the names of their columns.
pub type TableRow = BTreeMap<String, String>;

/// The cell in a column; empty if there is no such column.
pub fn cell<'a>(row: &'a TableRow, column: &str) -> &'a str {
    row.get(column).map(String::as_str).unwrap_or_default()
}

/// Comma-separated values with quotes (RFC 4180); line breaks inside quotes are kept.
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let (mut row, mut cell, mut in_quotes) = (Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if in_quotes && letters.peek() == Some(&'"') => {
                cell.push('"');
                letters.next();
            }
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => row.push(std::mem::take(&mut cell)),
            '\r' if !in_quotes => {}
            '\n' if !in_quotes => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_can_contain_commas_line_breaks_and_quotes() {
        let rows = csv("a,b\n\"1,2\",\"say \"\"x\"\"\ny\"\n,\n");
        assert_eq!(rows, [vec!["a", "b"], vec!["1,2", "say \"x\"\ny"], vec!["", ""]]);
        assert_eq!(csv("a,b"), [["a", "b"]]);
    }
}
