//! Every setting of a node: from the command line, else the environment, else the file, else the
//! default. `config/node.toml` documents each.
//!
//! [`Config`] has the values of the file and the command line as text; [`Config::check`] parses it once
//! into [`Settings`], whose parts the node, the engine and the upstream take as they are. clap puts
//! the environment under the command line, so a layering crate such as figment has nothing left to do.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer};
#[cfg(feature = "burn")]
use shoal_decoder::CacheLimit;
use shoal_engine::{Service, persona::Persona};
#[cfg(feature = "burn")]
use shoal_model::{Files, LoadError, TemplateChoice};
use shoal_proto::{
    NodeId, Secret,
    hello::{TAGS_MAX, is_model_name, is_tag},
};

use crate::{telemetry::LogFormat, upstream};

/// The settings of a file, which the command line overrides. In a file an empty text is `None`, and 0
/// means "not set" where no default makes sense.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub gateway: Vec<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub gateway_id: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub model: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub upstream: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub upstream_model: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub upstream_key_env: Option<String>,
    pub upstream_context: u32,
    pub upstream_judges: bool,
    #[serde(deserialize_with = "unless_empty")]
    pub upstream_can: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub name: Option<String>,
    pub tags: Vec<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub operator: Option<String>,
    pub slots: u32,
    pub answer_tokens: u32,
    pub quant: String,
    pub device: String,
    pub threads: usize,
    pub context: usize,
    pub cache_mb: usize,
    pub models_here: usize,
    pub lora: Vec<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub template: Option<String>,
    pub judges: bool,
    pub guesses: bool,
    pub measure: bool,
    pub persona: Vec<Persona>,
    #[serde(deserialize_with = "unless_empty")]
    pub data: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub metrics: Option<String>,
    pub drain_s: u64,
    pub log: LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gateway: Vec::new(),
            gateway_id: None,
            model: None,
            upstream: None,
            upstream_model: None,
            upstream_key_env: None,
            upstream_context: 0,
            upstream_judges: false,
            upstream_can: None,
            name: None,
            tags: Vec::new(),
            operator: None,
            slots: 4,
            answer_tokens: 1024,
            quant: "as-is".to_owned(),
            device: "cpu".to_owned(),
            threads: 0,
            context: 0,
            cache_mb: 0,
            models_here: 1,
            lora: Vec::new(),
            template: None,
            judges: false,
            guesses: true,
            measure: true,
            persona: Vec::new(),
            data: None,
            metrics: None,
            drain_s: 20,
            log: LogFormat::Text,
        }
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `HOST:PORT` of each gateway, at least one.
    pub gateways: Vec<String>,
    /// The key that all of them must have.
    pub gateway_id: Option<NodeId>,
    pub engine_config: EngineConfig,
    /// The owner; `None`: each member is its own.
    pub operator: Option<String>,
    /// The members that share the model; if empty, the node is one member.
    pub personas: Vec<Persona>,
    pub data: PathBuf,
    pub metrics: Option<SocketAddr>,
    pub drain: Duration,
    /// Set by `shoal-node audit` only: it comes from the environment, never from a file.
    pub audit: Secret,
}

/// What an engine is built from.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    pub source: Source,
    pub service: Service,
}

/// How a model on this machine is loaded and computed.
#[cfg(feature = "burn")]
pub type Local = shoal_decoder::Options;

/// This build cannot load a model.
#[cfg(not(feature = "burn"))]
pub type Local = ();

/// Where the model is.
#[derive(Clone, Debug)]
pub enum Source {
    /// On this machine or to be downloaded, as [`shoal_pull::resolve`] reads its name.
    Model {
        name: String,
        local: Box<Local>,
    },
    Upstream(upstream::Settings),
}

/// What is wrong with a setting, in one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}: {why}", path.display())]
    File { path: PathBuf, line: usize, why: String },
    #[error("{0}")]
    Setting(String),
    /// An adapter that does not exist.
    #[cfg(feature = "burn")]
    #[error(transparent)]
    Adapter(#[from] LoadError),
}

