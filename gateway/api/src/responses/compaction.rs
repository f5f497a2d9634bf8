//! `/v1/responses/compact`: a long conversation becomes its user's messages and a summary of the rest.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{ResponseRequest, summary, wire::Usage};
use crate::{chat::object, error::AskError, fields::Fields, id};
use shoal_consensus::ask::Limits;

/// What the model is asked for after the conversation.
const TASK: &str = "Summarise the conversation above, so that somebody who has not read it can continue it: what the user \
    wants, what was found, decided and done, with names, numbers and paths, and what is still open. Write only the summary.";

impl ResponseRequest {
    /// Checks the body of a request to compact a conversation. Returns the request for the summary, whose
    /// input ends with the task, and the conversation's new items.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse_compaction(body: &[u8], limits: &Limits) -> Result<(Self, Vec<Value>), AskError> {
        let mut map = object(body)?;
        let has_earlier = map.get("previous_response_id").is_some_and(|id| !id.is_null());
        let items = match map.get("input") {
            None | Some(Value::Null) if has_earlier => Vec::new(),
            _ => super::items::read(&Fields::root(&map))?,
        };
        let task = json!({ "type": "message", "role": "user", "content": TASK });
        let input: Vec<Value> = items.iter().cloned().chain([task]).collect();
        map.insert("input".into(), input.into());
        for (name, value) in [("stream", json!(false)), ("background", json!(false))] {
            map.insert(name.into(), value);
        }
        Ok((Self::from_object(&map, limits)?, items))
    }
}

/// The answer: what is left of the conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Compaction {
    id: String,
    object: &'static str,
    created_at: u64,
    output: Vec<Value>,
    usage: Usage,
}

impl Compaction {
    /// The user's messages and the summary `text`. `created_at` is in Unix seconds.
    pub fn new(
        user_messages: Vec<Value>,
        text: &str,
        usage: &crate::Usage,
        created_at: u64,
    ) -> Self {
        let item = json!({
            "id": format!("cmp_{}", id::hex()), "type": "compaction",
            "encrypted_content": summary::encode(text),
        });
        Self {
            id: format!("resp_{}", id::hex()),
            object: "response.compaction",
            created_at,
            output: user_messages.into_iter().chain([item]).collect(),
            usage: usage.into(),
        }
    }
}

/// Whether an item is a message of the user.
pub fn is_user_message(item: &Value) -> bool {
    let item: Option<&Map<String, Value>> = item.as_object();
    item.and_then(|item| item.get("role")).is_some_and(|role| role == "user")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &Value) -> Result<(ResponseRequest, Vec<Value>), AskError> {
        ResponseRequest::parse_compaction(body.to_string().as_bytes(), &Limits::default())
    }

    fn contents(request: &ResponseRequest, earlier: &[Value]) -> Vec<String> {
        let chat = request.ask(earlier, &Limits::default()).expect("accepted");
        chat.ask.messages.into_iter().map(|message| message.content).collect()
    }

    #[test]
    fn the_summary_is_asked_for_after_the_conversation() {
        let earlier = [json!({ "role": "user", "content": "one" })];
        for (input, own_items) in [(json!("two"), 1), (Value::Null, 0)] {
            let body = json!({ "model": "m", "input": input, "previous_response_id": "resp_1" });
            let (request, items) = parse(&body).expect("accepted");
            assert_eq!(items.len(), own_items);
            let contents = contents(&request, &earlier);
            assert_eq!(contents.len(), 2 + own_items);
            assert!(contents.last().is_some_and(|task| task.contains("Summarise")));
        }
        let error = parse(&json!({ "model": "m" })).expect_err("nothing to compact");
        assert_eq!(error.param.as_deref(), Some("input"));
    }

    #[test]
    fn a_summary_goes_on_as_a_message_and_that_of_others_is_left_out() {
        let usage = crate::Usage::default();
        let compaction = Compaction::new(Vec::new(), "It is 4. ✓", &usage, 0);
        let foreign = json!({ "type": "compaction", "encrypted_content": "gAAAAB" });
        let new = json!({ "role": "user", "content": "And now?" });
        let input: Vec<Value> = compaction.output.into_iter().chain([foreign, new]).collect();
        let body = json!({ "model": "m", "input": input }).to_string();
        let request = ResponseRequest::parse(body.as_bytes(), &Limits::default()).expect("ok");
        let contents = contents(&request, &[]);
        assert_eq!(contents, ["Summary of the conversation so far:\nIt is 4. ✓", "And now?"]);
        let broken = json!([{ "type": "compaction", "encrypted_content": "shoal-summary:%" }]);
        let body = json!({ "model": "m", "input": broken }).to_string();
        assert!(ResponseRequest::parse(body.as_bytes(), &Limits::default()).is_err());
    }
}
