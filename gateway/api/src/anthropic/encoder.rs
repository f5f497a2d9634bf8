//! A message as events: its start, its blocks one after the other, its end.

use serde_json::{Value, json};
use shoal_consensus::{Outcome, outcome::RoundId};

use super::wire::{ErrorBody, Message, Usage, stop_reason};
use crate::{
    Encoder, Failure,
    sse::Events,
    text::{self, pieces},
};

/// Writes a message.
#[derive(Debug)]
pub struct MessageEncoder {
    model: String,
    /// Bytes that are written of the text; `None` until its block is open.
    bytes: Option<usize>,
    /// Blocks that are open or closed.
    blocks: usize,
}

impl MessageEncoder {
    /// An encoder for the answer to one request. `model` is the name that the client sent.
    pub fn new(model: String) -> Self {
        Self { model, bytes: None, blocks: 0 }
    }

    fn open(&mut self, block: Value, events: &mut Events) {
        let body =
            json!({ "type": "content_block_start", "index": self.blocks, "content_block": block });
        events.push(Some("content_block_start"), &body);
        self.blocks += 1;
    }

    fn delta(&self, delta: Value, events: &mut Events) {
        let body = json!({ "type": "content_block_delta", "index": self.index(), "delta": delta });
        events.push(Some("content_block_delta"), &body);
    }

    fn close(&self, events: &mut Events) {
        let body = json!({ "type": "content_block_stop", "index": self.index() });
        events.push(Some("content_block_stop"), &body);
    }

    /// Index of the newest block.
    fn index(&self) -> usize {
        self.blocks.saturating_sub(1)
    }
}

impl Encoder for MessageEncoder {
    fn start(&mut self, _: Option<&RoundId>, events: &mut Events) {
        let message = Message::new(self.model.clone());
        events.push(Some("message_start"), &json!({ "type": "message_start", "message": message }));
        self.keep_alive(events);
    }

    fn text(&mut self, _: usize, text: &str, events: &mut Events) {
        if self.bytes.is_none() {
            self.open(json!({ "type": "text", "text": "" }), events);
        }
        self.delta(json!({ "type": "text_delta", "text": text }), events);
        self.bytes = Some(self.bytes.unwrap_or(0) + text.len());
    }

    fn finish(&mut self, outcome: &Outcome, _: bool, events: &mut Events) -> Option<crate::Usage> {
        let winner = outcome.winner()?;
        let rest = text::rest(&winner.text, self.bytes.unwrap_or(0));
        pieces(rest).for_each(|text| self.text(0, text, events));
        if self.bytes.is_some() {
            self.close(events);
        }
        for call in &winner.tool_calls {
            let block =
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
            self.open(block, events);
            for text in pieces(&call.arguments) {
                self.delta(json!({ "type": "input_json_delta", "partial_json": text }), events);
            }
            self.close(events);
        }
        let delta = json!({ "stop_reason": stop_reason(winner), "stop_sequence": null });
        let usage = Usage::from(winner);
        let body = json!({ "type": "message_delta", "delta": delta, "usage": usage });
        events.push(Some("message_delta"), &body);
        events.push(Some("message_stop"), &json!({ "type": "message_stop" }));
        Some(winner.into())
    }

    fn fail(&mut self, failure: &Failure, events: &mut Events) {
        events.push(Some("error"), &ErrorBody::from(failure));
    }

    fn keep_alive(&mut self, events: &mut Events) {
        events.push(Some("ping"), &json!({ "type": "ping" }));
    }
}
