//! Prompts without a conversation: the model continues the text as it stands.

use shoal_proto::generate::Prompt;

use super::*;

fn continuation(prompt: Prompt, sampling: Sampling) -> Generate {
    Generate { prompt: Some(prompt), ..ask("abc", sampling) }
}

fn numbers(tokens: &[u32]) -> Prompt {
    Prompt { tokens: tokens.to_vec(), ..Prompt::default() }
}

#[tokio::test]
async fn a_prompt_is_read_without_a_template_as_text_or_as_tokens() {
    let (batch, _) = start(128, &options());
    let tokens = pipeline().tokenizer.encode_alone("abc").unwrap();
    let (chat_text, as_message) = answer(&batch, &ask("abc", endless(3, 20))).await.unwrap();
    let ask = continuation(Prompt::new("abc"), endless(3, 20));
    let (text_answer, as_text) = answer(&batch, &ask).await.unwrap();
    assert_eq!(as_text.prompt_tokens as usize, tokens.len());
    assert!(as_message.prompt_tokens > as_text.prompt_tokens, "a template adds its marks");
    assert_ne!(text_answer, chat_text);
    assert_eq!(as_text.logprob, None, "no auditor could recompute it");
    let as_tokens = continuation(numbers(&tokens), endless(3, 20));
    assert_eq!(answer(&batch, &as_tokens).await.unwrap().0, text_answer);
}

#[tokio::test]
async fn nothing_is_the_beginning_of_a_document() {
    let (batch, _) = start(128, &options());
    let empty = continuation(Prompt::default(), endless(3, 20));
    let (text, end) = answer(&batch, &empty).await.unwrap();
    assert_eq!((end.prompt_tokens, end.completion_tokens), (1, 20));
    let after_an_end = continuation(numbers(&[END]), endless(3, 20));
    assert_eq!(answer(&batch, &after_an_end).await.unwrap().0, text);
}

#[tokio::test]
async fn a_number_that_no_token_has_is_refused() {
    let (batch, _) = start(128, &options());
    for tokens in [[3, u32::try_from(VOCAB).unwrap()], [u32::MAX, 1]] {
        let error = answer(&batch, &continuation(numbers(&tokens), greedy())).await.unwrap_err();
        assert_eq!(error.fault, Fault::BadRequest, "{tokens:?}");
    }
    let long = continuation(numbers(&[1; 200]), greedy());
    assert_eq!(answer(&batch, &long).await.unwrap_err().fault, Fault::ContextLength);
}

fn judge(prompt: Option<Prompt>) -> Judge {
    Judge { prompt, ..likelihood("abc", &["cab"]) }
}

#[tokio::test]
async fn a_judge_finds_it_as_likely_as_whoever_goes_on_with_the_same_text() {
    let (batch, _) = start(128, &options());
    let raw = batch.judge(judge(Some(Prompt::new("abc")))).await.unwrap().scores[0];
    let (fake, _) = Fake::new(128);
    let mut tokens = pipeline().tokenizer.encode_alone("abc").unwrap();
    let mut sum = 0.0;
    for token in pipeline().candidate("cab").unwrap() {
        let logits = fake.logits(&tokens);
        sum += LogSum::new(&logits).unwrap().logprob(&logits, token as usize).unwrap();
        tokens.push(token);
    }
    assert!((raw.logprob - sum).abs() < 1e-6, "{sum} {raw:?}");
    let chat = batch.judge(judge(None)).await.unwrap().scores[0];
    assert!((raw.logprob - chat.logprob).abs() > 1e-6);
}
