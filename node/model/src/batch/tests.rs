use std::time::Duration;

use shoal_proto::{
    generate::{ChatMessage, Done, Fault, Finish, Sampling},
    judge::{BallotKind, Pair},
};
use tokio::time::timeout;

use self::fake::{END, Fake, Steps, VOCAB, pipeline};
use super::*;
use crate::{pipeline::PromptInput, sample::LogSum, testing::LETTERS};

pub(crate) mod fake;
mod abstentions;
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
        speculate: false,
    }
}

fn start(context: usize, options: &Options) -> (Batch, Steps) {
    let (fake, steps) = Fake::new(context);
    (start_with(fake, options), steps)
}

fn start_with(fake: Fake, options: &Options) -> Batch {
    Batch::start(fake, pipeline(), options, Metrics::new().unwrap()).unwrap()
}

fn conversation(text: &str) -> Vec<ChatMessage> {
    vec![ChatMessage::new("user", text)]
}

fn talk(messages: &[ChatMessage]) -> PromptInput<'_> {
    PromptInput { messages, prompt: None, tools: None, variables: "" }
}

fn ask(text: &str, sampling: Sampling) -> Generate {
    Generate { messages: conversation(text), sampling: Some(sampling), ..Generate::default() }
}

fn greedy() -> Sampling {
    Sampling { temperature: Some(0.0), ..Sampling::default() }
}

fn with_seed(seed: i64) -> Sampling {
    Sampling { temperature: Some(1.0), seed: Some(seed), ..Sampling::default() }
}

/// An answer that never ends: its end token is impossible.
fn endless(seed: i64, tokens: u32) -> Sampling {
    let ban = shoal_proto::generate::TokenBias { token: END, bias: -100.0 };
    Sampling { logit_bias: vec![ban], max_tokens: Some(tokens), ..with_seed(seed) }
}

type Answer = Result<(String, Done), EngineError>;

async fn collect(mut events: mpsc::Receiver<Result<Event, EngineError>>) -> Answer {
    let mut text = String::new();
    loop {
        match events.recv().await.expect("a last word") {
            Ok(Event::Piece(piece)) => text.push_str(&piece),
            Ok(Event::Done(end)) => return Ok((text, end)),
            Err(error) => return Err(error),
        }
    }
}

async fn answer(batch: &Batch, ask: &Generate) -> Answer {
    collect(batch.generate(ask.clone())).await
}

fn likelihood(text: &str, candidates: &[&str]) -> Judge {
    let candidates = candidates.iter().map(|candidate| (*candidate).to_owned()).collect();
    Judge {
        messages: conversation(text),
        candidates,
        kind: BallotKind::Likelihood.into(),
        ..Judge::default()
    }
}

/// Waits until `condition` holds, for as long as a slow machine may need.
async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.expect("the condition holds in time");
}
