//! The newest responses, within a budget of bytes and for a limited time. They are lost when the
//! gateway stops.
#![expect(clippy::indexing_slicing, reason = "JSON indexed by a missing key is null")]

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::http::{Config, error::ApiError};
use shoal_api::id;
use shoal_api::responses::wire::Response;
use shoal_store::unix_now;

/// The stored responses.
#[derive(Debug)]
pub(crate) struct Responses {
    bytes_max: usize,
    seconds_max: u64,
    background_max: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    bytes: usize,
    /// Oldest first.
    queue: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    created: u64,
    bytes: usize,
    /// The response as it is sent.
    response: Value,
    /// The items that the response answers.
    context: Vec<Value>,
    background: bool,
    /// The events of work in the background, so that clients can follow it from any event.
    events: Vec<Bytes>,
    /// The number of events. It is dropped with the response.
    count: watch::Sender<usize>,
    /// The work, if it goes on. Dropping it stops it.
    task: Option<AbortOnDropHandle<()>>,
}

impl Entry {
    fn is_running(&self) -> bool {
        self.response["status"] == "in_progress"
    }
}

/// The status of work in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    /// The work ended by itself, with an answer or an error.
    Ended,
    /// The response is cancelled or deleted.
    Stopped,
}

/// What is stored with a response.
#[derive(Debug)]
pub(super) struct StoreRequest {
    context: Vec<Value>,
    background: bool,
}

impl StoreRequest {
    pub(super) fn new(context: Vec<Value>, background: bool) -> Self {
        Self { context, background }
    }
}

impl Responses {
    /// An empty store with the limits of the configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            bytes_max: config.response_bytes_max,
            seconds_max: config.response_seconds_max,
            background_max: config.background_max,
            entries: Mutex::default(),
        }
    }

    /// Stores a complete response, and deletes the oldest beyond the budget.
    pub(super) fn keep(&self, request: StoreRequest, response: &Response) {
        self.insert(&mut self.lock(unix_now()), request, response);
    }

    /// Stores a response whose work starts now.
    ///
    /// # Errors
    /// When too many responses are in progress in the background.
    pub(super) fn start(&self, request: StoreRequest, response: &Response) -> Result<(), ApiError> {
        let mut entries = self.lock(unix_now());
        let in_progress =
            entries.queue.iter().filter(|entry| entry.background && entry.is_running());
        if in_progress.count() >= self.background_max {
            return Err(ApiError::BackgroundFull { max: self.background_max });
        }
        self.insert(&mut entries, request, response);
        Ok(())
    }

    fn insert(&self, entries: &mut Entries, request: StoreRequest, response: &Response) {
        let body = json!(response);
        let bytes = body.to_string().len() + json!(request.context).to_string().len();
        entries.bytes += bytes;
        entries.queue.push_back(Entry {
            id: response.id.clone(),
            created: unix_now(),
            bytes,
            response: body,
            context: request.context,
            background: request.background,
            events: Vec::new(),
            count: watch::Sender::new(0),
            task: None,
        });
        self.trim(entries);
    }

    /// Takes over the work for a response. If the response is deleted already, the work ends.
    pub(super) fn own(&self, id: &str, task: AbortOnDropHandle<()>) {
        let mut entries = self.lock(unix_now());
        let entry = entries.queue.iter_mut().find(|entry| entry.id == id);
        if let Some(entry) = entry.filter(|entry| entry.is_running()) {
            entry.task = Some(task);
        }
    }

    /// Stores the response whose work has ended. A cancelled response stays cancelled.
    pub(super) fn finish(&self, response: &Response) {
        let mut entries = self.lock(unix_now());
        let entry = entries.queue.iter_mut().find(|entry| entry.id == response.id);
        let Some(entry) = entry.filter(|entry| entry.is_running()) else { return };
        entry.response = json!(response);
        entry.count.send_replace(entry.events.len());
        let more = entry.response.to_string().len();
        entry.bytes += more;
        entries.bytes += more;
        self.trim(&mut entries);
    }

    /// Adds events of work in the background.
    pub(super) fn append(&self, id: &str, events: Vec<Bytes>) {
        let mut entries = self.lock(unix_now());
        let entry = entries.queue.iter_mut().find(|entry| entry.id == id);
        let Some(entry) = entry.filter(|entry| entry.is_running()) else { return };
        let more: usize = events.iter().map(Bytes::len).sum();
        entry.bytes += more;
        entry.events.extend(events);
        entry.count.send_replace(entry.events.len());
        entries.bytes += more;
        self.trim(&mut entries);
    }

    /// Watches the number of events of work in the background.
    pub(super) fn follow(&self, id: &str, now: u64) -> Result<watch::Receiver<usize>, ApiError> {
        let entries = self.lock(now);
        let entry = entry(&entries, id)?;
        if !entry.background {
            return Err(ApiError::Unsupported(
                "Unsupported value: 'stream'. Only responses made with 'background' can be followed.",
                "stream",
            ));
        }
        Ok(entry.count.subscribe())
    }

    /// The events from the number `from`, and the status of the work.
    pub(super) fn events(&self, id: &str, from: usize, now: u64) -> (Vec<Bytes>, Status) {
        let entries = self.lock(now);
        let Ok(entry) = entry(&entries, id) else { return (Vec::new(), Status::Stopped) };
        let status = match entry.response["status"].as_str() {
            Some("in_progress") => Status::Running,
            Some("cancelled") => Status::Stopped,
            _ => Status::Ended,
        };
        (entry.events.get(from..).unwrap_or_default().to_vec(), status)
    }

    /// A response in its current state.
    pub(super) fn find(&self, id: &str, now: u64) -> Result<Value, ApiError> {
        let entries = self.lock(now);
        entry(&entries, id).map(|entry| entry.response.clone())
    }

    /// The items that a response answers, oldest first.
    pub(super) fn input(&self, id: &str, now: u64) -> Result<Vec<Value>, ApiError> {
        let entries = self.lock(now);
        entry(&entries, id).map(|entry| entry.context.clone())
    }

    /// The conversation up to the end of a response.
    pub(super) fn context(&self, id: &str, now: u64) -> Result<Vec<Value>, ApiError> {
        let entries = self.lock(now);
        let entry = entry(&entries, id).map_err(|_| ApiError::NoPrevious(short(id)))?;
        if entry.is_running() {
            return Err(ApiError::PreviousUnfinished(short(id)));
        }
        let output = entry.response["output"].as_array().into_iter().flatten();
        Ok(entry.context.iter().chain(output).cloned().collect())
    }

    pub(super) fn delete(&self, id: &str, now: u64) -> Result<(), ApiError> {
        let mut entries = self.lock(now);
        let index = entries.queue.iter().position(|entry| entry.id == id);
        let entry = index.and_then(|index| entries.queue.remove(index));
        let entry = entry.ok_or_else(|| ApiError::NoSuchResponse(short(id)))?;
        entries.bytes -= entry.bytes;
        Ok(())
    }

    /// Stops the work for a response. A response that has ended does not change.
    pub(super) fn cancel(&self, id: &str, now: u64) -> Result<Value, ApiError> {
        let mut entries = self.lock(now);
        let entry = entries.queue.iter_mut().find(|entry| entry.id == id);
        let entry = entry.ok_or_else(|| ApiError::NoSuchResponse(short(id)))?;
        if !entry.background {
            return Err(ApiError::NotInBackground);
        }
        if entry.is_running() {
            entry.task = None;
            if let Some(response) = entry.response.as_object_mut() {
                response.insert("status".into(), "cancelled".into());
            }
            // Wakes the followers, which then see that the response is cancelled.
            entry.count.send_replace(entry.events.len());
        }
        Ok(entry.response.clone())
    }

    /// Deletes the oldest responses beyond the budget, which stops their work.
    fn trim(&self, entries: &mut Entries) {
        while entries.bytes > self.bytes_max {
            let Some(oldest) = entries.queue.pop_front() else { break };
            entries.bytes -= oldest.bytes;
        }
    }

    /// Locks the responses, after it deletes those that are too old.
    fn lock(&self, now: u64) -> MutexGuard<'_, Entries> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(entry) =
            entries.queue.pop_front_if(|entry| entry.created.saturating_add(self.seconds_max) < now)
        {
            entries.bytes -= entry.bytes;
        }
        entries
    }
}

