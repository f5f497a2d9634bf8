use proptest::prelude::*;

use super::*;
use crate::testing::{self, Kept, put, tiny};

/// A tokenizer with a token for every byte, in the order of GPT-2's letters.
pub(super) fn byte_tokenizer() -> Tokenizer {
    let folder = tiny(64, Kept::F32);
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    let mut letters: Vec<char> = alphabet.into_iter().collect();
    letters.sort_unstable();
    put(&folder, "tokenizer.json", &testing::tokenizer(letters.into_iter()));
    Tokenizer::read(&Files::folder(folder.path()).unwrap(), 259).unwrap()
}

fn pieces(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<String> {
    let mut decoder = tokenizer.decoder();
    let mut pieces: Vec<String> =
        tokens.iter().map(|token| decoder.push(*token).unwrap()).collect();
    pieces.push(decoder.finish().unwrap());
    pieces
}

#[test]
fn text_comes_out_as_it_went_in_and_no_character_is_cut() {
    let tokenizer = byte_tokenizer();
    let runner = &mut proptest::test_runner::TestRunner::default();
    let text = proptest::string::string_regex("[ -~äß世🐟\n]{0,40}").unwrap();
    let result = runner.run(&text, |text| {
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokens.len(), text.len());
        let pieces = pieces(&tokenizer, &tokens);
        prop_assert_eq!(pieces.concat(), text);
        let cut = pieces.iter().any(|piece| piece.contains(char::REPLACEMENT_CHARACTER));
        prop_assert!(!cut);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn bytes_that_are_no_text_are_not_held_back_for_ever() {
    let tokenizer = byte_tokenizer();
    let runner = &mut proptest::test_runner::TestRunner::default();
    let tokens = proptest::collection::vec(0u32..256, 0..60);
    let result = runner.run(&tokens, |tokens| {
        let mut decoder = tokenizer.decoder();
        let mut silent = 0;
        for token in tokens {
            silent = if decoder.push(token).unwrap().is_empty() { silent + 1 } else { 0 };
            prop_assert!(silent < PARTIAL_MAX);
        }
        decoder.finish().unwrap();
        Ok(())
    });
    result.unwrap();
}

#[test]
fn marks_are_one_token_and_no_text() {
    let tokenizer = byte_tokenizer();
    let tokens = tokenizer.encode("<bos>a<sep>").unwrap();
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokenizer.decode(&tokens).unwrap(), "a");
    assert!(tokenizer.is_end(257) && !tokenizer.is_end(256));
}

#[test]
fn tokens_beyond_the_models_table_are_refused() {
    let folder = tiny(64, Kept::F32);
    let files = Files::folder(folder.path()).unwrap();
    assert!(Tokenizer::read(&files, 18).unwrap().encode("<sep>").is_some());
    assert!(Tokenizer::read(&files, 17).unwrap().encode("<sep>").is_none());
}

#[test]
fn a_text_that_spells_the_abstention_is_plain_text() {
    let folder = tiny(64, Kept::F32);
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    put(&folder, "tokenizer.json", &testing::tokenizer(alphabet.into_iter()));
    // Its mark is the last one, `<sep>`.
    let named = Tokenizer::read(&Files::folder(folder.path()).unwrap(), 259).unwrap();
    assert_eq!(
        (named.encode("<sep>").unwrap().as_slice(), named.abstention()),
        ([258].as_slice(), None)
    );
    put(&folder, "generation_config.json", &serde_json::json!({ "abstain_token_id": 258 }));
    let tokenizer = Tokenizer::read(&Files::folder(folder.path()).unwrap(), 259).unwrap();
    assert_eq!(tokenizer.abstention(), Some(258));
    let tokens = tokenizer.encode("a<sep>").unwrap();
    assert_eq!((tokens.len(), tokenizer.decode(&tokens).unwrap()), (6, "a<sep>".to_owned()));
    assert_eq!((tokenizer.kind(258), tokenizer.token_bytes(258)), (TokenKind::None, Vec::new()));
    assert_eq!(tokenizer.encode("<bos>").unwrap().len(), 1, "the other marks stay");
}

#[test]
fn an_abstention_outside_of_the_models_table_does_not_exist() {
    for id in [serde_json::json!(18), serde_json::json!(-1), serde_json::json!("17")] {
        let folder = tiny(64, Kept::F32);
        put(&folder, "generation_config.json", &serde_json::json!({ "abstain_token_id": id }));
        let files = Files::folder(folder.path()).unwrap();
        assert_eq!(Tokenizer::read(&files, 18).unwrap().abstention(), None, "{id}");
    }
}
