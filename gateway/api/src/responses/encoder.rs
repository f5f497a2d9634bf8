//! A response as numbered events: its start, its items one after the other, its end.

use serde_json::{Map, Value, json};
use shoal_consensus::{Candidate, Outcome, outcome::RoundId};
use shoal_proto::{generate::Finish, tools::ToolCall};

use super::wire::{Incomplete, Item, Part, Response, ResponseFailure, Usage, logprobs};
use crate::{
    Encoder, Failure, id,
    sse::Events,
    text::{self, pieces},
};

/// Builds a response while it writes the events.
#[derive(Debug)]
pub struct ResponseEncoder {
    response: Response,
    /// The time in Unix seconds.
    clock: fn() -> u64,
    sequence: u64,
    /// The message that is open.
    message: Option<OpenMessage>,
}

/// A message whose end is not written yet.
#[derive(Debug)]
struct OpenMessage {
    id: String,
    text: String,
}

impl ResponseEncoder {
    /// An encoder for one response. `clock` returns Unix seconds; it is read when the response is
    /// complete.
    pub fn new(response: Response, clock: fn() -> u64) -> Self {
        Self { response, clock, sequence: 0, message: None }
    }

    /// The response as it is now.
    pub fn response(&self) -> &Response {
        &self.response
    }

    fn event(&mut self, kind: &'static str, body: Value, events: &mut Events) {
        let mut event = Map::new();
        event.insert("type".into(), kind.into());
        event.insert("sequence_number".into(), self.sequence.into());
        if let Value::Object(body) = body {
            event.extend(body);
        }
        self.sequence += 1;
        events.push(Some(kind), &event);
    }

    /// Writes an event with the whole response.
    fn snapshot(&mut self, kind: &'static str, events: &mut Events) {
        let body = json!({ "response": self.response });
        self.event(kind, body, events);
    }

    /// The open message, which is started if there is none.
    fn open(&mut self, events: &mut Events) -> &mut OpenMessage {
        let message = match self.message.take() {
            Some(message) => message,
            None => self.start_message(events),
        };
        self.message.insert(message)
    }

    fn start_message(&mut self, events: &mut Events) -> OpenMessage {
        let id = format!("msg_{}", id::hex());
        let item = Item::message(id.clone(), "in_progress", Vec::new());
        let body = json!({ "output_index": 0, "item": item });
        self.event("response.output_item.added", body, events);
        let part = Part::new("", json!([]));
        let body = json!({ "item_id": id, "output_index": 0, "content_index": 0, "part": part });
        self.event("response.content_part.added", body, events);
        OpenMessage { id, text: String::new() }
    }

    /// Writes a message that consists of a refusal.
    fn refuse(&mut self, text: &str, events: &mut Events) {
        let id = format!("msg_{}", id::hex());
        let item = Item::message(id.clone(), "in_progress", Vec::new());
        let body = json!({ "output_index": 0, "item": item });
        self.event("response.output_item.added", body, events);
        let part = Part::refusal("");
        let body = json!({ "item_id": id, "output_index": 0, "content_index": 0, "part": part });
        self.event("response.content_part.added", body, events);
        for delta in pieces(text) {
            let body =
                json!({ "item_id": id, "output_index": 0, "content_index": 0, "delta": delta });
            self.event("response.refusal.delta", body, events);
        }
        let body = json!({ "item_id": id, "output_index": 0, "content_index": 0, "refusal": text });
        self.event("response.refusal.done", body, events);
        let part = Part::refusal(text);
        let body = json!({ "item_id": id, "output_index": 0, "content_index": 0, "part": part });
        self.event("response.content_part.done", body, events);
        let item = Item::message(id, "completed", vec![part]);
        let body = json!({ "output_index": 0, "item": item });
        self.event("response.output_item.done", body, events);
        self.response.output.push(item);
    }

