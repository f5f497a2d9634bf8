//! `shoal-gateway export preferences`: reads stored rounds and writes preferences to a file.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{ExportConfig, round::RoundRecord};
use shoal_store::{RoundReader, StoreError};

/// Rounds read at a time: it bounds the memory, and is large enough that the disk limits the speed.
const PAGE: u32 = 128;

/// How much was read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rounds read.
    pub rounds: usize,
    /// Preferences written.
    pub preferences: usize,
}

/// Why there is no export, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The operator does not consent.
    #[error(
        "nothing is exported without consent: set export.consent = true in the settings (--config)"
    )]
    NoConsent,
    /// There is no database.
    #[error("{} does not exist: give the gateway's folder with --data", .0.display())]
    NoStore(PathBuf),
    /// The database cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
    /// A stored round has a format that this build does not know.
    #[error("cannot parse a stored round: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The output cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Writes the preferences of every round in the store at `store`, one JSON object per line, to the
/// file `out` or to standard output. The file appears only when it is complete.
///
/// # Errors
/// See [`ExportError`].
pub async fn preferences(
    config: &ExportConfig,
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
    let mut reader = RoundReader::open(store).await.map_err(read_error(store))?;
    let name = out.unwrap_or(Path::new("standard output"));
    let draft = out.map(|path| path.with_added_extension("draft"));
    let mut lines: Box<dyn Write> = match &draft {
        Some(draft) => Box::new(BufWriter::new(create(draft).map_err(write_error(name))?)),
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let mut summary = Summary::default();
    loop {
        let bodies = reader.next(PAGE).await.map_err(read_error(store))?;
        if bodies.is_empty() {
            break;
        }
        for body in bodies {
            let round: RoundRecord = serde_json::from_str(&body)?;
            summary.rounds += 1;
            for preference in round.preferences(margin_min) {
                let line = serde_json::to_string(&preference)?;
                writeln!(lines, "{line}").map_err(write_error(name))?;
                summary.preferences += 1;
            }
        }
    }
    lines.flush().map_err(write_error(name))?;
    drop(lines);
    if let (Some(draft), Some(out)) = (&draft, out) {
        std::fs::rename(draft, out).map_err(write_error(name))?;
    }
    Ok(summary)
}

fn read_error(path: &Path) -> impl FnOnce(StoreError) -> ExportError + use<> {
    let path = path.to_owned();
    |source| ExportError::Store { path, source }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    |source| ExportError::Write { path, source }
}

/// A file that only its owner can read: the rounds contain people's words.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
