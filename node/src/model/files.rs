//! Where a model's files are: in a folder, or inside the program.

use std::{
    borrow::Cow,
    fs, io,
    path::{Path, PathBuf},
};

use super::LoadError;
use crate::pull;

/// Name and content of the files of each bundled model.
type Table = &'static [(&'static str, &'static [(&'static str, &'static [u8])])];

static BUNDLED: Table = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// The files of one model.
#[derive(Clone, Debug)]
pub struct Files {
    name: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    Program(&'static [(&'static str, &'static [u8])]),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "Folder({})", path.display()),
            Self::Program(_) => f.write_str("Program"),
        }
    }
}

impl Files {
    /// A folder in the layout of Hugging Face.
    pub fn folder(path: &Path) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Folder { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(failed)?;
        if !path.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, place: Place::Folder(path) })
    }

    /// One of the models inside the program.
    pub fn bundled(name: &str) -> Result<Self, LoadError> {
        let files = BUNDLED.iter().find(|(known, _)| *known == name).map(|(_, files)| *files);
        let files = files.ok_or_else(|| LoadError::NotBundled {
            name: name.to_owned(),
            known: bundled_names().collect::<Vec<_>>().join(", "),
        })?;
        Ok(Self { name: name.to_owned(), place: Place::Program(files) })
    }

    /// A model that [`crate::pull::resolve`] found.
    pub fn found(found: &pull::Found) -> Result<Self, LoadError> {
        match &found.place {
            pull::Place::Bundled(name) => Self::bundled(name),
            pull::Place::Folder(path) | pull::Place::Gguf(path) => Self::folder(path),
        }
    }

    /// The model's name: its folder's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to name the place in a message.
    pub(crate) fn place(&self) -> String {
        match &self.place {
            Place::Folder(path) => path.display().to_string(),
            Place::Program(_) => format!("bundled:{}", self.name),
        }
    }

    /// The content of a file, `None` when there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, LoadError> {
        match &self.place {
            Place::Program(files) => {
                let found = files.iter().find(|(known, _)| *known == name);
                Ok(found.map(|(_, bytes)| Cow::Borrowed(*bytes)))
            }
            Place::Folder(folder) => match fs::read(folder.join(name)) {
                Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(LoadError::Folder { path: folder.join(name), source }),
            },
        }
    }

    /// The content of a file that a model cannot do without.
    pub(crate) fn need(&self, name: &'static str) -> Result<Cow<'static, [u8]>, LoadError> {
        self.read(name)?.ok_or_else(|| LoadError::Missing { place: self.place(), name })
    }

    /// The names of the files with weights, in order.
    pub(crate) fn weights(&self) -> Result<Vec<String>, LoadError> {
        let mut names: Vec<String> = match &self.place {
            Place::Program(files) => files.iter().map(|(name, _)| (*name).to_owned()).collect(),
            Place::Folder(folder) => {
                let failed = |source| LoadError::Folder { path: folder.clone(), source };
                let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(failed)?.collect();
                let entries = entries.map_err(failed)?.into_iter();
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
        };
        names.retain(|name| name.ends_with(".safetensors"));
        names.sort();
        if names.is_empty() {
            return Err(LoadError::NoWeights { place: self.place() });
        }
        Ok(names)
    }
}

/// The names of the models inside the program.
pub fn bundled_names() -> impl Iterator<Item = &'static str> {
    BUNDLED.iter().map(|(name, _)| *name)
}
