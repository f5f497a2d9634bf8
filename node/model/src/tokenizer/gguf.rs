//! Tokenizers of GGUF files. The metadata are converted to the form of a `tokenizer.json`, so that the
//! `tokenizers` crate does the work for both formats.

mod pre;
mod pieces;
mod vocabulary;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tokenizers::models::{
    ModelWrapper,
    bpe::{BPE, BpeBuilder},
    wordpiece::WordPiece,
};

use super::{Tokenizer, ends};
use crate::{LoadError, gguf::Metadata};
use vocabulary::{Kind, Vocabulary};

/// The parts of a tokenizer.
struct Parts {
    /// The steps before and after the model, as in `tokenizer.json`.
    steps: Map<String, Value>,
    model: ModelWrapper,
    /// Whether texts start with a control token if the file does not say.
    adds_bos: bool,
}

impl Tokenizer {
    /// The vocabulary of a GGUF file, from its `tokenizer.ggml.*`. `vocab` is the size of the model's token
    /// table.
    pub(crate) fn from_gguf(
        metadata: &Metadata,
        place: &str,
        vocab: usize,
    ) -> Result<Self, LoadError> {
        build(metadata, vocab).map_err(|why| LoadError::InvalidFile {
            place: place.to_owned(),
            file: "tokenizer.ggml",
            why,
        })
    }
}

fn build(metadata: &Metadata, vocab: usize) -> Result<Tokenizer, String> {
    let vocabulary = Vocabulary::read(metadata)?;
    let model = metadata.text("tokenizer.ggml.model").unwrap_or_default();
    let parts = match model {
        "gpt2" => bytes(metadata, &vocabulary)?,
        "llama" => pieces::parts(metadata, &vocabulary)?,
        "bert" => wordpieces(&vocabulary)?,
        kind => return Err(format!("the tokenizer {kind:?}: gpt2, llama and bert are read")),
    };
    let control_tokens = ControlTokens::read(metadata, model, parts.adds_bos);
    let mut fields = parts.steps;
    fields.extend([
        ("version".to_owned(), json!("1.0")),
        ("added_tokens".to_owned(), json!([])),
        ("model".to_owned(), json!({ "type": "BPE", "vocab": {}, "merges": [] })),
        ("post_processor".to_owned(), post_processor(&control_tokens, &vocabulary)),
    ]);
    let mut inner: tokenizers::Tokenizer =
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    inner.with_model(parts.model);
    let name = metadata.text("general.name").unwrap_or_default().to_lowercase();
    // llama.cpp derives this from the model's name, because its files do not hold it.
    let strips = name.contains("phi-3") || name.contains("phi3");
    inner.add_tokens(vocabulary.marks(strips)).map_err(|error| error.to_string())?;
    let mut ends = ends::well_known(&inner);
    ends.extend(control_tokens.ends);
    if ends.is_empty() {
        return Err("no eos_token_id: an answer would never end".to_owned());
    }
    let mut tokenizer = Tokenizer::new(inner, ends, vocab)?;
    tokenizer.gaps = vocabulary.gaps();
    Ok(tokenizer)
}

/// The control tokens around a text, and those that end an answer.
struct ControlTokens {
    first: Option<u32>,
    last: Option<u32>,
    ends: BTreeSet<u32>,
}

impl ControlTokens {
    fn read(metadata: &Metadata, model: &str, adds_bos: bool) -> Self {
        // llama.cpp's defaults.
        let (bos, eos) = if model == "llama" { (Some(1), Some(2)) } else { (None, None) };
        let (bos, eos) = (id(metadata, "bos").or(bos), id(metadata, "eos").or(eos));
        let ends = [eos, id(metadata, "eot"), id(metadata, "eom")].into_iter().flatten();
        if model == "bert" {
            // The key is misspelled in GGUF.
            let separator = id(metadata, "seperator");
            let first = id(metadata, "cls").or(bos).filter(|_| adds(metadata, "bos", true));
            let last = separator.filter(|_| adds(metadata, "sep", true));
            return Self { first, last, ends: ends.chain(separator).collect() };
        }
        Self {
            first: bos.filter(|_| adds(metadata, "bos", adds_bos)),
            last: eos.filter(|_| adds(metadata, "eos", false)),
            ends: ends.collect(),
        }
    }
}

/// The number of a control token.
fn id(metadata: &Metadata, name: &str) -> Option<u32> {
    let id = metadata.unsigned(&format!("tokenizer.ggml.{name}_token_id"))?;
    u32::try_from(id).ok().filter(|id| *id != u32::MAX)
}

