//! Drafting changes the time that an answer takes, and nothing else.

use super::*;

fn repeater(speculate: bool) -> (Batch, Steps) {
    let (mut fake, steps) = Fake::new(600);
    // The last two tokens decide the next one: soon the text repeats itself.
    fake.memory = 2;
    let options = Options { speculate, cache_bytes: 200 * 100, ..options() };
    (start_with(fake, &options), steps)
}

#[tokio::test]
async fn guessed_answers_are_those_that_come_without_guesses() {
    let (plain, plain_steps) = repeater(false);
    let (drafter, drafting_steps) = repeater(true);
    let mut fewer = 0;
    for seed in 0..12 {
        let sampling = match seed % 4 {
            0 => Sampling { temperature: Some(0.0), ..endless(seed, 200) },
            1 => endless(seed, 200),
            2 => Sampling { top_k: Some(2), frequency_penalty: Some(0.02), ..endless(seed, 200) },
            _ => Sampling { top_p: Some(0.5), logprobs: Some(1), ..endless(seed, 200) },
        };
        let ask = ask(&LETTERS[..3 + usize::try_from(seed).unwrap()], sampling);
        let before = (plain_steps.spans().len(), drafting_steps.spans().len());
        let reference = answer(&plain, &ask).await.unwrap();
        let draft_answer = answer(&drafter, &ask).await.unwrap();
        assert_eq!(draft_answer.0, reference.0, "seed {seed}");
        assert_eq!(draft_answer.1.completion_tokens, reference.1.completion_tokens);
        assert_eq!(draft_answer.1.tokens, reference.1.tokens);
        let steps = (plain_steps.spans().len() - before.0, drafting_steps.spans().len() - before.1);
        fewer += usize::from(steps.1 < steps.0);
    }
    assert!(fewer >= 6, "guesses were right in {fewer} of 12 answers");
}

#[tokio::test]
async fn a_stop_text_in_the_middle_of_a_guess_ends_the_answer() {
    let (plain, _) = repeater(false);
    let (drafter, _) = repeater(true);
    let greedy = Sampling { temperature: Some(0.0), ..endless(1, 200) };
    let whole = answer(&plain, &ask("abcdef", greedy.clone())).await.unwrap().0;
    for end in [60, 90, 91, 92, 93] {
        // An earlier occurrence would end the answer: a long stop text occurs late.
        let stop = vec![whole[end - 50..end].to_owned()];
        let ask = ask("abcdef", Sampling { stop, ..greedy.clone() });
        assert_eq!(answer(&drafter, &ask).await.unwrap(), answer(&plain, &ask).await.unwrap());
    }
}
