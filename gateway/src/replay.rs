//! `shoal-gateway rank`: ranks recorded rounds from a file and writes the rankings and a summary.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::config::{Config, ConfigError};
use shoal_consensus::replay::{
    Gold, LineError, Memory, Plan, RankedRound, Replay, SettingError, Settings, Summary, line,
    run_with,
};

/// Ranks recorded rounds (JSON Lines, see docs/REPLAY.md) as the gateway would, learns from each of
/// them, and prints how often the ranking was right.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Recorded rounds, one per line; "-" is standard input.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// File for the ranked rounds, one per line; default: standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The members' standing before the first round, as --standing-out writes it.
    #[arg(long)]
    standing: Option<PathBuf>,
    /// File for the members' standing after the last round.
    #[arg(long)]
    standing_out: Option<PathBuf>,
    /// Share of the labelled rounds that count as gold, drawn at random; default: the rounds with
    /// "canary": true.
    #[arg(long, conflicts_with = "gold_count")]
    gold_fraction: Option<f64>,
    /// The same, as a number of rounds.
    #[arg(long)]
    gold_count: Option<usize>,
    /// Seed for the draw of the gold rounds and for the bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Learn each gold round in its turn, instead of all of them before the first round.
    #[arg(long)]
    in_order: bool,
    /// Treat writers' claims of certainty as audited, so that they count once there is gold.
    #[arg(long)]
    claims_count: bool,
    /// The gateway's settings file; a replay uses its sections round and reputation.
    #[arg(long, env = "SHOAL_CONFIG")]
    config: Option<PathBuf>,
    /// A setting, as round.rank.lambda=0.5; overrides the file.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Why there is no ranking, in one line.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A line of the input is no recorded round.
    #[error("{}, {source}", path.display())]
    Line { path: PathBuf, source: LineError },
    /// The file of --standing does not parse.
    #[error("{} is not a standing: {source}", path.display())]
    Standing { path: PathBuf, source: serde_json::Error },
    /// The share is not between 0 and 1.
    #[error("--gold-fraction {0} is not a share: give a number from 0 to 1")]
    Share(f64),
    /// The settings file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A --set is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The output cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Options {
    /// Ranks the rounds, writes the files, and returns the summary.
    ///
    /// # Errors
    /// See [`RankError`].
    pub fn run(&self) -> Result<Summary, RankError> {
        let text = read(&self.input)?;
        let rounds = line::read(&text)
            .map_err(|source| RankError::Line { path: self.input.clone(), source })?;
        let mut replay = Replay::new(self.settings()?, self.memory()?);
        let rankings = run_with(&mut replay, &rounds, &self.plan()?);
        match &self.out {
            Some(path) => {
                let file = fs::File::create(path).map_err(at(path))?;
                write(&rankings, io::BufWriter::new(file))?;
            }
            None => write(&rankings, io::stdout().lock())?,
        }
        if let Some(path) = &self.standing_out {
            let text = serde_json::to_string_pretty(&replay.memory()).map_err(io::Error::from)?;
            fs::write(path, text + "\n").map_err(at(path))?;
        }
        Ok(Summary::from_rounds(&rankings, self.seed))
    }

    /// Whether the ranked rounds go to standard output; then nothing else may go there.
    pub fn uses_stdout(&self) -> bool {
        self.out.is_none()
    }

    fn plan(&self) -> Result<Plan, RankError> {
        let gold = match (self.gold_fraction, self.gold_count) {
            (Some(share), _) if !(0.0..=1.0).contains(&share) => {
                return Err(RankError::Share(share));
            }
            (Some(share), _) => Gold::Share(share),
            (None, Some(count)) => Gold::Count(count),
            (None, None) => Gold::Canaries,
        };
        Ok(Plan { gold, seed: self.seed, gold_first: !self.in_order })
    }

    fn settings(&self) -> Result<Settings, RankError> {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let mut settings = Settings::new(config.round.clone(), config.reputation.clone());
        if self.standing.is_some() {
            // With a standing, members are on probation as in the gateway: only those in it have a record.
            settings.reputation = config.reputation;
        }
        settings.claims_count = self.claims_count;
        for change in &self.set {
            settings = settings.with(change)?;
        }
        Ok(settings)
    }

    fn memory(&self) -> Result<Memory, RankError> {
        let Some(path) = &self.standing else { return Ok(Memory::default()) };
        let text = fs::read_to_string(path).map_err(at(path))?;
        serde_json::from_str(&text)
            .map_err(|source| RankError::Standing { path: path.clone(), source })
    }
}

fn read(path: &Path) -> Result<String, RankError> {
    if path == Path::new("-") {
        return io::read_to_string(io::stdin().lock()).map_err(at(path));
    }
    fs::read_to_string(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RankError + use<> {
    let path = path.to_owned();
    |source| RankError::File { path, source }
}

fn write(rankings: &[RankedRound], mut out: impl Write) -> Result<(), RankError> {
    for ranking in rankings {
        serde_json::to_writer(&mut out, ranking).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
