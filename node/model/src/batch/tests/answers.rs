//! Properties of an answer that do not depend on the rest of the batch.

use super::*;

#[tokio::test]
async fn the_same_seed_writes_the_same_text_whatever_else_is_in_the_batch() {
    let (alone, _) = start(200, &options());
    let (busy, steps) = start(200, &options());
    let mut alone_answers = Vec::new();
    for seed in 0..12 {
        let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap()];
        alone_answers.push(answer(&alone, &ask(prompt, endless(seed, 40))).await.unwrap());
    }
    steps.hold();
    let answers: Vec<_> = (0..12)
        .map(|seed| {
            let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap()];
            busy.generate(ask(prompt, endless(seed, 40)))
        })
        .collect();
    steps.release();
    for (events, (text, end)) in answers.into_iter().zip(&alone_answers) {
        let (shared_text, shared_end) = collect(events).await.unwrap();
        assert_eq!(&shared_text, text);
        assert_eq!(shared_end.completion_tokens, end.completion_tokens);
    }
    assert!(steps.spans().iter().any(|spans| spans.len() == 4), "they were read together");
    assert_ne!(alone_answers[0].0, alone_answers[1].0);
}

#[tokio::test]
async fn a_judge_gives_a_text_the_likelihood_that_its_writer_reported() {
    let (batch, _) = start(128, &options());
    let mut ends = 0;
    for seed in 0..120 {
        let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap() % 12];
        let (text, end) = answer(&batch, &ask(prompt, with_seed(seed))).await.unwrap();
        let ballot = batch.judge(likelihood(prompt, &["cab", &text, ""])).await.unwrap();
        let score = ballot.scores[1];
        // An answer that the context cuts off reports no likelihood, and neither does one with control
        // tokens, which are not in the text: an auditor cannot recompute it.
        let Some(logprob) = end.logprob else { continue };
        assert_eq!((end.finish(), score.tokens), (Finish::Stop, end.completion_tokens));
        ends += 1;
        assert!((logprob - score.logprob).abs() < 1e-9, "{logprob} {score:?}");
    }
    assert!(ends >= 10, "only {ends} answers ended by themselves");
}

#[tokio::test]
async fn a_score_is_that_of_the_plain_formula() {
    let (batch, _) = start(1024, &Options { cache_bytes: 100 * 100, ..options() });
    let candidate = LETTERS.repeat(40);
    let ballot = batch.judge(likelihood("abc", &["x", &candidate, "cab"])).await.unwrap();
    let (fake, _) = Fake::new(1024);
    let pipeline = pipeline();
    let prompt = pipeline.prompt(talk(&conversation("abc")), 1024).unwrap();
    let mut tokens = prompt.clone();
    let mut sum = 0.0;
    for token in pipeline.candidate(&candidate).unwrap() {
        let logits = fake.logits(&tokens);
        sum += LogSum::new(&logits).unwrap().logprob(&logits, token as usize).unwrap();
        tokens.push(token);
    }
    assert!((ballot.scores[1].logprob - sum).abs() < 1e-6, "{sum} {:?}", ballot.scores[1]);
    assert_eq!(ballot.scores[1].tokens, 601);
    // The vocabulary has no "x": of this candidate only the end token remains.
    assert_eq!(ballot.prompt_tokens, 5 + 1 + 601 + 4);
}

