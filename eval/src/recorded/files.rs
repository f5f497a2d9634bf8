//! Reading gzipped tables. They are read through `gzip`, which every machine has that has them.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

/// The text of a gzipped file.
///
/// # Errors
/// When it is not there, or is no gzipped UTF-8.
pub fn text(path: &Path) -> Result<String> {
    let run = Command::new("gzip").arg("-dc").arg(path).output().context("cannot run gzip")?;
    if !run.status.success() {
        bail!("{}: {}", path.display(), String::from_utf8_lossy(&run.stderr).trim());
    }
    String::from_utf8(run.stdout).with_context(|| format!("{} is no UTF-8", path.display()))
}

/// A table: each row by the names in the first.
///
/// # Errors
/// See [`text`].
pub fn table(path: &Path) -> Result<Vec<BTreeMap<String, String>>> {
    let mut rows = csv(&text(path)?).into_iter();
    let head = rows.next().with_context(|| format!("{} is empty", path.display()))?;
    Ok(rows.map(|row| head.iter().cloned().zip(row).collect()).collect())
}

/// Comma-separated values with quotes (RFC 4180); line breaks inside quotes are kept.
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let (mut row, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                cell.push('"');
                letters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
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
    fn quotes_hold_commas_line_breaks_and_quotes() {
        let read = csv("a,b\n\"1,2\",\"say \"\"x\"\"\ny\"\n,\n");
        assert_eq!(read, [vec!["a", "b"], vec!["1,2", "say \"x\"\ny"], vec!["", ""]]);
        assert_eq!(csv("a,b"), [["a", "b"]]);
    }
}
