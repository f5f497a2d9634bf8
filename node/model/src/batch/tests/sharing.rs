//! Sharing of pages and steps, and what happens when pages run out or a step fails.

use shoal_proto::generate::TokenBias;

use super::{
    fake::{BREAKS, PANICS},
    *,
};

#[tokio::test]
async fn a_chats_next_turn_reads_only_what_is_new() {
    let (batch, steps) = start(400, &options());
    let first = LETTERS.repeat(5);
    let (_, end) = answer(&batch, &ask(&first, endless(1, 3))).await.unwrap();
    assert_eq!((end.prompt_tokens, end.cached_tokens), (77, 0));
    let before = steps.tokens();
    let (_, end) = answer(&batch, &ask(&format!("{first}abc"), endless(1, 3))).await.unwrap();
    // Four full pages of the first prompt; its end-of-turn token is at another position now.
    assert_eq!((end.prompt_tokens, end.cached_tokens), (80, 64));
    assert_eq!(steps.tokens() - before, 16 + 2);
}

#[tokio::test]
async fn several_that_come_at_once_with_one_prompt_read_it_once() {
    let (batch, steps) = start(400, &options());
    let prompt = LETTERS.repeat(5);
    steps.hold();
    let answers: Vec<_> =
        (0..4).map(|seed| batch.generate(ask(&prompt, endless(seed, 2)))).collect();
    steps.release();
    for events in answers {
        collect(events).await.unwrap();
    }
    // One reads 77 tokens, each of the rest its last 13, and each answer one token.
    assert_eq!(steps.tokens(), 77 + 3 * 13 + 4);
}

#[tokio::test]
async fn a_judges_candidates_share_the_conversation() {
    let (batch, steps) = start(400, &options());
    let prompt = LETTERS.repeat(5);
    batch.judge(likelihood(&prompt, &["abc", "abd", "cab", "ooo"])).await.unwrap();
    assert_eq!(steps.tokens(), 77 + 3 + 3 * (13 + 3));
}

#[tokio::test]
async fn when_pages_run_out_answers_are_late_and_not_different() {
    // The threads' timing decides whether two answers are at work when the pages run out. They nearly
    // always are, and the texts must be the same in any case.
    const TRIES: usize = 5;
    let mut has_given_way = false;
    for _ in 0..TRIES {
        has_given_way |= four_answers_in_too_few_pages().await;
    }
    assert!(has_given_way, "somebody gave way and read again");
}

/// Whether an answer gave its pages to another one.
async fn four_answers_in_too_few_pages() -> bool {
    // Room for one and a half of the four answers.
    let small = Options { cache_bytes: 9 * 100, ..options() };
    let (roomy, _) = start(96, &options());
    let (tight, steps) = start(96, &small);
    steps.hold();
    let asks: Vec<_> = (0..4).map(|seed| ask(&LETTERS[..5], endless(seed, 85))).collect();
    let answers: Vec<_> = asks.iter().map(|ask| tight.generate(ask.clone())).collect();
    steps.release();
    for (events, ask) in answers.into_iter().zip(&asks) {
        let (text, end) = collect(events).await.unwrap();
        let (roomy_text, roomy_end) = answer(&roomy, ask).await.unwrap();
        assert_eq!(text, roomy_text);
        assert_eq!(end.completion_tokens, roomy_end.completion_tokens);
    }
    let alone: usize = 4 * (7 + 84);
    steps.tokens() > alone
}

#[tokio::test]
async fn a_small_cache_is_a_short_context() {
    let (batch, _) = start(1000, &Options { cache_bytes: 3 * 100, ..options() });
    assert_eq!(batch.context(), 32);
    let (_, end) = answer(&batch, &ask("abc", endless(1, 1000))).await.unwrap();
    assert_eq!((end.prompt_tokens + end.completion_tokens, end.finish()), (32, Finish::Length));
}

