//! `shoal-gateway export preferences`: kept rounds out of the store, preferences into a file.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{Config, round::KeptRound};
use crate::store::{RoundReader, StoreError};

/// Rounds read at a time: a bound on memory, large enough that the file's speed is the disk's.
const PAGE: u32 = 128;

/// What was read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub rounds: usize,
    pub preferences: usize,
}

/// Why there is no export, with the way out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(
        "nothing is exported without consent: set export.consent = true in the settings (--config)"
    )]
    NoConsent,
    #[error("{} is not there: give the gateway's folder with --data", .0.display())]
    NoStore(PathBuf),
    #[error("cannot read {}: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
    /// What is stored is no round of this build.
    #[error("a kept round does not read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Writes the preferences of every kept round in the store at `store`, one JSON object a line, into
/// the file `out` or to standard output. The file is there when it is whole, not before.
///
/// # Errors
/// See [`ExportError`].
pub async fn preferences(
    config: &Config,
    store: &Path,
    out: Option<&Path>,
    margin_min: f64,
) -> Result<Summary, ExportError> {
    if !config.consent {
        return Err(ExportError::NoConsent);
    }
    if !store.exists() {
        return Err(ExportError::NoStore(store.to_owned()));
    }
    let unreadable = |source| ExportError::Store { path: store.to_owned(), source };
    let mut reader = RoundReader::open(store).await.map_err(unreadable)?;
    let name = out.unwrap_or(Path::new("standard output"));
    let failed = |source| ExportError::Write { path: name.to_owned(), source };
    let draft = out.map(|path| path.with_added_extension("draft"));
    let mut lines: Box<dyn Write> = match &draft {
        Some(draft) => Box::new(BufWriter::new(File::create(draft).map_err(failed)?)),
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let mut summary = Summary::default();
    loop {
        let bodies = reader.next(PAGE).await.map_err(unreadable)?;
        if bodies.is_empty() {
            break;
        }
        for body in bodies {
            let round: KeptRound = serde_json::from_str(&body)?;
            summary.rounds += 1;
            for preference in round.preferences(margin_min) {
                let line = serde_json::to_string(&preference)?;
                writeln!(lines, "{line}").map_err(failed)?;
                summary.preferences += 1;
            }
        }
    }
    lines.flush().map_err(failed)?;
    drop(lines);
    if let (Some(draft), Some(out)) = (&draft, out) {
        std::fs::rename(draft, out).map_err(failed)?;
    }
    Ok(summary)
}
