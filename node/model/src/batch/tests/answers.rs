//! What an answer is, whoever it is written beside.

use super::*;

#[tokio::test]
async fn the_same_seed_writes_the_same_text_whatever_else_is_in_the_batch() {
    let (alone, _) = start(200, &options());
    let (shared, steps) = start(200, &options());
    let mut expected = Vec::new();
    for seed in 0..12 {
        let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap()];
        expected.push(answer(&alone, &ask(prompt, endless(seed, 40))).await.unwrap());
    }
    steps.hold();
    let all: Vec<_> = (0..12)
        .map(|seed| {
            let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap()];
            shared.generate(ask(prompt, endless(seed, 40)))
        })
        .collect();
    steps.release();
    for (events, (text, done)) in all.into_iter().zip(&expected) {
        let (beside, done_beside) = heard(events).await.unwrap();
        assert_eq!(&beside, text);
        assert_eq!(done_beside.completion_tokens, done.completion_tokens);
    }
    assert!(steps.seen().iter().any(|spans| spans.len() == 4), "they were read together");
    assert_ne!(expected[0].0, expected[1].0);
}

#[tokio::test]
async fn a_judge_gives_a_text_the_likelihood_that_its_writer_reported() {
    let (batch, _) = start(128, &options());
    let mut ended = 0;
    for seed in 0..120 {
        let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap() % 12];
        let (text, done) = answer(&batch, &ask(prompt, seeded(seed))).await.unwrap();
        let ballot = batch.judge(likelihood(prompt, &["cab", &text, ""])).await.unwrap();
        let score = ballot.scores[1];
        // An answer cut off by the context claims nothing, and neither does one with marks in it
        // (which are no text): nobody could recompute it.
        let Some(claimed) = done.logprob else { continue };
        assert_eq!((done.finish(), score.tokens), (Finish::Stop, done.completion_tokens));
        ended += 1;
        assert!((claimed - score.logprob).abs() < 1e-9, "{claimed} {score:?}");
    }
    assert!(ended >= 10, "only {ended} answers ended by themselves");
}

#[tokio::test]
async fn a_score_is_that_of_the_plain_formula() {
    let (batch, _) = start(1024, &Options { cache_bytes: 100 * 100, ..options() });
    let candidate = LETTERS.repeat(40);
    let ballot = batch.judge(likelihood("abc", &["x", &candidate, "cab"])).await.unwrap();
    let (fake, _) = Fake::new(1024);
    let words = words();
    let prompt = words.prompt(talk(&said("abc")), 1024).unwrap();
    let mut read = prompt.clone();
    let mut sum = 0.0;
    for token in words.candidate(&candidate).unwrap() {
        let logits = fake.logits(&read);
        sum += LogSum::of(&logits).unwrap().logprob(&logits, token as usize).unwrap();
        read.push(token);
    }
    assert!((ballot.scores[1].logprob - sum).abs() < 1e-6, "{sum} {:?}", ballot.scores[1]);
    assert_eq!(ballot.scores[1].tokens, 601);
    // "x" is no letter of the model: only the end is left of it.
    assert_eq!(ballot.prompt_tokens, 5 + 1 + 601 + 4);
}

