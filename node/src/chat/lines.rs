//! The source of the lines: a terminal with an editor, or a pipe.

use std::{
    fmt,
    io::{self, BufRead, BufReader, IsTerminal},
};

use rustyline::{DefaultEditor, error::ReadlineError};
use tokio::{sync::Notify, task::spawn_blocking};

/// The lines of a person or a program.
pub struct Lines {
    /// `None` while a thread reads from it.
    reader: Option<Reader>,
    in_terminal: bool,
}

enum Reader {
    Terminal(Box<DefaultEditor>),
    Pipe(Box<dyn BufRead + Send>),
}

/// The result of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    /// Ctrl-C on a line that was not sent.
    Nothing,
    End,
}

/// Most bytes of a line of a pipe: longer than the context of any model that runs on such machines.
const LINE_MAX: u64 = 4 << 20;

impl Lines {
    /// Standard input: an editor where it and the output are a terminal.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn stdin() -> io::Result<Self> {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            let editor = DefaultEditor::new().map_err(io::Error::other)?;
            let reader = Reader::Terminal(Box::new(editor));
            return Ok(Self { reader: Some(reader), in_terminal: true });
        }
        Ok(Self::pipe(BufReader::new(io::stdin())))
    }

    /// Lines of any reader.
    pub fn pipe(from: impl BufRead + Send + 'static) -> Self {
        Self { reader: Some(Reader::Pipe(Box::new(from))), in_terminal: false }
    }

    pub(super) fn in_terminal(&self) -> bool {
        self.in_terminal
    }

    /// Waits for the next line on a thread of its own. Ctrl-C ends a pipe, because there is no other way
    /// to end the program.
    pub(super) async fn next(mut self, stop: &Notify) -> (Self, io::Result<Line>) {
        let Some(mut reader) = self.reader.take() else { return (self, Ok(Line::End)) };
        let next_line = spawn_blocking(move || {
            let line = reader.next();
            (reader, line)
        });
        tokio::select! {
            read = next_line => match read {
                Ok((reader, line)) => {
                    self.reader = Some(reader);
                    (self, line)
                }
                Err(error) => (self, Err(io::Error::other(error))),
            },
            () = stop.notified() => (self, Ok(Line::End)),
        }
    }
}

impl Reader {
    fn next(&mut self) -> io::Result<Line> {
        match self {
            Self::Terminal(editor) => match editor.readline("> ") {
                Ok(line) => {
                    // Only a convenience: without it the arrow keys do not find this line.
                    let _ = editor.add_history_entry(&line);
                    Ok(Line::Text(line))
                }
                Err(ReadlineError::Interrupted) => Ok(Line::Nothing),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(error) => Err(io::Error::other(error)),
            },
            Self::Pipe(pipe) => {
                let mut line = Vec::new();
                let read = io::Read::take(&mut *pipe, LINE_MAX).read_until(b'\n', &mut line)?;
                if read as u64 == LINE_MAX {
                    let why = format!("a line of over {} MB", LINE_MAX >> 20);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                let text = String::from_utf8_lossy(&line).into_owned();
                Ok(if read == 0 { Line::End } else { Line::Text(text) })
            }
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("in_terminal", &self.in_terminal).finish_non_exhaustive()
    }
}
