//! Small vocabularies, and llama.cpp's own cases if they are available: they are not part of this project.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    bytes::Bytes,
    gguf::{Gguf, Texts},
    tokenizer::TokenKind,
};

/// A path in the folder that `SHOAL_SHARED` names, by default the one beside the checkout.
pub(crate) fn shared_path(name: &str) -> Option<PathBuf> {
    let default_root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("SHOAL_SHARED").map_or_else(|| default_root.into(), PathBuf::from);
    let path = root.join("data/weights").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no {}", path.display());
    None
}

fn open(path: &std::path::Path) -> (Tokenizer, Gguf) {
    let file = Gguf::open(path).unwrap();
    let count = file.metadata().texts("tokenizer.ggml.tokens").unwrap().len();
    (Tokenizer::from_gguf(file.metadata(), file.place(), count).unwrap(), file)
}

#[test]
fn every_vocabulary_case_of_llama_cpp_is_exact() {
    let Some(folder) = shared_path("vocab") else { return };
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        let (tokenizer, _) = open(&path);
        let [texts, tokens] = ["inp", "out"].map(|extension| {
            fs::read_to_string(path.with_extension(format!("gguf.{extension}"))).unwrap()
        });
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let tokens: Vec<&str> = tokens.split('\n').collect();
        assert_eq!(texts.len(), tokens.len());
        for (text, ids) in texts.into_iter().zip(tokens) {
            let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
            assert_eq!(tokenizer.encode(text).unwrap(), ids, "{}: {text:?}", path.display());
            cases += 1;
        }
    }
    assert!(cases >= 141, "{cases}");
}

