//! The tokens that end an answer, and the one that stands for no answer.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{json, mark};
use crate::{LoadError, files::Files};

/// Control tokens that end a turn in every model that has them. Files name at most one or two of them, and
/// a model that writes another one would continue the conversation by itself.
const WELL_KNOWN: [&str; 9] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
];

/// By number in `generation_config.json` and `config.json`, by text in `tokenizer_config.json` and
/// `special_tokens_map.json`, and the well-known ones.
pub(super) fn from_files(
    files: &Files,
    inner: &tokenizers::Tokenizer,
) -> Result<BTreeSet<u32>, LoadError> {
    let mut ends = well_known(inner);
    for name in ["generation_config.json", "config.json"] {
        match json(files, name)?.get("eos_token_id") {
            Some(Value::Array(ids)) => ends.extend(ids.iter().filter_map(number)),
            Some(id) => ends.extend(number(id)),
            None => {}
        }
    }
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        let config = json(files, name)?;
        ends.extend(mark(&config, "eos_token").and_then(|text| inner.token_to_id(&text)));
    }
    Ok(ends)
}

/// The token that a model writes in place of an answer when it cannot give one: `abstain_token_id` in
/// `generation_config.json`, if it is in the model's table of `vocab` tokens.
pub(super) fn abstention(files: &Files, vocab: usize) -> Result<Option<u32>, LoadError> {
    let config = json(files, "generation_config.json")?;
    let id = config.get("abstain_token_id").and_then(number);
    Ok(id.filter(|id| usize::try_from(*id).is_ok_and(|id| id < vocab)))
}

/// The well-known ends that are control tokens here: a model may have any of these texts as words.
pub(super) fn well_known(inner: &tokenizers::Tokenizer) -> BTreeSet<u32> {
    let marks = inner.get_added_vocabulary();
    let ids = WELL_KNOWN.iter().filter_map(|name| marks.get_vocab().get(*name));
    ids.copied().collect()
}

pub(super) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}
