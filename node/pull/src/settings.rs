//! Where models lie and where they come from: what the environment and pip's files say.

mod pip;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use shoal_proto::Secret;

use super::PullError;

/// All that a pull depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Models of the catalogue, a folder each: `SHOAL_MODELS`, else `shoal/models` in the user's
    /// cache folder.
    pub models: PathBuf,
    pub hub: Hub,
    /// Python package indexes in the order of asking (PEP 503, 691).
    pub indexes: Vec<Url>,
    /// Certificates to trust beside the system's, as pip is told of them.
    pub certificates: Option<PathBuf>,
    pub patience: Patience,
    /// Whether a bar (or lines, where there is no terminal) on stderr shows how far it is.
    pub shows: bool,
}

/// A hub that speaks as huggingface.co does, and the cache that Python's `huggingface_hub` shares.
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

/// What is waited for, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Tries in a row that bring not one byte.
    pub tries: u32,
    /// Before the second try; twice as long before each further one.
    pub pause: Duration,
    /// Without a byte.
    pub silence: Duration,
    /// For another process that pulls the same model.
    pub lock: Duration,
}

impl Default for Patience {
    /// A minute in all for a network that is changed, a server that is restarted; the largest model
    /// of the catalogue takes half an hour at 5 Mbit/s.
    fn default() -> Self {
        Self {
            tries: 6,
            pause: Duration::from_secs(1),
            silence: Duration::from_secs(30),
            lock: Duration::from_secs(1800),
        }
    }
}

/// What most people mean.
const HUB: &str = "https://huggingface.co";

impl Settings {
    /// From the environment of this process.
    pub fn from_env() -> Result<Self, PullError> {
        let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
        Self::read(&|name| env::var(name).ok().filter(|value| !value.is_empty()), home.as_deref())
    }

    /// `home` is the user's; `variable` gives what is set and not empty.
    pub(super) fn read(
        variable: &dyn Fn(&str) -> Option<String>,
        home: Option<&Path>,
    ) -> Result<Self, PullError> {
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let cache = || {
            folder("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache"))).ok_or_else(|| {
                let why = "no home folder to keep models in: set it to a folder".to_owned();
                PullError::Setting { setting: "SHOAL_MODELS", why }
            })
        };
        let models = match folder("SHOAL_MODELS") {
            Some(models) => models,
            None => cache()?.join("shoal/models"),
        };
        let hf_home = match folder("HF_HOME") {
            Some(hf_home) => hf_home,
            // Without a home at all, beside the models that were named.
            None => cache().map_or_else(|_| models.clone(), |cache| cache.join("huggingface")),
        };
        let pip = pip::Pip::read(variable, home);
        Ok(Self {
            models,
            hub: Hub {
                endpoint: url("HF_ENDPOINT", &variable("HF_ENDPOINT").unwrap_or(HUB.into()))?,
                cache: folder("HF_HUB_CACHE")
                    .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
                    .unwrap_or_else(|| hf_home.join("hub")),
                token: variable("HF_TOKEN")
                    .or_else(|| {
                        let path = folder("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token"));
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

/// As Python's `huggingface_hub` reads it.
fn is_yes(value: &str) -> bool {
    matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

/// A base to which paths are added: it ends with a slash.
fn url(setting: &'static str, text: &str) -> Result<Url, PullError> {
    let wrong = |why: String| PullError::Setting { setting, why: format!("{text:?}: {why}") };
    let base = format!("{}/", text.trim_end_matches('/'));
    let url = Url::parse(&base).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it does not begin with http:// or https://".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
