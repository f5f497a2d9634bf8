//! Where models are kept and where they come from, as the environment and pip's files say.

mod pip;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use shoal_proto::Secret;

use super::PullError;

/// The settings of a pull.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Models of the catalogue, a folder each: `SHOAL_MODELS`, else `shoal/models` in the user's
    /// cache folder.
    pub models: PathBuf,
    /// The hub and its cache.
    pub hub: Hub,
    /// Python package indexes in the order of asking (PEP 503, 691).
    pub indexes: Vec<Url>,
    /// Certificates to trust besides the system's: pip's setting.
    pub certificates: Option<PathBuf>,
    /// How long to wait.
    pub patience: Patience,
    /// Whether progress is shown on stderr: a bar on a terminal, else lines.
    pub shows: bool,
}

/// A hub with huggingface.co's API, and the cache that is shared with Python's `huggingface_hub`.
#[derive(Clone, Debug)]
pub struct Hub {
    /// `HF_ENDPOINT`.
    pub endpoint: Url,
    /// `HF_HUB_CACHE`, else `hub` in `HF_HOME`.
    pub cache: PathBuf,
    /// `HF_TOKEN`, else what `HF_TOKEN_PATH` or `token` in `HF_HOME` holds.
    pub token: Secret,
    /// `HF_HUB_OFFLINE`: nothing is fetched, from anywhere.
    pub offline: bool,
}

/// Limits on waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Tries in a row without a new byte.
    pub tries: u32,
    /// The pause before the second try; it doubles before each further try.
    pub pause: Duration,
    /// The time limit without a byte.
    pub silence: Duration,
    /// The time limit for another process that pulls the same model.
    pub lock: Duration,
}

impl Default for Patience {
    /// The tries take a minute in all: enough for a change of network or a server's restart. The lock's
    /// limit is half an hour: the largest model of the catalogue takes that long at 5 Mbit/s.
    fn default() -> Self {
        Self {
            tries: 6,
            pause: Duration::from_secs(1),
            silence: Duration::from_secs(30),
            lock: Duration::from_secs(1800),
        }
    }
}

/// The default hub.
const HUB: &str = "https://huggingface.co";

impl Settings {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// When a setting is invalid, or there is no folder to keep models in.
    pub fn from_env() -> Result<Self, PullError> {
        let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
        Self::read(&|name| env::var(name).ok().filter(|value| !value.is_empty()), home.as_deref())
    }

    /// `home` is the user's home folder; `variable` returns a variable that is set and not empty.
    pub(super) fn read(
        variable: &dyn Fn(&str) -> Option<String>,
        home: Option<&Path>,
    ) -> Result<Self, PullError> {
        let cache = folder(variable, "XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")));
        let models = folder(variable, "SHOAL_MODELS")
            .or_else(|| Some(cache.as_ref()?.join("shoal/models")))
            .ok_or_else(|| {
                let why = "no home folder to keep models in: set it to a folder".to_owned();
                PullError::Setting { setting: "SHOAL_MODELS", why }
            })?;
        // Without a home folder, the hub's cache is beside the models.
        let hf_home = folder(variable, "HF_HOME").unwrap_or_else(|| {
            cache.map_or_else(|| models.clone(), |cache| cache.join("huggingface"))
        });
        let pip = pip::Pip::read(variable, home);
        Ok(Self {
            models,
            hub: Hub {
                endpoint: url("HF_ENDPOINT", &variable("HF_ENDPOINT").unwrap_or(HUB.into()))?,
                cache: folder(variable, "HF_HUB_CACHE")
                    .or_else(|| folder(variable, "HUGGINGFACE_HUB_CACHE"))
                    .unwrap_or_else(|| hf_home.join("hub")),
                token: variable("HF_TOKEN")
                    .or_else(|| {
                        let path = folder(variable, "HF_TOKEN_PATH")
                            .unwrap_or_else(|| hf_home.join("token"));
                        std::fs::read_to_string(path).ok()
                    })
                    .map(|token| Secret::new(token.trim()))
                    .unwrap_or_default(),
                offline: variable("HF_HUB_OFFLINE").is_some_and(|value| is_yes(&value)),
            },
            indexes: pip.indexes()?,
            certificates: pip.certificates(),
            patience: Patience::default(),
            shows: true,
        })
    }
}

fn folder(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from)
}

/// Whether a variable is on, as Python's `huggingface_hub` reads it.
fn is_yes(value: &str) -> bool {
    matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

/// A base address for relative paths: it ends with a slash.
fn url(setting: &'static str, text: &str) -> Result<Url, PullError> {
    let base = format!("{}/", text.trim_end_matches('/'));
    let why = match Url::parse(&base) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => return Ok(url),
        Ok(_) => "it does not begin with http:// or https://".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(PullError::Setting { setting, why: format!("{text:?}: {why}") })
}

#[cfg(test)]
mod tests;