impl Config {
    /// Reads a file; an unknown key is an error that names it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(line, why)| ConfigError::File {
            path: path.to_owned(),
            line,
            why,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let why = error.message().lines().collect::<Vec<_>>().join("; ");
            (before.matches('\n').count() + 1, why)
        })
    }

    /// Checks every value.
    pub fn check(self) -> Result<Settings, ConfigError> {
        let engine_config = self.engine_config()?;
        let data = match &self.data {
            Some(data) => PathBuf::from(data),
            None => default_data(
                engine_config.service.name.as_deref().unwrap_or(&engine_config.source.label()),
            )?,
        };
        Ok(Settings {
            gateways: self.gateways()?,
            gateway_id: optional("gateway_id", self.gateway_id.as_deref())?,
            metrics: optional("metrics", self.metrics.as_deref())?,
            drain: Duration::from_secs(self.drain_s),
            audit: Secret::default(),
            personas: self.personas()?,
            operator: self.operator,
            engine_config,
            data,
        })
    }

    /// What a model on this machine is served with.
    ///
    /// # Errors
    /// What is wrong with a setting, or with an adapter.
    #[cfg(feature = "burn")]
    pub fn local(&self) -> Result<Local, ConfigError> {
        let adapters = self.lora.iter().map(|folder| Files::folder(Path::new(folder)));
        Ok(Local {
            quant: setting("quant", &self.quant)?,
            device: setting("device", &self.device)?,
            threads: self.threads,
            context: (self.context > 0).then_some(self.context),
            cache: match self.cache_mb {
                0 => CacheLimit::Auto { models: self.models_here },
                megabytes => CacheLimit::Bytes(megabytes.saturating_mul(1 << 20)),
            },
            adapters: adapters.collect::<Result<_, _>>()?,
            template: self.template()?,
            judges: self.judges,
            speculate: self.guesses,
            measure: self.measure,
        })
    }

    #[cfg(feature = "burn")]
    fn template(&self) -> Result<TemplateChoice, ConfigError> {
        Ok(match self.template.as_deref() {
            None => TemplateChoice::Own,
            Some("chatml") => TemplateChoice::Chatml,
            Some("plain") => TemplateChoice::Plain,
            Some(path) => TemplateChoice::Text(
                fs::read_to_string(path)
                    .map_err(|error| wrong(format!("template: {path}: {error}")))?,
            ),
        })
    }

    /// What a model on this machine is served with.
    ///
    /// # Errors
    /// None: this build serves no model of its own.
    #[cfg(not(feature = "burn"))]
    pub fn local(&self) -> Result<Local, ConfigError> {
        Ok(())
    }

    /// Checks the settings of an engine, which are enough to run one without a gateway.
    pub fn engine_config(&self) -> Result<EngineConfig, ConfigError> {
        Ok(EngineConfig {
            source: self.source()?,
            service: Service {
                name: self.name.clone(),
                tags: tags("tags", &self.tags)?,
                slots: at_least_one("slots", self.slots)?,
                answer_tokens: at_least_one("answer_tokens", self.answer_tokens)?,
            },
        })
    }

    fn personas(&self) -> Result<Vec<Persona>, ConfigError> {
        for (at, persona) in self.persona.iter().enumerate() {
            let name = persona.name.as_str();
            // The persona's folder has this name.
            let is_folder = !name.split('/').any(|part| matches!(part, "" | "." | ".."));
            let complaint = if !is_folder || !is_model_name(name) {
                "its name is 1 to 96 letters, digits, `.`, `_`, `-`, `/`"
            } else if self.persona.iter().skip(at + 1).any(|later| later.name == name) {
                "there are two of this name"
            } else if persona.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
                "temperature is 0 to 2"
            } else if let Err(why) = tags("tags", &persona.tags) {
                return Err(wrong(format!("persona {name:?}: {why}")));
            } else {
                continue;
            };
            return Err(wrong(format!("persona {name:?}: {complaint}")));
        }
        if !self.persona.is_empty() && self.name.is_some() {
            return Err(wrong("both a name and personas: each persona has a name of its own"));
        }
        Ok(self.persona.clone())
    }

    fn gateways(&self) -> Result<Vec<String>, ConfigError> {
        if self.gateway.is_empty() {
            return Err(wrong("no gateway: name one with --gateway HOST:PORT"));
        }
        match self.gateway.iter().find(|address| !is_address(address)) {
            Some(address) => Err(wrong(format!("gateway {address:?} is not HOST:PORT"))),
            None => Ok(self.gateway.clone()),
        }
    }

    fn source(&self) -> Result<Source, ConfigError> {
        match (self.model.clone(), self.upstream.clone()) {
            (Some(_), Some(_)) => {
                Err(wrong("both a model and an upstream: a node serves one of them"))
            }
            (None, None) => Err(wrong(
                "no model: name one with --model (`shoal-node models` lists some), or --upstream URL \
                 --upstream-model NAME",
            )),
            (Some(name), None) => Ok(Source::Model { name, local: Box::new(self.local()?) }),
            (None, Some(url)) => Ok(Source::Upstream(self.upstream(url)?)),
        }
    }

    fn upstream(&self, url: String) -> Result<upstream::Settings, ConfigError> {
        let model = self.upstream_model.clone().ok_or_else(|| {
            wrong("an upstream needs --upstream-model NAME: its name for the model")
        })?;
        let key = match &self.upstream_key_env {
            Some(variable) => Secret::new(env::var(variable).map_err(|_| {
                wrong(format!("the environment has no {variable}, which upstream_key_env names"))
            })?),
            None => Secret::default(),
        };
        let context = (self.upstream_context > 0).then_some(self.upstream_context);
        let judges = self.upstream_judges;
        let can = self.upstream_can.as_deref();
        let can = can.map(|list| upstream::Abilities::read(list).map_err(wrong)).transpose()?;
        let (name, tags) = (self.name.clone(), self.tags.clone());
        Ok(upstream::Settings { url, model, key, name, tags, context, judges, can })
    }
}

