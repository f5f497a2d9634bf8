//! A conversation with one engine in a terminal, without any gateway.

mod conversation;
mod lines;

use std::{
    io::{self, Write},
    pin::pin,
};

use shoal_proto::generate::{Fault, Generate, Sampling};
use tokio::sync::Notify;

pub use self::lines::Lines;
use self::{
    conversation::{Command, Conversation},
    lines::Line,
};
use shoal_engine::{Engine, EngineError, Event};

/// How the conversation begins and how answers are written.
#[derive(Clone, Debug, Default)]
pub struct ChatOptions {
    /// The first system message.
    pub system: Option<String>,
    pub sampling: Sampling,
}

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    #[error("cannot read the input: {0}")]
    Read(io::Error),
    #[error("cannot write the answer: {0}")]
    Write(io::Error),
    /// Without a terminal nobody can try again.
    #[error("no answer: {0}")]
    Engine(#[from] EngineError),
}

/// How an answer ended.
enum Answer {
    Whole(String),
    /// The reader stopped it.
    Stopped(String),
}

const HELP: &str = "/reset starts a new conversation, /system TEXT sets the system message, /quit or Ctrl-D \
                    ends, Ctrl-C stops an answer";

/// Answers each line until the input ends or `/quit`. A notification of `stop` ends the answer that is
/// being written.
///
/// # Errors
/// When the input or the output fails; without a terminal also when an answer fails.
pub async fn run(
    engine: &dyn Engine,
    mut lines: Lines,
    out: &mut (dyn Write + Send),
    options: &ChatOptions,
    stop: &Notify,
) -> Result<(), ChatError> {
    let in_terminal = lines.in_terminal();
    let mut talk = Conversation::new(options.system.clone());
    if in_terminal {
        let model = engine.model();
        say(out, &format!("{}, {} tokens of context. {HELP}\n", model.name, model.context))?;
    }
    loop {
        let line;
        (lines, line) = lines.next(stop).await;
        match line.map_err(ChatError::Read)? {
            Line::End => return Ok(()),
            Line::Nothing => {}
            Line::Text(line) => match conversation::read(&line) {
                Command::Quit => return Ok(()),
                Command::Nothing => {}
                Command::Reset => talk.reset(),
                Command::System(text) => talk.rule(text),
                Command::Unknown(word) => {
                    eprintln!("no command {word} ({HELP}); to say it, begin with a space");
                }
                Command::Text(text) => {
                    talk.ask(text);
                    let ask = Generate {
                        messages: talk.messages(),
                        sampling: Some(options.sampling.clone()),
                        ..Generate::default()
                    };
                    let mut out = Out { to: out, in_terminal };
                    match answer(engine, ask, &mut out, stop).await {
                        Ok(Answer::Whole(text) | Answer::Stopped(text)) => talk.push_answer(text),
                        Err(ChatError::Engine(error)) if in_terminal => {
                            talk.take_back();
                            eprintln!("\n{}", error_text(&error));
                        }
                        Err(error) => return Err(error),
                    }
                }
            },
        }
    }
}

/// An error with what the user can do about it.
fn error_text(error: &EngineError) -> String {
    match error.fault {
        Fault::ContextLength => format!("{error}: /reset starts a new one"),
        _ => error.to_string(),
    }
}

/// Where answers go.
struct Out<'a> {
    to: &'a mut (dyn Write + Send),
    in_terminal: bool,
}

impl Out<'_> {
    /// Shows text at once. A model must not move the cursor or rename the window.
    fn piece(&mut self, text: &str) -> Result<(), ChatError> {
        if !self.in_terminal {
            return say(self.to, text);
        }
        let visible = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
        say(self.to, &visible.collect::<String>())
    }
}

fn say(out: &mut (dyn Write + Send), text: &str) -> Result<(), ChatError> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(ChatError::Write)
}

/// Writes one answer as it arrives, and then a newline.
async fn answer(
    engine: &dyn Engine,
    ask: Generate,
    out: &mut Out<'_>,
    stop: &Notify,
) -> Result<Answer, ChatError> {
    let mut stop_signal = pin!(stop.notified());
    // Enabled now, so that a Ctrl-C while a piece is shown is not lost.
    stop_signal.as_mut().enable();
    let mut events = engine.generate(ask);
    let mut text = String::new();
    let result = loop {
        let event = tokio::select! {
            biased;
            () = &mut stop_signal => break Answer::Stopped(text),
            event = events.recv() => event,
        };
        match event {
            Some(Ok(Event::Piece(piece))) => {
                out.piece(&piece)?;
                text.push_str(&piece);
            }
            Some(Ok(Event::Done(_))) => break Answer::Whole(text),
            Some(Err(error)) => return Err(error.into()),
            None => return Err(EngineError::new(Fault::Engine, "the model's thread died").into()),
        }
    };
    say(out.to, "\n")?;
    Ok(result)
}

#[cfg(test)]
mod tests;
