//! Answers that are held to a form.

use shoal_proto::generate::{Format, FormatKind};

use super::*;

fn regex(body: &str) -> Format {
    Format { kind: FormatKind::Regex.into(), body: body.to_owned(), ..Format::default() }
}

#[tokio::test]
async fn an_answer_keeps_to_the_form_that_was_asked_for() {
    let (batch, _) = start(128, &options());
    for seed in 0..10 {
        let form = Generate { format: Some(regex("(ab|ba){3}c?")), ..ask("lmn", seeded(seed)) };
        let (text, done) = answer(&batch, &form).await.unwrap();
        let pairs = text.strip_suffix('c').unwrap_or(&text);
        assert_eq!(pairs.len(), 6, "{text}");
        assert!(pairs.as_bytes().chunks(2).all(|pair| matches!(pair, b"ab" | b"ba")), "{text}");
        assert_eq!(done.finish(), Finish::Stop);
    }
}

#[tokio::test]
async fn a_form_that_makes_no_sense_is_refused() {
    let (batch, steps) = start(128, &options());
    let form = Generate { format: Some(regex("(ab")), ..ask("lmn", seeded(1)) };
    assert_eq!(answer(&batch, &form).await.unwrap_err().fault, Fault::BadRequest);
    assert!(steps.seen().is_empty());
}

#[tokio::test]
async fn an_answer_that_no_judge_could_read_claims_no_certainty() {
    let (batch, _) = start(128, &options());
    let ends = |seed: &i64| *seed < 200;
    for seed in (0..).take_while(ends) {
        let plain = ask("abc", seeded(seed));
        let (text, done) = answer(&batch, &plain).await.unwrap();
        if done.logprob.is_none() {
            continue;
        }
        let told = Generate { template_variables: r#"{"x": 1}"#.to_owned(), ..plain };
        let (same, done) = answer(&batch, &told).await.unwrap();
        assert_eq!((same, done.logprob), (text, None));
        return;
    }
    panic!("no answer was certain");
}
