//! llama.cpp's own cases, where somebody has them: they are no part of this project.

use std::{fs, path::PathBuf};

use super::*;
use crate::model::gguf::Gguf;

/// The folder beside the checkout, or the one that `SHOAL_SHARED` names.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
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
