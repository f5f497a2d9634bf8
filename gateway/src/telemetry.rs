//! The log, on stderr. Prompts and answers are never logged.
//!
//! `shoal-node` starts its log itself: the two programs share only crates that write no log.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The section `[log]` of the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The format of a line.
    pub format: LogFormat,
    /// Which lines are logged, in the syntax of `RUST_LOG`, which overrides it.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,actix_server=warn,actix_http=off".into() }
    }
}

/// The format of a line of the log.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Starts the log. A second start, as in tests, has no effect.
///
/// # Errors
/// When the filter does not parse; the error names it.
pub fn start(config: &LogConfig) -> Result<(), String> {
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(_) => EnvFilter::try_new(&config.filter)
            .map_err(|error| format!("log.filter {:?} does not parse: {error}", config.filter))?,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours only for a terminal: in a file the escape sequences would be noise.
    let log = log.with_ansi(std::io::stderr().is_terminal());
    let _ = match config.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    Ok(())
}
