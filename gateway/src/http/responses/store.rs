//! The newest responses, within a budget of bytes and for a limited time. They are gone when the
//! gateway stops.
#![expect(clippy::indexing_slicing, reason = "JSON read by a key that is not there is null")]

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

/// What is kept of responses.
#[derive(Debug)]
pub struct Responses {
    bytes_max: usize,
    seconds_max: u64,
    background_max: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    bytes: usize,
    /// Oldest first.
    kept: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    created: u64,
    bytes: usize,
    /// As it is sent.
    response: Value,
    /// The conversation that it answers, as items.
    context: Vec<Value>,
    background: bool,
    /// What was told of work in the background, so that it can be followed from any point.
    events: Vec<Bytes>,
    /// Says how many events there are; when it is gone, so is the response.
    told: watch::Sender<usize>,
    /// Work that goes on; dropping it stops it.
    task: Option<AbortOnDropHandle<()>>,
}

impl Entry {
    fn is_running(&self) -> bool {
        self.response["status"] == "in_progress"
    }
}

/// What becomes of work in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Running,
    /// It came to its end, whatever that was.
    Ended,
    /// It was cancelled, or is forgotten.
    Stopped,
}

/// A response that shall be kept when it is there.
#[derive(Debug)]
pub(super) struct Kept {
    context: Vec<Value>,
    background: bool,
}

impl Kept {
    pub(super) fn new(context: Vec<Value>, background: bool) -> Self {
        Self { context, background }
    }
}

impl Responses {
    pub fn new(config: &Config) -> Self {
        Self {
            bytes_max: config.response_bytes_max,
            seconds_max: config.response_seconds_max,
            background_max: config.background_max,
            shelf: Mutex::default(),
        }
    }

    /// Keeps a finished response, and forgets the oldest beyond the budget.
    pub(super) fn keep(&self, kept: Kept, response: &Response) {
        self.put(&mut self.shelf(unix_now()), kept, response);
    }

    /// Keeps a response whose work begins now.
    ///
    /// # Errors
    /// When too many are worked on already.
    pub(super) fn begin(&self, kept: Kept, response: &Response) -> Result<(), ApiError> {
        let mut shelf = self.shelf(unix_now());
        let running = shelf.kept.iter().filter(|entry| entry.background && entry.is_running());
        if running.count() >= self.background_max {
            return Err(ApiError::BackgroundFull { max: self.background_max });
        }
        self.put(&mut shelf, kept, response);
        Ok(())
    }

    fn put(&self, shelf: &mut Shelf, kept: Kept, response: &Response) {
        let shown = json!(response);
        let bytes = shown.to_string().len() + json!(kept.context).to_string().len();
        shelf.bytes += bytes;
        shelf.kept.push_back(Entry {
            id: response.id.clone(),
            created: unix_now(),
            bytes,
            response: shown,
            context: kept.context,
            background: kept.background,
            events: Vec::new(),
            told: watch::Sender::new(0),
            task: None,
        });
        self.fit(shelf);
    }

    /// Takes over the work for a response; if that was forgotten meanwhile, the work ends.
    pub(super) fn own(&self, id: &str, task: AbortOnDropHandle<()>) {
        let mut shelf = self.shelf(unix_now());
        let entry = shelf.kept.iter_mut().find(|entry| entry.id == id);
        if let Some(entry) = entry.filter(|entry| entry.is_running()) {
            entry.task = Some(task);
        }
    }

    /// The work for a response has ended; one that was cancelled meanwhile stays so.
    pub(super) fn finish(&self, response: &Response) {
        let mut shelf = self.shelf(unix_now());
        let entry = shelf.kept.iter_mut().find(|entry| entry.id == response.id);
        let Some(entry) = entry.filter(|entry| entry.is_running()) else { return };
        entry.response = json!(response);
        entry.told.send_replace(entry.events.len());
        let more = entry.response.to_string().len();
        entry.bytes += more;
        shelf.bytes += more;
        self.fit(&mut shelf);
    }

    /// More was told of work in the background.
    pub(super) fn tell(&self, id: &str, events: Vec<Bytes>) {
        let mut shelf = self.shelf(unix_now());
        let entry = shelf.kept.iter_mut().find(|entry| entry.id == id);
        let Some(entry) = entry.filter(|entry| entry.is_running()) else { return };
        let more: usize = events.iter().map(Bytes::len).sum();
        entry.bytes += more;
        entry.events.extend(events);
        entry.told.send_replace(entry.events.len());
        shelf.bytes += more;
        self.fit(&mut shelf);
    }

    /// How far it is with work in the background.
    pub(super) fn follow(&self, id: &str, now: u64) -> Result<watch::Receiver<usize>, ApiError> {
        let shelf = self.shelf(now);
        let entry = entry(&shelf, id)?;
        if !entry.background {
            return Err(ApiError::Unsupported(
                "Unsupported value: 'stream'. Only responses made with 'background' can be followed.",
                "stream",
            ));
        }
        Ok(entry.told.subscribe())
    }

