//! Vocabularies made on the spot, and llama.cpp's own cases where somebody has them: they are no
//! part of this project.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    bytes::Bytes,
    gguf::{Gguf, Texts},
    tokenizer::TokenKind,
};

/// The folder beside the checkout, or the one that `SHOAL_SHARED` names.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("SHOAL_SHARED").map_or_else(|| beside.into(), PathBuf::from);
    let found = root.join("data/weights").join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("not run: there is no {}", found.display());
    None
}

fn open(path: &std::path::Path) -> (Tokenizer, Gguf) {
    let file = Gguf::open(path).unwrap();
    let count = file.metadata().texts("tokenizer.ggml.tokens").unwrap().len();
    (Tokenizer::of_gguf(file.metadata(), file.place(), count).unwrap(), file)
}

#[test]
fn every_vocabulary_case_of_llama_cpp_is_exact() {
    let Some(folder) = shared("vocab") else { return };
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        let (words, _) = open(&path);
        let text = |extension: &str| {
            fs::read_to_string(path.with_extension(format!("gguf.{extension}"))).unwrap()
        };
        let (texts, tokens) = (text("inp"), text("out"));
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let tokens: Vec<&str> = tokens.split('\n').collect();
        assert_eq!(texts.len(), tokens.len());
        for (text, expected) in texts.into_iter().zip(tokens) {
            let expected: Vec<u32> =
                expected.split_whitespace().map(|id| id.parse().unwrap()).collect();
            assert_eq!(words.encode(text).unwrap(), expected, "{}: {text:?}", path.display());
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
            Field::Text(it) => [8u32.to_le_bytes().to_vec(), text(it)].concat(),
            Field::Texts(texts) => array(8, texts.iter().map(|it| text(it)).collect()),
            Field::Floats(all) => array(6, all.iter().map(|x| x.to_le_bytes().to_vec()).collect()),
            Field::Integers(all) => {
                array(5, all.iter().map(|x| x.to_le_bytes().to_vec()).collect())
            }
        });
    }
    Gguf::parse("made.gguf".to_owned(), Bytes::Made(bytes.into())).unwrap()
}

fn words(fields: &[(&str, Field<'_>)]) -> Result<Tokenizer, LoadError> {
    let file = file(fields);
    let count = file.metadata().texts("tokenizer.ggml.tokens").map_or(0, Texts::len);
    Tokenizer::of_gguf(file.metadata(), file.place(), count)
}

fn refused(fields: &[(&str, Field<'_>)]) -> String {
    words(fields).unwrap_err().to_string()
}

/// SentencePiece: marks, a byte, letters, and what joins them. All runs of blanks have one score.
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
    words(&[
        ("model", Field::Text("llama")),
        ("tokens", Field::Texts(tokens)),
        ("scores", Field::Floats(scores)),
        ("token_type", Field::Integers(vec![2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 3, 5])),
    ])
    .unwrap()
}

#[test]
fn pieces_join_by_score_and_runs_from_the_left() {
    let words = pieces();
    // The best score first, not the longest piece.
    assert_eq!(words.encode("ab").unwrap(), [9, 7]);
    // A blank is put before the text, and six of them are three and three.
    assert_eq!(words.encode("     b").unwrap(), [11, 11, 7]);
    // Letters that are no piece are bytes; a mark's text is the mark.
    assert_eq!(words.encode("\u{e4}</s>").unwrap(), [5, 3, 4, 2]);
    assert_eq!(words.encode_alone("ab").unwrap(), [1, 9, 7]);
    assert_eq!(words.decode(&[9, 7, 3, 4]), "ab\u{e4}");
    assert_eq!(words.ends().collect::<Vec<_>>(), [2]);
}

#[test]
fn calls_are_text_and_what_stands_for_nothing_is_no_token() {
    let words = pieces();
    assert_eq!(words.kind(12), TokenKind::Text);
    assert_eq!(words.decode(&[12]), "<tool_call>");
    assert_eq!(words.token_bytes(12), b"<tool_call>");
    assert_eq!((words.kind(1), words.kind(13)), (TokenKind::Mark, TokenKind::None));
    assert_eq!((words.token_bytes(9), words.token_bytes(3)), (b" a".to_vec(), vec![0xc3]));
}

fn byte_pairs(pre: &str) -> [(&str, Field<'_>); 6] {
    let tokens = vec!["a", "1", "2", "\u{120}", "aa", "12", "\u{120}a", "<|im_end|>", "<eos>"];
    [
        ("model", Field::Text("gpt2")),
        ("pre", Field::Text(pre)),
        ("tokens", Field::Texts(tokens)),
        ("token_type", Field::Integers(vec![1, 1, 1, 1, 1, 1, 1, 3, 3])),
        // The last names what is no token.
        ("merges", Field::Texts(vec!["a a", "1 2", "\u{120} a", "a nothing"])),
        ("eos_token_id", Field::Number(8)),
    ]
}

#[test]
fn byte_pairs_merge_within_the_words_of_their_pre_tokenizer() {
    let gpt = words(&byte_pairs("gpt-2")).unwrap();
    assert_eq!(gpt.encode("aa 12 a").unwrap(), [4, 3, 5, 6]);
    // Here each digit is a word.
    let smol = words(&byte_pairs("smollm")).unwrap();
    assert_eq!(smol.encode("aa 12 a").unwrap(), [4, 3, 1, 2, 6]);
    assert_eq!(smol.decode(&[4, 3, 1, 7]), "aa 1");
    // The mark that ends a turn is known by its name.
    assert_eq!(smol.ends().collect::<Vec<_>>(), [7, 8]);
    assert_eq!(smol.encode_alone("a").unwrap(), [0]);
}

#[test]
fn words_begin_or_continue() {
    let words = words(&[
        ("model", Field::Text("bert")),
        ("tokens", Field::Texts(vec!["[UNK]", "[CLS]", "[SEP]", "\u{2581}ab", "c"])),
        ("token_type", Field::Integers(vec![3, 3, 3, 1, 1])),
        ("cls_token_id", Field::Number(1)),
        ("seperator_token_id", Field::Number(2)),
        ("add_bos_token", Field::Flag(true)),
    ])
    .unwrap();
    assert_eq!(words.encode("ABc \u{e0}bc x").unwrap(), [3, 4, 3, 4, 0]);
    assert_eq!(words.encode_alone("ab").unwrap(), [1, 3, 2]);
}

#[test]
fn a_file_that_holds_no_words_is_refused_with_what_is_wrong() {
    let tokens = || ("tokens", Field::Texts(vec!["a", "b"]));
    assert!(refused(&[("model", Field::Text("llama"))]).contains("no tokens"));
    assert!(refused(&[("model", Field::Text("rwkv")), tokens()]).contains("\"rwkv\""));
    assert!(refused(&[("model", Field::Text("gpt2")), tokens()]).contains("no merges"));
    let twice = ("tokens", Field::Texts(vec!["a", "a"]));
    assert!(refused(&[("model", Field::Text("llama")), twice]).contains("0 and 1 are the same"));
    let unknown = refused(&byte_pairs("future"));
    assert!(unknown.contains("\"future\"") && unknown.contains("llama-bpe"), "{unknown}");
    let mut endless = byte_pairs("gpt-2");
    endless[2].1 = Field::Texts(vec!["a"]);
    endless[5].1 = Field::Flag(false);
    assert!(refused(&endless).contains("never end"));
}

#[test]
fn every_pre_tokenizer_builds() {
    for name in pre::names().split(", ") {
        assert!(words(&byte_pairs(name)).is_ok(), "{name}");
    }
}
