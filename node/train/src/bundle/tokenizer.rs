//! Bytes as tokens, in the format of the `tokenizers` library: a byte-level BPE without merges.

use serde_json::{Map, Value, json};

use crate::tokens::{ABSTAIN, BOS, EOS, SEP};

const MARKS: [(u32, &str); 4] =
    [(BOS, "<|bos|>"), (EOS, "<|eos|>"), (SEP, "<|sep|>"), (ABSTAIN, "<|abstain|>")];

/// The user's last message between the marks: these models read one question.
const TEMPLATE: &str = "{%- set ns = namespace(text='') -%}\
{%- for message in messages -%}\
{%- if message['role'] == 'user' -%}{%- set ns.text = message['content'] -%}{%- endif -%}\
{%- endfor -%}\
{{- '<|bos|>' + (ns.text | trim) + '<|sep|>' -}}";

/// `tokenizer.json`: token ids of text are its UTF-8 bytes.
pub(super) fn tokenizer() -> Value {
    let vocab: Map<String, Value> =
        (0..=255u8).map(|byte| (letter(byte).to_string(), json!(byte))).collect();
    let marks = MARKS.map(|(id, content)| {
        json!({
            "id": id,
            "content": content,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        })
    });
    let byte_level = json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": true,
        "use_regex": false,
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": marks,
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": [],
        },
    })
}

/// `tokenizer_config.json`, with the chat template.
pub(super) fn config() -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|bos|>",
        "eos_token": "<|eos|>",
        "pad_token": "<|eos|>",
        "model_max_length": 512,
        "clean_up_tokenization_spaces": false,
        "chat_template": TEMPLATE,
    })
}

/// GPT-2's printable character for a byte: the byte itself if it is printable, else the next unused
/// character from U+0100 on.
fn letter(byte: u8) -> char {
    if is_printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|b| !is_printable(*b)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}