#[tokio::test]
async fn what_does_not_fit_the_context_is_scored_as_if_all_tokens_were_alike() {
    let (batch, _) = start(64, &options());
    let (fits, too_long) = (LETTERS.repeat(3), LETTERS.repeat(20));
    let scores = batch.judge(likelihood("abc", &[&fits, &too_long])).await.unwrap().scores;
    // The prompt has 5 tokens, of which 4 are read before; 60 of the 301 tokens fit.
    let uniform = -(VOCAB as f64).ln() * 241.0;
    assert!(scores[1].logprob.is_finite() && scores[1].logprob < uniform);
    assert!(scores[1].logprob < scores[0].logprob);
    assert_eq!(scores[1].tokens, 301);
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_and_at_the_contexts_end() {
    let (batch, _) = start(32, &options());
    let (_, end) = answer(&batch, &ask("abc", endless(1, 1000))).await.unwrap();
    assert_eq!((end.prompt_tokens, end.completion_tokens), (5, 27));
    assert_eq!((end.finish(), end.logprob), (Finish::Length, None), "it has no end");
    let (_, end) = answer(&batch, &ask("abc", endless(1, 7))).await.unwrap();
    assert_eq!((end.finish(), end.completion_tokens), (Finish::Length, 7));
}

#[tokio::test]
async fn a_conversation_that_fills_the_context_is_refused_before_work() {
    let (batch, steps) = start(32, &options());
    let full = "a".repeat(30);
    let error = answer(&batch, &ask(&full, greedy())).await.unwrap_err();
    assert_eq!(error, EngineError::context_length(32));
    let error = batch.judge(likelihood(&full, &["a"])).await.unwrap_err();
    assert_eq!(error, EngineError::context_length(32));
    assert!(steps.spans().is_empty());
    assert!(answer(&batch, &ask(&full[1..], greedy())).await.is_ok());
}

#[tokio::test]
async fn a_stop_text_ends_the_answer_and_is_not_part_of_it() {
    let (batch, _) = start(128, &options());
    let (whole, _) = answer(&batch, &ask("abc", endless(3, 40))).await.unwrap();
    let stop = whole[6..8].to_owned();
    let with_stop = Sampling { stop: vec![stop.clone()], logprobs: Some(2), ..endless(3, 40) };
    let (text, end) = answer(&batch, &ask("abc", with_stop)).await.unwrap();
    assert_eq!(text, whole[..whole.find(&stop).unwrap()]);
    assert_eq!(end.finish(), Finish::Stop);
    assert!(end.completion_tokens as usize >= text.len() + 2, "the stop text was written");
    assert_eq!(end.logprob, None, "the text is not all that was written");
    let bytes: Vec<u8> = end.tokens.iter().flat_map(|token| token.bytes.clone()).collect();
    assert_eq!(bytes, text.as_bytes(), "what is reported is the text");
}

#[tokio::test]
async fn log_probabilities_are_reported_for_each_token_and_the_likeliest_beside_it() {
    let (batch, _) = start(128, &options());
    let sampling = Sampling { logprobs: Some(3), ..with_seed(5) };
    let (text, end) = answer(&batch, &ask("abc", sampling)).await.unwrap();
    let bytes: Vec<u8> = end.tokens.iter().flat_map(|token| token.bytes.clone()).collect();
    assert_eq!(bytes, text.as_bytes());
    assert!(!end.tokens.is_empty());
    for token in &end.tokens {
        assert_eq!(token.top.len(), 3);
        assert!(token.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
        assert!(token.top[0].logprob >= token.logprob);
    }
    assert!(end.check().is_ok());
}

#[tokio::test]
async fn a_verdict_is_a_probability_and_its_order_counts() {
    let (batch, _) = start(400, &Options { cache_bytes: 100 * 100, ..options() });
    let pairs = vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }];
    let pairwise =
        Judge { pairs, kind: BallotKind::Pairwise.into(), ..likelihood("abc", &["a", "lok"]) };
    let ballot = batch.judge(pairwise.clone()).await.unwrap();
    assert!(ballot.check(&pairwise).is_ok());
    assert_ne!(ballot.verdicts[0], ballot.verdicts[1]);
    let (fake, _) = Fake::new(400);
    let pipeline = pipeline();
    let logits = fake.logits(&pipeline.question(&pairwise, &pairwise.pairs[0], 400).unwrap());
    let (a, b) = (f64::from(logits[0]).exp(), f64::from(logits[1]).exp());
    assert!((ballot.verdicts[0] - a / (a + b)).abs() < 1e-6);
}

