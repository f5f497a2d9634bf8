//! SentencePiece vocabularies (`llama`): pieces with scores. Neighbours are joined whose piece has
//! the best score, so that a list of joins, best first, is the same as byte pairs' merges.

use serde_json::{Value, json};

use super::vocabulary::{Kind, Vocabulary};
use crate::model::gguf::Metadata;

/// Longer pieces are runs of one letter, found before anything is joined.
const PIECE_MAX: usize = 512;

pub(super) fn json(metadata: &Metadata, words: &Vocabulary<'_>) -> Value {
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let unknown = metadata.unsigned("tokenizer.ggml.unknown_token_id").unwrap_or(0);
    let unknown = u32::try_from(unknown).ok().and_then(|id| words.token(id));
    let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" });
    let normalizers = match prefix {
        true => vec![json!({ "type": "Prepend", "prepend": "\u{2581}" }), spaces],
        false => vec![spaces],
    };
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefix {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({
        "normalizer": { "type": "Sequence", "normalizers": normalizers },
        "pre_tokenizer": null,
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": {
            "type": "BPE", "vocab": words.json(), "merges": merges(metadata, words),
            "byte_fallback": true, "fuse_unk": true, "unk_token": unknown,
        },
    })
}

/// All ways to join two pieces to a third, best score first; of equals, the one with the smaller
/// numbers.
fn merges(metadata: &Metadata, words: &Vocabulary<'_>) -> Vec<Value> {
    let scores = metadata.floats("tokenizer.ggml.scores").unwrap_or_default();
    let mut joins: Vec<(f32, u32, u32)> = Vec::new();
    for (id, piece, kind) in words.all() {
        if !matches!(kind, Kind::Normal | Kind::UserDefined | Kind::Unused)
            || piece.len() > PIECE_MAX
        {
            continue;
        }
        let score = usize::try_from(id).ok().and_then(|id| scores.get(id)).copied().unwrap_or(0.0);
        let cuts = piece.char_indices().skip(1);
        joins.extend(cuts.filter_map(|(at, _)| {
            let (first, second) = piece.split_at(at);
            Some((score, part(words, first)?, part(words, second)?))
        }));
    }
    joins.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let named =
        joins.iter().filter_map(|(_, a, b)| Some(json!([words.token(*a)?, words.token(*b)?])));
    named.collect()
}

/// A piece that may be a part of another: text, not the name of a byte or a mark.
fn part(words: &Vocabulary<'_>, piece: &str) -> Option<u32> {
    let number = words.number(piece)?;
    let text = matches!(words.kind(number)?, Kind::Normal | Kind::UserDefined | Kind::Unused);
    text.then_some(number)
}
