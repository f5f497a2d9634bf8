//! The conversations of each key, within a budget of bytes. They are lost when the gateway stops.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use crate::http::{HttpConfig, callers::Owner, error::ApiError, shelves::Shelves};
use shoal_api::id;
use shoal_store::unix_now;

/// What a conversation or an item takes beside its texts.
const ENTRY_BYTES: usize = 512;

/// Most bytes of one conversation. A conversation that members can answer is smaller.
const CONVERSATION_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The stored conversations.
#[derive(Debug)]
pub(crate) struct Conversations(Mutex<Shelves<Conversation>>);

#[derive(Debug)]
struct Conversation {
    created_seconds: u64,
    /// As JSON text: parsed it would take several times its length.
    metadata: Box<[u8]>,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    id: String,
    /// As JSON text.
    json: Box<[u8]>,
}

impl Item {
    fn new(value: &Value) -> Self {
        let id = value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { id, json: text(value) }
    }

    fn value(&self) -> Value {
        // Written by this module, so that it parses.
        serde_json::from_slice(&self.json).unwrap_or_default()
    }
}

impl Conversation {
    fn bytes(&self) -> usize {
        let items = self.items.iter().map(|item| item.json.len() + ENTRY_BYTES);
        ENTRY_BYTES + self.metadata.len() + items.sum::<usize>()
    }

    /// The conversation as it is sent.
    fn object(&self, id: &str) -> Value {
        let metadata: Value = serde_json::from_slice(&self.metadata).unwrap_or_default();
        json!({
            "id": id, "object": "conversation", "created_at": self.created_seconds,
            "metadata": metadata,
        })
    }
}

fn text(value: &Value) -> Box<[u8]> {
    value.to_string().into_boxed_str().into_boxed_bytes()
}