#[tokio::test]
async fn a_candidate_that_does_not_fit_silences_no_judge_on_the_others() {
    let (batch, steps) = start(1000, &Options { cache_bytes: 200 * 100, ..options() });
    let long = LETTERS.repeat(80);
    for kind in [BallotKind::Pairwise, BallotKind::Reasoned] {
        let judge = |pairs: &[(u32, u32)]| Judge {
            pairs: pairs
                .iter()
                .map(|(first, second)| Pair { first: *first, second: *second })
                .collect(),
            kind: kind.into(),
            ..likelihood("abc", &["a", &long, "lok"])
        };
        let judge_all = judge(&[(1, 0), (0, 2), (2, 1), (2, 0)]);
        let alone = batch.judge(judge(&[(0, 2), (2, 0)])).await.unwrap();
        let ballot = batch.judge(judge_all.clone()).await.unwrap();
        assert!(ballot.check(&judge_all).is_ok());
        assert_eq!(ballot.verdicts, [0.5, alone.verdicts[0], 0.5, alone.verdicts[1]], "{kind:?}");
        assert_eq!(ballot.prompt_tokens, alone.prompt_tokens, "only what is read counts");
        let before = steps.spans().len();
        let error = batch.judge(judge(&[(0, 1), (1, 2)])).await.unwrap_err();
        assert_eq!(error.fault, Fault::ContextLength, "{kind:?}");
        assert_eq!(steps.spans().len(), before, "refused before work");
    }
}

#[tokio::test]
async fn a_verdict_follows_its_critique_which_is_no_longer_than_allowed() {
    let (batch, _) = start(1000, &Options { cache_bytes: 200 * 100, ..options() });
    let pairs = vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }];
    let ask_judge =
        Judge { pairs, kind: BallotKind::Reasoned.into(), ..likelihood("abc", &["a", "lok"]) };
    let ballot = batch.judge(ask_judge.clone()).await.unwrap();
    assert!(ballot.check(&ask_judge).is_ok());
    let (fake, _) = Fake::new(1000);
    let pipeline = pipeline();
    let mut critique_tokens = 0;
    for (pair, verdict) in ask_judge.pairs.iter().zip(&ballot.verdicts) {
        let mut tokens = pipeline.question(&ask_judge, pair, 800).unwrap();
        for _ in 0..100 {
            let logits = fake.logits(&tokens);
            let likeliest = (0..VOCAB).max_by(|x, y| logits[*x].total_cmp(&logits[*y])).unwrap();
            critique_tokens += 1;
            if pipeline.tokenizer.is_end(likeliest as u32) {
                break;
            }
            tokens.push(likeliest as u32);
        }
        tokens.extend(pipeline.tokenizer.encode("\n\nVerdict:").unwrap_or_default());
        let logits = fake.logits(&tokens);
        let (a, b) = (f64::from(logits[0]).exp(), f64::from(logits[1]).exp());
        assert!((verdict - a / (a + b)).abs() < 1e-6);
    }
    assert_eq!(ballot.completion_tokens, critique_tokens);
    let narrow = batch.judge(Judge { candidates: vec![LETTERS.repeat(60); 2], ..ask_judge }).await;
    assert_eq!(narrow.unwrap_err().fault, Fault::ContextLength);
}

#[tokio::test]
async fn a_vector_has_length_one_and_is_the_mean_of_its_rows() {
    let (batch, _) = start(128, &options());
    let inputs = vec!["abc".to_owned(), "cba".to_owned(), LETTERS.repeat(4)];
    let ask = Embed { inputs };
    let embedding = batch.embed(ask.clone()).await.unwrap();
    assert!(embedding.check(&ask).is_ok());
    assert_eq!(embedding.prompt_tokens, 66);
    let (fake, _) = Fake::new(128);
    let rows: Vec<Vec<f32>> = (1..=3).map(|length| fake.logits(&[0, 1, 2][..length])).collect();
    let sum: Vec<f64> =
        (0..4).map(|column| rows.iter().map(|row| f64::from(row[column])).sum()).collect();
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (value, mean_sum) in embedding.vectors[0].values.iter().zip(sum) {
        assert!((f64::from(*value) - mean_sum / length).abs() < 1e-6);
    }
    let error = batch.embed(Embed { inputs: vec![String::new()] }).await.unwrap_err();
    assert_eq!(error.fault, Fault::BadRequest);
}
