//! Low-rank adapters (Hu et al., 2021) as PEFT keeps them, merged while weights are packed: a
//! matrix `W` becomes `W + scale * B A`, row by row, and costs nothing afterwards.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shoal_kernel::Format;

use super::{
    LoadError,
    files::Files,
    safetensors,
    stored::Stored,
    tensors::{Quant, Tensors},
};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// The files of an adapter.
pub(super) const FILES: [&str; 2] = [CONFIG, WEIGHTS];

/// What an adapter adds, by the name of the matrix that it changes.
#[derive(Debug)]
pub(crate) struct Adapter {
    place: String,
    changes: BTreeMap<String, Change>,
}

/// `scale * B A`, of `[out, in]`.
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

/// The keys of `adapter_config.json` that are read.
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
    /// When a file is missing or corrupt, or the adapter is more than low-rank changes of matrices.
    pub(crate) fn open(files: &Files) -> Result<Self, LoadError> {
        let place = files.place();
        let refused = |why: String| LoadError::Words { place: files.place(), file: CONFIG, why };
        let value: Value = serde_json::from_slice(&files.need(CONFIG)?)
            .map_err(|error| refused(error.to_string()))?;
        let config: Config =
            Config::deserialize(&value).map_err(|error| refused(error.to_string()))?;
        if config.peft_type != "LORA" {
            return Err(refused(format!(
                "{:.40} adapters are not read, LORA is",
                config.peft_type
            )));
        }
        if let Some(key) = other(&value) {
            return Err(refused(format!("{key} is not supported")));
        }
        let mut tensors = BTreeMap::new();
        safetensors::add(files, WEIGHTS, &mut tensors)?;
        let mut changes = BTreeMap::new();
        for name in tensors.keys() {
            let known = |part: &str| name.strip_suffix(part)?.strip_prefix("base_model.model.");
            if let Some(target) = known(".lora_A.weight") {
                let change = Change::read(&place, target, &tensors, &config)?;
                changes.insert(format!("{target}.weight"), change);
            } else if known(".lora_B.weight").is_none() {
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

/// A key that makes another kind of adapter, where it is on.
fn other(config: &Value) -> Option<&'static str> {
    const OTHERS: [&str; 9] = [
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
    let on = |key: &&str| match config.get(*key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::Object(all)) => !all.is_empty(),
        Some(_) => true,
    };
    let bias = config.get("bias").and_then(Value::as_str).is_some_and(|bias| bias != "none");
    OTHERS.into_iter().find(on).or(bias.then_some("bias"))
}

impl Change {
    fn read(
        place: &str,
        target: &str,
        tensors: &BTreeMap<String, Stored>,
        config: &Config,
    ) -> Result<Self, LoadError> {
        let part = |side: &str| {
            let tensor = format!("base_model.model.{target}.lora_{side}.weight");
            let found = tensors.get(&tensor).and_then(|stored| {
                let &[rows, cols] = stored.shape.as_slice() else { return None };
                Some((matrix(stored, rows, cols)?, rows, cols))
            });
            found.ok_or_else(|| LoadError::NoTensor { place: place.to_owned(), tensor })
        };
        let (a, rank, inputs) = part("A")?;
        let (b, outputs, inner) = part("B")?;
        if rank != inner || rank == 0 {
            return Err(LoadError::Shape {
                place: place.to_owned(),
                tensor: format!("base_model.model.{target}.lora_B.weight"),
                found: vec![outputs, inner],
                expected: vec![outputs, rank],
            });
        }
        // Rank-stabilised (Kalajdzievski, 2023) adapters are scaled by the root.
        let by = if config.use_rslora { (rank as f32).sqrt() } else { rank as f32 };
        Ok(Self { scale: config.lora_alpha / by, rank, shape: [outputs, inputs], a, b })
    }

    /// Adds its row `row`; `None` when there is no such row.
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

/// All of a stored matrix.
fn matrix(stored: &Stored, rows: usize, cols: usize) -> Option<Vec<f32>> {
    let mut floats = vec![0.0; rows.checked_mul(cols)?];
    for (row, out) in floats.chunks_exact_mut(cols.max(1)).enumerate() {
        stored.row(row, out).ok()?;
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
    /// # Errors
    /// When the adapter changes a matrix that the model has not, or has in another shape.
    pub(crate) fn new(base: T, adapter: Adapter) -> Result<Self, LoadError> {
        for (name, change) in &adapter.changes {
            let (place, tensor) = (adapter.place.clone(), name.clone());
            match base.shape(name) {
                None => {
                    let why = format!("is what the adapter changes, but {} has none", base.place());
                    return Err(LoadError::Tensor { place, tensor, why });
                }
                Some(expected) if expected != change.shape => {
                    let found = change.shape.to_vec();
                    return Err(LoadError::Shape { place, tensor, found, expected });
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

    /// Few bits fit what the base was rounded to, not what the adapter adds: unless they are asked
    /// for, a changed matrix gets eight.
    fn format(&self, name: &str, quant: Quant) -> Result<Format, LoadError> {
        let format = self.base.format(name, quant)?;
        let few = matches!(format, Format::Q4 | Format::Q4Min | Format::Q4K | Format::Q6K);
        let changed = self.adapter.changes.contains_key(name);
        Ok(if few && changed && quant != Quant::Q4 { Format::Q8 } else { format })
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
