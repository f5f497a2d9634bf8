//! A message as events: its start, its blocks one after the other, its end.

use serde_json::{Value, json};

use super::refusal::Body;
use crate::http::{
    error::ApiError,
    told::{Events, Tell},
};
use shoal_api::anthropic::wire::{Message, Usage, stop_reason};
use shoal_api::{chat, text};
use shoal_consensus::Outcome;

pub(super) struct Teller {
    model: String,
    /// Bytes told of the text; None: its block is not open.
    text: Option<usize>,
    /// Blocks begun.
    blocks: usize,
}

impl Teller {
    pub(super) fn new(model: String) -> Self {
        Self { model, text: None, blocks: 0 }
    }

    fn open(&mut self, block: Value, events: &mut Events) {
        let body =
            json!({ "type": "content_block_start", "index": self.blocks, "content_block": block });
        events.push(Some("content_block_start"), &body);
        self.blocks += 1;
    }

    fn delta(&self, delta: Value, events: &mut Events) {
        let index = self.blocks.saturating_sub(1);
        let body = json!({ "type": "content_block_delta", "index": index, "delta": delta });
        events.push(Some("content_block_delta"), &body);
    }

    fn close(&self, events: &mut Events) {
        let index = self.blocks.saturating_sub(1);
        let body = json!({ "type": "content_block_stop", "index": index });
        events.push(Some("content_block_stop"), &body);
    }
}

impl Tell for Teller {
    fn begins(&mut self, events: &mut Events) {
        let message = Message::begun(self.model.clone());
        events.push(Some("message_start"), &json!({ "type": "message_start", "message": message }));
        self.waits(events);
    }

    fn piece(&mut self, _: usize, text: &str, events: &mut Events) {
        if self.text.is_none() {
            self.open(json!({ "type": "text", "text": "" }), events);
        }
        self.delta(json!({ "type": "text_delta", "text": text }), events);
        self.text = Some(self.text.unwrap_or(0) + text.len());
    }

    fn ends(
        &mut self,
        outcome: &Outcome,
        _: bool,
        events: &mut Events,
    ) -> Option<chat::wire::Usage> {
        let winner = outcome.winner()?;
        let rest = winner.text.get(self.text.unwrap_or(0)..).unwrap_or_default();
        text::pieces(rest).for_each(|text| self.piece(0, text, events));
        if self.text.is_some() {
            self.close(events);
        }
        for call in &winner.tool_calls {
            let block =
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
            self.open(block, events);
            for text in text::pieces(&call.arguments) {
                self.delta(json!({ "type": "input_json_delta", "partial_json": text }), events);
            }
            self.close(events);
        }
        let delta = json!({ "stop_reason": stop_reason(winner), "stop_sequence": null });
        let body = json!({ "type": "message_delta", "delta": delta, "usage": Usage::of(winner) });
        events.push(Some("message_delta"), &body);
        events.push(Some("message_stop"), &json!({ "type": "message_stop" }));
        Some(chat::wire::Usage::of(winner))
    }

    fn fails(&mut self, error: &ApiError, events: &mut Events) {
        events.push(Some("error"), &Body::of(error));
    }

    fn waits(&mut self, events: &mut Events) {
        events.push(Some("ping"), &json!({ "type": "ping" }));
    }
}
