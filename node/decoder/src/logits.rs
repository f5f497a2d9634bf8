//! A model's results for prompts, to compare with another engine: the tokens of each prompt, the
//! logits of the next token, and the likeliest answer. `node/tests/real` compares it with llama.cpp.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::Path,
};

use serde::Serialize;
use shoal_engine::EngineError;
use shoal_model::{Broken, Decode, Files, LoadError, PAGE, PromptInput, Span, Want};
use shoal_proto::generate::ChatMessage;

use super::{LoadedModel, Options};

/// Why no logits could be written.
#[derive(Debug, thiserror::Error)]
pub enum LogitsError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("cannot write to {0}: {1}")]
    Write(String, io::Error),
}

/// One line of `answers.jsonl`.
#[derive(Debug, Serialize)]
struct Answer {
    /// Of the prompt, through the chat template.
    tokens: Vec<u32>,
    /// The greedy answer, without the end token.
    answer: Vec<u32>,
    text: String,
    /// Tokens that end an answer.
    ends: Vec<u32>,
}

/// Writes `answers.jsonl` and `logits.f32` (a row of the vocabulary's size for each prompt, in the
/// machine's byte order) into a folder.
///
/// # Errors
/// When the model does not load or its numbers are broken, or the folder takes no files.
pub fn write(
    files: Files,
    options: &Options,
    prompts: &[String],
    count: usize,
    folder: &Path,
) -> Result<(), LogitsError> {
    // Before the model, which takes long to load.
    let write_error = |error| LogitsError::Write(folder.display().to_string(), error);
    fs::create_dir_all(folder).map_err(write_error)?;
    let answers = File::create(folder.join("answers.jsonl")).map_err(write_error)?;
    let rows = File::create(folder.join("logits.f32")).map_err(write_error)?;
    let (mut answers, mut rows) = (BufWriter::new(answers), BufWriter::new(rows));
    let LoadedModel { mut decoder, pipeline, .. } = LoadedModel::open(files, options)?;
    for prompt in prompts {
        let messages = [ChatMessage::new("user", prompt)];
        let talk = PromptInput { messages: &messages, prompt: None, tools: None, variables: "" };
        let tokens = pipeline.prompt(talk, decoder.context())?;
        let ends: Vec<u32> = pipeline.tokenizer.ends().collect();
        let (logits, answer) = greedy(&mut *decoder, &tokens, count, &ends)?;
        for logit in logits {
            rows.write_all(&logit.to_ne_bytes()).map_err(write_error)?;
        }
        let text = pipeline.tokenizer.decode(&answer)?;
        let line = serde_json::to_string(&Answer { tokens, answer, text, ends });
        writeln!(answers, "{}", line.map_err(io::Error::from).map_err(write_error)?)
            .map_err(write_error)?;
    }
    answers.flush().and_then(|()| rows.flush()).map_err(write_error)
}

/// The logits after the prompt, and the likeliest tokens after it.
fn greedy(
    decoder: &mut dyn Decode,
    prompt: &[u32],
    count: usize,
    ends: &[u32],
) -> Result<(Vec<f32>, Vec<u32>), Broken> {
    let room = decoder.context().min(prompt.len() + count);
    let pages: Vec<u32> = (0..).take(room.div_ceil(PAGE)).collect();
    decoder.reserve(pages.len());
    let span = Span { tokens: prompt, past: 0, pages: &pages, want: Want::Last };
    let first = decoder.step(&[span])?;
    let (mut logits, mut answer) = (first.clone(), Vec::new());
    while answer.len() < room - prompt.len() {
        let token = likeliest(&logits)?;
        if ends.contains(&token) {
            break;
        }
        let past = prompt.len() + answer.len();
        answer.push(token);
        logits = decoder.step(&[Span { tokens: &[token], past, ..span }])?;
    }
    Ok((first, answer))
}

fn likeliest(logits: &[f32]) -> Result<u32, Broken> {
    let best = (0..).zip(logits).max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map(|(token, _)| token).ok_or(Broken)
}
