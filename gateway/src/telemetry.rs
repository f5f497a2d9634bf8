//! What the gateway says while it works, on stderr. Prompts and answers are never said.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The section `[log]` of the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How a line looks.
    pub format: Format,
    /// What is said, as `RUST_LOG` writes it, which comes first where it is set.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Text, filter: "info,actix_server=warn".into() }
    }
}

/// How a line of the log looks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Starts the log. A second start, as in tests, keeps the first.
///
/// # Errors
/// When the filter does not parse, saying where.
pub fn start(config: &Config) -> Result<(), String> {
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(_) => EnvFilter::try_new(&config.filter)
            .map_err(|error| format!("log.filter {:?} does not parse: {error}", config.filter))?,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people at a terminal; in a file they are noise.
    let log = log.with_ansi(std::io::stderr().is_terminal());
    let _ = match config.format {
        Format::Text => log.try_init(),
        Format::Json => log.json().try_init(),
    };
    Ok(())
}
