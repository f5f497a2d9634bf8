//! `config.json`, and what in it this build would get wrong: better refused than run as noise.

use serde_json::Value;

use super::LoadError;
use crate::{engine::burn::llama::LlamaConfig, model::files::Files};

/// The decoder's shape, if it is one that runs here.
pub(in crate::engine::burn) fn read(files: &Files) -> Result<LlamaConfig, LoadError> {
    let place = files.place();
    let bytes = files.need("config.json")?;
    let refused = |why: String| LoadError::Words { place: files.place(), file: "config.json", why };
    let mut config: Value =
        serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
    let family = config.get("model_type").and_then(Value::as_str).unwrap_or("llama");
    if family != "llama" {
        return Err(LoadError::Family { place, family: family.to_owned() });
    }
    if let Some(why) = unsupported(&config) {
        return Err(refused(why));
    }
    flatten_rope(&mut config);
    LlamaConfig::parse(&config.to_string()).map_err(|source| LoadError::Config { place, source })
}

/// What such a decoder may have and this one has not.
fn unsupported(config: &Value) -> Option<String> {
    let on = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
    if let Some(name) = ["attention_bias", "mlp_bias"].into_iter().find(|name| on(name)) {
        return Some(format!("{name} is not supported"));
    }
    let activation = config.get("hidden_act").and_then(Value::as_str).unwrap_or("silu");
    if activation != "silu" {
        return Some(format!("the activation {activation} is not supported"));
    }
    // Older files say `type`, newer ones `rope_type`, the newest in `rope_parameters`.
    let scaling =
        ["rope_scaling", "rope_parameters"].into_iter().filter_map(|name| config.get(name));
    let kinds =
        scaling.filter_map(|rope| rope.get("rope_type").or_else(|| rope.get("type"))?.as_str());
    let scaled = kinds.into_iter().find(|kind| *kind != "default")?;
    Some(format!("{scaled} scaling of rotary positions is not supported"))
}

/// The newest files keep `rope_theta` one level deeper.
fn flatten_rope(config: &mut Value) {
    let theta = config.pointer("/rope_parameters/rope_theta").cloned();
    if let (Some(theta), Some(config)) = (theta, config.as_object_mut()) {
        config.entry("rope_theta").or_insert(theta);
    }
}
