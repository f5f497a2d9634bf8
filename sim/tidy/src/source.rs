//! The workspace's crates and their parsed files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use syn::spanned::Spanned as _;

/// All crates of the workspace.
#[derive(Debug)]
pub struct Workspace {
    pub crates: Vec<Crate>,
}

/// One package and its Rust files.
#[derive(Debug)]
pub struct Crate {
    /// The package's name, such as `shoal-link`.
    pub name: String,
    /// Names of the packages that it depends on outside of its tests and build script.
    pub dependencies: BTreeSet<String>,
    pub files: Vec<File>,
}

/// One parsed file.
#[derive(Debug)]
pub struct File {
    /// From the workspace's root, with `/`.
    pub path: String,
    /// From the package's folder, with `/`.
    pub path_in_crate: String,
    pub text: String,
    pub syntax: syn::File,
}

impl Workspace {
    /// Reads the packages that the workspace's `Cargo.toml` names as members.
    ///
    /// # Errors
    /// A file that cannot be read, or that does not parse as Rust.
    pub fn read(root: &Path) -> Result<Self> {
        let manifest = read_toml(&root.join("Cargo.toml"))?;
        let members = manifest
            .get("workspace")
            .and_then(|workspace| workspace.get("members"))
            .and_then(toml::Value::as_array)
            .context("Cargo.toml names no workspace members")?;
        let folders: Vec<PathBuf> =
            members.iter().filter_map(toml::Value::as_str).map(PathBuf::from).collect();
        let crates = folders
            .iter()
            .map(|folder| read_crate(root, folder, &folders))
            .collect::<Result<_>>()?;
        Ok(Self { crates })
    }

    /// The workspace that this crate belongs to.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn own() -> Result<Self> {
        Self::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
    }
}

impl Crate {
    /// Lines of all files.
    pub fn lines(&self) -> usize {
        self.files.iter().map(File::lines).sum()
    }

    /// Lines that are part of the product: without test files and without test modules in files.
    pub fn product_lines(&self) -> usize {
        self.files.iter().map(File::product_lines).sum()
    }
}

impl File {
    /// Parses a file's text.
    ///
    /// # Errors
    /// The text is no Rust file.
    pub fn parse(path: String, path_in_crate: String, text: String) -> Result<Self> {
        let syntax = syn::parse_file(&text).with_context(|| format!("{path} does not parse"))?;
        Ok(Self { path, path_in_crate, text, syntax })
    }

    /// Lines of the file.
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Lines of the file without its test modules; 0 for a file that is only compiled for tests.
    pub fn product_lines(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        let mut lines = self.lines();
        for item in &self.syntax.items {
            if let syn::Item::Mod(module) = item
                && module.content.is_some()
                && is_test_only(&module.attrs)
            {
                let span = module.span();
                lines -= span.end().line - span.start().line + 1;
            }
        }
        lines
    }

    /// Whether the file is only compiled for tests, examples or benchmarks.
    pub fn is_test(&self) -> bool {
        let in_test_folder = self.path_in_crate.split('/').any(|part| {
            matches!(part, "tests" | "testing" | "examples" | "benches" | "tests.rs" | "testing.rs")
        });
        in_test_folder || !self.path_in_crate.starts_with("src")
    }

    /// The module's path inside the crate: `["round", "rank"]` for `src/round/rank.rs`. `None` for
    /// files outside of `src`, and for binaries beside the library.
    pub fn module(&self) -> Option<Vec<String>> {
        let path = self.path_in_crate.strip_prefix("src/")?.strip_suffix(".rs")?;
        if path == "lib" {
            return Some(Vec::new());
        }
        if path == "main" || path.starts_with("main/") || path.starts_with("bin/") {
            return None;
        }
        Some(path.split('/').map(str::to_owned).collect())
    }
}

fn read_crate(root: &Path, folder: &Path, members: &[PathBuf]) -> Result<Crate> {
    let manifest = read_toml(&root.join(folder).join("Cargo.toml"))?;
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
        .with_context(|| format!("{} names no package", folder.display()))?;
    let dependencies = dependencies(&manifest);
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(root.join(&current))? {
            let entry = entry?;
            let path = current.join(entry.file_name());
            if entry.path().is_dir() {
                // A package below this one is a crate of its own, or none of the workspace's.
                let is_package = entry.path().join("Cargo.toml").exists();
                let is_build_folder = entry.file_name() == "target";
                if !members.contains(&path) && !is_package && !is_build_folder {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(entry.path())?;
                let inside = path.strip_prefix(folder).unwrap_or(&path);
                files.push(File::parse(slashes(&path), slashes(inside), text)?);
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Crate { name: name.to_owned(), dependencies, files })
}

/// The names in `[dependencies]` and `[target.*.dependencies]`.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(toml::Table::values);
    let tables = tables.filter_map(toml::Value::as_table).chain([manifest]);
    let names = tables.filter_map(|table| table.get("dependencies")?.as_table());
    names.flat_map(toml::Table::keys).cloned().collect()
}

fn read_toml(path: &Path) -> Result<toml::Table> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is no TOML", path.display()))
}

/// Whether there is a `#[cfg(test)]` among the attributes.
pub(crate) fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}