#[tokio::test]
async fn what_does_not_fit_the_context_is_scored_as_if_all_tokens_were_alike() {
    let (batch, _) = start(64, &options());
    let (fits, over) = (LETTERS.repeat(3), LETTERS.repeat(20));
    let scores = batch.judge(likelihood("abc", &[&fits, &over])).await.unwrap().scores;
    // The prompt has 5 tokens, of which 4 are read before; 60 of the 301 tokens fit.
    let alike = -(VOCAB as f64).ln() * 241.0;
    assert!(scores[1].logprob.is_finite() && scores[1].logprob < alike);
    assert!(scores[1].logprob < scores[0].logprob);
    assert_eq!(scores[1].tokens, 301);
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_and_at_the_contexts_end() {
    let (batch, _) = start(32, &options());
    let (_, done) = answer(&batch, &ask("abc", endless(1, 1000))).await.unwrap();
    assert_eq!((done.prompt_tokens, done.completion_tokens), (5, 27));
    assert_eq!((done.finish(), done.logprob), (Finish::Length, None), "it has no end");
    let (_, done) = answer(&batch, &ask("abc", endless(1, 7))).await.unwrap();
    assert_eq!((done.finish(), done.completion_tokens), (Finish::Length, 7));
}

#[tokio::test]
async fn a_conversation_that_fills_the_context_is_refused_before_work() {
    let (batch, steps) = start(32, &options());
    let full = "a".repeat(30);
    let error = answer(&batch, &ask(&full, greedy())).await.unwrap_err();
    assert_eq!(error, EngineError::context_length(32));
    let error = batch.judge(likelihood(&full, &["a"])).await.unwrap_err();
    assert_eq!(error, EngineError::context_length(32));
    assert!(steps.seen().is_empty());
    assert!(answer(&batch, &ask(&full[1..], greedy())).await.is_ok());
}

#[tokio::test]
async fn a_stop_text_ends_the_answer_and_is_not_part_of_it() {
    let (batch, _) = start(128, &options());
    let (whole, _) = answer(&batch, &ask("abc", endless(3, 40))).await.unwrap();
    let stop = whole[6..8].to_owned();
    let stopped = Sampling { stop: vec![stop.clone()], logprobs: Some(2), ..endless(3, 40) };
    let (text, done) = answer(&batch, &ask("abc", stopped)).await.unwrap();
    assert_eq!(text, whole[..whole.find(&stop).unwrap()]);
    assert_eq!(done.finish(), Finish::Stop);
    assert!(done.completion_tokens as usize >= text.len() + 2, "the stop text was written");
    assert_eq!(done.logprob, None, "the text is not all that was written");
    let bytes: Vec<u8> = done.tokens.iter().flat_map(|token| token.bytes.clone()).collect();
    assert_eq!(bytes, text.as_bytes(), "what is reported is the text");
}

#[tokio::test]
async fn log_probabilities_are_reported_for_each_token_and_the_likeliest_beside_it() {
    let (batch, _) = start(128, &options());
    let sampling = Sampling { logprobs: Some(3), ..seeded(5) };
    let (text, done) = answer(&batch, &ask("abc", sampling)).await.unwrap();
    let bytes: Vec<u8> = done.tokens.iter().flat_map(|token| token.bytes.clone()).collect();
    assert_eq!(bytes, text.as_bytes());
    assert!(!done.tokens.is_empty());
    for token in &done.tokens {
        assert_eq!(token.top.len(), 3);
        assert!(token.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
        assert!(token.top[0].logprob >= token.logprob);
    }
    assert!(done.check().is_ok());
}

#[tokio::test]
async fn a_verdict_is_a_probability_and_its_order_counts() {
    let (batch, _) = start(400, &Options { cache_bytes: 100 * 100, ..options() });
    let pairs = vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }];
    let pairwise = Judge { pairs, kind: Kind::Pairwise.into(), ..likelihood("abc", &["a", "lok"]) };
    let ballot = batch.judge(pairwise.clone()).await.unwrap();
    assert!(ballot.check(&pairwise).is_ok());
    assert_ne!(ballot.verdicts[0], ballot.verdicts[1]);
    let (fake, _) = Fake::new(400);
    let words = words();
    let logits = fake.logits(&words.question(&pairwise, &pairwise.pairs[0], 400).unwrap());
    let (a, b) = (f64::from(logits[0]).exp(), f64::from(logits[1]).exp());
    assert!((ballot.verdicts[0] - a / (a + b)).abs() < 1e-6);
}

