//! Texts that are gone on with as they stand.

use shoal_proto::generate::Prompt;

use super::*;

fn going_on(prompt: Prompt, sampling: Sampling) -> Generate {
    Generate { prompt: Some(prompt), ..ask("abc", sampling) }
}

fn numbers(tokens: &[u32]) -> Prompt {
    Prompt { tokens: tokens.to_vec(), ..Prompt::default() }
}

#[tokio::test]
async fn a_prompt_is_read_without_a_template_as_text_or_as_tokens() {
    let (batch, _) = start(128, &options());
    let tokens = words().tokenizer.encode_alone("abc").unwrap();
    let (talked, as_message) = answer(&batch, &ask("abc", endless(3, 20))).await.unwrap();
    let text = going_on(Prompt::new("abc"), endless(3, 20));
    let (written, as_text) = answer(&batch, &text).await.unwrap();
    assert_eq!(as_text.prompt_tokens as usize, tokens.len());
    assert!(as_message.prompt_tokens > as_text.prompt_tokens, "a template adds its marks");
    assert_ne!(written, talked);
    assert_eq!(as_text.logprob, None, "no auditor could recompute it");
    let same = going_on(numbers(&tokens), endless(3, 20));
    assert_eq!(answer(&batch, &same).await.unwrap().0, written);
}

#[tokio::test]
async fn nothing_is_the_beginning_of_a_document() {
    let (batch, _) = start(128, &options());
    let nothing = going_on(Prompt::default(), endless(3, 20));
    let (written, done) = answer(&batch, &nothing).await.unwrap();
    assert_eq!((done.prompt_tokens, done.completion_tokens), (1, 20));
    let after_an_end = going_on(numbers(&[END]), endless(3, 20));
    assert_eq!(answer(&batch, &after_an_end).await.unwrap().0, written);
}

#[tokio::test]
async fn a_number_that_no_token_has_is_refused() {
    let (batch, _) = start(128, &options());
    for tokens in [[3, u32::try_from(VOCAB).unwrap()], [u32::MAX, 1]] {
        let refused = answer(&batch, &going_on(numbers(&tokens), greedy())).await.unwrap_err();
        assert_eq!(refused.fault, Fault::BadRequest, "{tokens:?}");
    }
    let long = going_on(numbers(&[1; 200]), greedy());
    assert_eq!(answer(&batch, &long).await.unwrap_err().fault, Fault::ContextLength);
}

#[tokio::test]
async fn a_judge_finds_it_as_likely_as_whoever_goes_on_with_the_same_text() {
    let (batch, _) = start(128, &options());
    let judged = |prompt| Judge { prompt, ..likelihood("abc", &["cab"]) };
    let raw = batch.judge(judged(Some(Prompt::new("abc")))).await.unwrap().scores[0];
    let (fake, _) = Fake::new(128);
    let mut read = words().tokenizer.encode_alone("abc").unwrap();
    let mut sum = 0.0;
    for token in words().candidate("cab").unwrap() {
        let logits = fake.logits(&read);
        sum += LogSum::of(&logits).unwrap().logprob(&logits, token as usize).unwrap();
        read.push(token);
    }
    assert!((raw.logprob - sum).abs() < 1e-6, "{sum} {raw:?}");
    let talked = batch.judge(judged(None)).await.unwrap().scores[0];
    assert!((raw.logprob - talked.logprob).abs() > 1e-6);
}