#[tokio::test]
async fn who_leaves_frees_a_place_within_one_step() {
    let options = Options { sequences: 1, requests: 1, ..options() };
    let (batch, steps) = start(1000, &Options { cache_bytes: 100 * 100, ..options });
    steps.hold();
    let events = batch.generate(ask("abc", endless(1, 900)));
    let error = answer(&batch, &ask("abc", greedy())).await.unwrap_err();
    assert_eq!(error.fault, Fault::Busy);
    steps.allow(3);
    until(|| steps.spans().len() == 3).await;
    drop(events);
    // The step under way may finish; no step follows it.
    steps.allow(1);
    until(|| batch.places.available_permits() == 1).await;
    assert!(steps.spans().len() <= 4);
    steps.release();
    assert!(answer(&batch, &ask("abc", endless(1, 5))).await.is_ok());
}

#[tokio::test]
async fn who_waits_and_leaves_frees_a_place_too() {
    let (batch, steps) = start(400, &Options { sequences: 1, requests: 2, ..options() });
    steps.hold();
    let events = batch.generate(ask("abc", endless(1, 300)));
    steps.allow(1);
    until(|| steps.spans().len() == 1).await;
    drop(batch.generate(ask("abd", endless(1, 5))));
    until(|| {
        steps.allow(1);
        batch.places.available_permits() == 1
    })
    .await;
    assert!(!events.is_closed(), "the other request goes on");
    steps.release();
    collect(events).await.unwrap();
}

#[tokio::test]
async fn a_long_prompt_does_not_hold_up_an_answer() {
    let roomy = Options { cache_bytes: 400 * 100, ..options() };
    let (batch, steps) = start(4000, &roomy);
    steps.hold();
    let answer_events = batch.generate(ask("abc", endless(1, 30)));
    steps.allow(2);
    until(|| steps.spans().len() == 2).await;
    let prompt_events = batch.generate(ask(&LETTERS.repeat(200), endless(2, 2)));
    // Another thread tokenizes the prompt, while the model is on hold.
    tokio::time::sleep(Duration::from_millis(50)).await;
    steps.release();
    collect(answer_events).await.unwrap();
    collect(prompt_events).await.unwrap();
    let shared_steps = steps.spans().into_iter().filter(|spans| spans.len() == 2);
    assert!(shared_steps.clone().count() >= 5, "read in pieces");
    assert!(shared_steps.clone().all(|spans| spans.contains(&1)), "a token in each step");
}

fn letter(token: u32) -> String {
    LETTERS[token as usize..][..1].to_owned()
}

/// An answer that avoids the letters that break the model.
fn careful(seed: i64) -> Sampling {
    let logit_bias = [BREAKS, PANICS, END].map(|token| TokenBias { token, bias: -100.0 }).to_vec();
    Sampling { logit_bias, ..endless(seed, 20) }
}

#[tokio::test]
async fn broken_numbers_cost_one_ask_and_a_panic_those_under_way() {
    let (mut fake, steps) = Fake::new(400);
    fake.fragile = true;
    let batch = start_with(fake, &options());
    let reference = answer(&batch, &ask("abc", careful(1))).await.unwrap().0;
    steps.hold();
    let sound = batch.generate(ask("abc", careful(1)));
    let failure = batch.generate(ask(&letter(BREAKS), careful(2)));
    steps.release();
    assert_eq!(collect(failure).await.unwrap_err().fault, Fault::Engine);
    assert_eq!(collect(sound).await.unwrap().0, reference);

    let failure = batch.generate(ask(&letter(PANICS), careful(2)));
    assert_eq!(collect(failure).await.unwrap_err().fault, Fault::Engine);
    assert_eq!(answer(&batch, &ask("abc", careful(1))).await.unwrap().0, reference);
}

#[tokio::test]
async fn a_model_that_is_dropped_says_so_and_ends() {
    let (batch, steps) = start(4000, &Options { cache_bytes: 400 * 100, ..options() });
    steps.hold();
    let events = batch.generate(ask("abc", endless(1, 3000)));
    steps.allow(2);
    until(|| steps.spans().len() == 2).await;
    drop(batch);
    until(|| {
        steps.allow(1);
        events.is_closed()
    })
    .await;
    assert_eq!(collect(events).await.unwrap_err().fault, Fault::Engine);
}