impl Conversations {
    /// An empty store with the limits of the configuration.
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self(Mutex::new(Shelves::new(config.conversation_bytes_max)))
    }

    /// Stores a conversation with these items.
    ///
    /// # Errors
    /// If the items are too large.
    pub(super) fn create(
        &self,
        owner: Owner,
        items: &[Value],
        metadata: Map<String, Value>,
    ) -> Result<Value, ApiError> {
        let id = format!("conv_{}", id::hex());
        let conversation = Conversation {
            created_seconds: unix_now(),
            metadata: text(&Value::Object(metadata)),
            items: items.iter().map(Item::new).collect(),
        };
        let bytes = conversation.bytes();
        check_size(bytes)?;
        let object = conversation.object(&id);
        self.lock().push(owner, id, bytes, conversation);
        Ok(object)
    }

    /// A conversation as it is sent.
    ///
    /// # Errors
    /// If this owner has no such conversation.
    pub(super) fn find(&self, owner: Owner, id: &str) -> Result<Value, ApiError> {
        let conversations = self.lock();
        let conversation = conversations.find(owner, id).ok_or_else(|| not_found(id))?;
        Ok(conversation.object(id))
    }

    /// The items of a conversation, oldest first.
    ///
    /// # Errors
    /// If this owner has no such conversation.
    pub(in crate::http) fn items(&self, owner: Owner, id: &str) -> Result<Vec<Value>, ApiError> {
        let conversations = self.lock();
        let conversation = conversations.find(owner, id).ok_or_else(|| not_found(id))?;
        Ok(conversation.items.iter().map(Item::value).collect())
    }

    /// One item.
    ///
    /// # Errors
    /// If this owner has no such conversation, or the conversation no such item.
    pub(super) fn item(&self, owner: Owner, id: &str, item: &str) -> Result<Value, ApiError> {
        let conversations = self.lock();
        let conversation = conversations.find(owner, id).ok_or_else(|| not_found(id))?;
        let stored_item = conversation.items.iter().find(|stored| stored.id == item);
        stored_item.map(Item::value).ok_or_else(|| no_item(item))
    }

    /// Replaces the metadata.
    ///
    /// # Errors
    /// If this owner has no such conversation.
    pub(super) fn update(
        &self,
        owner: Owner,
        id: &str,
        metadata: Map<String, Value>,
    ) -> Result<Value, ApiError> {
        self.change(owner, id, |conversation| {
            conversation.metadata = text(&Value::Object(metadata));
            Ok(())
        })
    }

    /// Adds items at the end.
    ///
    /// # Errors
    /// If this owner has no such conversation, or it would be too large.
    pub(in crate::http) fn add(
        &self,
        owner: Owner,
        id: &str,
        items: &[Value],
    ) -> Result<(), ApiError> {
        self.change(owner, id, |conversation| {
            let more = items.iter().map(Item::new).collect::<Vec<_>>();
            let more_bytes = more.iter().map(|item| item.json.len() + ENTRY_BYTES).sum::<usize>();
            check_size(conversation.bytes() + more_bytes)?;
            conversation.items.extend(more);
            Ok(())
        })
        .map(drop)
    }

    /// Deletes one item. Returns the conversation.
    ///
    /// # Errors
    /// If this owner has no such conversation, or the conversation no such item.
    pub(super) fn delete_item(
        &self,
        owner: Owner,
        id: &str,
        item: &str,
    ) -> Result<Value, ApiError> {
        self.change(owner, id, |conversation| {
            let place = conversation.items.iter().position(|stored| stored.id == item);
            conversation.items.remove(place.ok_or_else(|| no_item(item))?);
            Ok(())
        })
    }

    /// Deletes a conversation.
    ///
    /// # Errors
    /// If this owner has no such conversation.
    pub(super) fn delete(&self, owner: Owner, id: &str) -> Result<(), ApiError> {
        self.lock().remove(owner, id).map(drop).ok_or_else(|| not_found(id))
    }

    /// Changes a conversation, which is then the newest of its owner. Returns it as it is sent.
    fn change(
        &self,
        owner: Owner,
        id: &str,
        change: impl FnOnce(&mut Conversation) -> Result<(), ApiError>,
    ) -> Result<Value, ApiError> {
        let mut conversations = self.lock();
        let mut conversation = conversations.remove(owner, id).ok_or_else(|| not_found(id))?;
        let result = change(&mut conversation).map(|()| conversation.object(id));
        let bytes = conversation.bytes();
        conversations.push(owner, id.to_owned(), bytes, conversation);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Shelves<Conversation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_size(bytes: usize) -> Result<(), ApiError> {
    let fits = bytes <= CONVERSATION_BYTES_MAX;
    fits.then_some(()).ok_or(ApiError::ConversationTooLarge { max: CONVERSATION_BYTES_MAX })
}

fn not_found(id: &str) -> ApiError {
    ApiError::NoSuchConversation(id.chars().take(96).collect())
}

fn no_item(id: &str) -> ApiError {
    ApiError::NoSuchItem(id.chars().take(96).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Owner = Owner(0);
    const BOB: Owner = Owner(1);

    fn store(bytes_max: usize) -> Conversations {
        let config = HttpConfig { conversation_bytes_max: bytes_max, ..HttpConfig::default() };
        Conversations::new(&config)
    }

    fn item(id: &str, bytes: usize) -> Value {
        json!({ "id": id, "type": "message", "content": "x".repeat(bytes) })
    }

    fn create(store: &Conversations, owner: Owner, items: &[Value]) -> String {
        let object = store.create(owner, items, Map::new()).expect("it fits");
        object["id"].as_str().expect("an id").to_owned()
    }

    #[test]
    fn bytes_are_given_back_to_the_last_one() {
        let store = store(1_000_000);
        let id = create(&store, ALICE, &[item("a", 100)]);
        store.add(ALICE, &id, &[item("b", 1_000)]).expect("it fits");
        store.delete_item(ALICE, &id, "a").expect("it is there");
        let metadata = json!({ "topic": "demo" }).as_object().cloned().expect("an object");
        store.update(ALICE, &id, metadata).expect("it is there");
        assert!(store.lock().bytes() > 1_000);
        store.delete(ALICE, &id).expect("it is there");
        assert_eq!(store.lock().bytes(), 0);
    }

    #[test]
    fn a_conversation_of_another_key_does_not_exist() {
        let store = store(1_000_000);
        let id = create(&store, ALICE, &[item("a", 10)]);
        assert!(store.find(BOB, &id).is_err() && store.items(BOB, &id).is_err());
        assert!(store.add(BOB, &id, &[]).is_err() && store.delete(BOB, &id).is_err());
        assert!(store.item(BOB, &id, "a").is_err() && store.delete_item(BOB, &id, "a").is_err());
        assert!(store.item(ALICE, &id, "a").is_ok());
    }

    #[test]
    fn the_owner_that_has_most_loses_the_one_that_it_has_not_used_longest() {
        let store = store(20_000);
        let modest = create(&store, BOB, &[item("a", 10)]);
        let [used, unused] = [0, 1].map(|_| create(&store, ALICE, &[item("a", 4_000)]));
        store.add(ALICE, &used, &[item("b", 10)]).expect("it fits");
        for _ in 0..2 {
            create(&store, ALICE, &[item("a", 4_000)]);
        }
        assert!(store.find(BOB, &modest).is_ok());
        assert!(store.find(ALICE, &unused).is_err() && store.find(ALICE, &used).is_ok());
        assert!(store.lock().bytes() <= 20_000);
    }

    #[test]
    fn one_conversation_is_bounded_and_stays_as_it_was() {
        let store = store(10 * CONVERSATION_BYTES_MAX);
        let id = create(&store, ALICE, &[item("a", 10)]);
        assert!(store.add(ALICE, &id, &[item("b", CONVERSATION_BYTES_MAX)]).is_err());
        assert_eq!(store.items(ALICE, &id).expect("it is there").len(), 1);
    }
}
