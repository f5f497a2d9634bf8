//! SentencePiece vocabularies (`llama`): pieces with scores. The neighbours whose joined piece has the best
//! score are joined first, so a list of joins by falling score is equivalent to the merges of byte pairs.

use serde_json::{Value, json};

use super::{
    Parts, bpe, steps,
    vocabulary::{Kind, Vocabulary},
};
use crate::gguf::Metadata;

/// Longer pieces are runs of one letter, which are matched before anything is joined.
const PIECE_MAX: usize = 512;

pub(super) fn parts(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Parts, String> {
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let unknown = metadata.unsigned("tokenizer.ggml.unknown_token_id").unwrap_or(0);
    let unknown = u32::try_from(unknown).ok().and_then(|id| vocabulary.token(id));
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
    let mut model =
        bpe(vocabulary, merges(metadata, vocabulary)?).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        model = model.unk_token(unknown.to_owned());
    }
    Ok(Parts {
        steps: steps(
            json!({ "type": "Sequence", "normalizers": normalizers }),
            Value::Null,
            json!({ "type": "Sequence", "decoders": decoders }),
        ),
        model: model.build().map_err(|error| error.to_string())?.into(),
        adds_bos: true,
    })
}

/// Two pieces that join to a third. A vocabulary of 262,144 tokens has half a million joins, so they hold
/// numbers and not texts.
struct Join {
    score: f32,
    /// Bytes of the first part.
    length: usize,
    parts: [u32; 2],
}

/// All joins of two pieces to a third, best score first. Of equal scores SentencePiece takes the first in the
/// text, so that a run of one letter grows from its left end. In the list this is the longer first part.
fn merges(
    metadata: &Metadata,
    vocabulary: &Vocabulary<'_>,
) -> Result<Vec<(String, String)>, String> {
    let scores = metadata
        .floats("tokenizer.ggml.scores")
        .filter(|scores| scores.len() == vocabulary.len())
        .ok_or("scores: there must be one for each token")?;
    let mut joins = Vec::new();
    for ((_, piece, kind), score) in vocabulary.tokens().zip(scores.iter().copied()) {
        if !is_text(kind) || piece.len() > PIECE_MAX {
            continue;
        }
        let cuts = piece.char_indices().skip(1);
        joins.extend(cuts.filter_map(|(length, _)| {
            let (first, second) = piece.split_at(length);
            Some(Join {
                score,
                length,
                parts: [part(vocabulary, first)?, part(vocabulary, second)?],
            })
        }));
    }
    // No two joins are equal, so an unstable sort gives the same order without copying half of them.
    joins.sort_unstable_by(|a, b| {
        let length = b.length.cmp(&a.length);
        b.score.total_cmp(&a.score).then(length).then(a.parts.cmp(&b.parts))
    });
    // `part` has taken both numbers from the vocabulary, so each has a token.
    let texts = joins.into_iter().filter_map(|join| {
        let [first, second] = join.parts;
        Some((vocabulary.token(first)?.to_owned(), vocabulary.token(second)?.to_owned()))
    });
    Ok(texts.collect())
}

/// The number of a piece that may be joined: text, not the name of a byte or a control token.
fn part(vocabulary: &Vocabulary<'_>, piece: &str) -> Option<u32> {
    let number = vocabulary.number(piece)?;
    is_text(vocabulary.kind(number)?).then_some(number)
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Normal | Kind::UserDefined | Kind::Unused)
}
