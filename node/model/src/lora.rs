//! Low-rank adapters (Hu et al., 2021) in PEFT's format. They are merged while weights are packed: a
//! matrix `W` becomes `W + scale * B A`, row by row, at no cost afterwards.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shoal_kernel::Format;

use super::{
    LoadError,
    file_tensor::FileTensor,
    files::Files,
    safetensors,
    tensors::{Quant, Tensors},
};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// The files of an adapter.
pub(super) const FILES: [&str; 2] = [CONFIG, WEIGHTS];

/// The changes of an adapter, by the name of the changed matrix.
#[derive(Debug)]
pub(crate) struct Adapter {
    place: String,
    changes: BTreeMap<String, Change>,
}

/// `scale * B A`, of shape `[out, in]`.
#[derive(Debug)]
struct Change {
    scale: f32,
    rank: usize,
    shape: [usize; 2],
    /// `[rank, in]`.
    a: Vec<f32>,
    /// `[out, rank]`.
    b: Vec<f32>,
}

/// The keys of `adapter_config.json` that matter.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    lora_alpha: f32,
    #[serde(default)]
    use_rslora: bool,
}

impl Adapter {
    /// Reads the folder of an adapter.
    ///
    /// # Errors
    /// When a file is missing or corrupt, or the adapter does more than low-rank changes of matrices.
    pub(crate) fn open(files: &Files) -> Result<Self, LoadError> {
        let place = files.place();
        let value: Value = serde_json::from_slice(&files.need(CONFIG)?)
            .map_err(|error| config_fault(&place, error.to_string()))?;
        let config =
            Config::deserialize(&value).map_err(|error| config_fault(&place, error.to_string()))?;
        if config.peft_type != "LORA" {
            let why = format!("{:.40} adapters are not read, LORA is", config.peft_type);
            return Err(config_fault(&place, why));
        }
        if let Some(key) = unsupported_key(&value) {
            return Err(config_fault(&place, format!("{key} is not supported")));
        }
        let mut tensors = BTreeMap::new();
        safetensors::add(files, WEIGHTS, &mut tensors)?;
        let mut changes = BTreeMap::new();
        for name in tensors.keys() {
            if let Some(target) = target_of(name, ".lora_A.weight") {
                let change = Change::read(&place, target, &tensors, &config)?;
                changes.insert(format!("{target}.weight"), change);
            } else if target_of(name, ".lora_B.weight").is_none() {
                let why = format!("{name} is neither lora_A nor lora_B of a matrix");
                return Err(LoadError::Weights { place, file: WEIGHTS.to_owned(), why });
            }
        }
        if changes.len() * 2 != tensors.len() {
            let why = "a lora_B has no lora_A".to_owned();
            return Err(LoadError::Weights { place, file: WEIGHTS.to_owned(), why });
        }
        Ok(Self { place, changes })
    }
}

fn config_fault(place: &str, why: String) -> LoadError {
    LoadError::InvalidFile { place: place.to_owned(), file: CONFIG, why }
}

/// The matrix that a tensor with this suffix changes.
fn target_of<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    name.strip_suffix(suffix)?.strip_prefix("base_model.model.")
}

/// A key of another kind of adapter, if its value turns that on.
fn unsupported_key(config: &Value) -> Option<&'static str> {
    const KEYS: [&str; 9] = [
        "use_dora",
        "use_qalora",
        "fan_in_fan_out",
        "lora_bias",
        "modules_to_save",
        "alpha_pattern",
        "layer_replication",
        "target_parameters",
        "trainable_token_indices",
    ];
    let bias = config.get("bias").and_then(Value::as_str).is_some_and(|bias| bias != "none");
    KEYS.into_iter().find(|key| is_on(config.get(*key))).or(bias.then_some("bias"))
}

fn is_on(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    }
}

impl Change {
    fn read(
        place: &str,
        target: &str,
        tensors: &BTreeMap<String, FileTensor>,
        config: &Config,
    ) -> Result<Self, LoadError> {
        let (a, rank, inputs) = factor(place, target, "A", tensors)?;
        let (b, outputs, inner) = factor(place, target, "B", tensors)?;
        if rank != inner || rank == 0 {
            return Err(LoadError::Shape {
                place: place.to_owned(),
                tensor: format!("base_model.model.{target}.lora_B.weight"),
                found: vec![outputs, inner],
                expected: vec![outputs, rank],
            });
        }
        // The scale of rank-stabilised adapters (Kalajdzievski, 2023) has the root of the rank.
        let divisor = if config.use_rslora { (rank as f32).sqrt() } else { rank as f32 };
        let scale = config.lora_alpha / divisor;
        Ok(Self { scale, rank, shape: [outputs, inputs], a, b })
    }

