//! The tiny models and their expected results.

use std::{fs, path::PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use shoal_kernel::Format;

use shoal_model::{Files, LoadError, Quant, Tensors, Weights};

pub(super) struct Fixture {
    pub(super) name: String,
    folder: PathBuf,
    pub(super) prompt: Vec<u32>,
    /// The greedy answer.
    pub(super) answer: Vec<u32>,
    /// Logits after each token of the prompt.
    pub(super) prefill: Vec<f32>,
    /// Logits after the answer's first tokens.
    pub(super) decode: Vec<f32>,
}

/// All fixtures.
pub(super) fn fixtures() -> Vec<Fixture> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 11, "only {folders:?}");
    folders.into_iter().map(Fixture::read).collect()
}

/// The fixture of this name.
pub(super) fn fixture(name: &str) -> Fixture {
    fixtures().into_iter().find(|fixture| fixture.name == name).unwrap()
}

impl Fixture {
    fn read(folder: PathBuf) -> Self {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(folder.join("expected.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        Self {
            prompt: ids(&tensors, "prompt"),
            answer: ids(&tensors, "answer"),
            prefill: floats(&tensors, "prefill"),
            decode: floats(&tensors, "decode"),
            name,
            folder,
        }
    }

    pub(super) fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.join("config.json")).unwrap()).unwrap()
    }

    pub(super) fn tensors(&self) -> Weights {
        Weights::open(&Files::folder(&self.folder).unwrap()).unwrap()
    }
}

fn ids(tensors: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    words(tensors, name).into_iter().map(u32::from_le_bytes).collect()
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    words(tensors, name).into_iter().map(f32::from_le_bytes).collect()
}

fn words(tensors: &SafeTensors<'_>, name: &str) -> Vec<[u8; 4]> {
    tensors.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec()
}

/// Tensors in a format of choice.
#[derive(Debug)]
pub(super) struct Packed(pub(super) Weights, pub(super) Format);

impl Tensors for Packed {
    fn place(&self) -> String {
        self.0.place()
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.shape(name)
    }

    fn format(&self, _: &str, _: Quant) -> Result<Format, LoadError> {
        Ok(self.1)
    }

    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError> {
        self.0.row(name, row, out)
    }
}

/// Tensors with a prefix before their names: `language_model.` or `model.language_`.
#[derive(Debug)]
pub(super) struct PrefixedTensors(pub(super) Weights, pub(super) &'static str);

impl PrefixedTensors {
    fn old<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.1).unwrap_or(name)
    }
}

impl Tensors for PrefixedTensors {
    fn place(&self) -> String {
        self.0.place()
    }

    fn names(&self) -> Vec<String> {
        self.0.names().into_iter().map(|name| format!("{}{name}", self.1)).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        name.starts_with(self.1).then(|| self.0.shape(self.old(name))).flatten()
    }

    fn format(&self, _: &str, _: Quant) -> Result<Format, LoadError> {
        Ok(Format::F32)
    }

    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError> {
        self.0.row(self.old(name), row, out)
    }
}
