//! Every setting of the gateway: from the command line, else the environment, else the file, else
//! the default. Each part brings its own section; this only gathers them. `config/gateway.toml`
//! shows every key with its reason.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use shoal_link::quic::Limits;

use crate::{export, http, swarm, telemetry};
use shoal_consensus::{RoundSettings, ask, reputation};

/// All of it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for the gateway's key, its memory and the file that says where it listens.
    pub data: PathBuf,
    pub http: http::Config,
    pub quic: Quic,
    pub ask: ask::Limits,
    pub round: RoundSettings,
    pub swarm: swarm::Config,
    pub reputation: reputation::Settings,
    pub export: export::Config,
    pub log: telemetry::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: ".data/gateway".into(),
            http: http::Config::default(),
            quic: Quic::default(),
            ask: ask::Limits::default(),
            round: RoundSettings::default(),
            swarm: swarm::Config::default(),
            reputation: reputation::Settings::default(),
            export: export::Config::default(),
            log: telemetry::Config::default(),
        }
    }
}

/// Where nodes dial in, and how many may.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quic {
    /// UDP address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Links at the same time.
    pub links_max: usize,
    /// Links from one IPv4 address or one IPv6 /64.
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
    /// What the listener is given.
    pub fn limits(&self) -> Limits {
        Limits {
            links: self.links_max,
            links_per_address: self.links_per_address_max,
            ..Limits::default()
        }
    }
}

/// What is wrong with the settings, in one line that names the place and the way out.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the settings {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}, line {line}: {why}", path.display())]
    File { path: PathBuf, line: usize, why: String },
    #[error("the setting {0}")]
    Setting(String),
}

impl Config {
    /// Reads a file; a key it does not know is an error that names it.
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

    /// The file with the gateway's memory.
    pub fn store(&self) -> PathBuf {
        self.data.join("shoal.sqlite")
    }

    /// Holds the values against each other.
    ///
    /// # Errors
    /// [`ConfigError::Setting`], naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let in_section = |section: &'static str| {
            move |why: String| ConfigError::Setting(format!("{section}.{why}"))
        };
        self.http.check().map_err(in_section("http"))?;
        self.ask.check().map_err(in_section("ask"))?;
        if self.quic.links_max < self.swarm.members_max {
            return Err(ConfigError::Setting(format!(
                "quic.links_max is {}: every member needs a link, so give at least swarm.members_max ({})",
                self.quic.links_max, self.swarm.members_max
            )));
        }
        Ok(())
    }
}