    /// Adds row `row` of the change; `None` when there is no such row.
    fn add(&self, row: usize, out: &mut [f32]) -> Option<()> {
        let factors = self.b.chunks_exact(self.rank).nth(row)?;
        for (factor, a) in factors.iter().zip(self.a.chunks_exact(self.shape[1].max(1))) {
            let factor = self.scale * factor;
            for (out, a) in out.iter_mut().zip(a) {
                *out += factor * a;
            }
        }
        Some(())
    }
}

/// One factor of a change, with its numbers of rows and columns.
fn factor(
    place: &str,
    target: &str,
    side: &str,
    tensors: &BTreeMap<String, FileTensor>,
) -> Result<(Vec<f32>, usize, usize), LoadError> {
    let name = format!("base_model.model.{target}.lora_{side}.weight");
    let factor = tensors.get(&name).and_then(|tensor| {
        let &[rows, cols] = tensor.shape.as_slice() else { return None };
        Some((matrix(tensor, rows, cols)?, rows, cols))
    });
    factor.ok_or_else(|| LoadError::NoTensor { place: place.to_owned(), tensor: name })
}

/// All weights of a matrix.
fn matrix(tensor: &FileTensor, rows: usize, cols: usize) -> Option<Vec<f32>> {
    let mut floats = vec![0.0; rows.checked_mul(cols)?];
    for (row, out) in floats.chunks_exact_mut(cols.max(1)).enumerate() {
        tensor.row(row, out).ok()?;
    }
    Some(floats)
}

/// Tensors with an adapter merged into them.
#[derive(Debug)]
pub(crate) struct WithAdapter<T> {
    base: T,
    adapter: Adapter,
}

impl<T: Tensors> WithAdapter<T> {
    /// Merges an adapter into tensors.
    ///
    /// # Errors
    /// When the adapter changes a matrix that the model does not have, or has in another shape.
    pub(crate) fn new(base: T, adapter: Adapter) -> Result<Self, LoadError> {
        for (name, change) in &adapter.changes {
            let (place, tensor) = (adapter.place.clone(), name.clone());
            match base.shape(name) {
                None => {
                    let why = format!("is changed by the adapter, but {} has none", base.place());
                    return Err(LoadError::Tensor { place, tensor, why });
                }
                Some(shape) if shape != change.shape => {
                    let found = change.shape.to_vec();
                    return Err(LoadError::Shape { place, tensor, found, expected: shape });
                }
                Some(_) => {}
            }
        }
        Ok(Self { base, adapter })
    }
}

impl<T: Tensors> Tensors for WithAdapter<T> {
    fn place(&self) -> String {
        self.base.place()
    }

    fn names(&self) -> Vec<String> {
        self.base.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.base.shape(name)
    }

    /// The few bits of the base fit its rounded weights, but not the adapter's changes. So a changed
    /// matrix gets 8 bits, unless fewer are requested.
    fn format(&self, name: &str, quant: Quant) -> Result<Format, LoadError> {
        let format = self.base.format(name, quant)?;
        let has_few_bits = matches!(format, Format::Q4 | Format::Q4Min | Format::Q4K | Format::Q6K);
        let is_changed = self.adapter.changes.contains_key(name);
        Ok(if has_few_bits && is_changed && quant != Quant::Q4 { Format::Q8 } else { format })
    }

    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError> {
        self.base.row(name, row, out)?;
        if let Some(change) = self.adapter.changes.get(name) {
            change.add(row, out).ok_or_else(|| LoadError::Tensor {
                place: self.adapter.place.clone(),
                tensor: name.to_owned(),
                why: format!("has no row {row}"),
            })?;
        }
        Ok(())
    }

    fn rows(
        &self,
        name: &str,
        rows: std::ops::Range<usize>,
        quant: Quant,
    ) -> Result<shoal_kernel::Matrix, LoadError> {
        if !self.adapter.changes.contains_key(name) {
            return self.base.rows(name, rows, quant);
        }
        self.pack(name, rows, quant)
    }
}

#[cfg(test)]
mod tests;