#[tokio::test]
async fn a_candidate_that_does_not_fit_silences_no_judge_on_the_others() {
    let (batch, steps) = start(1000, &Options { cache_bytes: 200 * 100, ..options() });
    let long = LETTERS.repeat(80);
    let of = |first, second| Pair { first, second };
    for kind in [Kind::Pairwise, Kind::Reasoned] {
        let judge = |pairs: &[Pair]| Judge {
            pairs: pairs.to_vec(),
            kind: kind.into(),
            ..likelihood("abc", &["a", &long, "lok"])
        };
        let mixed = judge(&[of(1, 0), of(0, 2), of(2, 1), of(2, 0)]);
        let alone = batch.judge(judge(&[of(0, 2), of(2, 0)])).await.unwrap();
        let ballot = batch.judge(mixed.clone()).await.unwrap();
        assert!(ballot.check(&mixed).is_ok());
        let (one, other) = (alone.verdicts[0], alone.verdicts[1]);
        assert_eq!(ballot.verdicts, [0.5, one, 0.5, other], "{kind:?}");
        assert_eq!(ballot.prompt_tokens, alone.prompt_tokens, "only what is read counts");
        let before = steps.seen().len();
        let error = batch.judge(judge(&[of(0, 1), of(1, 2)])).await.unwrap_err();
        assert_eq!(error.fault, Fault::ContextLength, "{kind:?}");
        assert_eq!(steps.seen().len(), before, "refused before work");
    }
}

#[tokio::test]
async fn a_verdict_follows_its_critique_which_is_no_longer_than_allowed() {
    let (batch, _) = start(1000, &Options { cache_bytes: 200 * 100, ..options() });
    let pairs = vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }];
    let reasoned = Judge { pairs, kind: Kind::Reasoned.into(), ..likelihood("abc", &["a", "lok"]) };
    let ballot = batch.judge(reasoned.clone()).await.unwrap();
    assert!(ballot.check(&reasoned).is_ok());
    let (fake, _) = Fake::new(1000);
    let words = words();
    let mut written = 0;
    for (pair, verdict) in reasoned.pairs.iter().zip(&ballot.verdicts) {
        let mut tokens = words.question(&reasoned, pair, 800).unwrap();
        for _ in 0..100 {
            let logits = fake.logits(&tokens);
            let likeliest = (0..VOCAB).max_by(|x, y| logits[*x].total_cmp(&logits[*y])).unwrap();
            written += 1;
            if words.tokenizer.is_end(likeliest as u32) {
                break;
            }
            tokens.push(likeliest as u32);
        }
        tokens.extend(words.tokenizer.encode("\n\nVerdict:").unwrap_or_default());
        let logits = fake.logits(&tokens);
        let (a, b) = (f64::from(logits[0]).exp(), f64::from(logits[1]).exp());
        assert!((verdict - a / (a + b)).abs() < 1e-6);
    }
    assert_eq!(ballot.completion_tokens, written);
    let narrow = batch.judge(Judge { candidates: vec![LETTERS.repeat(60); 2], ..reasoned }).await;
    assert_eq!(narrow.unwrap_err().fault, Fault::ContextLength);
}

#[tokio::test]
async fn a_vector_has_length_one_and_is_the_mean_of_its_rows() {
    let (batch, _) = start(128, &options());
    let inputs = vec!["abc".to_owned(), "cba".to_owned(), LETTERS.repeat(4)];
    let ask = Embed { inputs };
    let embedded = batch.embed(ask.clone()).await.unwrap();
    assert!(embedded.check(&ask).is_ok());
    assert_eq!(embedded.prompt_tokens, 66);
    let (fake, _) = Fake::new(128);
    let rows: Vec<Vec<f32>> = (1..=3).map(|upto| fake.logits(&[0, 1, 2][..upto])).collect();
    let sum: Vec<f64> = (0..4).map(|at| rows.iter().map(|row| f64::from(row[at])).sum()).collect();
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (value, expected) in embedded.vectors[0].values.iter().zip(sum) {
        assert!((f64::from(*value) - expected / length).abs() < 1e-6);
    }
    let nothing = batch.embed(Embed { inputs: vec![String::new()] }).await.unwrap_err();
    assert_eq!(nothing.fault, Fault::BadRequest);
}
