//! The location of a model's files: a folder, one GGUF file, or the program itself.

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

/// Name and content of each file of each bundled model.
type Table = &'static [(&'static str, &'static [(&'static str, &'static [u8])])];

static BUNDLED: Table = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// Maps each tensor to its file.
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
    Gguf { path: PathBuf, gguf: Arc<Gguf> },
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
    /// Opens the value of `--model`: a folder in the layout of Hugging Face, a GGUF file, or
    /// `bundled:NAME`.
    ///
    /// # Errors
    /// When there is no such model, or a GGUF file cannot be parsed.
    pub fn open(model: &str) -> Result<Self, LoadError> {
        let path = Path::new(model);
        match model.strip_prefix("bundled:") {
            Some(name) => Self::bundled(name),
            None if path.is_file() => Self::gguf_file(path),
            None => Self::folder(path),
        }
    }

    /// Opens a GGUF file, which holds the whole model.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn gguf_file(path: &Path) -> Result<Self, LoadError> {
        let gguf = Arc::new(Gguf::open(path)?);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, place: Place::Gguf { path: path.to_owned(), gguf } })
    }

    /// Opens a folder in the layout of Hugging Face.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn folder(path: &Path) -> Result<Self, LoadError> {
        let folder = path.canonicalize().and_then(|folder| match folder.is_dir() {
            true => Ok(folder),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        let path = folder.map_err(|source| LoadError::Folder { path: path.to_owned(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, place: Place::Folder(path) })
    }

    /// Opens a model that is part of the program.
    ///
    /// # Errors
    /// When there is no model of this name.
    pub fn bundled(name: &str) -> Result<Self, LoadError> {
        let files = BUNDLED.iter().find(|(key, _)| *key == name).map(|(_, files)| *files);
        let files = files.ok_or_else(|| LoadError::NotBundled {
            name: name.to_owned(),
            known: bundled_names().collect::<Vec<_>>().join(", "),
        })?;
        Ok(Self { name: name.to_owned(), place: Place::Program(files) })
    }

    /// The GGUF file, if the model is one: its metadata hold configuration, vocabulary and template.
    pub(crate) fn gguf(&self) -> Option<&Arc<Gguf>> {
        match &self.place {
            Place::Gguf { gguf, .. } => Some(gguf),
            _ => None,
        }
    }

    /// The content of `config.json`, or the metadata of a GGUF file under the same keys.
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
            None => LoadError::InvalidFile { place, file: "config.json", why },
        }
    }

    /// The model's name: its folder's, or its file's without `.gguf`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is part of the program. Bundled models are trained on conversations only.
    pub fn is_bundled(&self) -> bool {
        matches!(self.place, Place::Program(_))
    }

    /// The location for messages.
    pub fn place(&self) -> String {
        match &self.place {
            Place::Folder(path) | Place::Gguf { path, .. } => path.display().to_string(),
            Place::Program(_) => format!("bundled:{}", self.name),
        }
    }

    /// The content of a file, or `None` if there is none. A GGUF file has no other files.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, LoadError> {
        match &self.place {
            Place::Gguf { .. } => Ok(None),
            Place::Program(files) => {
                let file = files.iter().find(|(key, _)| *key == name);
                Ok(file.map(|(_, bytes)| Cow::Borrowed(*bytes)))
            }
            Place::Folder(folder) => match fs::read(folder.join(name)) {
                Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(LoadError::Folder { path: folder.join(name), source }),
            },
        }
    }

    /// The content of a file that every model must have.
    ///
    /// # Errors
    /// When the file is missing or cannot be read.
    pub fn need(&self, name: &'static str) -> Result<Cow<'static, [u8]>, LoadError> {
        self.read(name)?.ok_or_else(|| LoadError::Missing { place: self.place(), name })
    }

    /// The bytes of a weight file, memory-mapped where it is on a disk.
    pub(crate) fn bytes(&self, name: &str) -> Result<Bytes, LoadError> {
        match &self.place {
            Place::Gguf { gguf, .. } => Ok(gguf.bytes().clone()),
            Place::Folder(folder) => {
                let path = folder.join(name);
                Bytes::map(&path).map_err(|source| LoadError::Folder { path, source })
            }
            Place::Program(files) => files
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, bytes)| Bytes::Program(bytes))
                .ok_or_else(|| LoadError::NoWeights { place: self.place() }),
        }
    }

    /// Frees the vocabulary of a GGUF file, once the tokenizer and the template have it. Other holders
    /// of the same file keep it.
    pub fn forget_vocabulary(&mut self) {
        if let Place::Gguf { gguf, .. } = &mut self.place
            && let Some(gguf) = Arc::get_mut(gguf)
        {
            gguf.forget_vocabulary();
        }
        self.forget();
        shoal_kernel::give_back();
    }

    /// Frees the memory of a GGUF file's mapped pages, once its weights are packed.
    pub fn forget(&self) {
        if let Some(gguf) = self.gguf() {
            gguf.bytes().forget(0..usize::MAX);
        }
    }

    /// A reader of a weight file, from its first byte to its last.
    pub(crate) fn reader(&self, name: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        let path = match &self.place {
            Place::Gguf { path, .. } => path.clone(),
            Place::Folder(folder) => folder.join(name),
            Place::Program(_) => {
                let bytes = self.read(name)?;
                let bytes = bytes.ok_or_else(|| LoadError::NoWeights { place: self.place() })?;
                return Ok(Box::new(io::Cursor::new(bytes)));
            }
        };
        let file = fs::File::open(&path);
        Ok(Box::new(file.map_err(|source| LoadError::Folder { path, source })?))
    }

    /// The names of the weight files, in order.
    ///
    /// # Errors
    /// When there are none, or the index of a model in several files is invalid.
    pub fn weights(&self) -> Result<Vec<String>, LoadError> {
        let mut names: Vec<String> = match &self.place {
            Place::Gguf { path, .. } => {
                let name = path.file_name().unwrap_or_default();
                return Ok(vec![name.to_string_lossy().into_owned()]);
            }
            Place::Program(files) => files.iter().map(|(name, _)| (*name).to_owned()).collect(),
            Place::Folder(folder) => file_names(folder)
                .map_err(|source| LoadError::Folder { path: folder.clone(), source })?,
        };
        if names.iter().any(|name| name == INDEX) {
            return self.weights_in_index();
        }
        names.retain(|name| name.ends_with(".safetensors"));
        names.sort();
        if names.is_empty() {
            return Err(LoadError::NoWeights { place: self.place() });
        }
        Ok(names)
    }

    /// The weight files in the index of a model in several files.
    fn weights_in_index(&self) -> Result<Vec<String>, LoadError> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let index: Index = serde_json::from_slice(&self.need(INDEX)?)
            .map_err(|error| self.index_fault(error.to_string()))?;
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        // The names are opened, so they must not leave the folder.
        match names.iter().find(|name| !is_weight_file(name)) {
            Some(name) => Err(self.index_fault(format!("{name:.80?} is no file of this folder"))),
            None if names.is_empty() => Err(LoadError::NoWeights { place: self.place() }),
            None => Ok(names.into_iter().collect()),
        }
    }

    fn index_fault(&self, why: String) -> LoadError {
        LoadError::InvalidFile { place: self.place(), file: INDEX, why }
    }
}

fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Whether a name is that of a weight file, without a folder.
fn is_weight_file(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains(['/', '\\']) && name.len() < 256
}

/// The names of the models that are part of the program.
pub fn bundled_names() -> impl Iterator<Item = &'static str> {
    BUNDLED.iter().map(|(name, _)| *name)
}
