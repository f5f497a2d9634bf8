//! Tokenizers out of GGUF files. What llama.cpp keeps of one is brought into the form of a
//! `tokenizer.json`, so that the `tokenizers` crate does the work either way.

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
    /// How text is cut before, and put together behind the model, as in `tokenizer.json`.
    around: Map<String, Value>,
    model: ModelWrapper,
    /// Whether texts begin with a mark where the file does not say.
    begins: bool,
}

impl Tokenizer {
    /// The words of a GGUF file: its `tokenizer.ggml.*`. `vocab` is the number of tokens in the
    /// model's table.
    pub(crate) fn of_gguf(
        metadata: &Metadata,
        place: &str,
        vocab: usize,
    ) -> Result<Self, LoadError> {
        let built = build(metadata, vocab);
        built.map_err(|why| LoadError::Words {
            place: place.to_owned(),
            file: "tokenizer.ggml",
            why,
        })
    }
}

fn build(metadata: &Metadata, vocab: usize) -> Result<Tokenizer, String> {
    let words = Vocabulary::read(metadata)?;
    let model = metadata.text("tokenizer.ggml.model").unwrap_or_default();
    let parts = match model {
        "gpt2" => bytes(metadata, &words)?,
        "llama" => pieces::parts(metadata, &words)?,
        "bert" => wordpieces(&words)?,
        other => return Err(format!("the tokenizer {other:?}: gpt2, llama and bert are read")),
    };
    let around = Around::read(metadata, model, parts.begins);
    let mut fields = parts.around;
    fields.extend([
        ("version".to_owned(), json!("1.0")),
        ("added_tokens".to_owned(), json!([])),
        ("model".to_owned(), json!({ "type": "BPE", "vocab": {}, "merges": [] })),
        ("post_processor".to_owned(), around_json(&around, &words)),
    ]);
    let said = |error: tokenizers::Error| error.to_string();
    let mut inner: tokenizers::Tokenizer =
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    inner.with_model(parts.model);
    let name = metadata.text("general.name").unwrap_or_default().to_lowercase();
    // llama.cpp knows this of the model: in its files nothing says it.
    let strips = name.contains("phi-3") || name.contains("phi3");
    inner.add_tokens(words.marks(strips)).map_err(said)?;
    let mut ends = ends::well_known(&inner);
    ends.extend(around.ends);
    if ends.is_empty() {
        return Err("no eos_token_id: an answer would never end".to_owned());
    }
    let mut tokenizer = Tokenizer::new(inner, ends, vocab);
    tokenizer.unused = words.unused();
    Ok(tokenizer)
}

/// The marks around a text that stands by itself, and those that end an answer.
struct Around {
    first: Option<u32>,
    last: Option<u32>,
    ends: BTreeSet<u32>,
}

impl Around {
    fn read(metadata: &Metadata, model: &str, begins: bool) -> Self {
        let id = |key: &str| {
            let id = metadata.unsigned(&format!("tokenizer.ggml.{key}_token_id"))?;
            u32::try_from(id).ok().filter(|id| *id != u32::MAX)
        };
        let flag = |key: &str| metadata.flag(&format!("tokenizer.ggml.add_{key}_token"));
        // As llama.cpp takes them where a file is silent.
        let (bos, eos) = if model == "llama" { (Some(1), Some(2)) } else { (None, None) };
        let (bos, eos) = (id("bos").or(bos), id("eos").or(eos));
        let ends = [eos, id("eot"), id("eom")].into_iter().flatten();
        if model == "bert" {
            // The key is written like this.
            let separator = id("seperator");
            let first = id("cls").or(bos).filter(|_| flag("bos").unwrap_or(true));
            let last = separator.filter(|_| flag("sep").unwrap_or(true));
            return Self { first, last, ends: ends.chain(separator).collect() };
        }
        Self {
            first: bos.filter(|_| flag("bos").unwrap_or(begins)),
            last: eos.filter(|_| flag("eos").unwrap_or(false)),
            ends: ends.collect(),
        }
    }
}

/// Byte-level BPE.
fn bytes(metadata: &Metadata, words: &Vocabulary<'_>) -> Result<Parts, String> {
    let name = metadata.text("tokenizer.ggml.pre").unwrap_or(pre::UNNAMED);
    let pre = pre::named(name).ok_or_else(|| {
        format!("the pre-tokenizer {name:?} is not known, there are: {}", pre::names())
    })?;
    let merges = metadata
        .texts("tokenizer.ggml.merges")
        .ok_or("no merges: text could not be turned into tokens")?;
    let merges = merges.iter().filter_map(|merge| {
        // A space may be the first letter of the first.
        let (at, _) = merge.char_indices().skip(1).find(|(_, letter)| *letter == ' ')?;
        let (first, second) = (merge.get(..at)?, merge.get(at + 1..)?);
        words.merges(first, second).then(|| (first.to_owned(), second.to_owned()))
    });
    let cut = |cut: &&str| {
        let pattern = json!({ "Regex": cut });
        json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false })
    };
    let spelling = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
    });
    let cuts: Vec<Value> = pre.cuts.iter().map(cut).chain([spelling.clone()]).collect();
    let model = bpe(words, merges.collect()).ignore_merges(pre.whole_words);
    Ok(Parts {
        around: around_model(
            Value::Null,
            json!({ "type": "Sequence", "pretokenizers": cuts }),
            spelling,
        ),
        model: model.build().map_err(|error| error.to_string())?.into(),
        begins: pre.begins,
    })
}

fn bpe(words: &Vocabulary<'_>, merges: Vec<(String, String)>) -> BpeBuilder {
    BPE::builder().vocab_and_merges(words.spelled(|token, _| token.to_owned()), merges)
}

/// BERT's words: GGUF writes those that begin a word with `▁`, `tokenizer.json` the others
/// with `##`.
fn wordpieces(words: &Vocabulary<'_>) -> Result<Parts, String> {
    let spelled = words.spelled(|token, kind| match token.strip_prefix('\u{2581}') {
        Some(begins) => begins.to_owned(),
        None if kind == Kind::Normal => format!("##{token}"),
        None => token.to_owned(),
    });
    let model = WordPiece::builder()
        .vocab(spelled)
        .unk_token("[UNK]".to_owned())
        .continuing_subword_prefix("##".to_owned())
        .max_input_chars_per_word(1000)
        .build();
    Ok(Parts {
        around: around_model(
            json!({
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": true, "lowercase": true,
            }),
            json!({ "type": "BertPreTokenizer" }),
            json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
        ),
        model: model.map_err(|error| error.to_string())?.into(),
        begins: true,
    })
}

fn around_model(normalizer: Value, pre_tokenizer: Value, decoder: Value) -> Map<String, Value> {
    let steps =
        [("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer), ("decoder", decoder)];
    steps.into_iter().map(|(name, step)| (name.to_owned(), step)).collect()
}

fn around_json(around: &Around, words: &Vocabulary<'_>) -> Value {
    let named = |id: Option<u32>| Some((id?, words.token(id?)?));
    let (first, last) = (named(around.first), named(around.last));
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
    let mark = |mark: Option<(u32, &str)>| {
        mark.map(|(_, token)| json!({ "SpecialToken": { "id": token, "type_id": 0 } }))
    };
    let text = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
    let single: Vec<Value> =
        [mark(first), Some(text("A")), mark(last)].into_iter().flatten().collect();
    let pair: Vec<Value> = [mark(first), Some(text("A")), mark(last), Some(text("B")), mark(last)]
        .into_iter()
        .flatten()
        .collect();
    json!({
        "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": marks,
    })
}

#[cfg(test)]
mod tests;
