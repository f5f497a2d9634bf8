//! pip's settings: from its variables, else from its files. A later file overrides an earlier one.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::{PullError, url};

/// pip's default index.
const INDEX: &str = "https://pypi.org/simple";

/// The sections for `pip download`; the second overrides the first.
const SECTIONS: [&str; 2] = ["global", "download"];

#[derive(Debug, Default)]
pub(super) struct Pip {
    index: Option<String>,
    extra: Option<String>,
    certificates: Option<String>,
}

impl Pip {
    pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Self {
        let mut pip = Self::default();
        for file in files(variable, home) {
            if let Ok(text) = std::fs::read_to_string(file) {
                pip.file(&text);
            }
        }
        for (key, name) in [
            ("index-url", "PIP_INDEX_URL"),
            ("extra-index-url", "PIP_EXTRA_INDEX_URL"),
            ("cert", "PIP_CERT"),
        ] {
            if let Some(value) = variable(name) {
                pip.set(key, &value);
            }
        }
        pip
    }

    /// Reads lines `key = value` under `[section]`; indented lines continue a value.
    fn file(&mut self, text: &str) {
        for active in SECTIONS {
            let (mut section, mut open) = (String::new(), None::<(String, String)>);
            for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
                match (&mut open, line.split_once(['=', ':'])) {
                    (Some((_, value)), _) if line.starts_with([' ', '\t']) => {
                        value.push(' ');
                        value.push_str(line.trim());
                        continue;
                    }
                    (open, pair) => {
                        if let Some((key, value)) = open.take() {
                            self.set(&key, &value);
                        }
                        if let Some(name) = line.trim().strip_prefix('[') {
                            name.trim_end_matches(']').clone_into(&mut section);
                        } else if section == active {
                            *open = pair.map(|(key, value)| {
                                (key.trim().to_owned(), value.trim().to_owned())
                            });
                        }
                    }
                }
            }
            if let Some((key, value)) = open {
                self.set(&key, &value);
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        let place = match key.to_ascii_lowercase().replace('_', "-").as_str() {
            "index-url" => &mut self.index,
            "extra-index-url" => &mut self.extra,
            "cert" => &mut self.certificates,
            _ => return,
        };
        *place = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
    }

    pub(super) fn indexes(&self) -> Result<Vec<Url>, PullError> {
        let extra = self.extra.as_deref().unwrap_or_default().split_whitespace();
        let first = self.index.as_deref().unwrap_or(INDEX);
        std::iter::once(first).chain(extra).map(|text| url("PIP_INDEX_URL", text)).collect()
    }

    pub(super) fn certificates(&self) -> Option<PathBuf> {
        self.certificates.as_ref().map(PathBuf::from)
    }
}

/// pip's files; a later one overrides an earlier one.
fn files(variable: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let config_file = variable("PIP_CONFIG_FILE");
    // pip's value for "no file".
    if config_file.as_deref() == Some("/dev/null") {
        return files;
    }
    let system = variable("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".to_owned());
    files.extend(system.split(':').map(|folder| Path::new(folder).join("pip/pip.conf")));
    files.push(PathBuf::from("/etc/pip.conf"));
    files.extend(home.map(|home| home.join(".pip/pip.conf")));
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(home?.join(".config")));
    files.extend(config.map(|config| config.join("pip/pip.conf")));
    files.extend(variable("VIRTUAL_ENV").map(|python| Path::new(&python).join("pip.conf")));
    files.extend(config_file.map(PathBuf::from));
    files
}
