//! Where a model's files are: in a folder, in one GGUF file, or inside the program.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::Value;

use super::{LoadError, bytes::Bytes, gguf::Gguf};

/// Name and content of the files of each bundled model.
type Table = &'static [(&'static str, &'static [(&'static str, &'static [u8])])];

static BUNDLED: Table = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// Says which file holds which tensor.
const INDEX: &str = "model.safetensors.index.json";

/// The files of one model.
#[derive(Clone, Debug)]
pub struct Files {
    name: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    Gguf { path: PathBuf, opened: Arc<Gguf> },
    Program(&'static [(&'static str, &'static [u8])]),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "Folder({})", path.display()),
            Self::Gguf { path, .. } => write!(f, "Gguf({})", path.display()),
            Self::Program(_) => f.write_str("Program"),
        }
    }
}

impl Files {
    /// What `--model` names: a folder in the layout of Hugging Face, a GGUF file, or
    /// `bundled:NAME`.
    pub fn open(model: &str) -> Result<Self, LoadError> {
        let path = Path::new(model);
        match model.strip_prefix("bundled:") {
            Some(name) => Self::bundled(name),
            None if path.is_file() => Self::gguf_file(path),
            None => Self::folder(path),
        }
    }

    /// One file with everything in it.
    pub fn gguf_file(path: &Path) -> Result<Self, LoadError> {
        let opened = Arc::new(Gguf::open(path)?);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, place: Place::Gguf { path: path.to_owned(), opened } })
    }

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

    /// The GGUF file, where the model is one: shape, words and template are in its metadata.
    pub(crate) fn gguf(&self) -> Option<&Arc<Gguf>> {
        match &self.place {
            Place::Gguf { opened, .. } => Some(opened),
            _ => None,
        }
    }

    /// What `config.json` says, or a GGUF file in the same words.
    ///
    /// # Errors
    /// When there is no configuration, or it cannot be read.
    pub fn config(&self) -> Result<Value, LoadError> {
        match self.gguf() {
            Some(gguf) => gguf.config(),
            None => serde_json::from_slice(&self.need("config.json")?)
                .map_err(|error| self.config_fault(error.to_string())),
        }
    }

    /// The error for a configuration that this build cannot use.
    pub fn config_fault(&self, why: String) -> LoadError {
        let place = self.place();
        match self.gguf() {
            Some(_) => LoadError::Gguf { place, why },
            None => LoadError::Words { place, file: "config.json", why },
        }
    }

    /// The model's name: its folder's, or its file's without `.gguf`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it came with the program: taught conversations, and nothing but these.
    pub fn is_bundled(&self) -> bool {
        matches!(self.place, Place::Program(_))
    }

    /// How to name the place in a message.
    pub fn place(&self) -> String {
        match &self.place {
            Place::Folder(path) | Place::Gguf { path, .. } => path.display().to_string(),
            Place::Program(_) => format!("bundled:{}", self.name),
        }
    }

    /// The content of a file, `None` when there is no such file. A GGUF file has none beside it.
    pub fn read(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, LoadError> {
        match &self.place {
            Place::Gguf { .. } => Ok(None),
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
    pub fn need(&self, name: &'static str) -> Result<Cow<'static, [u8]>, LoadError> {
        self.read(name)?.ok_or_else(|| LoadError::Missing { place: self.place(), name })
    }

    /// The bytes of a file with weights, mapped where it is on a disk.
    pub(crate) fn bytes(&self, name: &str) -> Result<Bytes, LoadError> {
        let map =
            |path: PathBuf| Bytes::map(&path).map_err(|source| LoadError::Folder { path, source });
        match &self.place {
            Place::Gguf { opened, .. } => Ok(opened.bytes().clone()),
            Place::Folder(folder) => map(folder.join(name)),
            Place::Program(files) => {
                let found = files.iter().find(|(known, _)| *known == name);
                let found = found.ok_or_else(|| LoadError::NoWeights { place: self.place() });
                Ok(Bytes::Program(found?.1))
            }
        }
    }

    /// Gives back the memory of a GGUF file's words once the tokenizer and the template have them;
    /// other holders of this opened file keep them.
    pub fn forget_words(&mut self) {
        if let Place::Gguf { opened, .. } = &mut self.place
            && let Some(gguf) = Arc::get_mut(opened)
        {
            gguf.forget_words();
        }
        self.forget();
        shoal_kernel::give_back();
    }

    /// Gives back the memory of what was read of a GGUF file, once its weights are packed: pages at the
    /// ends of its tensors, and its metadata.
    pub fn forget(&self) {
        if let Some(gguf) = self.gguf() {
            gguf.bytes().forget(0..usize::MAX);
        }
    }

    /// A file with weights, to be read from its first byte to its last.
    pub(crate) fn reader(&self, name: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        let path = match &self.place {
            Place::Gguf { path, .. } => path.clone(),
            Place::Folder(folder) => folder.join(name),
            Place::Program(_) => {
                return Ok(Box::new(io::Cursor::new(self.read(name)?.unwrap_or_default())));
            }
        };
        let opened = fs::File::open(&path);
        Ok(Box::new(opened.map_err(|source| LoadError::Folder { path, source })?))
    }

    /// The names of the files with weights, in order.
    pub fn weights(&self) -> Result<Vec<String>, LoadError> {
        let mut names: Vec<String> = match &self.place {
            Place::Gguf { path, .. } => {
                let name = path.file_name().unwrap_or_default();
                return Ok(vec![name.to_string_lossy().into_owned()]);
            }
            Place::Program(files) => files.iter().map(|(name, _)| (*name).to_owned()).collect(),
            Place::Folder(folder) => {
                let failed = |source| LoadError::Folder { path: folder.clone(), source };
                let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(failed)?.collect();
                let entries = entries.map_err(failed)?.into_iter();
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
        };
        if names.iter().any(|name| name == INDEX) {
            return self.indexed();
        }
        names.retain(|name| name.ends_with(".safetensors"));
        names.sort();
        if names.is_empty() {
            return Err(LoadError::NoWeights { place: self.place() });
        }
        Ok(names)
    }

    /// The files that the index of a model in several files names.
    fn indexed(&self) -> Result<Vec<String>, LoadError> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let refused = |why: String| LoadError::Words { place: self.place(), file: INDEX, why };
        let index: Index = serde_json::from_slice(&self.need(INDEX)?)
            .map_err(|error| refused(error.to_string()))?;
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        // What it names is opened: nothing beside the folder.
        let plain = |name: &str| {
            name.ends_with(".safetensors") && !name.contains(['/', '\\']) && name.len() < 256
        };
        match names.iter().find(|name| !plain(name)) {
            Some(odd) => Err(refused(format!("{odd:.80?} is no file of this folder"))),
            None if names.is_empty() => Err(LoadError::NoWeights { place: self.place() }),
            None => Ok(names.into_iter().collect()),
        }
    }
}

/// The names of the models inside the program.
pub fn bundled_names() -> impl Iterator<Item = &'static str> {
    BUNDLED.iter().map(|(name, _)| *name)
}