fn entry<'a>(entries: &'a Entries, id: &str) -> Result<&'a Entry, ApiError> {
    // From the newest: clients mostly ask for the response that they just got.
    let entry = entries.queue.iter().rev().find(|entry| entry.id == id);
    entry.ok_or_else(|| ApiError::NoSuchResponse(short(id)))
}

fn short(id: &str) -> String {
    id.chars().take(96).collect()
}

/// Items in the form of a list: each has an id, and a message's content is an array of parts.
pub(super) fn resources(items: &[Value]) -> Vec<Value> {
    items.iter().cloned().map(resource).collect()
}

fn resource(mut item: Value) -> Value {
    let Some(fields) = item.as_object_mut() else { return item };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    fields.insert("type".into(), kind.as_str().into());
    let prefix = match kind.as_str() {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        _ => "item",
    };
    if fields.get("id").is_none_or(Value::is_null) {
        fields.insert("id".into(), format!("{prefix}_{}", id::hex()).into());
    }
    if fields.get("status").is_none_or(Value::is_null) {
        fields.insert("status".into(), "completed".into());
    }
    if kind == "message"
        && let Some(Value::String(text)) = fields.get("content").cloned()
    {
        let is_answer = fields.get("role").is_some_and(|role| role == "assistant");
        let part = if is_answer {
            json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
        } else {
            json!({ "type": "input_text", "text": text })
        };
        fields.insert("content".into(), json!([part]));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_api::responses::ResponseRequest;
    use shoal_consensus::ask::Limits;

    fn response() -> Response {
        let body = json!({ "model": "shoal", "input": "x" }).to_string();
        Response::new(
            &ResponseRequest::parse(body.as_bytes(), &Limits::default()).expect("accepted"),
            unix_now(),
        )
    }

    #[test]
    fn a_response_that_is_too_old_is_deleted() {
        let config = Config { response_seconds_max: 60, ..Config::default() };
        let (store, response) = (Responses::new(&config), response());
        store.keep(StoreRequest::new(Vec::new(), false), &response);
        let now = unix_now();
        assert!(store.find(&response.id, now).is_ok());
        assert!(store.find(&response.id, now + 120).is_err());
        assert_eq!(store.lock(now).bytes, 0);
    }

    #[test]
    fn bytes_are_given_back_to_the_last_one() {
        let store = Responses::new(&Config::default());
        let response = response();
        let request = StoreRequest::new(vec![json!({ "type": "message" })], true);
        assert!(store.start(request, &response).is_ok());
        store.finish(&response);
        assert!(store.lock(unix_now()).bytes > 0);
        assert!(store.delete(&response.id, unix_now()).is_ok());
        assert_eq!(store.lock(unix_now()).bytes, 0);
    }

    #[test]
    fn an_item_is_listed_with_an_id_and_parts() {
        let items = resources(&[json!({ "role": "user", "content": "x" })]);
        let item = items.first().expect("one");
        assert!(item["id"].as_str().is_some_and(|id| id.starts_with("msg_")));
        assert_eq!(item["content"], json!([{ "type": "input_text", "text": "x" }]));
    }
}
