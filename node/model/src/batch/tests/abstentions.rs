//! A model that abstains by a token of its own. Here it is the letter `d`.

use shoal_proto::{
    generate::{Format, FormatKind, Prompt, TokenBias},
    tools::{Function, Tools},
};

use super::*;
use crate::{
    batch::tests::fake::pipeline_from,
    testing::{Kept, put, tiny},
};

const ABSTENTION: u32 = 3;

fn abstainer() -> Batch {
    let folder = tiny(64, Kept::F32);
    put(&folder, "generation_config.json", &serde_json::json!({ "abstain_token_id": ABSTENTION }));
    let (fake, _) = Fake::new(1_024);
    let metrics = Metrics::new().unwrap();
    let options = Options { cache_bytes: 4_000_000, ..options() };
    Batch::start(fake, pipeline_from(&folder), &options, metrics).unwrap()
}

/// Settings under which the model writes the token wherever it may.
fn eager(seed: i64) -> Sampling {
    let bias = TokenBias { token: ABSTENTION, bias: 100.0 };
    Sampling { logit_bias: vec![bias], max_tokens: Some(20), ..with_seed(seed) }
}

#[tokio::test]
async fn the_token_in_place_of_an_answer_is_an_abstention_without_text() {
    let batch = abstainer();
    let logprobs = Sampling { logprobs: Some(3), ..eager(1) };
    let (text, end) = answer(&batch, &ask("abc", logprobs)).await.unwrap();
    assert_eq!((text.as_str(), end.finish()), ("", Finish::Abstained));
    assert_eq!((end.logprob, end.completion_tokens, end.tokens.len()), (None, 1, 0));
}

#[tokio::test]
async fn functions_that_it_may_call_leave_room_to_abstain() {
    let batch = abstainer();
    let function = Function { name: "look_up".to_owned(), ..Function::default() };
    let tools = Tools { functions: vec![function], ..Tools::default() };
    let offer = Generate { tools: Some(tools), ..ask("abc", eager(1)) };
    let (text, end) = answer(&batch, &offer).await.unwrap();
    assert_eq!((text.as_str(), end.finish()), ("", Finish::Abstained));
}

#[tokio::test]
async fn the_token_never_stands_inside_an_answer() {
    let batch = abstainer();
    let mut abstentions = 0;
    for seed in 0..200 {
        let bias = TokenBias { token: ABSTENTION, bias: 4.0 };
        let sampling = Sampling { logit_bias: vec![bias], ..with_seed(seed) };
        let (text, end) = answer(&batch, &ask("abc", sampling)).await.unwrap();
        assert!(!text.contains('d'), "{text}");
        if end.finish() == Finish::Abstained {
            assert_eq!((text.as_str(), end.completion_tokens), ("", 1));
            abstentions += 1;
        }
    }
    assert!((1..200).contains(&abstentions), "{abstentions}");
}

#[tokio::test]
async fn a_model_without_such_a_token_writes_the_letter() {
    let (batch, _) = start(128, &options());
    let (text, end) = answer(&batch, &ask("abc", eager(1))).await.unwrap();
    assert_eq!((text, end.finish()), ("d".repeat(20), Finish::Length));
}

#[tokio::test]
async fn a_format_and_a_text_to_continue_leave_no_room_to_abstain() {
    let batch = abstainer();
    let body = "[a-d]{5}".to_owned();
    let format = Format { kind: FormatKind::Regex.into(), body, ..Format::default() };
    let form = Generate { format: Some(format), ..ask("abc", eager(1)) };
    let (text, end) = answer(&batch, &form).await.unwrap();
    assert_eq!((text.len(), text.contains('d'), end.finish()), (5, false, Finish::Stop), "{text}");
    let continuation = Generate { prompt: Some(Prompt::new("abc")), ..ask("abc", eager(1)) };
    let (text, end) = answer(&batch, &continuation).await.unwrap();
    assert!(!text.contains('d') && end.finish() != Finish::Abstained, "{text}");
}

#[tokio::test]
async fn a_critique_is_never_an_abstention() {
    let batch = abstainer();
    let pairs = vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }];
    let judge =
        Judge { pairs, kind: BallotKind::Reasoned.into(), ..likelihood("abc", &["a", "lok"]) };
    let ballot = batch.judge(judge.clone()).await.unwrap();
    assert!(ballot.check(&judge).is_ok());
}
