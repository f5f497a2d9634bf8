//! A response as events, each numbered: begun, its items one after the other, its end.

use actix_web::web;
use serde_json::{Map, Value, json};
use shoal_proto::{generate::Finish, tools::ToolCall};

use super::store::Kept;
use crate::http::{
    App,
    error::ApiError,
    told::{Events, Tell},
};
use shoal_api::responses::wire::{Failure, Incomplete, Item, Part, Response, Usage, logprobs};
use shoal_api::{chat, id, text};
use shoal_consensus::{Candidate, Outcome};
use shoal_store::unix_now;

/// Builds the response while it tells it; the end is kept where that is wanted.
pub(super) struct Teller {
    response: Response,
    /// Where the end is kept.
    kept: Option<(web::Data<App>, Kept)>,
    sequence: u64,
    /// The message under way.
    message: Option<Open>,
}

/// A message that has begun.
struct Open {
    id: String,
    text: String,
}

impl Teller {
    pub(super) fn new(response: Response, kept: Option<(web::Data<App>, Kept)>) -> Self {
        Self { response, kept, sequence: 0, message: None }
    }

    pub(super) fn response(&self) -> &Response {
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

    fn whole(&mut self, kind: &'static str, events: &mut Events) {
        let body = json!({ "response": self.response });
        self.event(kind, body, events);
    }

    fn open(&mut self, events: &mut Events) {
        if self.message.is_some() {
            return;
        }
        let open = Open { id: format!("msg_{}", id::hex()), text: String::new() };
        let item = Item::message(open.id.clone(), "in_progress", Vec::new());
        let body = json!({ "output_index": 0, "item": item });
        self.event("response.output_item.added", body, events);
        let part = Part::of("", json!([]));
        let body =
            json!({ "item_id": open.id, "output_index": 0, "content_index": 0, "part": part });
        self.event("response.content_part.added", body, events);
        self.message = Some(open);
    }

    fn close(&mut self, candidate: &Candidate, status: &'static str, events: &mut Events) {
        let Some(Open { id, text }) = self.message.take() else { return };
        let at = json!({ "item_id": id, "output_index": 0, "content_index": 0 });
        let with = |name: &str, value: Value| {
            let mut body = at.clone();
            if let Some(body) = body.as_object_mut() {
                body.insert(name.to_owned(), value);
            }
            body
        };
        let logprobs = logprobs(candidate);
        let part = Part::of(&text, logprobs.clone());
        let mut done = with("text", text.into());
        if let Some(done) = done.as_object_mut() {
            done.insert("logprobs".into(), logprobs);
        }
        self.event("response.output_text.done", done, events);
        self.event("response.content_part.done", with("part", json!(part)), events);
        let item = Item::message(id, status, vec![part]);
        let body = json!({ "output_index": 0, "item": item });
        self.event("response.output_item.done", body, events);
        self.response.output.push(item);
    }

    fn call(&mut self, call: &ToolCall, events: &mut Events) {
        let (item_id, index) = (format!("fc_{}", id::hex()), self.response.output.len());
        let begun = Item::call(item_id.clone(), "in_progress", call, "");
        let body = json!({ "output_index": index, "item": begun });
        self.event("response.output_item.added", body, events);
        for text in text::pieces(&call.arguments) {
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

    /// Keeps the response as it is now, where that is wanted.
    fn keep(&mut self) {
        if let Some((app, kept)) = self.kept.take() {
            app.responses.keep(kept, &self.response);
        }
    }
}

impl Tell for Teller {
    fn begins(&mut self, events: &mut Events) {
        self.whole("response.created", events);
        self.whole("response.in_progress", events);
    }

    fn piece(&mut self, _: usize, text: &str, events: &mut Events) {
        self.open(events);
        let Some(open) = &mut self.message else { return };
        open.text.push_str(text);
        let body = json!({
            "item_id": open.id, "output_index": 0, "content_index": 0, "delta": text,
            "logprobs": [],
        });
        self.event("response.output_text.delta", body, events);
    }

    fn ends(
        &mut self,
        outcome: &Outcome,
        _: bool,
        events: &mut Events,
    ) -> Option<chat::wire::Usage> {
        let winner = outcome.winner()?;
        let cut = winner.finish == Finish::Length;
        let told = self.message.as_ref().map_or(0, |open| open.text.len());
        let rest = winner.text.get(told..).unwrap_or_default();
        text::pieces(rest).for_each(|text| self.piece(0, text, events));
        if winner.tool_calls.is_empty() {
            // An empty answer is an answer.
            self.open(events);
        }
        let status = if cut { "incomplete" } else { "completed" };
        self.close(winner, status, events);
        winner.tool_calls.iter().for_each(|call| self.call(call, events));
        let usage = chat::wire::Usage::of(winner);
        self.response.usage = Some(Usage::of(&usage));
        self.response.status = status;
        if cut {
            self.response.incomplete_details = Some(Incomplete { reason: "max_output_tokens" });
            self.whole("response.incomplete", events);
        } else {
            self.response.completed_at = Some(unix_now());
            self.whole("response.completed", events);
        }
        self.keep();
        Some(usage)
    }

    fn fails(&mut self, error: &ApiError, events: &mut Events) {
        // OpenAI's codes are a closed set, in which what the client has to change is the prompt.
        let code = if error.label() == "invalid" { "invalid_prompt" } else { "server_error" };
        self.message = None;
        self.response.status = "failed";
        self.response.error = Some(Failure { code, message: error.to_string() });
        self.whole("response.failed", events);
        self.keep();
    }
}
