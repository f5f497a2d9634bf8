//! Tensors of GGUF under the names, and in the order, of Hugging Face's checkpoints. What llama.cpp
//! does to them is read in its `convert_hf_to_gguf.py`.

use std::collections::BTreeMap;

use crate::{
    LoadError,
    gguf::{Architecture, Gguf},
    stored::{Order, Stored},
};

/// Of a layer, without `blk.N.` and `model.layers.N.`.
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

const WHOLE: &[(&str, &str)] =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// The tensors of a file that a checkpoint has too.
pub(crate) fn tensors(gguf: &Gguf) -> Result<BTreeMap<String, Stored>, LoadError> {
    let arch = Architecture::of(gguf)?;
    let mut tensors = BTreeMap::new();
    for (name, entry) in gguf.tensors() {
        let Some(known) = translated(name, arch) else { continue };
        let rows = entry.shape.first();
        let rows = rows.ok_or_else(|| gguf.fault(format!("{name} has no dimensions")))?;
        let order = order(gguf, arch, name, *rows)?;
        let norm = name.ends_with("_norm.weight");
        let stored = Stored {
            bytes: gguf.bytes().clone(),
            shape: entry.shape.clone(),
            kind: entry.kind,
            place: entry.start..entry.start + entry.len,
            order,
            added: if norm { arch.norms_from } else { 0.0 },
        };
        if tensors.insert(known, stored).is_some() {
            return Err(gguf.fault(format!("{name} is a second tensor of its kind")));
        }
    }
    Ok(tensors)
}

/// The name in a checkpoint.
fn translated(name: &str, arch: &Architecture) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.')?;
    if !matches!(kind, "weight" | "bias") {
        return None;
    }
    let find = |table: &[(&str, &'static str)], stem: &str| {
        table.iter().find(|(known, _)| *known == stem).map(|(_, found)| *found)
    };
    let Some(layer) = stem.strip_prefix("blk.") else {
        return Some(format!("{}.{kind}", find(WHOLE, stem)?));
    };
    let (layer, stem) = layer.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let found = match stem {
        "ffn_up" if arch.joined => "mlp.gate_up_proj",
        "ffn_norm" if arch.norms_around => "pre_feedforward_layernorm",
        _ => find(LAYER, stem)?,
    };
    Some(format!("model.layers.{layer}.{found}.{kind}"))
}

/// How the rows of queries and keys lie in the file.
fn order(gguf: &Gguf, arch: &Architecture, name: &str, rows: usize) -> Result<Order, LoadError> {
    let heads = match name.rsplit('.').nth(1) {
        Some("attn_q") if arch.pairs => "attention.head_count",
        Some("attn_k") if arch.pairs => "attention.head_count_kv",
        _ => return Ok(Order::Same),
    };
    let heads = gguf.heads(heads)?;
    let dim = rows / heads;
    if rows != dim * heads || dim == 0 || !dim.is_multiple_of(2) {
        return Err(gguf.fault(format!("{name}: {rows} rows are no {heads} heads of pairs")));
    }
    Ok(Order::Pairs { dim })
}
