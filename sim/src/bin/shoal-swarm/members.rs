//! Which models make up the swarm: the bundled specialists, and those that its owner names.

use std::path::Path;

use anyhow::{Result, bail};

use crate::children::Program;

/// The swarm that is started by default.
pub(crate) const SPECIALISTS: [&str; 6] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-letters", "shoal-calendar", "shoal-story"];

/// One node to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name in the swarm.
    pub(crate) name: String,
    /// The model that its node serves.
    pub(crate) model: String,
}

impl Member {
    fn from_specialist(name: &str) -> Self {
        Self { name: name.to_owned(), model: format!("bundled:{name}") }
    }

    /// What its owner named: a path, a name of the catalogue, a hub's id.
    fn from_name(model: &str) -> Self {
        let is_id = model.matches('/').count() == 1 && !model.contains(':') && !is_here(model);
        // A folder or a file goes by its last name, and one file of a repository too.
        let last = model.rsplit(['/', ':']).find(|name| !name.is_empty()).unwrap_or(model);
        let name = if is_id { model } else { last };
        Self { name: name.trim_end_matches(".gguf").to_owned(), model: model.to_owned() }
    }

    /// Whether its weights are inside the program.
    pub(crate) fn is_bundled(&self) -> bool {
        self.model.starts_with("bundled:")
    }

    /// Its name as that of a file.
    pub(crate) fn label(&self) -> String {
        self.name.replace('/', "-")
    }

    /// The program that downloads its model; None if it is on this machine already.
    ///
    /// # Errors
    /// When the node's program is missing.
    pub(crate) fn pull(&self) -> Result<Option<Program>> {
        if self.is_bundled() || is_here(&self.model) {
            return Ok(None);
        }
        let program = Program::beside_this_one("shoal-node", &format!("pull {}", self.name))?;
        Ok(Some(program.subcommand("pull").subcommand(&self.model)))
    }
}

fn is_here(model: &str) -> bool {
    Path::new(model).exists()
}

/// If the owner names specialists, only these are started, otherwise all. Other models that are named
/// join them.
///
/// # Errors
/// When two would have the same name.
pub(crate) fn members(names: &[String]) -> Result<Vec<Member>> {
    let names = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let (own, rest): (Vec<_>, Vec<_>) = names.partition(|name| specialist(name).is_some());
    let own: Vec<&str> = if own.is_empty() { SPECIALISTS.to_vec() } else { own };
    let mut members: Vec<Member> = own.into_iter().filter_map(specialist).collect();
    members.extend(rest.into_iter().map(|model| match model.strip_prefix("bundled:") {
        Some(name) => Member::from_specialist(name),
        None => Member::from_name(model),
    }));
    for (at, member) in members.iter().enumerate() {
        if members.iter().take(at).any(|earlier| earlier.name == member.name) {
            bail!("two models by the name of {}: name each once", member.name);
        }
    }
    Ok(members)
}

fn specialist(name: &str) -> Option<Member> {
    let name = name.strip_prefix("bundled:").unwrap_or(name);
    SPECIALISTS.contains(&name).then(|| Member::from_specialist(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(models: &[&str]) -> Vec<(String, String)> {
        let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
        members(&models).unwrap().into_iter().map(|member| (member.name, member.model)).collect()
    }

    fn pair(name: &str, model: &str) -> (String, String) {
        (name.to_owned(), model.to_owned())
    }

    #[test]
    fn nothing_named_is_all_specialists() {
        let names: Vec<_> = pairs(&[]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, SPECIALISTS);
        assert_eq!(pairs(&[""]), pairs(&[]));
    }

    #[test]
    fn specialists_that_are_named_come_alone() {
        let specialists =
            [pair("shoal-sum", "bundled:shoal-sum"), pair("shoal-times", "bundled:shoal-times")];
        assert_eq!(pairs(&["shoal-sum", "bundled:shoal-times"]), specialists);
    }

    #[test]
    fn other_models_stand_beside_the_specialists() {
        let swarm = pairs(&["smollm2-135m", "qwen2.5-coder-1.5b"]);
        assert_eq!(swarm[..6], pairs(&[]));
        let qwen = pair("qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b");
        assert_eq!(swarm[6..], [pair("smollm2-135m", "smollm2-135m"), qwen]);
        let few = pairs(&["smollm2-135m", "shoal-sum"]);
        assert_eq!(
            few,
            [pair("shoal-sum", "bundled:shoal-sum"), pair("smollm2-135m", "smollm2-135m")]
        );
    }

    #[test]
    fn a_model_goes_by_the_name_that_its_node_gives_it() {
        assert_eq!(name("org/name"), "org/name");
        assert_eq!(name("org/name:deep/model-q4.gguf"), "model-q4");
        assert_eq!(name("/models/tiny.Q8_0.gguf"), "tiny.Q8_0");
        assert_eq!(name("models/of/mine/"), "mine");
        assert_eq!(Member::from_name("org/name").label(), "org-name");
    }

    fn name(model: &str) -> String {
        Member::from_name(model).name
    }

    #[test]
    fn two_of_one_name_are_refused() {
        let twice = ["/a/tiny.gguf".to_owned(), "/b/tiny.gguf".to_owned()];
        let error = members(&twice).unwrap_err().to_string();
        assert_eq!(error, "two models by the name of tiny: name each once");
    }
}
