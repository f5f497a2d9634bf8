//! The parts of a streamed answer: server-sent events, or one JSON document from an endpoint that
//! does not stream.

use std::{collections::VecDeque, mem};

use reqwest::Response;
use serde_json::{Value, json};

use super::{fault::CallError, transport::BODY_MAX};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One part of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Chunk {
    /// A document.
    Json(Value),
    /// The endpoint says that the answer is complete (`[DONE]`, or the end of a JSON body).
    End,
}

/// Reads the parts of an answer from a response.
#[derive(Debug)]
pub(super) struct Chunks {
    response: Response,
    parser: Parser,
    bytes: usize,
    is_over: bool,
}

impl Chunks {
    pub(super) fn new(response: Response) -> Self {
        Self { response, parser: Parser::default(), bytes: 0, is_over: false }
    }

    /// The next part. `None`: the body has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>, CallError> {
        loop {
            if let Some(chunk) = self.parser.chunks.pop_front() {
                return Ok(Some(chunk));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.response.chunk().await? {
                Some(bytes) => {
                    self.bytes += bytes.len();
                    if self.bytes > BODY_MAX {
                        return Err(CallError::BrokenOff);
                    }
                    self.parser.push(&bytes)?;
                }
                None => {
                    self.is_over = true;
                    self.parser.finish()?;
                }
            }
        }
    }
}

/// What a body turns out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Form {
    /// Nothing but whitespace has come.
    #[default]
    Unknown,
    /// Lines of server-sent events.
    Events,
    /// JSON documents.
    Documents,
}

/// Turns bytes into parts.
#[derive(Debug, Default)]
struct Parser {
    form: Form,
    /// Bytes that are not read yet.
    rest: Vec<u8>,
    /// The event that is being read.
    event: Event,
    chunks: VecDeque<Chunk>,
}

#[derive(Debug, Default)]
struct Event {
    kind: String,
    data: String,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Result<(), CallError> {
        self.rest.extend_from_slice(bytes);
        if self.form == Form::Unknown {
            self.form = self.detect();
        }
        match self.form {
            Form::Events => self.lines(false),
            Form::Unknown | Form::Documents => Ok(()),
        }
    }

    /// The form, by the first character. The content type is often wrong.
    fn detect(&mut self) -> Form {
        // A byte order mark may come in parts.
        if !self.rest.is_empty() && self.rest.len() < BYTE_ORDER_MARK.len() {
            if BYTE_ORDER_MARK.starts_with(&self.rest) {
                return Form::Unknown;
            }
        } else if self.rest.starts_with(BYTE_ORDER_MARK) {
            self.rest.drain(..BYTE_ORDER_MARK.len());
        }
        match self.rest.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Form::Unknown,
            Some(b'{' | b'[') => Form::Documents,
            Some(_) => Form::Events,
        }
    }

    /// Reads all lines that are complete; at the end of the body also the last one.
    fn lines(&mut self, at_end: bool) -> Result<(), CallError> {
        let bytes = mem::take(&mut self.rest);
        let mut start = 0;
        while let Some(length) =
            bytes.get(start..).and_then(|rest| rest.iter().position(|byte| b"\r\n".contains(byte)))
        {
            let end = start + length;
            let after = match (bytes.get(end), bytes.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => end + 2,
                // The line feed that belongs to it may follow.
                (Some(b'\r'), None) if !at_end => break,
                _ => end + 1,
            };
            self.line(bytes.get(start..end).unwrap_or_default())?;
            start = after;
        }
        self.rest = bytes.get(start..).unwrap_or_default().to_vec();
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), CallError> {
        if line.is_empty() {
            return self.dispatch();
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.kind),
            _ => {}
        }
        Ok(())
    }

    /// Ends an event.
    fn dispatch(&mut self) -> Result<(), CallError> {
        let Event { kind, data } = mem::take(&mut self.event);
        let chunk = match data.trim() {
            "" => return Ok(()),
            "[DONE]" => Chunk::End,
            data => match (serde_json::from_str::<Value>(data), kind.as_str()) {
                (Ok(json), "error") if json.get("error").is_none() => {
                    Chunk::Json(json!({ "error": json }))
                }
                (Ok(json), _) => Chunk::Json(json),
                (Err(_), "error") => Chunk::Json(json!({ "error": data })),
                (Err(_), _) => return Err(CallError::NotJson),
            },
        };
        self.chunks.push_back(chunk);
        Ok(())
    }

    /// The body has ended.
    fn finish(&mut self) -> Result<(), CallError> {
        match self.form {
            Form::Unknown => Ok(()),
            Form::Events => {
                self.rest.push(b'\n');
                self.lines(true)?;
                // Some endpoints leave out the empty line at the end. Half an event is none.
                let data = self.event.data.trim();
                if data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok() {
                    self.dispatch()?;
                }
                Ok(())
            }
            Form::Documents => {
                let bytes = mem::take(&mut self.rest);
                for document in serde_json::Deserializer::from_slice(&bytes).into_iter() {
                    self.chunks.push_back(Chunk::Json(document.map_err(|_| CallError::NotJson)?));
                }
                self.chunks.push_back(Chunk::End);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks(parts: &[&[u8]]) -> Result<Vec<Chunk>, CallError> {
        let mut parser = Parser::default();
        parts.iter().try_for_each(|part| parser.push(part))?;
        parser.finish()?;
        Ok(parser.chunks.into())
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_an_answer() {
        let events = b"\xef\xbb\xbfdata: {\"a\":1}\n\ndata: [DONE]\n\n";
        let expectation = [Chunk::Json(json!({"a": 1})), Chunk::End];
        assert_eq!(chunks(&[events]).unwrap(), expectation);
        let bytes: Vec<&[u8]> = events.chunks(1).collect();
        assert_eq!(chunks(&bytes).unwrap(), expectation);
        assert_eq!(chunks(&[b"\xef\xbb\xbf{\"a\":1}"]).unwrap(), expectation);
    }

    #[test]
    fn an_endpoint_that_does_not_stream_sends_documents() {
        let pretty = b" \n{\n  \"a\": 1\n}\n";
        assert_eq!(chunks(&[pretty]).unwrap(), [Chunk::Json(json!({"a": 1})), Chunk::End]);
        let lines = chunks(&[b"{\"a\":1}\n{\"a\":2}\n"]).unwrap();
        assert_eq!(lines[1], Chunk::Json(json!({"a": 2})));
        assert_eq!(chunks(&[b"{\"a\":"]), Err(CallError::NotJson));
    }

    #[test]
    fn an_event_named_error_is_an_error_whatever_it_holds() {
        let parts = [b"event: error\ndata: {\"message\":\"x\"}\n\nevent: error\ndata: busy\n\n"];
        let errors = [
            Chunk::Json(json!({"error": {"message": "x"}})),
            Chunk::Json(json!({"error": "busy"})),
        ];
        assert_eq!(chunks(&[parts[0]]).unwrap(), errors);
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_they_are_cut(cuts in prop::collection::vec(1usize..9, 0..60)) {
            let body = b": hi\r\n\r\ndata:{\"a\":\r\ndata: 1}\r\rdata: {\"b\":\"\xc3\xa9\"}\n\nid: 7\ndata: [DONE]";
            let (mut rest, mut parts) = (&body[..], Vec::new());
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = after;
            }
            parts.push(rest);
            let expectation =
                vec![Chunk::Json(json!({"a": 1})), Chunk::Json(json!({"b": "é"})), Chunk::End];
            prop_assert_eq!(chunks(&parts).unwrap(), expectation);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = chunks(&[&body]);
        }
    }
}
