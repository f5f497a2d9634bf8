//! The newest responses of each key, within a budget of bytes and for a limited time. They are lost when
//! the gateway stops.
#![expect(clippy::indexing_slicing, reason = "JSON indexed by a missing key is null")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::http::{
    Callers, HttpConfig,
    callers::Owner,
    error::ApiError,
    share::{Grant, SharedResource},
    shelves::Shelves,
};
use shoal_api::responses::wire::Response;
use shoal_store::unix_now;

/// What an entry takes beside its texts: its id, its channel, its places in the queue and in memory.
const ENTRY_BYTES: usize = 1024;

/// What an event takes beside its text.
const EVENT_BYTES: usize = 64;

/// The stored responses.
#[derive(Debug)]
pub(crate) struct Responses {
    seconds_max: u64,
    /// Work in the background.
    background: SharedResource,
    entries: Mutex<Shelves<Entry>>,
}

#[derive(Debug)]
struct Entry {
    created_seconds: u64,
    /// The response as it is sent, as JSON text: parsed it would take several times its length.
    response: Box<[u8]>,
    /// The items that the response answers, as a JSON array.
    context: Box<[u8]>,
    background: bool,
    status: Status,
    /// The events of work in the background, so that clients can follow it from any event.
    events: Vec<Bytes>,
    /// The number of events. It is dropped with the response.
    count: watch::Sender<usize>,
    /// The work, if it goes on. Dropping it stops it.
    task: Option<AbortOnDropHandle<()>>,
    /// Its part of the work in the background.
    grant: Option<Grant>,
}

impl Entry {
    fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    fn response(&self) -> Value {
        // Written by this module, so that it parses.
        serde_json::from_slice(&self.response).unwrap_or_default()
    }

    fn context(&self) -> Vec<Value> {
        serde_json::from_slice(&self.context).unwrap_or_default()
    }

    /// Ends the work with a last state of the response. Returns by how many bytes the entry grew.
    fn end(&mut self, status: Status, response: &Value) -> usize {
        let before = self.response.len();
        self.response = text(response);
        self.status = status;
        self.grant = None;
        // Wakes the followers, which then see the end.
        self.count.send_replace(self.events.len());
        self.response.len().saturating_sub(before)
    }
}

/// JSON as text, a copy of the exact size: shrinking a text in place would leave a hole beside memory that
/// stays for long.
fn text(value: &Value) -> Box<[u8]> {
    value.to_string().as_bytes().into()
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
    owner: Owner,
    context: Vec<Value>,
    background: bool,
}

impl StoreRequest {
    pub(super) fn new(owner: Owner, context: Vec<Value>, background: bool) -> Self {
        Self { owner, context, background }
    }
}

impl Responses {
    /// An empty store with the limits of the configuration.
    pub(crate) fn new(config: &HttpConfig, callers: &Callers) -> Self {
        Self {
            seconds_max: config.response_seconds_max,
            background: SharedResource::new(config.background_max, callers.count()),
            entries: Mutex::new(Shelves::new(config.response_bytes_max)),
        }
    }

    /// Stores a complete response, and deletes the oldest beyond the budget.
    pub(super) fn keep(&self, request: StoreRequest, response: &Response) {
        self.insert(request, response, None);
    }

    /// Stores a response whose work starts now.
    ///
    /// # Errors
    /// When too many responses are in progress in the background.
    pub(super) fn start(&self, request: StoreRequest, response: &Response) -> Result<(), ApiError> {
        let Some(grant) = self.background.take(request.owner, 1) else {
            return Err(ApiError::BackgroundFull { max: self.background.max() });
        };
        self.insert(request, response, Some(grant));
        Ok(())
    }

