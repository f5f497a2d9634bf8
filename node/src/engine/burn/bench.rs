//! How fast this machine runs a model, and which models are in the program.

use std::{fmt, time::Instant};

use shoal_proto::{
    generate::{ChatMessage, Generate, Sampling},
    judge::{Judge, Kind},
};

use super::{
    Files, LoadError, Options, bundled_names,
    load::{Loaded, description, shape},
    score,
    write::{self, Asker, Halt},
};
use crate::{engine::EngineError, pull::Found};

/// Tokens a second of one stream.
#[derive(Clone, Debug)]
pub struct Speeds {
    model: String,
    read: Rate,
    written: Rate,
    judged: Rate,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    tokens: u32,
    seconds: f64,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the model stopped")]
    Stopped,
}

impl From<Halt> for BenchError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Failed(error) => Self::Engine(error),
            Halt::Gone => Self::Stopped,
        }
    }
}

impl fmt::Display for Speeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [("reads", self.read), ("writes", self.written), ("judges", self.judged)];
        for (what, Rate { tokens, seconds }) in rows {
            let rate = f64::from(tokens) / seconds.max(1e-9);
            writeln!(f, "{} {what} {rate:.0} tokens/s ({tokens} in {seconds:.3} s)", self.model)?;
        }
        Ok(())
    }
}

/// The table that `shoal-node models` prints.
pub fn models() -> String {
    let row = |name: &str| {
        let files = Files::bundled(name);
        let says =
            files.and_then(|files| description(&files, &shape::read(&files)?)).unwrap_or_default();
        format!("bundled:{name:<16} {says}")
    };
    let rows: Vec<String> = bundled_names().map(row).collect();
    if rows.is_empty() { "no models are bundled".to_owned() } else { rows.join("\n") }
}

/// Reads, writes `tokens` tokens (ending where the model ends, then again) and judges.
pub fn measure(found: &Found, tokens: u32) -> Result<Speeds, BenchError> {
    let loaded = Loaded::open(&Files::found(found)?, &Options::default())?;
    let question = "What is 47 plus 385?";
    let messages = vec![ChatMessage {
        role: "user".to_owned(),
        content: question.to_owned(),
        ..ChatMessage::default()
    }];
    let ask = Generate {
        messages: messages.clone(),
        sampling: Some(greedy(tokens)),
        ..Generate::default()
    };
    let mut text = Text::default();
    // The first answer finds caches cold and pages not yet there.
    write::write(&loaded, &ask, &mut text)?;

    let begun = Instant::now();
    let mut written = 0;
    while written < tokens {
        text = Text::default();
        written += write::write(&loaded, &ask, &mut text)?.completion_tokens;
    }
    let written = Rate { tokens: written, seconds: begun.elapsed().as_secs_f64() };

    let prompt = loaded.prompt(&messages)?;
    let begun = Instant::now();
    let mut read = 0;
    while read < tokens {
        loaded.read(&prompt, &|| false)?;
        read += write::count(prompt.len());
    }
    let read = Rate { tokens: read, seconds: begun.elapsed().as_secs_f64() };

    let candidates = vec![text.0; 5];
    let ask = Judge { messages, candidates, kind: Kind::Likelihood.into(), ..Judge::default() };
    let begun = Instant::now();
    let judged = score::ballot(&loaded, &ask, &|| false)?.prompt_tokens;
    let judged = Rate { tokens: judged, seconds: begun.elapsed().as_secs_f64() };
    Ok(Speeds { model: loaded.card.name, read, written, judged })
}

fn greedy(tokens: u32) -> Sampling {
    Sampling { temperature: Some(0.0), max_tokens: Some(tokens), ..Sampling::default() }
}

/// Keeps what is written.
#[derive(Default)]
struct Text(String);

impl Asker for Text {
    fn piece(&mut self, text: String) {
        self.0.push_str(&text);
    }

    fn gone(&self) -> bool {
        false
    }
}
