//! Answers with a required format.

use shoal_proto::generate::{Format, FormatKind};

use super::*;

fn regex(body: &str) -> Format {
    Format { kind: FormatKind::Regex.into(), body: body.to_owned(), ..Format::default() }
}

#[tokio::test]
async fn an_answer_keeps_to_the_form_that_was_asked_for() {
    let (batch, _) = start(128, &options());
    for seed in 0..10 {
        let form = Generate { format: Some(regex("(ab|ba){3}c?")), ..ask("lmn", with_seed(seed)) };
        let (text, end) = answer(&batch, &form).await.unwrap();
        let pairs = text.strip_suffix('c').unwrap_or(&text);
        assert_eq!(pairs.len(), 6, "{text}");
        assert!(pairs.as_bytes().chunks(2).all(|pair| matches!(pair, b"ab" | b"ba")), "{text}");
        assert_eq!(end.finish(), Finish::Stop);
    }
}

#[tokio::test]
async fn a_form_that_makes_no_sense_is_refused() {
    let (batch, steps) = start(128, &options());
    let form = Generate { format: Some(regex("(ab")), ..ask("lmn", with_seed(1)) };
    assert_eq!(answer(&batch, &form).await.unwrap_err().fault, Fault::BadRequest);
    assert!(steps.spans().is_empty());
}

#[tokio::test]
async fn an_answer_that_no_judge_could_read_claims_no_certainty() {
    let (batch, _) = start(128, &options());
    for seed in 0..200 {
        let plain = ask("abc", with_seed(seed));
        let (text, end) = answer(&batch, &plain).await.unwrap();
        if end.logprob.is_none() {
            continue;
        }
        let with_variables = Generate { template_variables: r#"{"x": 1}"#.to_owned(), ..plain };
        let (same_text, end) = answer(&batch, &with_variables).await.unwrap();
        assert_eq!((same_text, end.logprob), (text, None));
        return;
    }
    panic!("no answer was certain");
}
