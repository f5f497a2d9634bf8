//! Guessing changes the time that an answer takes, and nothing of the answer.

use super::*;

fn repeating(guesses: bool) -> (Batch, Steps) {
    let (mut fake, steps) = Fake::new(600);
    // Two tokens decide what comes next: soon it has said everything before.
    fake.memory = 2;
    let options = Options { guesses, cache_bytes: 200 * 100, ..options() };
    (begin(fake, &options), steps)
}

#[tokio::test]
async fn guessed_answers_are_those_that_come_without_guesses() {
    let (plain, plain_steps) = repeating(false);
    let (guessing, guessing_steps) = repeating(true);
    let mut fewer = 0;
    for seed in 0..12 {
        let sampling = match seed % 4 {
            0 => Sampling { temperature: Some(0.0), ..endless(seed, 200) },
            1 => endless(seed, 200),
            2 => Sampling { top_k: Some(2), frequency_penalty: Some(0.02), ..endless(seed, 200) },
            _ => Sampling { top_p: Some(0.5), logprobs: Some(1), ..endless(seed, 200) },
        };
        let ask = ask(&LETTERS[..3 + usize::try_from(seed).unwrap()], sampling);
        let before = (plain_steps.seen().len(), guessing_steps.seen().len());
        let expected = answer(&plain, &ask).await.unwrap();
        let guessed = answer(&guessing, &ask).await.unwrap();
        assert_eq!(guessed.0, expected.0, "seed {seed}");
        assert_eq!(guessed.1.completion_tokens, expected.1.completion_tokens);
        assert_eq!(guessed.1.tokens, expected.1.tokens);
        let steps = (plain_steps.seen().len() - before.0, guessing_steps.seen().len() - before.1);
        fewer += usize::from(steps.1 < steps.0);
    }
    assert!(fewer >= 6, "guesses were right in {fewer} of 12 answers");
}

#[tokio::test]
async fn a_stop_text_in_the_middle_of_a_guess_ends_the_answer() {
    let (plain, _) = repeating(false);
    let (guessing, _) = repeating(true);
    let greedy = Sampling { temperature: Some(0.0), ..endless(1, 200) };
    let whole = answer(&plain, &ask("abcdef", greedy.clone())).await.unwrap().0;
    for at in [60, 90, 91, 92, 93] {
        // What has been said before ends it the first time: a long one is late.
        let stop = vec![whole[at - 50..at].to_owned()];
        let ask = ask("abcdef", Sampling { stop, ..greedy.clone() });
        assert_eq!(answer(&guessing, &ask).await.unwrap(), answer(&plain, &ask).await.unwrap());
    }
}