/// A field of a file.
enum Field<'a> {
    Text(&'a str),
    Number(u32),
    Flag(bool),
    Texts(Vec<&'a str>),
    Floats(Vec<f32>),
    Integers(Vec<i32>),
}

/// A file with these fields and no weights.
fn file(fields: &[(&str, Field<'_>)]) -> Gguf {
    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }
    fn array(kind: u32, items: Vec<Vec<u8>>) -> Vec<u8> {
        let head =
            [&9u32.to_le_bytes()[..], &kind.to_le_bytes(), &(items.len() as u64).to_le_bytes()];
        [head.concat(), items.concat()].concat()
    }
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend((fields.len() as u64).to_le_bytes());
    for (key, field) in fields {
        bytes.extend(text(&format!("tokenizer.ggml.{key}")));
        bytes.extend(match field {
            Field::Number(number) => [4u32.to_le_bytes(), number.to_le_bytes()].concat(),
            Field::Flag(flag) => [&7u32.to_le_bytes()[..], &[u8::from(*flag)]].concat(),
            Field::Text(string) => [8u32.to_le_bytes().to_vec(), text(string)].concat(),
            Field::Texts(strings) => array(8, strings.iter().map(|string| text(string)).collect()),
            Field::Floats(items) => {
                array(6, items.iter().map(|x| x.to_le_bytes().to_vec()).collect())
            }
            Field::Integers(items) => {
                array(5, items.iter().map(|x| x.to_le_bytes().to_vec()).collect())
            }
        });
    }
    Gguf::parse("made.gguf".to_owned(), Bytes::Memory(bytes.into())).unwrap()
}

fn tokenizer(fields: &[(&str, Field<'_>)]) -> Result<Tokenizer, LoadError> {
    let file = file(fields);
    let count = file.metadata().texts("tokenizer.ggml.tokens").map_or(0, Texts::len);
    Tokenizer::from_gguf(file.metadata(), file.place(), count)
}

fn refusal(fields: &[(&str, Field<'_>)]) -> String {
    tokenizer(fields).unwrap_err().to_string()
}

/// A SentencePiece vocabulary: control tokens, bytes, letters, and their joins. All runs of spaces have the
/// same score.
fn pieces() -> Tokenizer {
    let tokens = vec![
        "<unk>",
        "<s>",
        "</s>",
        "<0xC3>",
        "<0xA4>",
        "\u{2581}",
        "a",
        "b",
        "ab",
        "\u{2581}a",
        "\u{2581}\u{2581}",
        "\u{2581}\u{2581}\u{2581}",
        "<tool_call>",
        "<unused>",
    ];
    let scores = vec![0., 0., 0., 0., 0., -9., -9., -9., -2., -1., -5., -5., 0., 0.];
    tokenizer(&[
        ("model", Field::Text("llama")),
        ("tokens", Field::Texts(tokens)),
        ("scores", Field::Floats(scores)),
        ("token_type", Field::Integers(vec![2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 3, 5])),
    ])
    .unwrap()
}

#[test]
fn pieces_join_by_score_and_runs_from_the_left() {
    let tokenizer = pieces();
    // The best score wins, not the longest piece.
    assert_eq!(tokenizer.encode("ab").unwrap(), [9, 7]);
    // A space is added before the text; the six of them are three and three.
    assert_eq!(tokenizer.encode("     b").unwrap(), [11, 11, 7]);
    // Letters without a piece become bytes; the text of a control token becomes the token.
    assert_eq!(tokenizer.encode("\u{e4}</s>").unwrap(), [5, 3, 4, 2]);
    assert_eq!(tokenizer.encode_alone("ab").unwrap(), [1, 9, 7]);
    assert_eq!(tokenizer.decode(&[9, 7, 3, 4]).unwrap(), "ab\u{e4}");
    assert_eq!(tokenizer.ends().collect::<Vec<_>>(), [2]);
}

#[test]
fn calls_are_text_and_what_stands_for_nothing_is_no_token() {
    let tokenizer = pieces();
    assert_eq!(tokenizer.kind(12), TokenKind::Text);
    assert_eq!(tokenizer.decode(&[12]).unwrap(), "<tool_call>");
    assert_eq!(tokenizer.token_bytes(12), b"<tool_call>");
    assert_eq!((tokenizer.kind(1), tokenizer.kind(13)), (TokenKind::Mark, TokenKind::None));
    assert_eq!((tokenizer.token_bytes(9), tokenizer.token_bytes(3)), (b" a".to_vec(), vec![0xc3]));
}

fn byte_pairs(pre: &str) -> [(&str, Field<'_>); 6] {
    let tokens = vec!["a", "1", "2", "\u{120}", "aa", "12", "\u{120}a", "<|im_end|>", "<eos>"];
    [
        ("model", Field::Text("gpt2")),
        ("pre", Field::Text(pre)),
        ("tokens", Field::Texts(tokens)),
        ("token_type", Field::Integers(vec![1, 1, 1, 1, 1, 1, 1, 3, 3])),
        // The last merge names something that is not a token.
        ("merges", Field::Texts(vec!["a a", "1 2", "\u{120} a", "a nothing"])),
        ("eos_token_id", Field::Number(8)),
    ]
}

#[test]
fn byte_pairs_merge_within_the_words_of_their_pre_tokenizer() {
    let gpt = tokenizer(&byte_pairs("gpt-2")).unwrap();
    assert_eq!(gpt.encode("aa 12 a").unwrap(), [4, 3, 5, 6]);
    // This pre-tokenizer makes each digit a word.
    let smol = tokenizer(&byte_pairs("smollm")).unwrap();
    assert_eq!(smol.encode("aa 12 a").unwrap(), [4, 3, 1, 2, 6]);
    assert_eq!(smol.decode(&[4, 3, 1, 7]).unwrap(), "aa 1");
    // The token that ends a turn is recognised by its name.
    assert_eq!(smol.ends().collect::<Vec<_>>(), [7, 8]);
    assert_eq!(smol.encode_alone("a").unwrap(), [0]);
}

#[test]
fn words_begin_or_continue() {
    let tokenizer = tokenizer(&[
        ("model", Field::Text("bert")),
        ("tokens", Field::Texts(vec!["[UNK]", "[CLS]", "[SEP]", "\u{2581}ab", "c"])),
        ("token_type", Field::Integers(vec![3, 3, 3, 1, 1])),
        ("cls_token_id", Field::Number(1)),
        ("seperator_token_id", Field::Number(2)),
        ("add_bos_token", Field::Flag(true)),
    ])
    .unwrap();
    assert_eq!(tokenizer.encode("ABc \u{e0}bc x").unwrap(), [3, 4, 3, 4, 0]);
    assert_eq!(tokenizer.encode_alone("ab").unwrap(), [1, 3, 2]);
}

#[test]
fn a_file_that_holds_no_words_is_refused_with_what_is_wrong() {
    for (model, reason) in [("rwkv", "\"rwkv\""), ("gpt2", "no merges")] {
        let tokens = Field::Texts(vec!["a", "b"]);
        let fields = [("model", Field::Text(model)), ("tokens", tokens)];
        assert!(refusal(&fields).contains(reason));
    }
    assert!(refusal(&[("model", Field::Text("llama"))]).contains("no tokens"));
    let twice = ("tokens", Field::Texts(vec!["a", "a"]));
    assert!(refusal(&[("model", Field::Text("llama")), twice]).contains("0 and 1 are the same"));
    let unknown = refusal(&byte_pairs("future"));
    assert!(unknown.contains("\"future\"") && unknown.contains("llama-bpe"), "{unknown}");
    let mut endless = byte_pairs("gpt-2");
    endless[2].1 = Field::Texts(vec!["a"]);
    endless[5].1 = Field::Flag(false);
    assert!(refusal(&endless).contains("never end"));
}

#[test]
fn a_field_that_does_not_fit_the_tokens_is_refused_by_its_name() {
    for merge in ["aa", ""] {
        let mut fields = byte_pairs("gpt-2");
        fields[4].1 = Field::Texts(vec!["a a", merge]);
        assert!(refusal(&fields).contains("merges: "), "{merge:?}");
    }
    let mut few_kinds = byte_pairs("gpt-2");
    few_kinds[3].1 = Field::Integers(vec![1, 1]);
    assert!(refusal(&few_kinds).contains("token_type: "));
    let tokens = || ("tokens", Field::Texts(vec!["<unk>", "<s>", "</s>", "a"]));
    let without_scores = [("model", Field::Text("llama")), tokens()];
    assert!(refusal(&without_scores).contains("scores: "));
    let few_scores = ("scores", Field::Floats(vec![0.0; 3]));
    let fields = [("model", Field::Text("llama")), tokens(), few_scores];
    assert!(refusal(&fields).contains("scores: "));
}

#[test]
fn every_pre_tokenizer_builds() {
    for name in pre::names().split(", ") {
        assert!(tokenizer(&byte_pairs(name)).is_ok(), "{name}");
    }
}
