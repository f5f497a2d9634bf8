//! The tensors of a GGUF file under the names of Hugging Face's checkpoints, and in their order. The
//! conversions to undo are those of llama.cpp's `convert_hf_to_gguf.py`.

use std::collections::BTreeMap;

use crate::{
    LoadError,
    file_tensor::{FileTensor, Order},
    gguf::{Architecture, Gguf},
};

/// Names within a layer, after `blk.N.` and `model.layers.N.`.
const LAYER: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// Names outside of layers.
const GLOBAL: &[(&str, &str)] =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// The tensors of a file that exist in a checkpoint.
pub(crate) fn tensors(gguf: &Gguf) -> Result<BTreeMap<String, FileTensor>, LoadError> {
    let arch = Architecture::from_gguf(gguf)?;
    let mut tensors = BTreeMap::new();
    for (name, entry) in gguf.tensors() {
        let Some(checkpoint_name) = translate(name, arch) else { continue };
        let rows = entry.shape.first();
        let rows = rows.ok_or_else(|| gguf.fault(format!("{name} has no dimensions")))?;
        let order = order(gguf, arch, name, *rows)?;
        let is_norm = name.ends_with("_norm.weight");
        let tensor = FileTensor {
            bytes: gguf.bytes().clone(),
            shape: entry.shape.clone(),
            kind: entry.kind,
            place: entry.start..entry.start + entry.len,
            order,
            offset: if is_norm { arch.norm_offset } else { 0.0 },
        };
        if tensors.insert(checkpoint_name, tensor).is_some() {
            return Err(gguf.fault(format!("{name} is a second tensor of its kind")));
        }
    }
    Ok(tensors)
}

/// The name in a checkpoint, if the tensor exists there.
fn translate(name: &str, arch: &Architecture) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.')?;
    if !matches!(kind, "weight" | "bias") {
        return None;
    }
    let Some(layer) = stem.strip_prefix("blk.") else {
        return Some(format!("{}.{kind}", lookup(GLOBAL, stem)?));
    };
    let (layer, stem) = layer.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let part = match stem {
        "ffn_up" if arch.fused_gate => "mlp.gate_up_proj",
        "ffn_norm" if arch.double_norms => "pre_feedforward_layernorm",
        _ => lookup(LAYER, stem)?,
    };
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}

fn lookup(table: &[(&str, &'static str)], stem: &str) -> Option<&'static str> {
    table.iter().find(|(key, _)| *key == stem).map(|(_, name)| *name)
}

/// The order of the rows of queries and keys in the file.
fn order(gguf: &Gguf, arch: &Architecture, name: &str, rows: usize) -> Result<Order, LoadError> {
    let heads = match name.rsplit('.').nth(1) {
        Some("attn_q") if arch.pairs => "attention.head_count",
        Some("attn_k") if arch.pairs => "attention.head_count_kv",
        _ => return Ok(Order::Same),
    };
    let heads = gguf.heads(heads)?;
    let dim = rows / heads;
    if rows != dim * heads || dim == 0 || !dim.is_multiple_of(2) {
        return Err(gguf.fault(format!("{name}: {rows} rows are not {heads} heads of pairs")));
    }
    Ok(Order::Pairs { dim })
}
