//! Every setting of the gateway. The command line overrides the environment, which overrides the file,
//! which overrides the defaults. Each part defines its own section; this module collects them.
//! `config/gateway.toml` shows every key with its reason.
//!
//! clap puts the environment under the command line, and serde the file over the defaults, so that a
//! layering crate such as figment has nothing left to do.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use shoal_link::quic::Limits;

use crate::{export, http, telemetry};
use shoal_consensus::{RoundSettings, ask, reputation};

/// The settings of the gateway.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for the gateway's key, its database and the file with its addresses.
    pub data: PathBuf,
    /// The API.
    pub http: http::HttpConfig,
    /// The nodes' links.
    pub quic: Quic,
    /// Limits of a request.
    pub ask: ask::Limits,
    /// Rounds.
    pub round: RoundSettings,
    /// Members.
    pub swarm: shoal_swarm::SwarmConfig,
    /// The members' reputation.
    pub reputation: reputation::Settings,
    /// Rounds stored by consent.
    pub export: export::ExportConfig,
    /// The log.
    pub log: telemetry::LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: ".data/gateway".into(),
            http: http::HttpConfig::default(),
            quic: Quic::default(),
            ask: ask::Limits::default(),
            round: RoundSettings::default(),
            swarm: shoal_swarm::SwarmConfig::default(),
            reputation: reputation::Settings::default(),
            export: export::ExportConfig::default(),
            log: telemetry::LogConfig::default(),
        }
    }
}

/// The address for nodes, and how many links it accepts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quic {
    /// UDP address to listen on; port 0 takes a free port.
    pub listen: SocketAddr,
    /// Links at the same time, at most.
    pub links_max: usize,
    /// Links from one IPv4 address or one IPv6 /64 network, at most.
    pub links_per_address_max: usize,
}

impl Default for Quic {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            links_max: limits.links,
            links_per_address_max: limits.links_per_address,
        }
    }
}

impl Quic {
    /// The limits of the listener.
    pub fn limits(&self) -> Limits {
        Limits {
            links: self.links_max,
            links_per_address: self.links_per_address_max,
            ..Limits::default()
        }
    }
}

/// What is wrong with the settings, in one line that names the place and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the settings {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file does not parse.
    #[error("{}, line {line}: {why}", path.display())]
    File { path: PathBuf, line: usize, why: String },
    /// A value is out of its range or contradicts another.
    #[error("the setting {0}")]
    Setting(String),
}

impl Config {
    /// Reads a file; an unknown key is an error that names it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let why = error.message().lines().collect::<Vec<_>>().join("; ");
            ConfigError::File { path: path.to_owned(), line: before.matches('\n').count() + 1, why }
        })
    }

    /// The path of the gateway's database.
    pub fn store(&self) -> PathBuf {
        self.data.join("shoal.sqlite")
    }

    /// Checks the values, and that they do not contradict each other.
    ///
    /// # Errors
    /// [`ConfigError::Setting`], which names the first wrong key.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.http.check().map_err(|why| ConfigError::Setting(format!("http.{why}")))?;
        self.ask.check().map_err(|why| ConfigError::Setting(format!("ask.{why}")))?;
        if self.quic.links_max < self.swarm.members_max {
            return Err(ConfigError::Setting(format!(
                "quic.links_max is {}: every member needs a link, so give at least swarm.members_max ({})",
                self.quic.links_max, self.swarm.members_max
            )));
        }
        Ok(())
    }
}
