//! SentencePiece vocabularies (`llama`): pieces with scores. Neighbours are joined whose piece has
//! the best score, so that a list of joins, best first, is the same as byte pairs' merges.

use serde_json::{Value, json};

use super::{
    Parts, around_model, bpe,
    vocabulary::{Kind, Vocabulary},
};
use crate::gguf::Metadata;

/// Longer pieces are runs of one letter, found before anything is joined.
const PIECE_MAX: usize = 512;

pub(super) fn parts(metadata: &Metadata, words: &Vocabulary<'_>) -> Result<Parts, String> {
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
    let mut model = bpe(words, merges(metadata, words)).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        model = model.unk_token(unknown.to_owned());
    }
    Ok(Parts {
        around: around_model(
            json!({ "type": "Sequence", "normalizers": normalizers }),
            Value::Null,
            json!({ "type": "Sequence", "decoders": decoders }),
        ),
        model: model.build().map_err(|error| error.to_string())?.into(),
        begins: true,
    })
}

/// A way to join two pieces to a third. There are half a million in a vocabulary of 262,144 tokens,
/// so that texts are looked up and not copied.
struct Join {
    score: f32,
    /// Bytes of the first part.
    length: usize,
    parts: [u32; 2],
}

/// All ways to join two pieces to a third, best score first. Of equal scores SentencePiece takes
/// what stands first in the text: so that a run of one letter grows from its left end, which a list
/// says by having the longer first part first.
fn merges(metadata: &Metadata, words: &Vocabulary<'_>) -> Vec<(String, String)> {
    let scores = metadata.floats("tokenizer.ggml.scores").unwrap_or_default();
    let mut joins = Vec::new();
    for (id, piece, kind) in words.all() {
        if !is_text(kind) || piece.len() > PIECE_MAX {
            continue;
        }
        let score = usize::try_from(id).ok().and_then(|id| scores.get(id)).copied().unwrap_or(0.0);
        let cuts = piece.char_indices().skip(1);
        joins.extend(cuts.filter_map(|(length, _)| {
            let (first, second) = piece.split_at(length);
            Some(Join { score, length, parts: [part(words, first)?, part(words, second)?] })
        }));
    }
    // No two are the same: a stable sort would copy half of them for nothing.
    joins.sort_unstable_by(|a, b| {
        let length = b.length.cmp(&a.length);
        b.score.total_cmp(&a.score).then(length).then(a.parts.cmp(&b.parts))
    });
    let text = |part| words.token(part).unwrap_or_default().to_owned();
    joins.into_iter().map(|join| join.parts.map(text).into()).collect()
}

/// A piece that may be a part of another: text, not the name of a byte or a mark.
fn part(words: &Vocabulary<'_>, piece: &str) -> Option<u32> {
    let number = words.number(piece)?;
    is_text(words.kind(number)?).then_some(number)
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Normal | Kind::UserDefined | Kind::Unused)
}