impl Source {
    /// A name that distinguishes data directories.
    fn label(&self) -> String {
        match self {
            Self::Model { name, .. } => {
                let last = name.rsplit('/').find(|name| !name.is_empty()).unwrap_or_default();
                last.trim_start_matches("bundled:").to_owned()
            }
            Self::Upstream(upstream) => upstream.model.clone(),
        }
    }
}

fn default_data(label: &str) -> Result<PathBuf, ConfigError> {
    let base = match (env::var_os("XDG_DATA_HOME"), env::var_os("HOME")) {
        (Some(data), _) if !data.is_empty() => PathBuf::from(data),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".local/share"),
        _ => return Err(wrong("no home directory: say where to keep the key with --data DIR")),
    };
    let label: String = label.chars().map(file_name_char).collect();
    Ok(base.join("shoal").join(format!("node-{label}")))
}

fn file_name_char(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' }
}

fn is_address(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// In a file `key = ""` is as if the key were not there.
fn unless_empty<'de, D: Deserializer<'de>>(file: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(file)?).filter(|text| !text.is_empty()))
}

fn optional<T: std::str::FromStr>(key: &str, value: Option<&str>) -> Result<Option<T>, ConfigError>
where
    T::Err: std::fmt::Display,
{
    value.map(|text| setting(key, text)).transpose()
}

fn setting<T: std::str::FromStr>(key: &str, text: &str) -> Result<T, ConfigError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|why| wrong(format!("{key}: {why}")))
}

fn at_least_one(key: &str, value: u32) -> Result<u32, ConfigError> {
    if value > 0 { Ok(value) } else { Err(wrong(format!("{key} is at least 1"))) }
}

fn tags(key: &str, tags: &[String]) -> Result<Vec<String>, ConfigError> {
    match tags.iter().find(|tag| !is_word(tag)) {
        Some(tag) => Err(wrong(format!("{key}: {tag:?} is not 1 to 32 letters, digits or `-`"))),
        None if tags.len() > TAGS_MAX => {
            Err(wrong(format!("{key}: {} of them, at most {TAGS_MAX} are told", tags.len())))
        }
        None => Ok(tags.to_vec()),
    }
}

/// A tag that an owner chooses is a word, which is narrower than the protocol's rule.
fn is_word(tag: &str) -> bool {
    is_tag(tag) && tag.chars().all(|c| c.is_alphanumeric() || c == '-')
}

fn wrong(why: impl Into<String>) -> ConfigError {
    ConfigError::Setting(why.into())
}

#[cfg(test)]
mod tests;