    fn insert(&self, request: StoreRequest, response: &Response, grant: Option<Grant>) {
        let StoreRequest { owner, context, background } = request;
        let (response_text, context) = (text(&json!(response)), text(&Value::Array(context)));
        let bytes = response_text.len() + context.len() + ENTRY_BYTES;
        let is_running = response.status == "in_progress";
        let entry = Entry {
            created_seconds: unix_now(),
            response: response_text,
            context,
            background,
            status: if is_running { Status::Running } else { Status::Ended },
            events: Vec::new(),
            count: watch::Sender::new(0),
            task: None,
            grant,
        };
        self.lock(unix_now()).push(owner, response.id.clone(), bytes, entry);
    }

    /// Takes over the work for a response. If the response is deleted already, the work ends.
    pub(super) fn adopt(&self, owner: Owner, id: &str, task: AbortOnDropHandle<()>) {
        if let Some(entry) = running_entry(&mut self.lock(unix_now()), owner, id) {
            entry.task = Some(task);
        }
    }

    /// Stores the response whose work has ended. A cancelled response stays cancelled.
    pub(super) fn finish(&self, owner: Owner, response: &Response) {
        let mut entries = self.lock(unix_now());
        let Some(entry) = running_entry(&mut entries, owner, &response.id) else { return };
        let more = entry.end(Status::Ended, &json!(response));
        entries.grow(owner, &response.id, more);
    }

    /// Adds events of work in the background.
    pub(super) fn append(&self, owner: Owner, id: &str, events: Vec<Bytes>) {
        let mut entries = self.lock(unix_now());
        let Some(entry) = running_entry(&mut entries, owner, id) else { return };
        let more: usize = events.iter().map(|event| event.len() + EVENT_BYTES).sum();
        entry.events.extend(events);
        entry.count.send_replace(entry.events.len());
        entries.grow(owner, id, more);
    }

    /// Watches the number of events of work in the background.
    pub(super) fn follow(
        &self,
        owner: Owner,
        id: &str,
        now: u64,
    ) -> Result<watch::Receiver<usize>, ApiError> {
        let entries = self.lock(now);
        let entry = entries.find(owner, id).ok_or_else(|| not_found(id))?;
        if !entry.background {
            return Err(ApiError::Unsupported(
                "Unsupported value: 'stream'. Only responses made with 'background' can be followed.",
                "stream",
            ));
        }
        Ok(entry.count.subscribe())
    }

    /// The events from the number `from`, and the status of the work.
    pub(super) fn events(
        &self,
        owner: Owner,
        id: &str,
        from: usize,
        now: u64,
    ) -> (Vec<Bytes>, Status) {
        let entries = self.lock(now);
        let Some(entry) = entries.find(owner, id) else { return (Vec::new(), Status::Stopped) };
        (entry.events.get(from..).unwrap_or_default().to_vec(), entry.status)
    }

    /// A response in its current state.
    pub(super) fn find(&self, owner: Owner, id: &str, now: u64) -> Result<Value, ApiError> {
        let entries = self.lock(now);
        entries.find(owner, id).map(Entry::response).ok_or_else(|| not_found(id))
    }

    /// The items that a response answers, oldest first.
    pub(super) fn input(&self, owner: Owner, id: &str, now: u64) -> Result<Vec<Value>, ApiError> {
        let entries = self.lock(now);
        entries.find(owner, id).map(Entry::context).ok_or_else(|| not_found(id))
    }

    /// The conversation up to the end of a response.
    pub(super) fn context(&self, owner: Owner, id: &str, now: u64) -> Result<Vec<Value>, ApiError> {
        let entries = self.lock(now);
        let entry = entries.find(owner, id).ok_or_else(|| ApiError::NoPrevious(short(id)))?;
        if entry.is_running() {
            return Err(ApiError::PreviousUnfinished(short(id)));
        }
        let mut items = entry.context();
        if let Some(Value::Array(output)) = entry.response().get_mut("output").map(Value::take) {
            items.extend(output);
        }
        Ok(items)
    }

    pub(super) fn delete(&self, owner: Owner, id: &str, now: u64) -> Result<(), ApiError> {
        self.lock(now).remove(owner, id).map(drop).ok_or_else(|| not_found(id))
    }