    /// Ends the message, if there is one.
    fn close(&mut self, candidate: &Candidate, status: &'static str, events: &mut Events) {
        let Some(OpenMessage { id, text }) = self.message.take() else { return };
        let logprobs = logprobs(candidate);
        let part = Part::new(&text, logprobs.clone());
        let body = json!({
            "item_id": id, "output_index": 0, "content_index": 0, "text": text,
            "logprobs": logprobs,
        });
        self.event("response.output_text.done", body, events);
        let body = json!({ "item_id": id, "output_index": 0, "content_index": 0, "part": part });
        self.event("response.content_part.done", body, events);
        let item = Item::message(id, status, vec![part]);
        let body = json!({ "output_index": 0, "item": item });
        self.event("response.output_item.done", body, events);
        self.response.output.push(item);
    }

    /// Writes a call as an item of its own.
    fn call(&mut self, call: &ToolCall, events: &mut Events) {
        let (item_id, index) = (format!("fc_{}", id::hex()), self.response.output.len());
        let start = Item::call(item_id.clone(), "in_progress", call, "");
        let body = json!({ "output_index": index, "item": start });
        self.event("response.output_item.added", body, events);
        for text in pieces(&call.arguments) {
            let body = json!({ "item_id": item_id, "output_index": index, "delta": text });
            self.event("response.function_call_arguments.delta", body, events);
        }
        let body = json!({
            "item_id": item_id, "output_index": index, "name": call.name,
            "arguments": call.arguments,
        });
        self.event("response.function_call_arguments.done", body, events);
        let item = Item::call(item_id, "completed", call, &call.arguments);
        let body = json!({ "output_index": index, "item": item });
        self.event("response.output_item.done", body, events);
        self.response.output.push(item);
    }
}

impl Encoder for ResponseEncoder {
    fn start(&mut self, _: Option<&RoundId>, events: &mut Events) {
        self.snapshot("response.created", events);
        self.snapshot("response.in_progress", events);
    }

    fn text(&mut self, _: usize, text: &str, events: &mut Events) {
        let message = self.open(events);
        message.text.push_str(text);
        let body = json!({
            "item_id": message.id, "output_index": 0, "content_index": 0, "delta": text,
            "logprobs": [],
        });
        self.event("response.output_text.delta", body, events);
    }

    fn finish(&mut self, outcome: &Outcome, _: bool, events: &mut Events) -> Option<crate::Usage> {
        let winner = outcome.winner()?;
        let cut = match winner.finish {
            Finish::Length => Some("max_output_tokens"),
            Finish::Filtered => Some("content_filter"),
            _ => None,
        };
        let status = if cut.is_some() { "incomplete" } else { "completed" };
        if winner.finish == Finish::Refused && self.message.is_none() {
            self.refuse(&winner.text, events);
        } else {
            let offset = self.message.as_ref().map_or(0, |message| message.text.len());
            pieces(text::rest(&winner.text, offset)).for_each(|text| self.text(0, text, events));
            if winner.tool_calls.is_empty() {
                // An empty answer is a message too.
                self.open(events);
            }
            self.close(winner, status, events);
        }
        winner.tool_calls.iter().for_each(|call| self.call(call, events));
        let usage = crate::Usage::from(winner);
        self.response.usage = Some(Usage::from(&usage));
        self.response.status = status;
        if let Some(reason) = cut {
            self.response.incomplete_details = Some(Incomplete { reason });
            self.snapshot("response.incomplete", events);
        } else {
            self.response.completed_at = Some((self.clock)());
            self.snapshot("response.completed", events);
        }
        Some(usage)
    }

    fn fail(&mut self, failure: &Failure, events: &mut Events) {
        // OpenAI's codes are a closed set. The one for a request that the client has to change
        // names the prompt.
        let code = if failure.is_invalid { "invalid_prompt" } else { "server_error" };
        self.message = None;
        self.response.status = "failed";
        self.response.error = Some(ResponseFailure { code, message: failure.message.clone() });
        self.snapshot("response.failed", events);
    }
}
