use std::time::Duration;

use shoal_proto::{
    generate::{ChatMessage, Done, Fault, Finish, Sampling},
    judge::{Kind, Pair},
};
use tokio::time::timeout;

use super::{
    fake::{END, Fake, Steps, VOCAB, words},
    *,
};
use crate::{pipeline::Talk, sample::LogSum, testing::LETTERS};

mod answers;
mod forms;
mod guesses;
mod prompts;
mod sharing;

fn options() -> Options {
    Options {
        sequences: 4,
        requests: 16,
        cache_bytes: 64 * 100,
        answer_tokens: 1000,
        guesses: false,
    }
}

fn start(context: usize, options: &Options) -> (Batch, Steps) {
    let (fake, steps) = Fake::new(context);
    (begin(fake, options), steps)
}

fn begin(fake: Fake, options: &Options) -> Batch {
    Batch::start(fake, words(), options, Metrics::new().unwrap()).unwrap()
}

fn said(text: &str) -> Vec<ChatMessage> {
    vec![ChatMessage::new("user", text)]
}

fn talk(messages: &[ChatMessage]) -> Talk<'_> {
    Talk { messages, prompt: None, tools: None, variables: "" }
}

fn ask(text: &str, sampling: Sampling) -> Generate {
    Generate { messages: said(text), sampling: Some(sampling), ..Generate::default() }
}

fn greedy() -> Sampling {
    Sampling { temperature: Some(0.0), ..Sampling::default() }
}

fn seeded(seed: i64) -> Sampling {
    Sampling { temperature: Some(1.0), seed: Some(seed), ..Sampling::default() }
}

/// An answer that goes on: nothing in the tiny vocabulary ends it.
fn endless(seed: i64, tokens: u32) -> Sampling {
    let never = shoal_proto::generate::TokenBias { token: END, bias: -100.0 };
    Sampling { logit_bias: vec![never], max_tokens: Some(tokens), ..seeded(seed) }
}

type Answer = Result<(String, Done), EngineError>;

async fn heard(mut events: mpsc::Receiver<Result<Event, EngineError>>) -> Answer {
    let mut text = String::new();
    loop {
        match events.recv().await.expect("a last word") {
            Ok(Event::Piece(piece)) => text.push_str(&piece),
            Ok(Event::Done(done)) => return Ok((text, done)),
            Err(error) => return Err(error),
        }
    }
}

async fn answer(batch: &Batch, ask: &Generate) -> Answer {
    heard(batch.generate(ask.clone())).await
}

fn likelihood(text: &str, candidates: &[&str]) -> Judge {
    let candidates = candidates.iter().map(|candidate| (*candidate).to_owned()).collect();
    Judge { messages: said(text), candidates, kind: Kind::Likelihood.into(), ..Judge::default() }
}

/// Waits for the thread to have done something, without saying how fast.
async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.expect("it never came to be");
}
