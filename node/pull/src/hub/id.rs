//! `org/name`, or `org/name:file.gguf` for one file of it.

use std::fmt;

use super::layout::is_safe;

/// A model of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Id {
    /// `org/name`.
    pub(in super::super) repo: String,
    /// A GGUF file of the repository; `None` for its safetensors.
    pub(in super::super) file: Option<String>,
}

impl Id {
    /// `None` if the text cannot be a hub id.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        let (repo, file) = match text.split_once(':') {
            Some((repo, file)) => (repo, Some(file)),
            None => (text, None),
        };
        let (org, name) = repo.split_once('/')?;
        let is_id = is_word(org)
            && is_word(name)
            && file.is_none_or(|file| file.ends_with(".gguf") && is_safe(file));
        is_id.then(|| Self { repo: repo.to_owned(), file: file.map(str::to_owned) })
    }

    /// The model's name in the swarm. A GGUF file has its own name, since a repository has several.
    pub(super) fn name(&self) -> String {
        match &self.file {
            Some(file) => {
                let file = file.rsplit('/').next().unwrap_or_default();
                file.trim_end_matches(".gguf").to_owned()
            }
            None => self.repo.clone(),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{file}", self.repo),
            None => f.write_str(&self.repo),
        }
    }
}

/// Whether the hub allows the word: at most 96 letters, digits, `-`, `_` and `.`; no `-` or `.` at its
/// ends, and no `--` or `..`.
fn is_word(word: &str) -> bool {
    (1..=96).contains(&word.len())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !word.starts_with(['-', '.'])
        && !word.ends_with(['-', '.'])
        && !word.contains("--")
        && !word.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_organisation_and_a_name() {
        let id = Id::parse("HuggingFaceTB/SmolLM2-135M-Instruct").unwrap();
        assert_eq!((id.name().as_str(), &id.file), ("HuggingFaceTB/SmolLM2-135M-Instruct", &None));
        let id = Id::parse("Qwen/Qwen2.5-GGUF:q4/qwen-q4_k_m.gguf").unwrap();
        assert_eq!(id.name(), "qwen-q4_k_m");
        assert_eq!(id.to_string(), "Qwen/Qwen2.5-GGUF:q4/qwen-q4_k_m.gguf");
    }

    #[test]
    fn what_leads_out_of_the_cache_is_no_id() {
        for text in [
            "name",
            "../name",
            "./name",
            "/org/name",
            "org/",
            "/name",
            "org/a/b",
            "org/a--b",
            "~/x",
            "org/na me",
            "org/name:",
            "org/name:x.bin",
            "org/name:../x.gguf",
            "org/name:/x.gguf",
            "org/..",
            "org/name:a/../../x.gguf",
            "",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
