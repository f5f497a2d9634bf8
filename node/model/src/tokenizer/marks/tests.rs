use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tokenizer::tests::byte_tokenizer;

/// Tokens of the byte tokenizer from this number on are marks.
const FIRST_MARK: u32 = 256;

fn marks(names: &[&str]) -> Marks {
    let mut marks = Marks::default();
    names.iter().for_each(|name| marks.add(name));
    marks
}

#[test]
fn every_mark_is_broken_also_where_two_overlap() {
    let marks = marks(&["<|a|>", "|>x", "é!"]);
    assert_eq!(marks.break_in("plain <|b|>"), "plain <|b|>");
    assert_eq!(marks.break_in("<|a|>x"), "<\u{fdd0}|a|\u{fdd0}>x");
    assert_eq!(marks.break_in("<|<|a|>a|>é!"), "<|<\u{fdd0}|a|>a|>é\u{fdd0}!");
}

#[test]
fn json_is_broken_in_its_strings_and_keys_however_they_are_spelled() {
    let marks = marks(&["<s>", "<|\"|>"]);
    let broken = |text: &str| marks.break_in_json(text).into_owned();
    assert_eq!(broken(r#"{"b": 1.50, "a": "<t>"}"#), r#"{"b": 1.50, "a": "<t>"}"#);
    assert_eq!(broken(r#"{"a":["\u003cs>"]}"#), "{\"a\":[\"<\u{fdd0}s>\"]}");
    assert_eq!(broken(r#"["<s>","<s>"]"#), "[\"<\u{fdd0}s>\",\"<\u{fdd0}s>\"]");
    assert_eq!(broken(r#"{"<s>":1}"#), "{\"<\u{fdd0}s>\":1}");
    assert_eq!(broken(r#"["<|\"|>"]"#), "[\"<\u{fdd0}|\\\"|>\"]");
    assert_eq!(broken("{\"a\": <s>"), "{\"a\": <\u{fdd0}s>", "a call that was cut off");
}

#[test]
fn a_vocabulary_that_holds_the_marks_as_words_does_not_bring_them_back() {
    // Unigram finds `<s>` in its vocabulary without looking at the added tokens.
    let added = json!({
        "id": 0, "content": "<s>", "special": true,
        "normalized": false, "single_word": false, "lstrip": false, "rstrip": false,
    });
    let words = json!([["<s>", 0.0], ["<", -9.0], ["s", -9.0], [">", -9.0], ["a", -1.0]]);
    let inner: tokenizers::Tokenizer = serde_json::from_value(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [added],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": { "type": "Unigram", "unk_id": 0, "vocab": words, "byte_fallback": false },
    }))
    .unwrap();
    let tokenizer = crate::Tokenizer::new(inner, [0].into(), 5).unwrap();
    assert_eq!(tokenizer.encode("a<s>").unwrap(), [4, 0]);
    assert_eq!(tokenizer.encode_text("a<s>").unwrap(), [4, 1, 2, 3]);
}

proptest! {
    #[test]
    fn what_people_write_has_the_tokens_of_its_letters(
        parts in prop::collection::vec("<bos>|<eos>|<sep>|<|bos|>|[a-c<>]{0,4}|é|🐟", 0..12),
    ) {
        let (tokenizer, text) = (byte_tokenizer(), parts.concat());
        let tokens = tokenizer.encode_text(&text).unwrap();
        prop_assert_eq!(tokens.len(), text.len());
        prop_assert!(tokens.iter().all(|token| *token < FIRST_MARK));
        prop_assert_eq!(tokenizer.decode(&tokens).unwrap(), text.clone());
        // Around it the template's own marks stay.
        let prompt = format!("<bos>{}<sep>", tokenizer.marks().break_in(&text));
        let prompt = tokenizer.encode(&prompt).unwrap();
        prop_assert_eq!(&prompt[1..prompt.len() - 1], tokens.as_slice());
        prop_assert!(prompt[0] >= FIRST_MARK && prompt[prompt.len() - 1] >= FIRST_MARK);
    }
}
