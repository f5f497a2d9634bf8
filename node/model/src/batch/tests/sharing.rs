//! What sequences share, and what becomes of them when something is scarce or breaks.

use super::{
    fake::{BREAKS, PANICS},
    *,
};

#[tokio::test]
async fn a_chats_next_turn_reads_only_what_is_new() {
    let (batch, steps) = start(400, &options());
    let first = LETTERS.repeat(5);
    let (_, done) = answer(&batch, &ask(&first, endless(1, 3))).await.unwrap();
    assert_eq!((done.prompt_tokens, done.cached_tokens), (77, 0));
    let before = steps.tokens();
    let (_, done) = answer(&batch, &ask(&format!("{first}abc"), endless(1, 3))).await.unwrap();
    // Four full pages of the first prompt; its end mark is elsewhere now.
    assert_eq!((done.prompt_tokens, done.cached_tokens), (80, 64));
    assert_eq!(steps.tokens() - before, 16 + 2);
}

#[tokio::test]
async fn several_that_come_at_once_with_one_prompt_read_it_once() {
    let (batch, steps) = start(400, &options());
    let prompt = LETTERS.repeat(5);
    steps.hold();
    let all: Vec<_> = (0..4).map(|seed| batch.generate(ask(&prompt, endless(seed, 2)))).collect();
    steps.release();
    for events in all {
        heard(events).await.unwrap();
    }
    // 77 tokens by one, the last 13 by each of the others, and a token of each answer.
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
    // Room for one and a half of the four.
    let small = Options { cache_bytes: 9 * 100, ..options() };
    let (roomy, _) = start(96, &options());
    let (tight, steps) = start(96, &small);
    steps.hold();
    let asks: Vec<_> = (0..4).map(|seed| ask(&LETTERS[..5], endless(seed, 85))).collect();
    let all: Vec<_> = asks.iter().map(|ask| tight.generate(ask.clone())).collect();
    steps.release();
    for (events, ask) in all.into_iter().zip(&asks) {
        let (text, done) = heard(events).await.unwrap();
        let (expected, done_there) = answer(&roomy, ask).await.unwrap();
        assert_eq!(text, expected);
        assert_eq!(done.completion_tokens, done_there.completion_tokens);
    }
    let alone: usize = 4 * (7 + 84);
    assert!(steps.tokens() > alone, "somebody gave way and read again");
}

#[tokio::test]
async fn a_small_cache_is_a_short_context() {
    let (batch, _) = start(1000, &Options { cache_bytes: 3 * 100, ..options() });
    assert_eq!(batch.context(), 32);
    let (_, done) = answer(&batch, &ask("abc", endless(1, 1000))).await.unwrap();
    assert_eq!((done.prompt_tokens + done.completion_tokens, done.finish()), (32, Finish::Length));
}

#[tokio::test]
async fn who_leaves_frees_a_place_within_one_step() {
    let options = Options { sequences: 1, requests: 1, ..options() };
    let (batch, steps) = start(1000, &Options { cache_bytes: 100 * 100, ..options });
    steps.hold();
    let leaving = batch.generate(ask("abc", endless(1, 900)));
    let refused = answer(&batch, &ask("abc", greedy())).await.unwrap_err();
    assert_eq!(refused.fault, Fault::Busy);
    steps.allow(3);
    until(|| steps.seen().len() == 3).await;
    drop(leaving);
    // The step that the model stands in, and none beyond.
    steps.allow(1);
    until(|| batch.places.available_permits() == 1).await;
    assert!(steps.seen().len() <= 4);
    steps.release();
    assert!(answer(&batch, &ask("abc", endless(1, 5))).await.is_ok());
}

#[tokio::test]
async fn who_waits_and_leaves_frees_a_place_too() {
    let (batch, steps) = start(400, &Options { sequences: 1, requests: 2, ..options() });
    steps.hold();
    let running = batch.generate(ask("abc", endless(1, 300)));
    steps.allow(1);
    until(|| steps.seen().len() == 1).await;
    drop(batch.generate(ask("abd", endless(1, 5))));
    let freed = || {
        steps.allow(1);
        batch.places.available_permits() == 1
    };
    until(freed).await;
    assert!(!running.is_closed(), "that of the other");
    steps.release();
    heard(running).await.unwrap();
}

#[tokio::test]
async fn a_long_prompt_does_not_hold_up_an_answer() {
    let roomy = Options { cache_bytes: 400 * 100, ..options() };
    let (batch, steps) = start(4000, &roomy);
    steps.hold();
    let writing = batch.generate(ask("abc", endless(1, 30)));
    steps.allow(2);
    until(|| steps.seen().len() == 2).await;
    let reading = batch.generate(ask(&LETTERS.repeat(200), endless(2, 2)));
    // Its words are cut into tokens on another thread, while the model stands.
    tokio::time::sleep(Duration::from_millis(50)).await;
    steps.release();
    heard(writing).await.unwrap();
    heard(reading).await.unwrap();
    let beside = steps.seen().into_iter().filter(|spans| spans.len() == 2);
    assert!(beside.clone().count() >= 5, "read in pieces");
    assert!(beside.clone().all(|spans| spans.contains(&1)), "a token in each step");
}

#[tokio::test]
async fn broken_numbers_cost_one_ask_and_a_panic_those_under_way() {
    let (mut fake, steps) = Fake::new(400);
    fake.fragile = true;
    let batch = begin(fake, &options());
    let letter = |token: u32| LETTERS[token as usize..][..1].to_owned();
    // The answers themselves keep off the dangerous letters.
    let careful = |seed| {
        let never = |token| shoal_proto::generate::TokenBias { token, bias: -100.0 };
        let logit_bias = [BREAKS, PANICS, END].map(never).to_vec();
        Sampling { logit_bias, ..endless(seed, 20) }
    };
    let expected = answer(&batch, &ask("abc", careful(1))).await.unwrap().0;
    steps.hold();
    let sound = batch.generate(ask("abc", careful(1)));
    let broken = batch.generate(ask(&letter(BREAKS), careful(2)));
    steps.release();
    assert_eq!(heard(broken).await.unwrap_err().fault, Fault::Engine);
    assert_eq!(heard(sound).await.unwrap().0, expected);

    let panics = batch.generate(ask(&letter(PANICS), careful(2)));
    assert_eq!(heard(panics).await.unwrap_err().fault, Fault::Engine);
    assert_eq!(answer(&batch, &ask("abc", careful(1))).await.unwrap().0, expected);
}

#[tokio::test]
async fn a_model_that_is_dropped_says_so_and_ends() {
    let (batch, steps) = start(4000, &Options { cache_bytes: 400 * 100, ..options() });
    steps.hold();
    let writing = batch.generate(ask("abc", endless(1, 3000)));
    steps.allow(2);
    until(|| steps.seen().len() == 2).await;
    drop(batch);
    let over = || {
        steps.allow(1);
        writing.is_closed()
    };
    until(over).await;
    assert_eq!(heard(writing).await.unwrap_err().fault, Fault::Engine);
}