    /// Stops the work for a response. A response that has ended does not change.
    pub(super) fn cancel(&self, owner: Owner, id: &str, now: u64) -> Result<Value, ApiError> {
        let mut entries = self.lock(now);
        let entry = entries.find_mut(owner, id).ok_or_else(|| not_found(id))?;
        if !entry.background {
            return Err(ApiError::NotInBackground);
        }
        let mut response = entry.response();
        if entry.is_running() {
            entry.task = None;
            response["status"] = "cancelled".into();
            let more = entry.end(Status::Stopped, &response);
            entries.grow(owner, id, more);
        }
        Ok(response)
    }

    /// Locks the responses, after it deletes those that are too old. Deleting one stops its work.
    fn lock(&self, now: u64) -> MutexGuard<'_, Shelves<Entry>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove_oldest(|entry| entry.created_seconds.saturating_add(self.seconds_max) < now);
        entries
    }
}

/// The entry whose work goes on.
fn running_entry<'a>(
    entries: &'a mut Shelves<Entry>,
    owner: Owner,
    id: &str,
) -> Option<&'a mut Entry> {
    entries.find_mut(owner, id).filter(|entry| entry.is_running())
}

fn not_found(id: &str) -> ApiError {
    ApiError::NoSuchResponse(short(id))
}

fn short(id: &str) -> String {
    id.chars().take(96).collect()
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

    const OWNER: Owner = Owner(0);

    fn store(config: &HttpConfig) -> Responses {
        Responses::new(config, &Callers::new(config))
    }

    #[test]
    fn a_response_that_is_too_old_is_deleted() {
        let config = HttpConfig { response_seconds_max: 60, ..HttpConfig::default() };
        let (store, response) = (store(&config), response());
        store.keep(StoreRequest::new(OWNER, Vec::new(), false), &response);
        let now = unix_now();
        assert!(store.find(OWNER, &response.id, now).is_ok());
        assert!(store.find(OWNER, &response.id, now + 120).is_err());
        assert_eq!(store.lock(now).bytes(), 0);
    }

    #[test]
    fn bytes_are_given_back_to_the_last_one() {
        let store = store(&HttpConfig::default());
        let response = response();
        let request = StoreRequest::new(OWNER, vec![json!({ "type": "message" })], true);
        assert!(store.start(request, &response).is_ok());
        store.append(OWNER, &response.id, vec![Bytes::from_static(b"event")]);
        store.finish(OWNER, &response);
        assert!(store.lock(unix_now()).bytes() > 0);
        assert!(store.delete(OWNER, &response.id, unix_now()).is_ok());
        assert_eq!(store.lock(unix_now()).bytes(), 0);
    }

    #[test]
    fn the_owner_that_has_most_loses_its_oldest() {
        let (modest, greedy) = (Owner(0), Owner(1));
        let config = HttpConfig { response_bytes_max: 20_000, ..HttpConfig::default() };
        let store = store(&config);
        let small = response();
        store.keep(StoreRequest::new(modest, Vec::new(), false), &small);
        for _ in 0..20 {
            let context = vec![json!({ "type": "message", "content": "x".repeat(4_000) })];
            store.keep(StoreRequest::new(greedy, context, false), &response());
        }
        let now = unix_now();
        assert!(store.find(modest, &small.id, now).is_ok());
        assert!(store.find(greedy, &small.id, now).is_err(), "another key's does not exist");
        assert!(store.lock(now).bytes() <= 20_000);
    }

    #[test]
    fn one_owner_cannot_take_all_of_the_background() {
        let keys = ["one", "two"].map(shoal_proto::Secret::new).into();
        let store = store(&HttpConfig { background_max: 8, keys, ..HttpConfig::default() });
        let start = |owner| {
            store.start(StoreRequest::new(Owner(owner), Vec::new(), true), &response()).is_ok()
        };
        assert_eq!((0..8).filter(|_| start(0)).count(), 6);
        assert!(start(1) && start(1) && !start(1));
    }
}