/// Whether texts get a control token; `default` if the file does not say.
fn adds(metadata: &Metadata, name: &str, default: bool) -> bool {
    metadata.flag(&format!("tokenizer.ggml.add_{name}_token")).unwrap_or(default)
}

/// Byte-level BPE.
fn bytes(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Parts, String> {
    let name = metadata.text("tokenizer.ggml.pre").unwrap_or(pre::DEFAULT_NAME);
    let pre = pre::from_name(name).ok_or_else(|| {
        format!("the pre-tokenizer {name:?} is not known, there are: {}", pre::names())
    })?;
    let merges = metadata
        .texts("tokenizer.ggml.merges")
        .ok_or("no merges: text cannot be turned into tokens")?;
    let merges: Vec<_> = merges
        .iter()
        .map(|merge| {
            merge_parts(merge).ok_or_else(|| format!("merges: {merge:.80?} is not two parts"))
        })
        .collect::<Result<_, _>>()?;
    // A merge of texts that are not tokens never applies, so llama.cpp ignores it too.
    let merges = merges
        .into_iter()
        .filter(|(first, second)| vocabulary.merges(first, second))
        .map(|(first, second)| (first.to_owned(), second.to_owned()));
    let spelling = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
    });
    let mut cuts: Vec<Value> = pre
        .patterns
        .iter()
        .map(|pattern| {
            json!({
                "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated",
                "invert": false,
            })
        })
        .collect();
    cuts.push(spelling.clone());
    let model = bpe(vocabulary, merges.collect()).ignore_merges(pre.whole_words);
    Ok(Parts {
        steps: steps(Value::Null, json!({ "type": "Sequence", "pretokenizers": cuts }), spelling),
        model: model.build().map_err(|error| error.to_string())?.into(),
        adds_bos: pre.adds_bos,
    })
}

/// The two parts of a merge. A space may be the first character of the first part.
fn merge_parts(merge: &str) -> Option<(&str, &str)> {
    let (space, _) = merge.char_indices().skip(1).find(|(_, letter)| *letter == ' ')?;
    Some((merge.get(..space)?, merge.get(space + 1..)?))
}

fn bpe(vocabulary: &Vocabulary<'_>, merges: Vec<(String, String)>) -> BpeBuilder {
    BPE::builder()
        .vocab_and_merges(vocabulary.numbers_by_spelling(|token, _| token.to_owned()), merges)
}

/// BERT's vocabulary: GGUF writes `▁` before pieces that start a word, `tokenizer.json` writes `##` before
/// the rest.
fn wordpieces(vocabulary: &Vocabulary<'_>) -> Result<Parts, String> {
    let numbers =
        vocabulary.numbers_by_spelling(|token, kind| match token.strip_prefix('\u{2581}') {
            Some(start) => start.to_owned(),
            None if kind == Kind::Normal => format!("##{token}"),
            None => token.to_owned(),
        });
    let model = WordPiece::builder()
        .vocab(numbers)
        .unk_token("[UNK]".to_owned())
        .continuing_subword_prefix("##".to_owned())
        .max_input_chars_per_word(1000)
        .build();
    Ok(Parts {
        steps: steps(
            json!({
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": true, "lowercase": true,
            }),
            json!({ "type": "BertPreTokenizer" }),
            json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
        ),
        model: model.map_err(|error| error.to_string())?.into(),
        adds_bos: true,
    })
}

fn steps(normalizer: Value, pre_tokenizer: Value, decoder: Value) -> Map<String, Value> {
    let steps =
        [("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer), ("decoder", decoder)];
    steps.into_iter().map(|(name, step)| (name.to_owned(), step)).collect()
}

fn post_processor(tokens: &ControlTokens, vocabulary: &Vocabulary<'_>) -> Value {
    let [first, last] =
        [tokens.first, tokens.last].map(|id| id.and_then(|id| Some((id, vocabulary.token(id)?))));
    let marks: Map<String, Value> = [first, last]
        .into_iter()
        .flatten()
        .map(|(id, token)| {
            (token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] }))
        })
        .collect();
    if marks.is_empty() {
        return Value::Null;
    }
    let [first, last] = [first, last].map(|mark| {
        mark.map(|(_, token)| json!({ "SpecialToken": { "id": token, "type_id": 0 } }))
    });
    let [a, b] = ["A", "B"].map(|id| Some(json!({ "Sequence": { "id": id, "type_id": 0 } })));
    let single: Vec<Value> = [&first, &a, &last].into_iter().flatten().cloned().collect();
    let pair: Vec<Value> = [&first, &a, &last, &b, &last].into_iter().flatten().cloned().collect();
    json!({
        "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": marks,
    })
}

#[cfg(test)]
mod tests;