    /// What was told from the given event on, and what becomes of it.
    pub(super) fn told(&self, id: &str, from: usize, now: u64) -> (Vec<Bytes>, Course) {
        let shelf = self.shelf(now);
        let Ok(entry) = entry(&shelf, id) else { return (Vec::new(), Course::Stopped) };
        let course = match entry.response["status"].as_str() {
            Some("in_progress") => Course::Running,
            Some("cancelled") => Course::Stopped,
            _ => Course::Ended,
        };
        (entry.events.get(from..).unwrap_or_default().to_vec(), course)
    }

    /// A response as it is now.
    pub(super) fn find(&self, id: &str, now: u64) -> Result<Value, ApiError> {
        let shelf = self.shelf(now);
        entry(&shelf, id).map(|entry| entry.response.clone())
    }

    /// The items that a response answers, oldest first.
    pub(super) fn input(&self, id: &str, now: u64) -> Result<Vec<Value>, ApiError> {
        let shelf = self.shelf(now);
        entry(&shelf, id).map(|entry| entry.context.clone())
    }

    /// The conversation up to the end of a response.
    pub(super) fn context(&self, id: &str, now: u64) -> Result<Vec<Value>, ApiError> {
        let shelf = self.shelf(now);
        let entry = entry(&shelf, id).map_err(|_| ApiError::NoPrevious(short(id)))?;
        if entry.is_running() {
            return Err(ApiError::PreviousUnfinished(short(id)));
        }
        let output = entry.response["output"].as_array().into_iter().flatten();
        Ok(entry.context.iter().chain(output).cloned().collect())
    }

    pub(super) fn delete(&self, id: &str, now: u64) -> Result<(), ApiError> {
        let mut shelf = self.shelf(now);
        let at = shelf.kept.iter().position(|entry| entry.id == id);
        let entry = at.and_then(|at| shelf.kept.remove(at));
        let entry = entry.ok_or_else(|| ApiError::NoSuchResponse(short(id)))?;
        shelf.bytes -= entry.bytes;
        Ok(())
    }

    /// Stops the work for a response. What has ended already stays as it is.
    pub(super) fn cancel(&self, id: &str, now: u64) -> Result<Value, ApiError> {
        let mut shelf = self.shelf(now);
        let entry = shelf.kept.iter_mut().find(|entry| entry.id == id);
        let entry = entry.ok_or_else(|| ApiError::NoSuchResponse(short(id)))?;
        if !entry.background {
            return Err(ApiError::NotInBackground);
        }
        if entry.is_running() {
            entry.task = None;
            if let Some(response) = entry.response.as_object_mut() {
                response.insert("status".into(), "cancelled".into());
            }
            // Whoever follows it hears that nothing comes any more.
            entry.told.send_replace(entry.events.len());
        }
        Ok(entry.response.clone())
    }

    /// The oldest go beyond the budget, their work with them.
    fn fit(&self, shelf: &mut Shelf) {
        while shelf.bytes > self.bytes_max {
            let Some(oldest) = shelf.kept.pop_front() else { break };
            shelf.bytes -= oldest.bytes;
        }
    }

    /// What is kept at this moment: what is too old is forgotten first.
    fn shelf(&self, now: u64) -> MutexGuard<'_, Shelf> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let too_old = |entry: &Entry| entry.created.saturating_add(self.seconds_max) < now;
        while let Some(entry) = shelf.kept.pop_front_if(|entry| too_old(entry)) {
            shelf.bytes -= entry.bytes;
        }
        shelf
    }
}

fn entry<'a>(shelf: &'a Shelf, id: &str) -> Result<&'a Entry, ApiError> {
    // From the newest: whoever asks has most likely just been answered.
    let entry = shelf.kept.iter().rev().find(|entry| entry.id == id);
    entry.ok_or_else(|| ApiError::NoSuchResponse(short(id)))
}

fn short(id: &str) -> String {
    id.chars().take(96).collect()
}

/// Items as they are listed: each has an id, and a message's content is parts.
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
        let own = fields.get("role").is_some_and(|role| role == "assistant");
        let part = if own {
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
        Response::begun(
            &ResponseRequest::parse(body.as_bytes(), &Limits::default()).expect("accepted"),
            unix_now(),
        )
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let config = Config { response_seconds_max: 60, ..Config::default() };
        let (kept, response) = (Responses::new(&config), response());
        kept.keep(Kept::new(Vec::new(), false), &response);
        let now = unix_now();
        assert!(kept.find(&response.id, now).is_ok());
        assert!(kept.find(&response.id, now + 120).is_err());
        assert_eq!(kept.shelf(now).bytes, 0);
    }

    #[test]
    fn bytes_are_given_back_to_the_last_one() {
        let kept = Responses::new(&Config::default());
        let response = response();
        let background = || Kept::new(vec![json!({ "type": "message" })], true);
        assert!(kept.begin(background(), &response).is_ok());
        kept.finish(&response);
        assert!(kept.shelf(unix_now()).bytes > 0);
        assert!(kept.delete(&response.id, unix_now()).is_ok());
        assert_eq!(kept.shelf(unix_now()).bytes, 0);
    }

    #[test]
    fn an_item_is_listed_with_an_id_and_parts() {
        let listed = resources(&[json!({ "role": "user", "content": "x" })]);
        let item = listed.first().expect("one");
        assert!(item["id"].as_str().is_some_and(|id| id.starts_with("msg_")));
        assert_eq!(item["content"], json!([{ "type": "input_text", "text": "x" }]));
    }
}
